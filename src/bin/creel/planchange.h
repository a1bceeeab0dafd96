#pragma once
#include "client.h"
#include "load.h"
#include "netplan.h"

/*
 * What `up` would do with a cell: its plan as the file makes it now, against the plan that creeld has.
 */

/**
 * The addresses that creeld has given, from the state folder, and those that it would give: nothing is
 * taken by asking.
 */
int planchange_addresses(struct netplan *n, const char *state, const struct creel_config *config,
			 struct creel_err *err);

/**
 * Put into @p out: `change` (new, stopped, changed, unchanged, unknown), `restart`, `changes` (what,
 * from, to, restart), `image`, `image_ready`, and `why` of an unknown one.
 *
 * @param client  NULL when there is no creeld to ask: every cell is new then
 * @return 0, or what kept it from being looked at
 */
int planchange(struct creel_client *client, const struct netplan *net, const struct creel_config *config,
	       const struct creel_cell_cfg *cell, int dirfd, json_t *out, struct creel_err *err);

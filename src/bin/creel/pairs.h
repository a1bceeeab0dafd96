#pragma once
#include "config/config.h"
#include "engine/plan.h"

/*
 * `pair:` secrets: an SSH key for a cell that calls a tool, and the host key of the tool's cell. Both are
 * made at the first `up` and kept in the store; who is trusted stands in each cell's boot, so that no
 * key is ever taken on first use.
 */
enum { PAIRS = 64 };
#define PAIRS_HOST_KEY "ssh-host-key"

struct pairs {
	size_t n;
	struct pair {
		const char *client, *secret, *tool; /* of the configuration */
		char client_pub[96], host_pub[96];  /* "": not made yet */
	} v[PAIRS];
};

/**
 * Find the pairs of the file and read their public halves.
 *
 * @param state  the state folder
 * @param make   make what is missing
 * @return 0, CREEL_E_CONFIG (a tool's cell has no gate), CREEL_E_DENIED (the store is locked), ...
 */
int pairs_init(struct pairs *p, const char *state, const struct creel_config *config, bool make,
	       struct creel_err *err);

/** The host key among the plan's secrets, when the cell is a tool's. @return 0, CREEL_E_CONFIG */
int pairs_plan(const struct pairs *p, const struct creel_cell_cfg *cell, struct creel_plan *plan,
	       struct creel_err *err);

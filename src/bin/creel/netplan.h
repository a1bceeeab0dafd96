#pragma once
#include "client.h"
#include "config/config.h"
#include "engine/plan.h"
#include "pairs.h"

/* What a cell's plan says of its network: addresses from the monitor, the policy from the file. */
struct netplan {
	struct creel_buf addresses; /* `NAME ADDRESS` lines */
	struct pairs pairs;         /* by pairs_init(); none at first */
	int dirfd;                  /* creel.yaml's folder, for what it names */
};

void netplan_fini(struct netplan *n);
CREEL_DEFINE_CLEANUP(struct netplan, netplan_fini)

/** Ask for the addresses of every cell of the file, in its order. */
int netplan_init(struct netplan *n, struct creel_client *client, const struct creel_config *config,
		 struct creel_err *err);

/** A cell's address as text. @return false: it has none */
bool netplan_address(const struct netplan *n, const char *cell, char ret[16]);

/** Does the cell get a link? Not one that neither goes anywhere nor is reached by anybody. */
bool netplan_link(const struct creel_config *config, const struct creel_cell_cfg *cell);

/** Why the IPv6 that a cell asks for leads nowhere on this host, until the next call; NULL: it does lead. */
const char *netplan_no_six(const struct creel_config *config, const struct creel_cell_cfg *cell);

/**
 * Fill in plan->net.
 * @param policy  its text is appended
 */
int netplan_cell(const struct netplan *n, const struct creel_config *config,
		 const struct creel_cell_cfg *cell, struct creel_plan *plan, struct creel_buf *policy,
		 struct creel_err *err);

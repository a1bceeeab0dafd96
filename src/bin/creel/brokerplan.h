#pragma once
#include "config/config.h"
#include "policy/broker.h"

/* What a broker's plan takes from files of the user. */
struct brokerplan {
	char *cert[CREEL_BROKERS];
	size_t n;
};
void brokerplan_fini(struct brokerplan *p);
CREEL_DEFINE_CLEANUP(struct brokerplan, brokerplan_fini)

/**
 * Read each `ca:` (one PEM certificate).
 * @param dirfd  creel.yaml's folder
 * @param b      of this cell, in the configuration's order; its `ca` points into @p ret
 */
int brokerplan_certs(const struct creel_cell_cfg *cell, int dirfd, struct creel_brokers *b,
		     struct brokerplan *ret, struct creel_err *err);

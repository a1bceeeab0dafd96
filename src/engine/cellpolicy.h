#pragma once
#include "config/config.h"
#include "policy/broker.h"
#include "policy/egress.h"

/*
 * A cell's egress policy from its configuration. config and policy are siblings that do not know
 * each other; this is where the one becomes the other.
 */
struct creel_cellpolicy {
	struct creel_policy policy;
	struct creel_brokers *brokers; /* policy.spec's, for who reads their `ca` */
	void *texts;                   /* owns what policy.spec points to */
};

void creel_cellpolicy_fini(struct creel_cellpolicy *c);
CREEL_DEFINE_CLEANUP(struct creel_cellpolicy, creel_cellpolicy_fini)

/**
 * @param config  must outlive the result
 * @param cell    one of its cells
 * @return 0; CREEL_E_CONFIG (@p diags says what and where), CREEL_E_NOMEM
 */
int creel_cellpolicy_init(struct creel_cellpolicy *c, const struct creel_config *config,
			  const struct creel_cell_cfg *cell, struct creel_diags *diags,
			  struct creel_err *err);

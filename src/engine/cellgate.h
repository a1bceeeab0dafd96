#pragma once
#include "config/config.h"
#include "policy/gate.h"

/* A cell's gate from its configuration, as cellpolicy.h does for egress. */

/**
 * @param config  must outlive the result
 * @param cell    one of its cells, with a `gate:`
 * @return 0; CREEL_E_CONFIG (@p diags says what and where), CREEL_E_NOMEM
 */
int creel_cellgate_init(struct creel_gate *gate, const struct creel_config *config,
			const struct creel_cell_cfg *cell, struct creel_diags *diags, struct creel_err *err);

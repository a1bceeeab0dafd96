#pragma once
#include "config/config.h"
#include "policy/broker.h"

/* A cell's brokers from its configuration, as cellpolicy.h does for egress. */

/** `*.broker.creel` in the cell's DNS, without `.creel`: as a cell's name in its policy. */
enum { CREEL_CELLBROKER_NAME = CREEL_BROKER_NAME + 8 };

/**
 * @param config  must outlive the result
 * @param cell    one of its cells
 * @param ret     filled in; `ca` stays NULL: it is a file's content
 * @return 0; CREEL_E_CONFIG (@p diags says what and where), CREEL_E_NOMEM
 */
int creel_cellbroker_init(struct creel_brokers *ret, const struct creel_config *config,
			  const struct creel_cell_cfg *cell, struct creel_diags *diags,
			  struct creel_err *err);

/** Is this secret a broker's, and so not the cell's to see? */
bool creel_cellbroker_holds(const struct creel_cell_cfg *cell, const char *secret);

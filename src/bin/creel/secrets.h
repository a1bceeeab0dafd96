#pragma once
#include "client.h"
#include "config/recipe.h"
#include "engine/plan.h"

/** Fill the plan's secrets from the cell's. */
int secrets_plan(const struct creel_cell_cfg *cell, const struct creel_recipe *recipe,
		 struct creel_plan *plan, struct creel_err *err);

/**
 * Values that come from where the user is: the environment, a command, a file. As a sealed memfd with
 * a JSON object, for creeld's monitor.
 * @param dirfd  creel.yaml's folder
 */
int secrets_given(const struct creel_cell_cfg *cell, int dirfd, struct creel_err *err);

/**
 * Keys that act on the host need the user's word once for each content of the file: asked on a
 * terminal, or --trust.
 * @return 0, CREEL_E_DENIED
 */
int secrets_trust(struct creel_cli *cli, struct creel_client *client, const struct creel_config *config,
		  struct creel_err *err);

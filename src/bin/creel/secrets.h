#pragma once
#include "client.h"
#include "config/recipe.h"
#include "engine/plan.h"

/** Fill the plan's secrets from the cell's. */
int secrets_plan(const struct creel_cell_cfg *cell, const struct creel_recipe *recipe,
		 struct creel_plan *plan, struct creel_err *err);

/** Is its value in the store, set by `creel secret set`? */
bool secrets_stored(const struct creel_secret_cfg *s);
/** The credential of the cell's broker @p i, where neither `secrets` nor a broker before it names it: in the store. */
bool secrets_of_broker(const struct creel_cell_cfg *cell, size_t i, struct creel_secret_cfg *ret);
/**
 * Has it no value now? A command is not run to find out.
 * @param ret_why  what is not there, and what to do
 */
bool secrets_absent(const char *cell, const struct creel_secret_cfg *s, int dirfd, const char *state,
		    char *ret_why, size_t size);

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

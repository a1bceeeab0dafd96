#pragma once
#include "client.h"
#include "config/config.h"

/*
 * `notify:` of creel.yaml: a process of the user's, with the user's environment (a desktop's message needs
 * it), that follows the record and runs the command for each event of the kinds. `creel up` starts it, one a
 * state folder; it ends when creeld stops as it was told to, and outlives one that was killed. What the
 * command says, and what is wrong with it, is in STATE/notify.log.
 */

/** End the one that runs, and start one if @p config has a command. The file is trusted. */
int notify_start(const struct creel_client *c, const struct creel_config *config, struct creel_err *err);

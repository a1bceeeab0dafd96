#pragma once
#include "config/config.h"

/*
 * struct creel_config_more's check for the command line: what entries and gate rules mean, and each
 * cell against its recipe, built in or a file.
 */
int load_check(void *ctx, const struct creel_config *c, int dirfd, struct creel_diags *diags,
	       struct creel_err *err);

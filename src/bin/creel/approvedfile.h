#pragma once
#include "cli.h"
#include <limits.h>

/* `creel approve --always`: the name goes into the file of what was approved (config/approved.h). */
struct approvedfile {
	char path[PATH_MAX];
};

/** Can it be written, for this cell of creel.yaml? Nothing is, yet. */
int approvedfile_look(struct creel_cli *cli, const char *cell, struct approvedfile *ret,
		      struct creel_err *err);
/** Two lines: TLS on 443 and HTTP on 80, as the yes opens them; whole or not at all. */
int approvedfile_add(const struct approvedfile *f, const char *cell, const char *name, long long approval,
		     struct creel_err *err);

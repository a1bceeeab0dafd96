#include "cmds.h"
#include "where.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Only here is it needed that compiled rules have a place; without one they are compiled each time. */
static void cache_set(void)
{
	struct creel_err err = {0};
	char dir[PATH_MAX - 16], path[PATH_MAX];

	if (getenv("CREEL_DEFENDER_CACHE") || where_cache(dir, sizeof(dir), &err) < 0)
		return;
	(void)mkdir(dir, 0755);
	(void)snprintf(path, sizeof(path), "%s/defender", dir);
	(void)setenv("CREEL_DEFENDER_CACHE", path, 1);
}

int cmd_scan(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	cache_set();
	return cmd_become("creel-scan", cli, argc, argv, err);
}

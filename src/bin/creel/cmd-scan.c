#include "base/cleanup.h"
#include "cmds.h"
#include "where.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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
	static char json[] = "--json";
	autofree char **args = calloc((size_t)argc + 2, sizeof(*args));
	char program[PATH_MAX];
	int n = 0;

	if (!args)
		return creel_err_nomem(err);
	int r = where_program("creel-scan", program, sizeof(program), err);
	if (r < 0)
		return r;
	args[n++] = argv[0];
	if (cli->json)
		args[n++] = json;
	for (int i = 1; i < argc; i++)
		args[n++] = argv[i];
	cache_set();
	execv(program, args);
	return creel_err_set(err, CREEL_E_OS, errno, "run %.160s", program);
}

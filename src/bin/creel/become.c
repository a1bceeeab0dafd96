/* Verbs that are programs of their own, as they read what others made. */
#include "base/cleanup.h"
#include "cmds.h"
#include "where.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* With --state-dir the models are below it too. */
static int models_set(const char *state_dir, struct creel_err *err)
{
	char path[PATH_MAX];

	if (!state_dir || !state_dir[0])
		return 0;
	if (snprintf(path, sizeof(path), "%s/models", state_dir) >= (int)sizeof(path))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the state folder's name is too long");
	return setenv("CREEL_MODELS", path, 1) < 0 ? creel_err_nomem(err) : 0;
}

int cmd_become(const char *name, const struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static char json[] = "--json";
	autofree char **args = calloc((size_t)argc + 2, sizeof(*args));
	char program[PATH_MAX];
	int n = 0;

	if (!args)
		return creel_err_nomem(err);
	int r = where_program(name, program, sizeof(program), err);
	if (r == 0)
		r = models_set(cli->state_dir, err);
	if (r < 0)
		return r;
	args[n++] = argv[0];
	if (cli->json)
		args[n++] = json;
	for (int i = 1; i < argc; i++)
		args[n++] = argv[i];
	execv(program, args);
	return creel_err_set(err, CREEL_E_OS, errno, "run %.160s", program);
}

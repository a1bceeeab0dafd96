#include "base/cleanup.h"
#include "cmds.h"
#include "load.h"
#include <fcntl.h>
#include <stdio.h>

static void progress(void *ctx, int step, int steps, const char *what)
{
	fprintf(stderr, "creel: image %s: %d/%d %s\n", (const char *)ctx, step, steps, what);
}

int cmd_build(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static char base[] = "base";
	struct load_recipe autoclean(load_recipe_fini) recipe = {.dirfd = -1};
	char *name = argc > 1 ? argv[1] : base;
	struct creel_image image = {0};

	if (argc > 2)
		return creel_err_set(err, CREEL_E_USAGE, 0, "build takes one recipe");
	int r = load_recipe(name, AT_FDCWD, &recipe, err);
	if (r == CREEL_E_UNSUPP)
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "no built-in recipe '%s'; there are: base, openclaw", name);
	if (r == 0)
		r = load_image(&recipe, progress, name, &image, err);
	if (r < 0)
		return r;
	if (cli->json)
		/* a recipe's name is printable or the path the caller gave: the id is what counts */
		printf("{\"id\":\"%s\",\"dir\":\"%s\",\"built\":%s}\n", image.id, image.dir,
		       image.built ? "true" : "false");
	else
		printf("%s %.12s %s\n", name, image.id, image.dir);
	return 0;
}

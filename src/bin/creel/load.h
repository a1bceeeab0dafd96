#pragma once
#include "cli.h"
#include "config/recipe.h"
#include "image/image.h"

/* What several verbs load the same way: creel.yaml, a cell's recipe, its image. */

/** Load -f FILE or creel.yaml; what is wrong in it is printed here. */
int load_config(struct creel_cli *cli, struct creel_config *ret, int *ret_dirfd, struct creel_err *err);

struct load_recipe {
	const char *name;
	bool have;
	struct creel_recipe recipe;
	int dirfd;
};
void load_recipe_fini(struct load_recipe *r);
CREEL_DEFINE_CLEANUP(struct load_recipe, load_recipe_fini)
/** A built-in, or a file (with a '/'); what is wrong in it is printed here.
 *  @param dirfd  the folder that a path is relative to */
int load_recipe(const char *name, int dirfd, struct load_recipe *ret, struct creel_err *err);

/** Find or build the image. A failing tool's last lines are printed. */
int load_image(const struct load_recipe *recipe,
	       void (*progress)(void *ctx, int step, int steps, const char *what), void *ctx,
	       struct creel_image *ret, struct creel_err *err);

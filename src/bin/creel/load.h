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
/** A cell's: with what the cell adds to it (`docker`). */
int load_cell_recipe(const struct creel_cell_cfg *cell, int dirfd, struct load_recipe *ret,
		     struct creel_err *err);

/**
 * Find or build the image, with what is being done and how far on standard error; a failing tool's last
 * lines are printed. creel.lock is looked for beside the recipe's file, for a built-in beside creel.yaml.
 * @param config_dirfd  creel.yaml's folder; -1: there is none
 * @param update        resolve anew, and do not look at the lock file
 * @param ret_lock      the lock file's path (it need not exist), "" when there is no place for one; at
 *                      least PATH_MAX octets, or NULL
 */
int load_image(const struct load_recipe *recipe, int config_dirfd, bool update, struct creel_image *ret,
	       char *ret_lock, struct creel_err *err);
/** The recipe's entry in its lock file. */
const char *load_lock_name(const char *recipe);

/** Which image would that be, and is it there? Nothing is built; its id is "" when only a build can tell. */
int load_image_look(const struct load_recipe *recipe, int config_dirfd, struct creel_image *ret,
		    bool *ret_there, struct creel_err *err);

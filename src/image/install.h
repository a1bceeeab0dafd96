#pragma once
#include "base/buf.h"
#include "config/recipe.h"

/*
 * What a recipe adds to a tree of packages: users, links to its programs, files. The tree holds what
 * packages brought, links too: paths are resolved as if it were the root (openat2(2),
 * RESOLVE_IN_ROOT), so none leads out. Runs in a build step, whose ids are those of the image.
 *
 * Files in /persist are left out: those in a volume are the guest's to write at its start.
 *
 * @param root  the tree's root
 * @param in    a folder in which `files/N` is the source of the recipe's file number N, `url-N` what was
 *              fetched for its url number N
 * @param name  the built-in recipe's name, or anything else
 * @return 0, CREEL_E_NOTFOUND (openclaw: this version is not the one that the patch is for), ...
 */
int creel_install(int root, int in, const char *name, const struct creel_recipe *recipe,
		  struct creel_err *err);

/**
 * What is asked of npm for a recipe's NAME@VERSION: the same, but `node`, whose package gets its program
 * by running a script, is the package of this machine's program, which needs none.
 */
void creel_install_npm_spec(const char *spec, char *ret, size_t size);
/** Its name alone. */
void creel_install_npm_name(const char *spec, char *ret, size_t size);

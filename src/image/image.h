#pragma once
#include "base/buf.h"
#include "config/recipe.h"

/*
 * A recipe becomes an image: root.erofs, vmlinuz, initramfs.cpio and manifest.json in
 * CACHE/images/ID, where ID is the BLAKE2b-256 of everything that went in: the recipe, the machine's
 * apt sources, creel-init, the files it takes and the format's version. A folder with such a name is whole: it got the
 * name by a rename, after all of it was on disk.
 */
struct creel_image_spec {
	const char *name; /* for messages and the manifest */
	const struct creel_recipe *recipe;
	int dirfd; /* the recipe's folder: sources of files; -1 for a built-in */
};

/** Load a built-in recipe. @return 0, CREEL_E_NOTFOUND (there is none of that name), ... */
int creel_image_builtin(const char *name, struct creel_recipe *ret, struct creel_err *err);

struct creel_image_env {
	const char *cache;     /* absolute; made when missing */
	const char *init_path; /* creel-init */
	/** Called when a step begins; may be NULL. */
	void (*progress)(void *ctx, int step, int steps, const char *what);
	void *ctx;
};

struct creel_image {
	char id[65];
	char dir[512];
	bool built; /* false: it was there */
};

/**
 * Build, or find what was built. One builder at a time a cache (flock); what an interrupted build
 * left is removed by the next. Needs root for now.
 *
 * @return 0, CREEL_E_CHILD (a tool failed: its last lines are in @p tail when given),
 *         CREEL_E_DENIED (not root), CREEL_E_OS, ...
 */
int creel_image_build(const struct creel_image_spec *spec, const struct creel_image_env *env,
		      struct creel_image *ret, struct creel_buf *tail, struct creel_err *err);

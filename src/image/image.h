#pragma once
#include "base/buf.h"
#include "config/recipe.h"
#include <jansson.h>

/*
 * A recipe becomes an image: root.erofs, vmlinuz, initramfs.cpio, lock.json (what it was resolved to),
 * bom.json (CycloneDX 1.5) and manifest.json in CACHE/images/ID. ID is the BLAKE2b-256 of what went
 * in: the recipe, the files it takes, creel-init, the format's version, and every package that was
 * resolved, with its hash. A folder with such a name is whole: it got the name by a rename, after all of
 * it was on disk.
 *
 * Without a lock file what was resolved is known only after the build, so CACHE/refs/KEY says to which
 * ID the recipe led at these sources; CACHE/building is the work, CACHE/lock keeps builders apart.
 */
struct creel_image_spec {
	const char *name; /* for messages and the manifest */
	const struct creel_recipe *recipe;
	int dirfd;             /* the recipe's folder: sources of files; -1 for a built-in */
	const char *lock_path; /* creel.lock, which need not exist; NULL: none is looked for */
	const char *lock_name; /* its entry */
	bool update;           /* resolve anew, whatever the lock file or an earlier build says */
};

/** Load a built-in recipe. @return 0, CREEL_E_NOTFOUND (there is none of that name), ... */
int creel_image_builtin(const char *name, struct creel_recipe *ret, struct creel_err *err);

struct creel_image_progress {
	int step, steps;
	const char *what;
	uint64_t ms;      /* since the step began; 0 at its beginning */
	uint64_t fetched; /* octets that came from registries in it */
};

enum { CREEL_IMAGE_GUEST = 32 };
struct creel_image_env {
	const char *cache;     /* absolute; made when missing */
	const char *init_path; /* creel-init */
	const char *step_path; /* creel-step */
	/** What of ours goes into /usr/lib/creel: programs of every image, a recipe's plugin; ended by NULL. */
	struct {
		const char *path; /* on this machine */
		const char *name; /* below /usr/lib/creel: "openclaw/index.js" */
	} guest[CREEL_IMAGE_GUEST];
	/** When a step begins, and a few times a second while it runs; may be NULL. */
	void (*progress)(void *ctx, const struct creel_image_progress *p);
	/** Asked a few times a second: stop? May be NULL. */
	bool (*cancelled)(void *ctx);
	void *ctx;
};

struct creel_image {
	char id[65];
	char dir[512];
	bool built;  /* false: it was there */
	uint64_t ms; /* what building it took, waiting for another builder included */
	bool pinned; /* by the lock file */
	bool stale;  /* the lock file has it for other packages than the recipe asks for */
};

/**
 * Build, or find what was built. One builder at a time a cache (flock); what an interrupted build
 * left is removed by the next.
 *
 * @return 0, CREEL_E_CHILD (a tool failed: its last lines are in @p tail when given),
 *         CREEL_E_DENIED (steps cannot be confined here, or there are no ids for them: the message
 *         says what to do), CREEL_E_CANCEL, CREEL_E_NOTFOUND (what the lock file has is no longer
 *         there), CREEL_E_OS, ...
 */
int creel_image_build(const struct creel_image_spec *spec, const struct creel_image_env *env,
		      struct creel_image *ret, struct creel_buf *tail, struct creel_err *err);

/** Read DIR/NAME of an image as JSON (lock.json, bom.json, manifest.json). @return NULL on error */
json_t *creel_image_json(const char *dir, const char *name, struct creel_err *err);

/** What the cache holds, an object each: { id, recipe, built, size, used, in_use }, oldest use first.
 *  @return a new array, or NULL */
json_t *creel_image_list(const char *cache, struct creel_err *err);

/**
 * Remove images that nothing runs from, but for the newest of each recipe.
 * @param all  those too
 * @param ret  a new array of the objects of creel_image_list() that were removed
 */
int creel_image_prune(const char *cache, bool all, json_t **ret, struct creel_err *err);

/**
 * The same question without building: which image would it be, and is it there?
 *
 * @param ret        its id is "" when that is known only after a build
 * @param ret_there  the image is whole in the cache
 */
int creel_image_look(const struct creel_image_spec *spec, const struct creel_image_env *env,
		     struct creel_image *ret, bool *ret_there, struct creel_err *err);

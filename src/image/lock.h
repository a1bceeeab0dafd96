#pragma once
#include "base/err.h"
#include "config/recipe.h"
#include <jansson.h>

/*
 * creel.lock: what recipes were resolved to, so that a build elsewhere takes the very same packages.
 * It stands beside creel.yaml (for the built-in recipes that it uses) or beside the recipe's file.
 *
 *   { "version": 1, "images": { NAME: ENTRY } }
 *
 * NAME is a built-in's name or the recipe's file name. ENTRY:
 *   "asks"    what it was resolved for (below): an entry that does not fit the recipe any more is stale
 *   "debian"  [ { name, version, arch, sha256 } ], all that is installed, by name
 *   "kernel"  { name, version, arch, sha256 }
 *   "npm"     the `packages` of an npm lock file (version 3), with integrity hashes
 *   "go"      { "toolchain": "go1.26.8", "programs": [ { program, path, module, version, sum, deps } ] }
 */

/** What a recipe asks for, of all that must be resolved. NULL: out of memory. */
json_t *creel_lock_asks(const struct creel_recipe *r, const char *arch);

/**
 * The entry of @p name in the file @p path.
 * @param ret  a new reference; NULL when there is no file, no entry, or one that is stale
 * @param ret_stale  there is one for other packages than @p r asks for
 * @return 0, CREEL_E_CONFIG (it is no lock file), CREEL_E_TOOBIG, CREEL_E_OS
 */
int creel_lock_read(const char *path, const char *name, const struct creel_recipe *r, const char *arch,
		    json_t **ret, bool *ret_stale, struct creel_err *err);

/** Put @p entry into the file, by a temporary and a rename; other entries stay. One that is the same
 *  already is not written. @return 1 written, 0 as it was, CREEL_E_* */
int creel_lock_write(const char *path, const char *name, json_t *entry, struct creel_err *err);

/** An entry as its own text, the same for the same content; free() it. NULL: out of memory. */
char *creel_lock_text(const json_t *entry);

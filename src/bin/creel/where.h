#pragma once
#include "base/err.h"
#include <stddef.h>

/* Where things are: the cache, and the programs that creel starts. */

/** $CREEL_CACHE_DIR, else /var/cache/creel as root, else $XDG_CACHE_HOME/creel. */
int where_cache(char *ret, size_t size, struct creel_err *err);
/** Beside the running creel (a build tree, bin), or in libexec. @return 0, CREEL_E_NOTFOUND */
int where_program(const char *name, char *ret, size_t size, struct creel_err *err);
/** A file of OpenClaw's plugin: in a build tree, else in libexec. @return 0, CREEL_E_NOTFOUND */
int where_plugin(const char *file, char *ret, size_t size, struct creel_err *err);
/** @p given, else /var/lib/creel as root, else $XDG_STATE_HOME/creel. Need not exist. */
int where_state(const char *given, char *ret, size_t size, struct creel_err *err);

#include "where.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int where_cache(char *ret, size_t size, struct creel_err *err)
{
	const char *own = getenv("CREEL_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	int n;

	if (own && own[0])
		n = snprintf(ret, size, "%s", own);
	else if (geteuid() == 0)
		n = snprintf(ret, size, "/var/cache/creel");
	else if (xdg && xdg[0])
		n = snprintf(ret, size, "%s/creel", xdg);
	else if (home && home[0])
		n = snprintf(ret, size, "%s/.cache/creel", home);
	else
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no cache folder: set CREEL_CACHE_DIR");
	if (n < 0 || (size_t)n >= size || ret[0] != '/')
		return creel_err_set(err, CREEL_E_INVALID, 0, "the cache folder must be an absolute path");
	return 0;
}

int where_program(const char *name, char *ret, size_t size, struct creel_err *err)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		/* build/src/bin/creel/creel: its siblings have a folder each */
		if ((size_t)snprintf(ret, size, "%s/../%s/%s", self, name, name) < size &&
		    access(ret, X_OK) == 0)
			return 0;
		if ((size_t)snprintf(ret, size, "%s/../libexec/creel/%s", self, name) < size &&
		    access(ret, X_OK) == 0)
			return 0;
		if ((size_t)snprintf(ret, size, "%s/%s", self, name) < size && access(ret, X_OK) == 0)
			return 0;
	}
	return creel_err_set(err, CREEL_E_NOTFOUND, 0, "%s is not installed beside creel", name);
}

int where_plugin(const char *file, char *ret, size_t size, struct creel_err *err)
{
	static const char *const places[] = {"../../../plugin/openclaw", "../libexec/creel/openclaw"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
			if ((size_t)snprintf(ret, size, "%s/%s/%s", self, places[i], file) < size &&
			    access(ret, R_OK) == 0)
				return 0;
	}
	return creel_err_set(err, CREEL_E_NOTFOUND, 0, "OpenClaw's plugin is not installed beside creel");
}

int where_state(const char *given, char *ret, size_t size, struct creel_err *err)
{
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;

	if (given && given[0])
		n = snprintf(ret, size, "%s", given);
	else if (geteuid() == 0)
		n = snprintf(ret, size, "/var/lib/creel");
	else if (xdg && xdg[0])
		n = snprintf(ret, size, "%s/creel", xdg);
	else if (home && home[0])
		n = snprintf(ret, size, "%s/.local/state/creel", home);
	else
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no state folder: give --state-dir DIR");
	if (n < 0 || (size_t)n >= size)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the state folder's name is too long");
	return 0;
}

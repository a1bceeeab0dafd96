#include "image/tool.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool beneath(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool in_path(const char *name, char *ret, size_t size)
{
	const char *path = getenv("PATH");
	struct stat st;

	if (!path || !*path)
		path = "/usr/local/bin:/usr/bin:/bin";
	for (const char *p = path; *p; p += strcspn(p, ":"), p += *p == ':') {
		size_t n = strcspn(p, ":");
		if (*p != '/' || n + strlen(name) + 2 > size)
			continue;
		memcpy(ret, p, n);
		ret[n] = '/';
		strcpy(ret + n + 1, name);
		if (stat(ret, &st) == 0 && S_ISREG(st.st_mode) && access(ret, X_OK) == 0)
			return true;
	}
	return false;
}

int tool_find(const char *name, const char *hint, struct tool *ret, struct creel_err *err)
{
	struct tool t = {0};
	char real[PATH_MAX];
	const char *home = getenv("HOME");

	if (!in_path(name, t.program, sizeof(t.program)) || !realpath(t.program, real))
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no %s in your PATH: %s", name, hint);
	(void)snprintf(t.dir, sizeof(t.dir), "%s", t.program);
	*strrchr(t.dir, '/') = '\0'; /* there is one: relative folders of PATH are passed over */
	static const char *const seen[] = {"/usr", "/bin", "/sbin", "/lib"};
	bool known = false;
	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		known |= beneath(t.program, seen[i]) && beneath(real, "/usr");
	if (!known) {
		/* PREFIX/bin/NAME, and what that links to is beneath PREFIX as well */
		(void)snprintf(t.prefix, sizeof(t.prefix), "%s", t.dir);
		char *slash = strrchr(t.prefix, '/');
		if (slash && strcmp(slash, "/bin") == 0 && slash != t.prefix)
			*slash = '\0';
		if (!beneath(real, t.prefix) || strchr(t.prefix, ':') || (home && beneath(home, t.prefix)))
			return creel_err_set(
				err, CREEL_E_UNSUPP, 0,
				"%s stands in %s, which a build step cannot see without your home: "
				"install it in a folder of its own",
				name, t.dir);
	}
	*ret = t;
	return 0;
}

#include "ramfolder.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "monitor.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int path_of(const char *cell, const char *what, char ret[PATH_MAX], struct creel_err *err)
{
	int n = snprintf(ret, PATH_MAX, "%s/run/cells/%s/%s", mon.state, cell, what);
	return n < 0 || n >= PATH_MAX ? creel_err_set(err, CREEL_E_TOOBIG, 0, "the state folder's path") : 0;
}

int ramfolder_open(const char *cell, const char *what, struct creel_err *err)
{
	char path[PATH_MAX];
	int r = path_of(cell, what, path, err);

	if (r < 0)
		return r;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? creel_err_set(err, CREEL_E_OS, errno, "open %s", path) : fd;
}

int ramfolder_make(const char *cell, const char *what, unsigned mode, struct creel_err *err)
{
	char path[PATH_MAX], options[16];
	int r = path_of(cell, what, path, err);

	if (r < 0)
		return r;
	(void)snprintf(options, sizeof(options), "mode=0%o", mode);
	if (mkdir(path, (mode_t)mode) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s", path);
	if (mount("creel", path, "ramfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "mount a ramfs at %s", path);
	return ramfolder_open(cell, what, err);
}

void ramfolder_drop(const char *cell, const char *what)
{
	struct creel_err err = {0};
	char path[PATH_MAX];

	if (path_of(cell, what, path, &err) < 0)
		return;
	while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	if (rmdir(path) < 0 && errno != ENOENT)
		creel_log_warn("%s: %s", path, strerror(errno));
}

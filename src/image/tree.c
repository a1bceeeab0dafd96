#include "image/tree.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

int creel_tree_read(const char *path, struct creel_buf *out, struct creel_err *err)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t buf[65536];
	ssize_t n;

	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		int r = creel_buf_add(out, buf, (size_t)n, err);
		if (r < 0)
			return creel_err_add(err, "%s", path);
	}
	return n < 0 ? creel_err_set(err, CREEL_E_OS, errno, "read %s", path) : 0;
}

int creel_tree_write(const char *path, const void *data, size_t len, struct creel_err *err)
{
	autofd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	size_t at = 0;

	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s", path);
	while (at < len) {
		ssize_t n = write(fd, (const char *)data + at, len - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "write %s", path);
		at += (size_t)n;
	}
	if (fsync(fd) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "sync %s", path);
	return 0;
}

int creel_tree_mkdirs(const char *path, struct creel_err *err)
{
	char copy[PATH_MAX];

	if (strlen(path) >= sizeof(copy))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "path of %zu octets", strlen(path));
	strcpy(copy, path);
	for (char *p = copy + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char was = *p;
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return creel_err_set(err, CREEL_E_OS, errno, "make %s", copy);
		*p = was;
		if (was == '\0')
			return 0;
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int creel_tree_remove(const char *path, struct creel_err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0 && errno == ENOENT)
		return 0;
	if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
		return creel_err_set(err, CREEL_E_OS, errno, "remove %s", path);
	return 0;
}

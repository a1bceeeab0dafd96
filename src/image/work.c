#include "base/cleanup.h"
#include "image/build.h"
#include "image/tree.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int build_open(const struct build *b, const char *path, struct creel_err *err)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	char work[PATH_MAX];
	struct stat st;

	(void)snprintf(work, sizeof(work), "%s/work", b->tmp);
	autofd int dir = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int fd = dir < 0 ? -1 : (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	if (fd < 0 || fstat(fd, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s of the build", path);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return creel_err_set(err, CREEL_E_DENIED, 0, "%s of the build is no file", path);
	return steal_fd(&fd);
}

static int read_all(int fd, const char *name, struct creel_buf *out, struct creel_err *err)
{
	uint8_t buf[65536];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (creel_buf_add(out, buf, (size_t)n, err) < 0)
			return creel_err_add(err, "%s of the build", name);
	return n < 0 ? creel_err_set(err, CREEL_E_OS, errno, "read %s of the build", name) : 0;
}

int build_read(const struct build *b, const char *path, struct creel_buf *out, struct creel_err *err)
{
	autofd int fd = build_open(b, path, err);

	return fd < 0 ? fd : read_all(fd, path, out, err);
}

int build_log_read(const struct build *b, const char *name, struct creel_buf *out, struct creel_err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", b->tmp, name);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? creel_err_set(err, CREEL_E_OS, errno, "open %s", path) : read_all(fd, name, out, err);
}

int build_give(const struct build *b, const char *name, const void *data, size_t len, struct creel_err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/in/%s", b->tmp, name);
	return creel_tree_write(path, data, len, err);
}

int build_cache(const struct build *b, const char *name, char *ret, size_t size, struct creel_err *err)
{
	/* by owner: what other ids fetched these steps could not write */
	if ((size_t)snprintf(ret, size, "%s/fetched-%u/%s", b->env->cache, b->ids.uid, name) >= size)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the cache's path is too long");
	int r = creel_tree_mkdirs(ret, err);
	if (r == 0 && b->ids.root && chown(ret, b->ids.uid, b->ids.gid) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "give %s to the build", ret);
	return r;
}

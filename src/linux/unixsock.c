#include "linux/unixsock.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int address(int dirfd, const char *name, struct sockaddr_un *ret, struct creel_err *err)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	int n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dirfd, name);
	if (n < 0 || (size_t)n >= sizeof(ret->sun_path))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "socket name %s", name);
	return 0;
}

int creel_unix_listen(int dirfd, const char *name, int type, mode_t mode, struct creel_err *err)
{
	struct sockaddr_un at;
	int r = address(dirfd, name, &at, err);

	if (r < 0)
		return r;
	autofd int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a socket");
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return creel_err_set(err, CREEL_E_OS, errno, "remove the old %s", name);
	mode_t old = umask(0177); /* nobody connects before the mode is what was asked for */
	r = bind(fd, (struct sockaddr *)&at, sizeof(at));
	int e = errno;
	umask(old);
	if (r < 0)
		return creel_err_set(err, CREEL_E_OS, e, "bind %s", name);
	if (fchmodat(dirfd, name, mode, 0) < 0 || listen(fd, 64) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "listen on %s", name);
	return steal_fd(&fd);
}

int creel_unix_connect(int dirfd, const char *name, int type, struct creel_err *err)
{
	struct sockaddr_un at;
	int r = address(dirfd, name, &at, err);

	if (r < 0)
		return r;
	autofd int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a socket");
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		bool none = errno == ENOENT || errno == ECONNREFUSED;
		return creel_err_set(err, none ? CREEL_E_NOTFOUND : CREEL_E_OS, errno, "connect to %s", name);
	}
	return steal_fd(&fd);
}

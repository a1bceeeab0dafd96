/*
 * LD_PRELOAD: reads and writes of stream sockets are short. A call moves a few octets, now and then it
 * is interrupted (EINTR) or, where the descriptor does not block, told to come again (EAGAIN). Whoever
 * takes a call's count for what it asked for loses octets, and a test of what arrives sees it.
 *
 * Only in the programs whose names stand in CREEL_SHORT, with a comma between them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_on = -1;
static uint32_t state = 12345; /* the same each time */

static int on(void)
{
	const char *list = getenv("CREEL_SHORT");
	size_t n = strlen(program_invocation_short_name);

	if (is_on >= 0)
		return is_on;
	is_on = 0;
	for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (strncmp(p, program_invocation_short_name, n) == 0 && (p[n] == ',' || !p[n]))
			is_on = 1;
	return is_on;
}

static uint32_t next(void)
{
	state = state * 1664525 + 1013904223;
	return state >> 16;
}

/* How much of @p len to ask for; -1: fail with errno set */
static ssize_t cut(int fd, size_t len, int flags)
{
	socklen_t size = sizeof(int);
	int type = 0, dice = (int)(next() % 16);

	if (len == 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM)
		return (ssize_t)len;
	if (dice == 0) {
		errno = EINTR;
		return -1;
	}
	if (dice == 1 && ((flags & MSG_DONTWAIT) || (fcntl(fd, F_GETFL) & O_NONBLOCK))) {
		errno = EAGAIN;
		return -1;
	}
	size_t few = dice < 8 ? 1 + next() % 7 : 1 + next() % 700;
	return (ssize_t)(few < len ? few : len);
}

#define REAL(name)                     \
	static __typeof__(name) *real; \
	if (!real)                     \
	real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

ssize_t read(int fd, void *buf, size_t len)
{
	REAL(read);
	ssize_t n = on() ? cut(fd, len, 0) : (ssize_t)len;
	return n < 0 ? n : real(fd, buf, (size_t)n);
}

ssize_t write(int fd, const void *buf, size_t len)
{
	REAL(write);
	ssize_t n = on() ? cut(fd, len, 0) : (ssize_t)len;
	return n < 0 ? n : real(fd, buf, (size_t)n);
}

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	REAL(recv);
	ssize_t n = on() ? cut(fd, len, flags) : (ssize_t)len;
	return n < 0 ? n : real(fd, buf, (size_t)n, flags);
}

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	REAL(send);
	ssize_t n = on() ? cut(fd, len, flags) : (ssize_t)len;
	return n < 0 ? n : real(fd, buf, (size_t)n, flags);
}

ssize_t readv(int fd, const struct iovec *v, int n)
{
	REAL(readv);
	ssize_t len = on() && n > 0 ? cut(fd, v[0].iov_len, 0) : -2;
	if (len == -1)
		return -1;
	return len < 0 ? real(fd, v, n) : read(fd, v[0].iov_base, (size_t)len);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	REAL(writev);
	ssize_t len = on() && n > 0 ? cut(fd, v[0].iov_len, 0) : -2;
	if (len == -1)
		return -1;
	return len < 0 ? real(fd, v, n) : write(fd, v[0].iov_base, (size_t)len);
}

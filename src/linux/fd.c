#include "linux/fd.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE = 65536, FD_MAX = 1023 };

int creel_fd_read(int fd, struct creel_buf *out, struct creel_err *err)
{
	for (;;) {
		/* at the maximum one octet more is asked for: it must not be there */
		char beyond;
		size_t room = MIN(out->max - out->len, (size_t)PIECE);
		int r = room ? creel_buf_reserve(out, room, err) : 0;
		if (r < 0)
			return r;
		ssize_t n = room ? read(fd, out->data + out->len, room) : read(fd, &beyond, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "read");
		if (n > 0 && !room)
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "more than %zu octets", out->max);
		if (n == 0)
			return 0;
		out->len += (size_t)n;
		out->data[out->len] = '\0';
	}
}

int creel_fd_number(const char *text)
{
	char *end;

	if (!text || *text < '0' || *text > '9')
		return -1;
	long v = strtol(text, &end, 10);
	return *end || v > FD_MAX ? -1 : (int)v;
}

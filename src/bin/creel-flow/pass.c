#include "flow.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/*
 * Octets that nobody looks at any more go from socket to socket within the kernel, by way of one pipe (splice(2)).
 * It is empty before and after: what the other side does not take now is read out of it into that side's own
 * buffer, and a pipe that cannot be emptied is closed, as the next to use it is another connection.
 */
enum { PASS_MAX = 2 * FLOW_BUF /* what a side's buffer holds when it was empty */ };

void pass_open(struct flow *f)
{
	if (pipe2(f->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		f->pipe[0] = f->pipe[1] = -1; /* then octets are copied */
	else
		(void)fcntl(f->pipe[1], F_SETPIPE_SZ,
			    4 * PASS_MAX); /* a page's place each, however little is in it */
}

void pass_close(struct flow *f)
{
	for (int i = 0; i < 2; i++) {
		if (f->pipe[i] >= 0)
			close(f->pipe[i]);
		f->pipe[i] = -1;
	}
}

/* What is left in the pipe, into the buffer of @p to; NULL: it is thrown away. @return -1: not all of it is kept */
static int empty(struct flow *f, struct side *to, size_t left)
{
	struct creel_err err = {0};
	int r = to ? 0 : -1;

	while (left > 0) {
		ssize_t n = read(f->pipe[0], f->scratch, MIN(left, sizeof(f->scratch)));
		if (n <= 0) {
			pass_close(f);
			return -1;
		}
		left -= (size_t)n;
		if (r == 0 && creel_buf_add(&to->out, f->scratch, (size_t)n, &err) < 0)
			r = -1;
	}
	return r;
}

bool pass_may(const struct conn *c, const struct side *to)
{
	return c->watch == WATCH_NOTHING && c->state == CONN_OPEN && c->in.len == 0 && to->out.len == 0 &&
	       c->flow->pipe[0] >= 0;
}

ssize_t pass_on(struct flow *f, int from, struct side *to)
{
	ssize_t n = splice(from, NULL, f->pipe[1], NULL, PASS_MAX, SPLICE_F_NONBLOCK | SPLICE_F_MOVE), k = 0;
	size_t left = n > 0 ? (size_t)n : 0;

	while (left > 0 &&
	       (k = splice(f->pipe[0], NULL, to->fd, NULL, left, SPLICE_F_NONBLOCK | SPLICE_F_MOVE)) > 0)
		left -= (size_t)k;
	bool gone = left > 0 && (k == 0 || errno != EAGAIN);
	if (left > 0 && empty(f, gone ? NULL : to, left) < 0) {
		errno = ECONNRESET;
		return -1;
	}
	return n;
}

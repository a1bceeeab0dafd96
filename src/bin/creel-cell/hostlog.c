#include "cell.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/*
 * What QEMU and the share's server print on the host: a guest can make them print without end, so it
 * comes by a pipe and is passed on to the log, which is our standard error, up to LOG_MAX a start. A
 * pipe that is full drops what they print, and stops nobody.
 */
enum { LOG_MAX = 1 << 20, ROUND = 16 };
static size_t logged;
static struct event *hostlog_read;

static void pass(const char *buf, size_t len)
{
	static const char over[] = "creel-cell: the log of this start is full: the rest is dropped\n";

	if (logged >= LOG_MAX)
		return;
	logged += len;
	/* a full disk costs the log, not the cell */
	(void)!write(STDERR_FILENO, buf, len);
	if (logged >= LOG_MAX)
		(void)!write(STDERR_FILENO, over, sizeof(over) - 1);
}

static void hostlog_readable(evutil_socket_t fd, short what, void *ctx)
{
	char buf[4096];
	ssize_t n = 1;

	for (int i = 0; i < ROUND && (n = read(fd, buf, sizeof(buf))) > 0; i++)
		pass(buf, (size_t)n);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		event_del(hostlog_read);
}

int hostlog_start(struct creel_err *err)
{
	if (evutil_make_socket_nonblocking(cell.hostlog) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "the log's pipe");
	hostlog_read = event_new(cell.base, cell.hostlog, EV_READ | EV_PERSIST, hostlog_readable, NULL);
	if (!hostlog_read || event_add(hostlog_read, NULL) < 0)
		return creel_err_nomem(err);
	return 0;
}

void hostlog_finish(void)
{
	hostlog_readable(cell.hostlog, 0, NULL);
}

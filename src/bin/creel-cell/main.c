#include "base/log.h"
#include "cell.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What creel-jail leaves open for us, in this order. */
enum { FD_CHANNEL = 3, FD_QMP, FD_ENGINE_LISTENER, FD_CONSOLE, FD_HOSTLOG };

struct cell cell = {.chan = FD_CHANNEL,
		    .qmp = FD_QMP,
		    .listener = FD_ENGINE_LISTENER,
		    .console = FD_CONSOLE,
		    .hostlog = FD_HOSTLOG,
		    .engine = -1};

void chan_break(const char *why)
{
	if (!cell.mux)
		return;
	struct creel_mux *dead = cell.mux;
	cell.mux = NULL;
	cell.broken = true;
	(void)snprintf(cell.broken_why, sizeof(cell.broken_why), "%s", why);
	relay_end_all("the cell broke its control channel");
	calls_end();
	creel_mux_free(dead);
	event_del(cell.chan_read);
	event_del(cell.chan_write);
	engine_tell(CREEL_CELL_BROKEN, 0, 0, 0, why);
}

void chan_hold(bool hold)
{
	if (!cell.mux)
		return;
	if (hold)
		event_del(cell.chan_read);
	else
		event_add(cell.chan_read, NULL);
}

void chan_kick(void)
{
	if (cell.mux && creel_mux_out(cell.mux)->len > 0)
		event_add(cell.chan_write, NULL);
}

static void chan_writable(evutil_socket_t fd, short what, void *ctx)
{
	const struct creel_buf *out = cell.mux ? creel_mux_out(cell.mux) : NULL;

	if (!out || out->len == 0) {
		event_del(cell.chan_write);
		return;
	}
	ssize_t n = send(fd, out->data, MIN(out->len, (size_t)262144), MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		creel_mux_sent(cell.mux, (size_t)n);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		chan_break(strerror(errno));
}

static void chan_readable(evutil_socket_t fd, short what, void *ctx)
{
	static uint8_t buf[CHAN_READ];
	struct creel_err err = {0};
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		chan_break(n == 0 ? "the channel closed" : strerror(errno));
	else if (creel_mux_feed(cell.mux, buf, (size_t)n, &err) < 0)
		chan_break(err.msg);
}

static int start(struct creel_err *err)
{
	if (fcntl(FD_CHANNEL, F_GETFD) < 0 || fcntl(FD_QMP, F_GETFD) < 0 ||
	    fcntl(FD_ENGINE_LISTENER, F_GETFD) < 0 || fcntl(FD_CONSOLE, F_GETFD) < 0 ||
	    fcntl(FD_HOSTLOG, F_GETFD) < 0)
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "creel-cell is started by creeld with its descriptors open");
	cell.base = event_base_new();
	cell.mux = creel_mux_new(true, &relay_ops, NULL);
	if (!cell.base || !cell.mux)
		return creel_err_nomem(err);
	cell.chan_read = event_new(cell.base, cell.chan, EV_READ | EV_PERSIST, chan_readable, NULL);
	cell.chan_write = event_new(cell.base, cell.chan, EV_WRITE | EV_PERSIST, chan_writable, NULL);
	if (!cell.chan_read || !cell.chan_write || event_add(cell.chan_read, NULL) < 0)
		return creel_err_nomem(err);
	chan_kick();
	int r = power_start(err);
	if (r == 0)
		r = console_start(err);
	if (r == 0)
		r = hostlog_start(err);
	return r < 0 ? r : engine_listen(err);
}

int main(int argc, char **argv)
{
	struct creel_err err = {0};

	creel_log_name("creel-cell");
	cell.vmm = creel_vmm_find(argc > 1 ? argv[1] : "qemu");
	if (!cell.vmm) {
		creel_err_set(&err, CREEL_E_USAGE, 0, "no back end '%s'", argv[1]);
		creel_log_error(&err);
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		creel_err_set(&err, CREEL_E_OS, errno, "give up privileges");
		creel_log_error(&err);
		return 1;
	}
	int r = start(&err);
	if (r == 0 && event_base_dispatch(cell.base) < 0)
		r = creel_err_set(&err, CREEL_E_OS, errno, "event loop");
	if (r < 0)
		creel_log_error(&err);
	return creel_exit_status(r);
}

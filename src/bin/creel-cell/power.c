#include "cell.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The machine's own control socket, as little of it as a cell needs: say what the back end begins
 * with, ask for the end, and notice it. What the machine answers is read and dropped; the end of the
 * connection is the end of the machine.
 */
static void say(const char *line)
{
	if (!*line)
		return;
	/* a command of a few octets into an empty socket: it fits, or the machine is stuck and gets killed */
	(void)!send(cell.qmp, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void power_readable(evutil_socket_t fd, short what, void *ctx)
{
	char buf[4096];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	event_del(cell.qmp_read);
	cell.gone = true;
	relay_end_all("the cell has ended");
	if (!cell.bye)
		console_tell();
	hostlog_finish();
	engine_tell(CREEL_CELL_GONE, 0, 0, 0, "");
	engine_finish();
	(void)event_base_loopexit(cell.base, NULL);
}

int power_start(struct creel_err *err)
{
	cell.qmp_read = event_new(cell.base, cell.qmp, EV_READ | EV_PERSIST, power_readable, NULL);
	if (!cell.qmp_read || event_add(cell.qmp_read, NULL) < 0)
		return creel_err_nomem(err);
	say(cell.vmm->control_hello);
	return 0;
}

void power_quit(void)
{
	say(cell.vmm->control_quit);
}

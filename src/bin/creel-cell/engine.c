#include "base/log.h"
#include "cell.h"
#include "linux/fdpass.h"
#include "wire/ctl.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * What the engine has not taken yet. A guest chooses when it says something: over HIGH it is not read
 * until the engine has caught up, so it slows itself and costs a bounded piece of memory. What comes
 * on top is what one read may hold, an end for each stream and what a new engine is told. An engine
 * that hangs stops nobody's octets meanwhile.
 */
enum {
	CTL_LEAST = CREEL_MUX_HEAD + 6,
	HIGH = 64 * CREEL_CELLMSG,
	QUEUE = HIGH + (CHAN_READ / CTL_LEAST + CREEL_MUX_STREAMS + CELL_SERVICES + 64) * CREEL_CELLMSG,
};
static struct creel_buf queue;
static bool held;

static void hold(bool on)
{
	if (held != on)
		chan_hold(on);
	held = on;
}

static void engine_lost(void)
{
	if (cell.engine < 0)
		return;
	event_free(cell.engine_read);
	event_free(cell.engine_write);
	cell.engine_read = cell.engine_write = NULL;
	close(cell.engine);
	cell.engine = -1;
	creel_buf_clear(&queue);
	hold(false);
	calls_engine_lost();
	/* the cell lives on; whoever used it through that engine is told by the end of the stream */
	relay_end_all("creeld went away");
}

/* False when the engine takes no more for now. One that has gone is seen by its end of the socket. */
static bool flush(void)
{
	size_t at = 0;

	while (at < queue.len &&
	       send(cell.engine, queue.data + at, CREEL_CELLMSG, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		at += CREEL_CELLMSG;
	creel_buf_drain(&queue, at);
	if (queue.len < HIGH)
		hold(false);
	return queue.len == 0;
}

static void engine_writable(evutil_socket_t fd, short what, void *ctx)
{
	if (!flush())
		return;
	event_del(cell.engine_write);
	calls_pump();
}

bool engine_pass(const uint8_t *msg, size_t len)
{
	if (flush() && send(cell.engine, msg, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len)
		return true;
	event_add(cell.engine_write, NULL);
	return false;
}

void engine_tell(uint8_t type, uint8_t state, uint32_t id, uint32_t a, const char *name)
{
	struct creel_cellmsg m = {.type = type, .state = state, .id = id, .a = a};
	struct creel_err err = {0};
	uint8_t buf[CREEL_CELLMSG];

	if (cell.engine < 0)
		return;
	(void)snprintf(m.name, sizeof(m.name), "%s", name);
	creel_cellmsg_encode(&m, buf);
	if (creel_buf_add(&queue, buf, sizeof(buf), &err) < 0) {
		creel_log_error(&err);
		return;
	}
	if (!flush())
		event_add(cell.engine_write, NULL);
	if (queue.len >= HIGH)
		hold(true);
}

void engine_finish(void)
{
	struct pollfd p = {.fd = cell.engine, .events = POLLOUT};

	while (cell.engine >= 0 && !flush() && poll(&p, 1, 1000) > 0 && !(p.revents & (POLLHUP | POLLERR)))
		;
}

static void control_send(uint8_t type)
{
	struct creel_ctl c = {.type = type};
	uint8_t buf[CREEL_CTL_MAX];
	struct creel_err err = {0};

	if (cell.mux)
		(void)creel_mux_control(cell.mux, buf, creel_ctl_encode(&c, buf), &err);
	chan_kick();
}

static void engine_readable(evutil_socket_t fd, short what, void *ctx)
{
	static uint8_t buf[CREEL_CELLMSG_MAX];
	struct creel_err err = {0};
	struct creel_cellmsg m;
	int got[1] = {-1};
	size_t n_fds = 0;
	ssize_t n = creel_fdpass_recv(fd, buf, sizeof(buf), got, 1, &n_fds, &err);

	if (n == CREEL_E_BUSY)
		return;
	if (n < 0 || creel_cellmsg_decode(buf, (size_t)n, &m, &err) < 0 ||
	    (m.type == CREEL_CELL_OPEN) != (n_fds == 1)) {
		if (n_fds == 1)
			close(got[0]);
		engine_lost(); /* a malformed message ends the peer that sent it */
		return;
	}
	switch (m.type) {
	case CREEL_CELL_OPEN:
		relay_open(m.id, m.state, buf + CREEL_CELLMSG, (size_t)n - CREEL_CELLMSG, got[0]);
		return;
	case CREEL_CELL_SHUTDOWN:
		control_send(CREEL_CTL_SHUTDOWN);
		return;
	case CREEL_CELL_KILL:
		power_quit();
		return;
	case CREEL_CELL_PING:
		control_send(CREEL_CTL_PING);
		return;
	case CREEL_CELL_SECRETS:
		control_send(CREEL_CTL_SECRETS);
		return;
	case CREEL_CELL_ANSWER:
		calls_answer(m.id, m.state, buf + CREEL_CELLMSG, (size_t)n - CREEL_CELLMSG);
		return;
	default:
		engine_lost();
	}
}

static void engine_accept(evutil_socket_t fd, short what, void *ctx)
{
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	if (conn < 0)
		return;
	engine_lost(); /* one at a time: the newer is the one that lives */
	cell.engine = conn;
	cell.engine_read = event_new(cell.base, conn, EV_READ | EV_PERSIST, engine_readable, NULL);
	cell.engine_write = event_new(cell.base, conn, EV_WRITE | EV_PERSIST, engine_writable, NULL);
	if (!cell.engine_read || !cell.engine_write || event_add(cell.engine_read, NULL) < 0) {
		if (cell.engine_read)
			event_free(cell.engine_read);
		if (cell.engine_write)
			event_free(cell.engine_write);
		close(conn);
		cell.engine = -1;
		return;
	}
	engine_tell(CREEL_CELL_HELLO, 0, 0, CREEL_CELL_VERSION, "");
	for (size_t i = 0; i < cell.n_services; i++)
		engine_tell(CREEL_CELL_SERVICE, cell.services[i].state, 0, cell.services[i].a,
			    cell.services[i].name);
	if (cell.ready)
		engine_tell(CREEL_CELL_READY, 0, 0, cell.memory_kb, "");
	if (cell.broken)
		engine_tell(CREEL_CELL_BROKEN, 0, 0, 0, cell.broken_why);
	if (cell.gone)
		engine_tell(CREEL_CELL_GONE, 0, 0, 0, "");
}

int engine_listen(struct creel_err *err)
{
	creel_buf_init(&queue, QUEUE);
	cell.accept = event_new(cell.base, cell.listener, EV_READ | EV_PERSIST, engine_accept, NULL);
	if (!cell.accept || event_add(cell.accept, NULL) < 0)
		return creel_err_nomem(err);
	return 0;
}

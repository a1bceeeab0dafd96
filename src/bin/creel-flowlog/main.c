/*
 * creel-flowlog MONITOR EVENTS FLOWS SUMS: what the packet filter let pass and dropped, told to the engine
 * (flowlog.h). The four are descriptors that it inherits: a SOCK_SEQPACKET socket to the monitor,
 * which tells it of cells and names, one to the engine, conntrack's, and the memory of linux/flowsum.h.
 * Ends with 0 when the monitor is gone, 1 when it cannot start.
 */
#include "base/log.h"
#include "flowlog.h"
#include "linux/fdpass.h"
#include "linux/sandbox.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static const char *const calls[] = {"recvfrom", "sendto", "recvmsg", "sendmsg", NULL};

int64_t log_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void engine_gone(struct flowlog *l)
{
	if (l->events >= 0) {
		creel_log_info("the engine is gone");
		(void)event_del(&l->ev_events);
		(void)event_del(&l->ev_events_write);
		(void)evutil_closesocket(l->events);
	}
	l->events = -1;
	l->writing = false;
	for (size_t i = 0; i < l->n_cells; i++)
		l->cells[i]->out.fd = -1;
}

void log_flush(struct flowlog *l)
{
	struct creel_err err = {0};
	int r = 0;

	for (size_t k = 0; k < l->n_cells && r == 0; k++) {
		size_t i = (l->turn + k) % l->n_cells;
		r = creel_flowsend_flush(&l->cells[i]->out, &err);
		if (r > 0)
			l->turn = i + 1; /* who waits longest is next */
	}
	if (r < 0)
		engine_gone(l);
	if (l->events < 0 || (r > 0) == l->writing)
		return;
	if (r > 0)
		(void)event_add(&l->ev_events_write, NULL);
	else
		(void)event_del(&l->ev_events_write);
	l->writing = r > 0;
}

static void events_writable(evutil_socket_t fd, short what, void *arg)
{
	log_flush(arg);
}

static void events_ready(evutil_socket_t fd, short what, void *arg)
{
	char c;

	if (!(recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN))
		engine_gone(arg);
}

static int events_take(struct flowlog *l, int fd, struct creel_err *err)
{
	if (evutil_make_socket_nonblocking(fd) < 0 ||
	    event_assign(&l->ev_events, l->base, fd, EV_READ | EV_PERSIST, events_ready, l) < 0 ||
	    event_assign(&l->ev_events_write, l->base, fd, EV_WRITE | EV_PERSIST, events_writable, l) < 0 ||
	    event_add(&l->ev_events, NULL) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "take the engine's socket");
	l->events = fd;
	for (size_t i = 0; i < l->n_cells; i++)
		l->cells[i]->out.fd = fd;
	log_flush(l);
	return 0;
}

static bool message(struct flowlog *l, const struct creel_flowmsg *m, int *fd)
{
	struct log_cell *c = log_cell_named(l, m->cell);
	struct creel_err err = {0};
	int r = 0;

	switch (m->type) {
	case CREEL_FLOWMSG_PIN:
		if (c)
			log_pin(c, m);
		return true;
	case CREEL_FLOWMSG_UNPIN:
		if (c)
			creel_pins_drop(&c->pins, m->name);
		return true;
	case CREEL_FLOWMSG_CELL:
		r = *fd < 0 ? CREEL_E_PROTO : log_cell_add(l, m, fd, &err);
		break;
	case CREEL_FLOWMSG_GONE:
		if (c) {
			log_cell_second(c);
			log_flush(l);
			log_cell_free(c);
		}
		return true;
	case CREEL_FLOWMSG_EVENTS:
		engine_gone(l);
		r = *fd < 0 ? CREEL_E_PROTO : events_take(l, *fd, &err);
		if (r == 0)
			*fd = -1;
		break;
	default:
		r = CREEL_E_PROTO;
	}
	if (r < 0 && err.code)
		creel_log_error(&err);
	return r == 0;
}

static void monitor_ready(evutil_socket_t sock, short what, void *arg)
{
	static uint8_t buf[CREEL_FLOWMSG_PACKET];
	struct flowlog *l = arg;
	struct creel_flowmsg m;
	struct creel_err err = {0};

	for (;;) {
		autofd int fd = -1;
		size_t n_fds = 0, at = 0;
		ssize_t n = creel_fdpass_recv(sock, buf, sizeof(buf), &fd, 1, &n_fds, &err);
		if (n == CREEL_E_BUSY)
			return;
		int r = n < 0 ? -1 : 1;
		while (r > 0 && (r = creel_flowmsg_next(buf, (size_t)n, &at, &m, &err)) > 0)
			if (!message(l, &m, &fd))
				r = -1;
		if (r < 0)
			break;
	}
	creel_log_info("the monitor is gone");
	(void)event_base_loopbreak(l->base);
}

static void flows_ready(evutil_socket_t fd, short what, void *arg)
{
	struct flowlog *l = arg;
	struct creel_nfnet f;
	struct creel_err err = {0};

	for (int i = 0; i < LOG_READS * 8; i++) {
		ssize_t n = recv(fd, l->buf, sizeof(l->buf), MSG_DONTWAIT);
		if (n < 0 && errno == ENOBUFS)
			continue; /* the kernel keeps what we could not take, and tries again */
		if (n < 0)
			break;
		size_t at = 0;
		while (creel_nfnet_next(l->buf, (size_t)n, &at, &f, &err) > 0)
			if (f.type == CREEL_NFNET_FLOW)
				log_flow(l, &f);
	}
	log_flush(l);
}

static void second(evutil_socket_t fd, short what, void *arg)
{
	struct flowlog *l = arg;

	for (size_t i = 0; i < l->n_cells; i++)
		log_cell_second(l->cells[i]);
	log_flush(l);
}

static int start(struct flowlog *l, int sums, struct creel_err *err)
{
	const struct timeval every = {1, 0};

	int r = creel_flowsums_map(sums, &l->sums, err);

	if (r < 0)
		return r;
	l->base = event_base_new();
	l->tick = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (!l->base)
		return creel_err_nomem(err);
	if (l->tick < 0 || evutil_make_socket_nonblocking(l->monitor) < 0 ||
	    evutil_make_socket_nonblocking(l->flows) < 0 ||
	    event_assign(&l->ev_monitor, l->base, l->monitor, EV_READ | EV_PERSIST, monitor_ready, l) < 0 ||
	    event_assign(&l->ev_flows, l->base, l->flows, EV_READ | EV_PERSIST, flows_ready, l) < 0 ||
	    event_assign(&l->ev_second, l->base, -1, EV_PERSIST, second, l) < 0 ||
	    event_add(&l->ev_monitor, NULL) < 0 || event_add(&l->ev_flows, NULL) < 0 ||
	    event_add(&l->ev_second, &every) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "take the sockets");
	return events_take(l, l->events, err);
}

int main(int argc, char **argv)
{
	static struct flowlog l; /* with its buffer */
	struct creel_err err = {0};
	int r = 0;

	creel_log_name("creel-flowlog");
	for (int i = 1; i < argc; i++)
		r |= argv[i][0] < '0' || argv[i][0] > '9';
	if (argc != 5 || r) {
		fputs("usage: creel-flowlog MONITOR EVENTS FLOWS SUMS, by creeld\n", stderr);
		return 2;
	}
	l.monitor = atoi(argv[1]);
	l.events = atoi(argv[2]);
	l.flows = atoi(argv[3]);
	r = start(&l, atoi(argv[4]), &err);
	if (r >= 0)
		r = creel_sandbox(calls, &err);
	if (r >= 0 && event_base_dispatch(l.base) < 0)
		r = creel_err_set(&err, CREEL_E_OS, errno, "loop");
	if (r < 0)
		creel_log_error(&err);
	while (l.n_cells > 0)
		log_cell_free(l.cells[0]);
	if (l.base)
		event_base_free(l.base);
	return r < 0;
}

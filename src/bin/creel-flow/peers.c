#include "base/log.h"
#include "flow.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include <errno.h>
#include <string.h>
#include <time.h>

int64_t flow_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* --- to the engine ----------------------------------------------------------------------------- */

static void engine_gone(struct flow *f)
{
	if (f->conf.events >= 0) {
		creel_log_info("the engine is gone");
		(void)event_del(&f->ev_events);
		(void)event_del(&f->ev_events_write);
		(void)evutil_closesocket(f->conf.events);
	}
	f->conf.events = f->out.fd = -1;
	f->writing = false;
}

void flow_events_flush(struct flow *f)
{
	struct creel_err err = {0};
	int r = creel_flowsend_flush(&f->out, &err);

	if (r < 0)
		engine_gone(f);
	if (f->lost && creel_flowsend_waiting(&f->out) == 0) {
		struct creel_flowmsg lost = {.type = CREEL_FLOWMSG_LOST, .count = f->lost};
		if (creel_flowsend_put(&f->out, &lost))
			f->lost = 0;
	}
	if (r > 0 && !f->writing)
		f->writing = event_add(&f->ev_events_write, NULL) == 0;
	if (r == 0 && f->writing) {
		(void)event_del(&f->ev_events_write);
		f->writing = false;
	}
	flow_accept_pause(f);
}

static void events_writable(evutil_socket_t fd, short what, void *arg)
{
	flow_events_flush(arg);
}

void flow_tell(struct flow *f, const struct creel_flowmsg *m)
{
	if (!creel_flowsend_put(&f->out, m))
		f->lost++;
	flow_events_flush(f);
}

/* The engine says nothing here; that it is readable is its end. */
static void events_ready(evutil_socket_t fd, short what, void *arg)
{
	struct flow *f = arg;
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	engine_gone(f);
	flow_accept_pause(f);
}

static int events_take(struct flow *f, int fd, struct creel_err *err)
{
	if (evutil_make_socket_nonblocking(fd) < 0 ||
	    event_assign(&f->ev_events, f->base, fd, EV_READ | EV_PERSIST, events_ready, f) < 0 ||
	    event_assign(&f->ev_events_write, f->base, fd, EV_WRITE | EV_PERSIST, events_writable, f) < 0 ||
	    event_add(&f->ev_events, NULL) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "take the engine's socket");
	f->conf.events = f->out.fd = fd;
	return 0;
}

/* --- from the monitor -------------------------------------------------------------------------- */

static void policy_take(struct flow *f, int fd)
{
	struct creel_policytext *next = calloc(1, sizeof(*next));
	struct creel_buf autoclean(creel_buf_fini) text;
	struct creel_err err = {0};

	creel_buf_init(&text, CREEL_POLICYTEXT_MAX);
	int r = next ? creel_memfd_read_sealed(fd, &text, &err) : creel_err_nomem(&err);
	if (r == 0)
		r = creel_policytext_read(creel_buf_str(&text), text.len, NULL, NULL, next, &err);
	if (r < 0) {
		/* a policy that cannot be read allows nothing */
		creel_log_error(&err);
		flow_policy_free(next);
		(void)event_base_loopbreak(f->base);
		return;
	}
	flow_policy_free(f->conf.pt);
	f->conf.pt = next;
	event_active(&f->ev_recheck, 0, 0); /* not from here: a connection's own check may have led here */
}

static void pin_take(struct flow *f, const struct creel_flowmsg *m)
{
	struct creel_err err = {0};
	int64_t now = flow_now();

	for (unsigned i = 0; i < m->n_addrs; i++)
		if (creel_pins_add(&f->pins, m->name, m->addr[i], now + m->ttl, m->granted, now, &err) < 0) {
			creel_log_error(&err); /* that name's connections are refused */
			return;
		}
}

/* @return false: it broke the protocol */
static bool message(struct flow *f, const struct creel_flowmsg *m, int *fd)
{
	struct creel_err err = {0};

	switch (m->type) {
	case CREEL_FLOWMSG_PIN:
		pin_take(f, m);
		return m->name[0] != '\0';
	case CREEL_FLOWMSG_UNPIN:
		creel_pins_drop(&f->pins, m->name);
		conn_cut(f, m->name);
		event_active(&f->ev_recheck, 0, 0);
		return true;
	case CREEL_FLOWMSG_POLICY:
		if (*fd < 0)
			return false;
		policy_take(f, *fd);
		return true;
	case CREEL_FLOWMSG_EVENTS:
		if (*fd < 0)
			return false;
		engine_gone(f);
		if (events_take(f, *fd, &err) < 0) {
			creel_log_error(&err);
			return false;
		}
		*fd = -1;
		flow_events_flush(f);
		return true;
	default:
		return false;
	}
}

static bool monitor_read(struct flow *f)
{
	static uint8_t buf[CREEL_FLOWMSG_PACKET];
	struct creel_flowmsg m;
	struct creel_err err = {0};

	for (;;) {
		autofd int fd = -1;
		size_t n_fds = 0, at = 0;
		ssize_t n = creel_fdpass_recv(f->conf.pins, buf, sizeof(buf), &fd, 1, &n_fds, &err);
		if (n == CREEL_E_BUSY)
			return true;
		if (n < 0)
			return false;
		int r;
		while ((r = creel_flowmsg_next(buf, (size_t)n, &at, &m, &err)) > 0)
			if (!message(f, &m, &fd))
				return false;
		if (r < 0)
			return false;
	}
}

static void drain(struct flow *f)
{
	creel_log_info("the monitor is gone: no new connection is taken");
	f->draining = true;
	(void)event_del(&f->ev_pins);
	for (int i = 0; i < 2; i++)
		if (f->conf.listen[i] >= 0) {
			(void)event_del(&f->ev_listen[i]);
			(void)evutil_closesocket(f->conf.listen[i]);
			f->conf.listen[i] = -1;
		}
	if (f->n_conns == 0)
		(void)event_base_loopbreak(f->base);
}

void flow_pins_take(struct flow *f)
{
	if (!f->draining && !monitor_read(f))
		drain(f);
}

static void pins_ready(evutil_socket_t fd, short what, void *arg)
{
	flow_pins_take(arg);
}

static void recheck(evutil_socket_t fd, short what, void *arg)
{
	conn_recheck(arg);
}

static void second(evutil_socket_t fd, short what, void *arg)
{
	conn_sweep(arg);
}

int flow_peers_start(struct flow *f, struct creel_err *err)
{
	const struct timeval every = {1, 0};

	creel_flowsend_init(&f->out, -1, FLOW_EVENTS_MAX);
	if (events_take(f, f->conf.events, err) < 0)
		return err->code;
	if (evutil_make_socket_nonblocking(f->conf.pins) < 0 ||
	    event_assign(&f->ev_pins, f->base, f->conf.pins, EV_READ | EV_PERSIST, pins_ready, f) < 0 ||
	    event_add(&f->ev_pins, NULL) < 0 ||
	    event_assign(&f->ev_recheck, f->base, -1, 0, recheck, f) < 0 ||
	    event_assign(&f->ev_second, f->base, -1, EV_PERSIST, second, f) < 0 ||
	    event_add(&f->ev_second, &every) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "take the monitor's socket");
	for (int i = 0; i < 2; i++)
		if (f->conf.listen[i] >= 0 && (evutil_make_socket_nonblocking(f->conf.listen[i]) < 0 ||
					       event_assign(&f->ev_listen[i], f->base, f->conf.listen[i],
							    EV_READ | EV_PERSIST, flow_accept_ready, f) < 0 ||
					       event_add(&f->ev_listen[i], NULL) < 0))
			return creel_err_set(err, CREEL_E_OS, errno, "take the listening socket");
	return 0;
}

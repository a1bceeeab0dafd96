#include "monitor.h"
#include "base/log.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "net/netns.h"
#include "wire/flowmsg.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/*
 * A cell's checker of TLS and HTTP names: creel-flow in a jail, in the cells' namespace, with a listener
 * on the cell's link to which the packet filter redirects. It is told each pin before the guest has the
 * address. Without it the names that it checks are not connected to; one that ends is started again. One
 * that a monitor before this left takes no more and lets end what flows: it is kept until then.
 */
enum { FD_LISTEN = 3, FD_PINS, FD_EVENTS, FD_CONF, N_FDS = 4, FILES = 4300 };

static int tell(struct mon_cell *c, const struct creel_flowmsg *m, int fd, struct creel_err *err)
{
	uint8_t buf[CREEL_FLOWMSG_MAX];

	if (c->flow.pins < 0)
		return creel_err_set(err, CREEL_E_CLOSED, 0, "no creel-flow runs");
	return creel_fdpass_send(c->flow.pins, buf, creel_flowmsg_encode(m, buf), &fd, fd >= 0 ? 1 : 0, err);
}

int flow_pin(struct mon_cell *c, const struct creel_dnsmsg *pin, bool granted, struct creel_err *err)
{
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_PIN, .ttl = pin->ttl, .granted = granted, .n_addrs = pin->n_addrs};

	(void)snprintf(m.name, sizeof(m.name), "%.253s", pin->name);
	memcpy(m.addr, pin->addr, (size_t)16 * pin->n_addrs);
	return tell(c, &m, -1, err);
}

void flow_unpin(struct mon_cell *c, const char *name)
{
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_UNPIN};
	struct creel_err err = {0};

	(void)snprintf(m.name, sizeof(m.name), "%.253s", name);
	if (c->flow.pins >= 0 && tell(c, &m, -1, &err) < 0)
		flow_start(c); /* anew, it flows for nobody */
}

void flow_policy(struct mon_cell *c)
{
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_POLICY};
	struct creel_err err = {0};

	if (c->flow.pins < 0)
		return;
	autofd int fd = creel_memfd_sealed("policy", c->policy.data, c->policy.len, &err);
	if (fd < 0 || tell(c, &m, fd, &err) < 0) {
		creel_log_error(&err);
		flow_start(c);
	}
}

/* Names that resolved while there was none. */
static void pin_again(void *ctx, const char *name, const uint8_t addr[16], int64_t until, bool granted)
{
	struct mon_cell *c = ctx;
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_PIN, .granted = granted, .n_addrs = 1};
	struct creel_err err = {0};
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (until <= now.tv_sec)
		return;
	m.ttl = (uint32_t)(until - now.tv_sec);
	(void)snprintf(m.name, sizeof(m.name), "%.253s", name);
	memcpy(m.addr[0], addr, 16);
	/* what does not go in at once must be resolved again before it connects */
	(void)tell(c, &m, -1, &err);
}

/* The engine's end of its events goes to the engine of now. */
static int events_make(struct mon_cell *c, int *ret_theirs, struct creel_err *err)
{
	struct creel_monmsg m = {.type = CREEL_MON_FLOW};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a socket");
	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	monitor_tell(&m, pair[0]);
	close(pair[0]);
	*ret_theirs = pair[1];
	return 0;
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
	flow_start(ctx);
}

static void flow_gone(evutil_socket_t fd, short what, void *ctx)
{
	struct mon_cell *c = ctx;
	unsigned starts = c->flow.starts;
	const struct timeval wait = netproc_pause(starts);

	netproc_stop(&c->procs[ROLE_FLOW]);
	flow_stop(c);
	if (!c->running)
		return;
	creel_log_warn("cell %s: its creel-flow ended: starting another", c->name);
	c->flow.starts = starts + 1;
	c->flow.again = event_new(mon.base, -1, 0, on_again, c);
	if (!c->flow.again || event_add(c->flow.again, &wait) < 0)
		creel_log_warn("cell %s: no memory to start it", c->name);
}

void flow_stop(struct mon_cell *c)
{
	if (c->flow.again)
		event_free(c->flow.again);
	if (c->flow.pins >= 0)
		close(c->flow.pins);
	c->flow = (struct mon_flow){.pins = -1};
	netproc_stop(&c->procs[ROLE_FLOW]);
}

void flow_adopt(struct mon_cell *c)
{
	c->flow = (struct mon_flow){.pins = -1};
	if (c->procs[ROLE_FLOW].pidfd < 0)
		return;
	netproc_stop(&c->procs[ROLE_FLOW_OLD]); /* of two monitors ago */
	c->procs[ROLE_FLOW_OLD] = c->procs[ROLE_FLOW];
	c->procs[ROLE_FLOW] = (struct mon_proc){.pidfd = -1};
}

static int spawn_in(struct mon_cell *c, int pins, int events, int conf, struct creel_err *err)
{
	autofd int listener = netproc_listen(c, SOCK_STREAM, MON_FLOW_PORT, err);

	if (listener < 0)
		return listener;
	const int fds[N_FDS] = {listener, pins, events, conf};
	return netproc_spawn(c, ROLE_FLOW, mon.flow_path, "/creel-flow", fds, N_FDS, FILES, err);
}

static int start(struct mon_cell *c, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	int pins[2], events = -1, back, size = 4 << 20;

	creel_buf_init(&text, CREEL_POLICYTEXT_MAX);
	int r = creel_buf_addf(&text, err, "listen %d\npins %d\nevents %d\n", FD_LISTEN, FD_PINS, FD_EVENTS);
	if (r == 0)
		r = creel_buf_add(&text, c->policy.data, c->policy.len, err);
	if (r < 0)
		return r;
	autofd int conf = creel_memfd_sealed("flow", text.data, text.len, err);
	if (conf < 0)
		return conf;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pins) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a socket");
	c->flow.pins = pins[0];
	autofd int theirs = pins[1];
	/* all of a cell's live pins may have to go in at once */
	(void)setsockopt(pins[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if ((r = events_make(c, &events, err)) < 0)
		return r;
	autofd int their_events = events;
	if ((r = net_enter(&back, err)) < 0)
		return r;
	r = spawn_in(c, theirs, their_events, conf, err);
	creel_netns_leave(back);
	if (r < 0)
		return r;
	creel_pins_each(&c->pins, pin_again, c);
	struct mon_proc *p = &c->procs[ROLE_FLOW];
	p->gone = event_new(mon.base, p->pidfd, EV_READ, flow_gone, c);
	if (!p->gone || event_add(p->gone, NULL) < 0)
		return creel_err_nomem(err);
	return netproc_note(c, err);
}

void flow_start(struct mon_cell *c)
{
	struct creel_err err = {0};
	unsigned starts = c->flow.starts;

	if (!c->running || !c->ran.net.link || mon.engine < 0)
		return;
	flow_stop(c);
	c->flow.starts = starts;
	if (start(c, &err) < 0) {
		creel_log_error(&err);
		creel_log_warn("cell %s: no creel-flow: names that it would check are not connected to", c->name);
		flow_stop(c);
	}
}

void flow_engine(struct mon_cell *c)
{
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_EVENTS};
	struct creel_err err = {0};
	int events = -1;

	if (c->flow.pins < 0) {
		flow_start(c);
		return;
	}
	int r = events_make(c, &events, &err);
	autofd int theirs = events;
	if (r == 0)
		r = tell(c, &m, theirs, &err);
	if (r < 0) {
		creel_log_error(&err);
		flow_start(c);
	}
}

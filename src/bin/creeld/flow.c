#include "base/log.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "monitor.h"
#include "net/netns.h"
#include "net/pinning.h"
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
enum { FD_LISTEN = 3, FD_PINS, FD_EVENTS, FD_LISTEN6, FILES = 4300 };

static int tell(struct mon_cell *c, const struct creel_flowmsg *m, int fd, struct creel_err *err)
{
	uint8_t buf[CREEL_FLOWMSG_MAX];

	if (c->flow.pins < 0)
		return creel_err_set(err, CREEL_E_CLOSED, 0, "no creel-flow runs");
	return creel_fdpass_send(c->flow.pins, buf, creel_flowmsg_encode(m, buf), &fd, fd >= 0 ? 1 : 0, err);
}

int flow_pin(struct mon_cell *c, const struct creel_dnsmsg *pin, bool granted, struct creel_err *err)
{
	const struct creel_flowmsg m = creel_pinning_flowmsg(pin, NULL, granted);

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
	const struct creel_buf *text = killswitch_policy(c);
	autofd int fd = creel_memfd_sealed("policy", text->data, text->len, &err);
	if (fd < 0 || tell(c, &m, fd, &err) < 0) {
		creel_log_error(&err);
		flow_start(c);
	}
}

/* Names that resolved while there was none. */
static int pins_again(struct mon_cell *c, struct creel_err *err)
{
	struct timespec now;
	size_t left = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	int r = creel_pinning_replay(&c->pins, NULL, c->flow.pins, now.tv_sec, &left, err);
	if (r == 0 && left > 0) {
		creel_log_warn("cell %s: its creel-flow did not take %zu addresses: they resolve again",
			       c->name, left);
		dns_policy(c); /* which forgets what it took for pinned */
	}
	return r;
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
	if (!net_link(c).six) {
		const int fds[] = {listener, pins, events, conf};
		return netproc_spawn(c, ROLE_FLOW, mon.flow_path, "/creel-flow", fds, ELEMENTSOF(fds), FILES,
				     err);
	}
	autofd int six = netproc_listen6(c, SOCK_STREAM, MON_FLOW_PORT, err);
	if (six < 0)
		return six;
	const int fds[] = {listener, pins, events, six, conf};
	return netproc_spawn(c, ROLE_FLOW, mon.flow_path, "/creel-flow", fds, ELEMENTSOF(fds), FILES, err);
}

static int start(struct mon_cell *c, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	int pins[2], events = -1, back, size = 4 << 20;

	creel_buf_init(&text, CREEL_POLICYTEXT_MAX);
	int r = creel_buf_addf(&text, err, "listen %d\npins %d\nevents %d\n", FD_LISTEN, FD_PINS, FD_EVENTS);
	if (r == 0 && net_link(c).six)
		r = creel_buf_addf(&text, err, "listen %d\n", FD_LISTEN6);
	if (r == 0)
		r = creel_buf_add(&text, killswitch_policy(c)->data, killswitch_policy(c)->len, err);
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
	if ((r = pins_again(c, err)) < 0)
		return r;
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
		creel_log_warn("cell %s: no creel-flow: names that it would check are not connected to",
			       c->name);
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

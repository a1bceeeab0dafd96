#include "base/mapped.h"
#include "flow.h"
#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <time.h>

/* --- one side ---------------------------------------------------------------------------------- */

static void want_read(struct side *s, bool want)
{
	if (s->fd >= 0 && s->reading != want)
		s->reading = (want ? event_add(&s->read, NULL) == 0 : event_del(&s->read) != 0);
}

static void want_write(struct side *s, bool want)
{
	if (s->fd >= 0 && s->writing != want)
		s->writing = (want ? event_add(&s->write, NULL) == 0 : event_del(&s->write) != 0);
}

static void side_close(struct side *s, bool reset)
{
	const struct linger now = {1, 0};

	if (s->fd >= 0) {
		want_read(s, false);
		want_write(s, false);
		if (reset)
			(void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		(void)evutil_closesocket(s->fd);
		s->fd = -1;
	}
	creel_buf_fini(&s->out);
}

static void socket_options(int fd)
{
	const int one = 1, quiet = 60;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* a peer that is gone without a word is noticed */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &quiet, sizeof(quiet));
}

/* --- beginning and end ------------------------------------------------------------------------- */

static uint32_t ms_since(const struct timespec *t)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	int64_t ms = (now.tv_sec - t->tv_sec) * 1000 + (now.tv_nsec - t->tv_nsec) / 1000000;
	return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static void told(struct conn *c, enum creel_flowmsg_type type, enum creel_flow_reason reason)
{
	struct creel_flowmsg m = c->told;

	m.type = (uint8_t)type;
	m.reason = (uint8_t)reason;
	if (type == CREEL_FLOWMSG_END) {
		m.bytes_out = c->bytes_out;
		m.bytes_in = c->bytes_in;
		m.ms = ms_since(&c->start);
	}
	flow_tell(c->flow, &m);
}

static void leave_waiting(struct conn *c)
{
	struct flow *f = c->flow;

	if (c->state != CONN_WAITING)
		return;
	TAILQ_REMOVE(&f->waiting, c, entry);
	TAILQ_INSERT_TAIL(&f->conns, c, entry);
	f->n_waiting--;
	f->waiting_octets -= c->in.len;
}

static void conn_end(struct conn *c, enum creel_flow_reason reason, bool reset)
{
	struct flow *f = c->flow;
	bool was_allowed = c->state != CONN_WAITING && c->allowed;

	leave_waiting(c);
	TAILQ_REMOVE(&f->conns, c, entry);
	f->n_conns--;
	side_close(&c->guest, reset);
	side_close(&c->server, reset);
	told(c, was_allowed ? CREEL_FLOWMSG_END : CREEL_FLOWMSG_DENY, reason);
	creel_buf_fini(&c->in);
	free(c);
	flow_accept_pause(f);
	if (f->draining && f->n_conns == 0)
		(void)event_base_loopbreak(f->base);
}

void conn_end_all(struct flow *f)
{
	while (!TAILQ_EMPTY(&f->waiting))
		conn_end(TAILQ_FIRST(&f->waiting), CREEL_FLOW_STOPPED, true);
	while (!TAILQ_EMPTY(&f->conns))
		conn_end(TAILQ_FIRST(&f->conns), CREEL_FLOW_STOPPED, true);
}

/* --- octets ------------------------------------------------------------------------------------ */

/* Write what waits for this side, and its peer's end behind it. @return -1: it is gone */
static int flush(struct side *s, const struct side *from, bool more)
{
	while (s->out.len > 0) {
		ssize_t n = send(s->fd, s->out.data, s->out.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return -1;
		creel_buf_drain(&s->out, (size_t)n);
	}
	if (s->out.len == 0 && s->out.cap > 0)
		creel_buf_fini(&s->out); /* memory is for those who are slow */
	if (s->out.len == 0 && from->ended && !more && !s->shut) {
		(void)shutdown(s->fd, SHUT_WR);
		s->shut = true;
	}
	want_write(s, s->out.len > 0);
	return 0;
}

/* Octets that may pass: sent from where they are, and the rest kept. */
static int forward(struct side *to, const uint8_t *data, size_t len)
{
	struct creel_err err = {0};
	ssize_t n = to->out.len == 0 ? send(to->fd, data, len, MSG_NOSIGNAL) : 0;

	if (n < 0 && errno != EAGAIN)
		return -1;
	n = MAX(n, (ssize_t)0);
	if ((size_t)n < len && creel_buf_add(&to->out, data + n, len - (size_t)n, &err) < 0)
		return -1;
	return 0;
}

/* What should be waited for now. */
static void rearm(struct conn *c)
{
	bool open = c->state == CONN_OPEN;

	want_read(&c->guest, c->state == CONN_WAITING
				     ? !c->guest.ended
				     : open && !c->guest.ended && c->server.out.len < FLOW_BUF &&
					       c->in.len < FLOW_IN_MAX - FLOW_BUF);
	if (open)
		want_read(&c->server, !c->server.ended && c->guest.out.len < FLOW_BUF);
}

static void connect_upstream(struct conn *c);

/* The guest's octets are refused. @p before: what its events had in common until then */
static void refuse(struct conn *c, enum creel_flow_reason why, const struct creel_flowmsg *before)
{
	if (c->state != CONN_WAITING) { /* in the midst of a connection: its end is told, too */
		told(c, CREEL_FLOWMSG_DENY, why);
		c->told = *before;
		c->allowed = true;
	}
	conn_end(c, why, true);
}

/* @return false: the connection is gone, or another step of it has begun */
static bool judge(struct conn *c)
{
	const struct creel_flowmsg before = c->told;
	struct flow *f = c->flow;
	size_t waited = c->in.len;
	enum creel_flow_reason why = judge_guest(c);

	if (c->state == CONN_WAITING) {
		f->waiting_octets += c->in.len;
		f->waiting_octets -= waited;
	}
	if (why != CREEL_FLOW_OK) {
		refuse(c, why, &before);
		return false;
	}
	if (!c->allowed && c->server.out.len > 0) {
		told(c, CREEL_FLOWMSG_ALLOW, CREEL_FLOW_OK);
		c->allowed = true;
	}
	if (c->state != CONN_WAITING)
		return true;
	if (c->server.out.len > 0)
		connect_upstream(c);
	else
		rearm(c);
	return false;
}

/* Everything that can move moves; the connection may be gone afterwards. */
static void pump(struct conn *c)
{
	do {
		if (c->in.len > 0 && !judge(c))
			return;
		if (c->state != CONN_OPEN)
			break;
		bool held = c->in.len > 0 &&
			    (c->stalled || c->watch == WATCH_ANSWER || c->watch == WATCH_UPGRADE);
		if (flush(&c->server, &c->guest, held) < 0 || flush(&c->guest, &c->server, false) < 0) {
			conn_end(c, CREEL_FLOW_RESET, true);
			return;
		}
	} while (c->stalled && c->in.len > 0 && c->server.out.len == 0);
	if (c->guest.shut && c->server.shut)
		conn_end(c, CREEL_FLOW_OK, false);
	else
		rearm(c);
}

static void server_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	int e = 0;
	socklen_t len = sizeof(e);

	if (c->state == CONN_CONNECTING) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0 || e != 0) {
			conn_end(c, CREEL_FLOW_UPSTREAM, true);
			return;
		}
		c->state = CONN_OPEN;
	}
	pump(c);
}

static void server_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	bool passes = pass_may(c, &c->guest);
	ssize_t n = passes ? pass_on(c->flow, fd, &c->guest)
			   : recv(fd, c->flow->scratch, sizeof(c->flow->scratch), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		conn_end(c, CREEL_FLOW_RESET, true);
		return;
	}
	c->active = flow_now();
	c->server.ended = n == 0;
	c->bytes_in += (uint64_t)n;
	if (!passes)
		judge_server(c, c->flow->scratch, (size_t)n);
	if (!passes && n > 0 && forward(&c->guest, c->flow->scratch, (size_t)n) < 0)
		conn_end(c, CREEL_FLOW_RESET, true);
	else
		pump(c);
}

static void guest_writable(evutil_socket_t fd, short what, void *arg)
{
	pump(arg);
}

/* The decision is made: to where the guest wanted. */
static void connect_upstream(struct conn *c)
{
	struct side *s = &c->server;
	struct flow *f = c->flow;

	leave_waiting(c);
	c->state = CONN_CONNECTING;
	c->active = flow_now();
	s->fd = socket(c->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0 ||
	    event_assign(&s->read, f->base, s->fd, EV_READ | EV_PERSIST, server_readable, c) < 0 ||
	    event_assign(&s->write, f->base, s->fd, EV_WRITE | EV_PERSIST, server_writable, c) < 0) {
		conn_end(c, CREEL_FLOW_BUSY, true);
		return;
	}
	socket_options(s->fd);
	if (connect(s->fd, (struct sockaddr *)&c->to, c->to_len) < 0 && errno != EINPROGRESS) {
		conn_end(c, CREEL_FLOW_UPSTREAM, true);
		return;
	}
	want_write(s, true);
	want_read(&c->guest, false);
}

/* Too many undecided, or their buffers too large: the oldest goes. */
static void waiting_bound(struct flow *f)
{
	while (f->n_waiting > FLOW_WAITING_MAX || f->waiting_octets > FLOW_WAITING_OCTETS)
		conn_end(TAILQ_FIRST(&f->waiting), CREEL_FLOW_BUSY, true);
}

static void guest_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct flow *f = c->flow;
	struct creel_err err = {0};
	bool passes = pass_may(c, &c->server);
	ssize_t n = passes ? pass_on(f, fd, &c->server) : recv(fd, f->scratch, sizeof(f->scratch), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		conn_end(c, c->state == CONN_WAITING ? CREEL_FLOW_CLOSED : CREEL_FLOW_RESET, true);
		return;
	}
	c->active = flow_now();
	c->guest.ended = n == 0;
	c->bytes_out += (uint64_t)n;
	int r = 0;
	if (!passes && c->watch == WATCH_NOTHING && c->in.len == 0 && c->state == CONN_OPEN)
		r = n > 0 ? forward(&c->server, f->scratch, (size_t)n) : 0;
	else if (!passes)
		r = creel_buf_add(&c->in, f->scratch, (size_t)n, &err);
	if (r < 0) {
		conn_end(c, CREEL_FLOW_RESET, true);
		return;
	}
	if (c->state == CONN_WAITING)
		f->waiting_octets += (size_t)n;
	if (c->state == CONN_WAITING && n == 0)
		conn_end(c, CREEL_FLOW_CLOSED, true);
	else
		pump(c);
	waiting_bound(f);
}

/* --- accepting --------------------------------------------------------------------------------- */

static void address(const struct sockaddr_storage *sa, uint8_t ret[16], uint16_t *ret_port)
{
	const struct sockaddr_in *v4 = (const void *)sa;
	const struct sockaddr_in6 *v6 = (const void *)sa;

	if (sa->ss_family == AF_INET6) {
		memcpy(ret, &v6->sin6_addr, 16);
		*ret_port = ntohs(v6->sin6_port);
		return;
	}
	creel_mapped_put(ret, &v4->sin_addr);
	*ret_port = ntohs(v4->sin_port);
}

/* Where the guest wanted to: what it was before the filter's redirect. */
static enum creel_flow_reason destination(struct conn *c, const struct sockaddr_storage *from)
{
	struct sockaddr_storage own = {0};
	socklen_t own_len = sizeof(own);
	uint8_t at[16];
	uint16_t port = 0;
	bool v6 = from->ss_family == AF_INET6;

	c->to_len = sizeof(c->to);
	c->told.proto = IPPROTO_TCP;
	address(from, c->told.src, &c->told.sport);
	if (getsockopt(c->guest.fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
		       v6 ? IP6T_SO_ORIGINAL_DST : SO_ORIGINAL_DST, &c->to, &c->to_len) < 0 ||
	    getsockname(c->guest.fd, (struct sockaddr *)&own, &own_len) < 0)
		return CREEL_FLOW_DIRECT;
	address(&c->to, c->told.dst, &c->told.dport);
	address(&own, at, &port);
	return port == c->told.dport && memcmp(at, c->told.dst, 16) == 0 ? CREEL_FLOW_DIRECT : CREEL_FLOW_OK;
}

static void conn_start(struct flow *f, int fd, const struct sockaddr_storage *from)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c) {
		(void)evutil_closesocket(fd);
		f->lost++;
		return;
	}
	c->flow = f;
	c->guest.fd = fd;
	c->server.fd = -1;
	c->accepted = c->active = flow_now();
	(void)clock_gettime(CLOCK_MONOTONIC, &c->start);
	creel_buf_init(&c->in, FLOW_IN_MAX);
	creel_buf_init(&c->guest.out, 2 * FLOW_BUF);
	creel_buf_init(&c->server.out, FLOW_IN_MAX + FLOW_BUF);
	TAILQ_INSERT_TAIL(&f->waiting, c, entry);
	f->n_conns++;
	f->n_waiting++;
	socket_options(fd);
	/* its link is this host's own: there is no network to be probed, and nothing to be paced */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	enum creel_flow_reason why = destination(c, from);
	if (why == CREEL_FLOW_OK && f->n_conns > f->max_conns)
		why = CREEL_FLOW_BUSY;
	if (why != CREEL_FLOW_OK ||
	    event_assign(&c->guest.read, f->base, fd, EV_READ | EV_PERSIST, guest_readable, c) < 0 ||
	    event_assign(&c->guest.write, f->base, fd, EV_WRITE | EV_PERSIST, guest_writable, c) < 0) {
		conn_end(c, why == CREEL_FLOW_OK ? CREEL_FLOW_BUSY : why, true);
		return;
	}
	flow_pins_take(f);
	if (judge_open(c)) {
		c->watch = WATCH_NOTHING;
		c->allowed = true;
		told(c, CREEL_FLOWMSG_ALLOW, CREEL_FLOW_OK);
		connect_upstream(c);
		return;
	}
	c->watch = c->told.dport == 80 ? WATCH_HEAD : WATCH_HELLO;
	want_read(&c->guest, true);
	waiting_bound(f);
}

void flow_accept_ready(evutil_socket_t fd, short what, void *arg)
{
	struct flow *f = arg;

	for (int i = 0; i < 64 && !f->paused && !f->draining; i++) {
		struct sockaddr_storage from = {0};
		socklen_t len = sizeof(from);
		int got = accept4(fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (got < 0)
			return; /* none, or no descriptor: they wait in the kernel's queue */
		conn_start(f, got, &from);
	}
}

/* No flow without its event: with the engine gone or far behind, connections wait to be accepted. */
void flow_accept_pause(struct flow *f)
{
	bool pause = f->conf.events < 0 || creel_flowsend_waiting(&f->out) > FLOW_EVENTS_PAUSE;

	if (pause == f->paused || f->draining)
		return;
	for (int i = 0; i < 2; i++)
		if (f->conf.listen[i] >= 0)
			(void)(pause ? event_del(&f->ev_listen[i]) : event_add(&f->ev_listen[i], NULL));
	f->paused = pause;
}

void conn_sweep(struct flow *f)
{
	int64_t now = flow_now();
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&f->waiting); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (now - c->accepted > FLOW_HELLO_S)
			conn_end(c, CREEL_FLOW_TIMEOUT, true);
	}
	for (c = TAILQ_FIRST(&f->conns); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		int64_t quiet = now - c->active;
		if (c->state == CONN_CONNECTING
			    ? quiet > FLOW_CONNECT_S
			    : quiet > (c->guest.ended || c->server.ended ? FLOW_HALF_S : FLOW_IDLE_S))
			conn_end(c, c->state == CONN_CONNECTING ? CREEL_FLOW_UPSTREAM : CREEL_FLOW_IDLE,
				 true);
	}
}

void conn_cut(struct flow *f, const char *name)
{
	struct conn *c;

	TAILQ_FOREACH(c, &f->conns, entry)
	c->cut = c->cut || strcmp(c->told.name, name) == 0;
}

void conn_recheck(struct flow *f)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&f->conns); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->cut || !judge_still(c))
			conn_end(c, CREEL_FLOW_CUT, true);
	}
}

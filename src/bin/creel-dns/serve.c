#include "base/log.h"
#include "dns.h"
#include "linux/fdpass.h"
#include "wire/be.h"
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

struct conn {
	LIST_ENTRY(conn) entry;
	struct dns *dns;
	struct bufferevent *bev;
};

static struct job *job_new(struct dns *d)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->dns = d;
	(void)clock_gettime(CLOCK_MONOTONIC, &j->start);
	creel_buf_init(&j->answer, CREEL_DNS_MAX);
	LIST_INSERT_HEAD(&d->jobs, j, entry);
	d->n_jobs++;
	return j;
}

void job_free(struct job *j)
{
	LIST_REMOVE(j, entry);
	j->dns->n_jobs--;
	if (j->timer)
		event_free(j->timer);
	creel_buf_fini(&j->answer);
	free(j);
}

void job_send(struct job *j)
{
	struct creel_err err = {0};
	size_t max = j->tcp ? CREEL_DNS_MAX : MIN((size_t)j->q.udp_size, (size_t)1232);

	if (j->timer)
		event_free(j->timer);
	j->timer = NULL;
	j->state = JOB_DONE;
	if (j->answer.len == 0 ||
	    (j->q.question_len && creel_dns_truncate(&j->q, max, &j->answer, &err) < 0)) {
		job_free(j);
		return;
	}
	if (j->conn) {
		uint8_t len[2];
		creel_put_be16(len, (uint16_t)j->answer.len);
		(void)bufferevent_write(j->conn->bev, len, 2);
		(void)bufferevent_write(j->conn->bev, j->answer.data, j->answer.len);
	} else if (!j->tcp) {
		dns_answer(j);
		return;
	}
	job_free(j);
}

/* A token bucket over the whole cell: a flood costs what its share is, and is answered by silence. */
static bool rate_ok(struct dns *d)
{
	struct timespec now;

	if (d->conf.rate == 0)
		return true;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	double past = (double)(now.tv_sec - d->refilled.tv_sec) +
		      (double)(now.tv_nsec - d->refilled.tv_nsec) / 1e9;
	d->refilled = now;
	d->tokens = MIN(d->tokens + past * (double)d->conf.rate, (double)DNS_BURST);
	if (d->tokens < 1)
		return false;
	d->tokens -= 1;
	return true;
}

static void udp_ready(evutil_socket_t fd, short what, void *arg)
{
	/* a query is short; a longer datagram is cut and then malformed */
	static uint8_t msg[DNS_AT_ONCE][4096];
	struct sockaddr_storage peer[DNS_AT_ONCE];
	struct iovec iov[DNS_AT_ONCE];
	struct mmsghdr v[DNS_AT_ONCE];
	struct dns *d = arg;

	memset(v, 0, sizeof(v));
	for (int i = 0; i < DNS_AT_ONCE; i++) {
		iov[i] = (struct iovec){msg[i], sizeof(msg[i])};
		v[i].msg_hdr.msg_name = &peer[i];
		v[i].msg_hdr.msg_namelen = sizeof(peer[i]);
		v[i].msg_hdr.msg_iov = &iov[i];
		v[i].msg_hdr.msg_iovlen = 1;
	}
	int n = recvmmsg(fd, v, DNS_AT_ONCE, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		if (!rate_ok(d) || d->n_jobs >= DNS_JOBS_MAX)
			continue;
		struct job *j = job_new(d);
		if (!j)
			return;
		j->udp = fd;
		j->peer = peer[i];
		j->peer_len = v[i].msg_hdr.msg_namelen;
		job_start(j, msg[i], v[i].msg_len);
	}
}

static void conn_free(struct conn *c)
{
	struct job *j;

	LIST_FOREACH(j, &c->dns->jobs, entry)
	if (j->conn == c)
		j->conn = NULL;
	LIST_REMOVE(c, entry);
	c->dns->n_conns--;
	bufferevent_free(c->bev);
	free(c);
}

static void conn_read(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	uint8_t head[2];

	while (evbuffer_copyout(in, head, 2) == 2) {
		size_t n = creel_be16(head);
		if (n > 4096) { /* no query is */
			conn_free(c);
			return;
		}
		if (evbuffer_get_length(in) < 2 + n)
			return;
		uint8_t msg[4096];
		(void)evbuffer_drain(in, 2);
		(void)evbuffer_remove(in, msg, n);
		if (!rate_ok(c->dns) || c->dns->n_jobs >= DNS_JOBS_MAX) {
			conn_free(c);
			return;
		}
		struct job *j = job_new(c->dns);
		if (!j)
			return;
		j->tcp = true;
		j->conn = c;
		job_start(j, msg, n);
	}
}

static void conn_event(struct bufferevent *bev, short what, void *arg)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
		conn_free(arg);
}

static void accepted(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	struct dns *d = arg;
	struct timeval idle = {10, 0};
	struct conn *c = d->n_conns < DNS_CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (c)
		c->bev = bufferevent_socket_new(d->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!c || !c->bev) {
		free(c);
		(void)evutil_closesocket(fd);
		return;
	}
	c->dns = d;
	LIST_INSERT_HEAD(&d->conns, c, entry);
	d->n_conns++;
	bufferevent_setcb(c->bev, conn_read, NULL, conn_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, 8192);
	bufferevent_set_timeouts(c->bev, &idle, &idle);
	(void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

/* @return false: it is not this peer's to say, or cannot be taken */
static bool peer_said(int fd, struct dns *d, const struct creel_dnsmsg *m, int file)
{
	struct creel_err err = {0};
	bool monitor = fd == d->conf.pins;
	int r = 0;

	if (m->type == CREEL_DNSMSG_PINNED && monitor)
		job_pinned(d, m);
	else if (m->type == CREEL_DNSMSG_POLICY && monitor && file >= 0)
		r = dns_conf_policy(&d->conf, file, &err);
	else if (m->type == CREEL_DNSMSG_HOSTS && monitor && file >= 0)
		r = dns_conf_hosts(&d->conf, file, &err); /* what was pinned may be refused now */
	else if (m->type == CREEL_DNSMSG_APPROVAL && !monitor)
		job_approval(d, m);
	else if (m->type == CREEL_DNSMSG_GRANT && !monitor)
		dns_grant(d, m);
	else
		return false;
	if (r < 0)
		creel_log_error(&err);
	else if (file >= 0)
		dns_pinned_clear(d);
	return r >= 0;
}

/* @return false when the peer went away or broke the protocol */
static bool peer_read(int fd, struct dns *d)
{
	uint8_t buf[CREEL_DNSMSG_PACKET];
	struct creel_dnsmsg m;
	struct creel_err err = {0};

	for (;;) {
		int got = -1, r;
		size_t n_fds = 0, at = 0;
		ssize_t n = creel_fdpass_recv(fd, buf, sizeof(buf), &got, 1, &n_fds, &err);
		if (n == CREEL_E_BUSY)
			return true;
		autofd int file = n_fds == 1 ? got : -1;
		if (n <= 0)
			return false;
		while ((r = creel_dnsmsg_next(buf, (size_t)n, &at, &m, &err)) > 0)
			if (!peer_said(fd, d, &m, file))
				return false;
		if (r < 0)
			return false;
	}
}

static void peer_ready(evutil_socket_t fd, short what, void *arg)
{
	struct dns *d = arg;

	if (peer_read(fd, d))
		return;
	/* without the monitor nothing can be answered: end, and be started again. The engine may come
	 * back on another socket only by a new start, too */
	creel_log_info("a peer is gone");
	(void)event_base_loopbreak(d->base);
}

/* What guests ask by, one for each family. */
static bool asked_by(struct dns *d, int i)
{
	int udp = d->conf.udp[i], tcp = d->conf.tcp[i];

	if (udp >= 0) {
		d->ev_udp[i] = event_new(d->base, udp, EV_READ | EV_PERSIST, udp_ready, d);
		if (!d->ev_udp[i] || event_add(d->ev_udp[i], NULL) < 0)
			return false;
	}
	if (tcp < 0)
		return true;
	/* the loop accepts until there is none left: a blocking listener would hold all of it */
	if (evutil_make_socket_nonblocking(tcp) < 0)
		return false;
	d->listener[i] = evconnlistener_new(d->base, accepted, d, LEV_OPT_CLOSE_ON_EXEC, 64, tcp);
	return d->listener[i] != NULL;
}

int dns_serve(struct dns *d, struct creel_err *err)
{
	if (evutil_make_socket_nonblocking(d->conf.pins) < 0 ||
	    (d->conf.events >= 0 && evutil_make_socket_nonblocking(d->conf.events) < 0))
		return creel_err_set(err, CREEL_E_OS, errno, "take the sockets");
	d->tokens = DNS_BURST;
	(void)clock_gettime(CLOCK_MONOTONIC, &d->refilled);
	d->ev_turn = event_new(d->base, -1, 0, dns_turn_end, d);
	d->ev_pins = event_new(d->base, d->conf.pins, EV_READ | EV_PERSIST, peer_ready, d);
	if (d->conf.events >= 0)
		d->ev_events = event_new(d->base, d->conf.events, EV_READ | EV_PERSIST, peer_ready, d);
	if (!d->ev_turn || !asked_by(d, 0) || !asked_by(d, 1) || !d->ev_pins ||
	    (d->conf.events >= 0 && !d->ev_events) || event_add(d->ev_pins, NULL) < 0 ||
	    (d->ev_events && event_add(d->ev_events, NULL) < 0))
		return creel_err_set(err, CREEL_E_OS, errno, "take the sockets");
	return 0;
}

void dns_serve_end(struct dns *d)
{
	dns_pinned_clear(d);
	if (d->ev_turn) { /* what this turn would have sent */
		dns_turn_end(-1, 0, d);
		event_free(d->ev_turn);
	}
	while (!LIST_EMPTY(&d->conns))
		conn_free(LIST_FIRST(&d->conns));
	while (!LIST_EMPTY(&d->jobs))
		job_free(LIST_FIRST(&d->jobs));
	for (int i = 0; i < 2; i++) {
		if (d->listener[i])
			evconnlistener_free(d->listener[i]);
		if (d->ev_udp[i])
			event_free(d->ev_udp[i]);
	}
	if (d->ev_pins)
		event_free(d->ev_pins);
	if (d->ev_events)
		event_free(d->ev_events);
}

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

static void job_free(struct job *j)
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

	if (j->answer.len == 0 || (j->q.question_len && creel_dns_truncate(&j->q, max, &j->answer, &err) < 0)) {
		job_free(j);
		return;
	}
	if (j->conn) {
		uint8_t len[2];
		creel_put_be16(len, (uint16_t)j->answer.len);
		(void)bufferevent_write(j->conn->bev, len, 2);
		(void)bufferevent_write(j->conn->bev, j->answer.data, j->answer.len);
	} else if (!j->tcp) {
		/* a full socket loses an answer, as UDP may; the guest asks again */
		(void)sendto(j->dns->conf.udp, j->answer.data, j->answer.len, MSG_DONTWAIT | MSG_NOSIGNAL,
			     (struct sockaddr *)&j->peer, j->peer_len);
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
	struct dns *d = arg;
	uint8_t msg[4096]; /* a query is short; a longer datagram is cut and then malformed */

	for (int i = 0; i < 64; i++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		ssize_t n = recvfrom(fd, msg, sizeof(msg), MSG_DONTWAIT, (struct sockaddr *)&peer, &len);
		if (n < 0)
			return;
		if (!rate_ok(d) || d->n_jobs >= DNS_JOBS_MAX)
			continue;
		struct job *j = job_new(d);
		if (!j)
			return;
		j->peer = peer;
		j->peer_len = len;
		job_start(j, msg, (size_t)n);
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

static void accepted(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
		     void *arg)
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

/* @return false when the peer went away or broke the protocol */
static bool peer_read(int fd, struct dns *d)
{
	uint8_t buf[CREEL_DNSMSG + 1];
	struct creel_dnsmsg m;
	struct creel_err err = {0};

	for (;;) {
		int got = -1;
		size_t n_fds = 0;
		ssize_t n = creel_fdpass_recv(fd, buf, sizeof(buf), &got, 1, &n_fds, &err);
		if (n == CREEL_E_BUSY)
			return true;
		autofd int file = n_fds == 1 ? got : -1;
		if (n <= 0 || creel_dnsmsg_decode(buf, (size_t)n, &m, &err) < 0)
			return false;
		if (m.type == CREEL_DNSMSG_PINNED && fd == d->conf.pins)
			job_pinned(d, &m);
		else if (m.type == CREEL_DNSMSG_POLICY && fd == d->conf.pins && file >= 0) {
			if (dns_conf_policy(&d->conf, file, &err) < 0) {
				creel_log_error(&err);
				return false;
			}
			dns_pinned_clear(d);
		} else if (m.type == CREEL_DNSMSG_HOSTS && fd == d->conf.pins && file >= 0) {
			if (dns_conf_hosts(&d->conf, file, &err) < 0) {
				creel_log_error(&err);
				return false;
			}
			dns_pinned_clear(d); /* what was pinned may be refused now */
		} else if (m.type == CREEL_DNSMSG_APPROVAL && fd == d->conf.events)
			job_approval(d, &m);
		else if (m.type == CREEL_DNSMSG_GRANT && fd == d->conf.events)
			dns_grant(d, &m);
		else
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

void dns_report(struct dns *d, const struct creel_dnsmsg *m)
{
	uint8_t buf[CREEL_DNSMSG];

	if (d->conf.events < 0)
		return;
	if (d->lost) {
		struct creel_dnsmsg lost = {.type = CREEL_DNSMSG_LOST, .count = d->lost};
		creel_dnsmsg_encode(&lost, buf);
		if (send(d->conf.events, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(buf)) {
			d->lost++;
			return;
		}
		d->lost = 0;
	}
	creel_dnsmsg_encode(m, buf);
	if (send(d->conf.events, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(buf))
		d->lost++;
}

int dns_serve(struct dns *d, struct creel_err *err)
{
	/* the loop accepts until there is none left: a blocking listener would hold all of it */
	if ((d->conf.tcp >= 0 && evutil_make_socket_nonblocking(d->conf.tcp) < 0) ||
	    evutil_make_socket_nonblocking(d->conf.pins) < 0 ||
	    (d->conf.events >= 0 && evutil_make_socket_nonblocking(d->conf.events) < 0))
		return creel_err_set(err, CREEL_E_OS, errno, "take the sockets");
	d->tokens = DNS_BURST;
	(void)clock_gettime(CLOCK_MONOTONIC, &d->refilled);
	d->ev_udp = event_new(d->base, d->conf.udp, EV_READ | EV_PERSIST, udp_ready, d);
	d->ev_pins = event_new(d->base, d->conf.pins, EV_READ | EV_PERSIST, peer_ready, d);
	if (d->conf.events >= 0)
		d->ev_events = event_new(d->base, d->conf.events, EV_READ | EV_PERSIST, peer_ready, d);
	if (d->conf.tcp >= 0)
		d->listener = evconnlistener_new(d->base, accepted, d, LEV_OPT_CLOSE_ON_EXEC, 64,
						 d->conf.tcp);
	if (!d->ev_udp || !d->ev_pins || (d->conf.events >= 0 && !d->ev_events) ||
	    (d->conf.tcp >= 0 && !d->listener) || event_add(d->ev_udp, NULL) < 0 ||
	    event_add(d->ev_pins, NULL) < 0 || (d->ev_events && event_add(d->ev_events, NULL) < 0))
		return creel_err_set(err, CREEL_E_OS, errno, "take the sockets");
	return 0;
}

void dns_serve_end(struct dns *d)
{
	dns_pinned_clear(d);
	while (!LIST_EMPTY(&d->conns))
		conn_free(LIST_FIRST(&d->conns));
	while (!LIST_EMPTY(&d->jobs))
		job_free(LIST_FIRST(&d->jobs));
	if (d->listener)
		evconnlistener_free(d->listener);
	if (d->ev_udp)
		event_free(d->ev_udp);
	if (d->ev_pins)
		event_free(d->ev_pins);
	if (d->ev_events)
		event_free(d->ev_events);
}

#include "dns.h"
#include <string.h>

/*
 * What leaves at the end of a turn of the loop, together: one call for many is what makes room for many.
 * The order stands: pins are asked for, then the engine is told, then answers leave. So no answer is out
 * whose event was neither handed over nor counted as lost.
 */
static void turn_wanted(struct dns *d)
{
	if (d->turning)
		return;
	d->turning = true;
	event_active(d->ev_turn, EV_TIMEOUT, 0); /* behind all that this turn still has to do */
}

static bool packet_send(int fd, struct creel_dnsmsg_packet *p)
{
	bool sent = send(fd, p->buf, p->len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)p->len;

	p->len = p->n = 0;
	return sent;
}

/* What was lost before is told first, or this is lost, too. */
static bool lost_send(struct dns *d)
{
	const struct creel_dnsmsg lost = {.type = CREEL_DNSMSG_LOST, .count = d->lost};
	struct creel_dnsmsg_packet p = {.len = 0};

	if (d->lost == 0)
		return true;
	if (!creel_dnsmsg_put(&p, &lost) || !packet_send(d->conf.events, &p))
		return false;
	d->lost = 0;
	return true;
}

static void events_send(struct dns *d)
{
	unsigned n = d->events.n;

	if (n == 0)
		return;
	if (!lost_send(d))
		d->events.len = d->events.n = 0;
	else if (packet_send(d->conf.events, &d->events))
		return;
	d->lost += n;
}

void dns_report(struct dns *d, const struct creel_dnsmsg *m)
{
	if (d->conf.events < 0)
		return;
	if (!creel_dnsmsg_put(&d->events, m)) {
		events_send(d);
		(void)creel_dnsmsg_put(&d->events, m); /* one always fits */
	}
	turn_wanted(d);
}

static void pins_send(struct dns *d)
{
	if (d->pins.n > 0)
		jobs_pinning(d, packet_send(d->conf.pins, &d->pins));
}

void dns_pin(struct dns *d, const struct creel_dnsmsg *m)
{
	if (!creel_dnsmsg_put(&d->pins, m)) {
		pins_send(d);
		(void)creel_dnsmsg_put(&d->pins, m);
	}
	turn_wanted(d);
}

/* A full socket loses answers, as UDP may; the guest asks again. */
static void answers_send(struct dns *d)
{
	struct mmsghdr v[DNS_AT_ONCE];
	struct iovec iov[DNS_AT_ONCE];
	unsigned n = (unsigned)d->n_out;

	memset(v, 0, sizeof(v));
	for (unsigned i = 0; i < n; i++) {
		struct job *j = d->out[i];
		iov[i] = (struct iovec){j->answer.data, j->answer.len};
		v[i].msg_hdr.msg_name = &j->peer;
		v[i].msg_hdr.msg_namelen = j->peer_len;
		v[i].msg_hdr.msg_iov = &iov[i];
		v[i].msg_hdr.msg_iovlen = 1;
	}
	for (unsigned at = 0; at < n;) {
		unsigned end = at + 1;
		while (end < n && d->out[end]->udp == d->out[at]->udp)
			end++;
		int sent = sendmmsg(d->out[at]->udp, v + at, end - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		at += sent > 0 ? (unsigned)sent : 1;
	}
	for (unsigned i = 0; i < n; i++)
		job_free(d->out[i]);
	d->n_out = 0;
}

void dns_answer(struct job *j)
{
	struct dns *d = j->dns;

	if (d->n_out == DNS_AT_ONCE) {
		events_send(d);
		answers_send(d);
	}
	d->out[d->n_out++] = j;
	turn_wanted(d);
}

void dns_turn_end(evutil_socket_t fd, short what, void *arg)
{
	struct dns *d = arg;

	pins_send(d);
	events_send(d);
	answers_send(d);
	d->turning = false;
}

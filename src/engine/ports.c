#include "base/log.h"
#include "engine/engine.h"
#include "wire/hostcheck.h"
#include "wire/le.h"
#include "wire/mux.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Published ports: the monitor binds, we accept, and creel-cell carries the octets to the guest's
 * loopback. A client's first octets are looked at, not taken: what passes is passed whole. So a client
 * that waits for the server to speak first gets no further.
 */
enum { PENDING_MAX = 256 };
static const struct timeval silent = {.tv_sec = 120};
static size_t pending;

struct newcomer {
	struct eng_cell *cell;
	uint16_t host, guest;
	int fd;
	struct event *read;
	size_t seen;
};

static void newcomer_free(struct newcomer *n)
{
	event_free(n->read);
	close(n->fd);
	free(n);
	pending--;
}

static void refuse(int fd, const char *why)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n"
			 "Content-Length: %zu\r\n\r\ncreel: %s\n",
			 strlen(why) + 8, why);

	(void)!send(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void pass(struct newcomer *n)
{
	struct creel_err err = {0};
	uint8_t spec[2];

	creel_put_le16(spec, n->guest);
	if (streams_open(n->cell, CREEL_MUX_TCP, spec, sizeof(spec), n->fd, false, NULL, &err) < 0)
		creel_log_error(&err);
}

static void newcomer_readable(evutil_socket_t fd, short what, void *ctx)
{
	static const struct timeval soon = {.tv_usec = 20000};
	static uint8_t buf[CREEL_HOSTCHECK_MAX];
	struct newcomer *n = ctx;
	struct creel_err err = {0};
	/* the octets stay in the socket for creel-cell */
	ssize_t got = recv(fd, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		if (what & EV_TIMEOUT)
			newcomer_free(n);
		return;
	}
	enum creel_hostcheck v = got <= 0 ? CREEL_HOSTCHECK_REFUSE
					  : creel_hostcheck(buf, (size_t)got, n->host, &err);
	if (v == CREEL_HOSTCHECK_MORE) {
		if ((size_t)got == n->seen && what & EV_TIMEOUT && ++n->seen > 6000) {
			newcomer_free(n);
			return;
		}
		/* what was peeked at keeps the socket readable: look again in a while */
		(void)event_del(n->read);
		(void)event_assign(n->read, eng.base, fd, 0, newcomer_readable, n);
		(void)event_add(n->read, &soon);
		n->seen = (size_t)got;
		return;
	}
	if (v == CREEL_HOSTCHECK_PASS)
		pass(n);
	else if (got > 0)
		refuse(fd, err.msg);
	newcomer_free(n);
}

static void acceptable(evutil_socket_t fd, short what, void *ctx)
{
	struct eng_port *p = ctx;
	autofd int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn < 0 || pending >= PENDING_MAX)
		return;
	struct newcomer *n = calloc(1, sizeof(*n));
	if (!n)
		return;
	size_t i = (size_t)(p - p->cell->ports);
	*n = (struct newcomer){
		.cell = p->cell, .host = p->cell->plan.ports[i].host, .guest = p->guest, .fd = conn};
	n->read = event_new(eng.base, conn, EV_READ | EV_PERSIST, newcomer_readable, n);
	if (!n->read || event_add(n->read, &silent) < 0) {
		if (n->read)
			event_free(n->read);
		free(n);
		return;
	}
	(void)steal_fd(&conn);
	pending++;
}

void ports_ask(struct eng_cell *c)
{
	for (size_t i = 0; i < c->plan.n_ports; i++)
		if (c->ports[i].fd < 0)
			(void)engine_ask(CREEL_MON_PORT, c->name, i);
}

void ports_open(struct eng_cell *c, size_t i, int fd)
{
	struct eng_port *p = &c->ports[i];

	if (p->fd >= 0 || fd < 0)
		return;
	*p = (struct eng_port){.cell = c, .guest = c->plan.ports[i].guest, .fd = dup(fd)};
	p->accept = p->fd < 0 ? NULL : event_new(eng.base, p->fd, EV_READ | EV_PERSIST, acceptable, p);
	if (!p->accept || event_add(p->accept, NULL) < 0)
		creel_log_warn("cell %s: a published port could not be served", c->name);
	cells_changed(c);
}

void ports_close(struct eng_cell *c)
{
	for (size_t i = 0; i < CREEL_PLAN_PORTS; i++) {
		if (c->ports[i].accept)
			event_free(c->ports[i].accept);
		if (c->ports[i].fd >= 0)
			close(c->ports[i].fd);
		c->ports[i] = (struct eng_port){.fd = -1};
	}
}

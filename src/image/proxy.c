#include "image/proxy.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "wire/hello.h"
#include "wire/httphead.h"
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	CONNS_MAX = 256,
	HEAD_MAX = 16384,
	QUEUE_MAX = 1 << 20, /* octets that wait for one end, before the other is no longer read */
	CONNECT_S = 15,
	IDLE_S = 300,
};

enum state {
	HEAD,   /* the client's request */
	DIAL,   /* connecting */
	PARENT, /* the builder's proxy answers our CONNECT */
	HELLO,  /* a tunnel stands; its first octets must name the registry */
	RELAY,
};

struct proxy {
	struct event_base *base;
	const struct creel_proxy_host *hosts;
	size_t n_hosts, conns;
	uint64_t *counter;
};

struct conn {
	struct proxy *p;
	const struct creel_proxy_host *host;
	enum state state;
	bool tunnel;
	bool stop; /* no more requests: the client's next is not read */
	size_t addr;
	struct bufferevent *client, *up;
	struct evbuffer *first; /* for the registry, once it is connected */
};

static void conn_free(struct conn *c)
{
	if (c->client)
		bufferevent_free(c->client);
	if (c->up)
		bufferevent_free(c->up);
	evbuffer_free(c->first);
	c->p->conns--;
	free(c);
}

static void client_written(struct bufferevent *b, void *ctx)
{
	conn_free(ctx);
}

static void client_gone(struct bufferevent *b, short what, void *ctx)
{
	conn_free(ctx);
}

/* Say why, to the step and in the log; the connection ends when that is written. */
static void refuse(struct conn *c, const char *status, const char *name, unsigned port, const char *why)
{
	char body[512];

	fprintf(stderr, "proxy: %s:%u: %s\n", name, port, why);
	if (c->up)
		bufferevent_free(c->up);
	c->up = NULL;
	(void)snprintf(body, sizeof(body), "creel: %s:%u: %s\n", name, port, why);
	evbuffer_add_printf(bufferevent_get_output(c->client),
			    "HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: text/plain\r\n"
			    "Content-Length: %zu\r\n\r\n%s",
			    status, strlen(body), body);
	bufferevent_disable(c->client, EV_READ);
	bufferevent_setcb(c->client, NULL, client_written, client_gone, c);
}

static const struct creel_proxy_host *host_find(const struct proxy *p, const char *name, unsigned port)
{
	for (size_t i = 0; i < p->n_hosts; i++)
		if (p->hosts[i].port == port && strcasecmp(p->hosts[i].name, name) == 0)
			return &p->hosts[i];
	return NULL;
}

static void dial(struct conn *c);
static void relay(struct conn *c);

/* Nothing to read that would only wait here. */
static void throttle(struct bufferevent *from, struct bufferevent *to)
{
	if (evbuffer_get_length(bufferevent_get_output(to)) > QUEUE_MAX)
		bufferevent_disable(from, EV_READ);
}

static void up_read(struct bufferevent *b, void *ctx)
{
	struct conn *c = ctx;
	struct evbuffer *in = bufferevent_get_input(b);

	if (c->p->counter)
		*c->p->counter += evbuffer_get_length(in);
	bufferevent_write_buffer(c->client, in);
	throttle(b, c->client);
}

static void up_drained(struct bufferevent *b, void *ctx)
{
	struct conn *c = ctx;

	if (!c->stop)
		bufferevent_enable(c->client, EV_READ);
}

static void client_drained(struct bufferevent *b, void *ctx)
{
	struct conn *c = ctx;

	if (c->up)
		bufferevent_enable(c->up, EV_READ);
}

static void up_event(struct bufferevent *b, short what, void *ctx)
{
	struct conn *c = ctx;

	if (what & BEV_EVENT_CONNECTED) {
		relay(c);
		return;
	}
	if (c->state == DIAL) {
		bufferevent_free(c->up);
		c->up = NULL;
		c->addr++;
		dial(c);
		return;
	}
	/* what it sent is still to be written */
	bufferevent_free(c->up);
	c->up = NULL;
	bufferevent_disable(c->client, EV_READ);
	if (evbuffer_get_length(bufferevent_get_output(c->client)) == 0)
		conn_free(c);
	else
		bufferevent_setcb(c->client, NULL, client_written, client_gone, c);
}

static void dial(struct conn *c)
{
	struct timeval limit = {.tv_sec = CONNECT_S};

	c->state = DIAL;
	for (; c->addr < c->host->n_addrs; c->addr++) {
		c->up = bufferevent_socket_new(c->p->base, -1, BEV_OPT_CLOSE_ON_FREE);
		if (!c->up)
			break;
		bufferevent_setcb(c->up, up_read, up_drained, up_event, c);
		bufferevent_set_timeouts(c->up, &limit, &limit);
		if (bufferevent_socket_connect(c->up, (struct sockaddr *)&c->host->addrs[c->addr].addr,
					       (int)c->host->addrs[c->addr].len) == 0)
			return;
		if (c->up)
			bufferevent_free(c->up);
		c->up = NULL;
	}
	refuse(c, "502 Bad Gateway", c->host->name, c->host->port,
	       c->host->n_addrs == 0 ? "the registry's name does not resolve"
				     : "the registry cannot be reached");
}

/* The first octets of a tunnel: TLS for this registry, or nothing goes on. */
static void hello_read(struct bufferevent *b, void *ctx)
{
	struct conn *c = ctx;
	struct evbuffer *in = bufferevent_get_input(b);
	size_t len = evbuffer_get_length(in);
	struct creel_hello hello = {0};
	struct creel_err err = {0};
	int r = creel_hello_parse(evbuffer_pullup(in, -1), len, &hello, &err);

	if (r == CREEL_E_TRUNC && len < CREEL_HELLO_MAX)
		return;
	if (r < 0 || hello.ech || strcasecmp(hello.name, c->host->name) != 0) {
		fprintf(stderr, "proxy: %s:%u: what goes there is not TLS that asks for this name: refused\n",
			c->host->name, c->host->port);
		conn_free(c);
		return;
	}
	c->state = RELAY;
	bufferevent_write_buffer(c->up, in);
	relay(c);
}

static void request_read(struct bufferevent *b, void *ctx);
static void tunnel_read(struct bufferevent *b, void *ctx)
{
	struct conn *c = ctx;

	bufferevent_write_buffer(c->up, bufferevent_get_input(b));
	throttle(b, c->up);
}

/* The builder's own proxy says yes or no; only what follows its head is the registry's. */
static void parent_read(struct bufferevent *b, void *ctx)
{
	struct conn *c = ctx;
	struct evbuffer *in = bufferevent_get_input(b);
	struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	char line[16] = "";

	if (end.pos < 0) {
		if (evbuffer_get_length(in) > HEAD_MAX)
			conn_free(c);
		return;
	}
	(void)evbuffer_copyout(in, line, 12);
	if (strncmp(line, "HTTP/1.", 7) != 0 || line[9] != '2') {
		refuse(c, "502 Bad Gateway", c->host->name, c->host->port, "your proxy refuses it");
		return;
	}
	evbuffer_drain(in, (size_t)end.pos + 4);
	c->state = HELLO;
	relay(c);
}

/* A connection stands: what happens next. */
static void relay(struct conn *c)
{
	struct timeval idle = {.tv_sec = IDLE_S};

	bufferevent_set_timeouts(c->up, &idle, &idle);
	bufferevent_set_timeouts(c->client, &idle, &idle);
	if (c->state == DIAL && c->host->parent && c->tunnel) {
		c->state = PARENT;
		evbuffer_add_printf(bufferevent_get_output(c->up),
				    "CONNECT %s:%u HTTP/1.1\r\nHost: %s:%u\r\n\r\n", c->host->name,
				    c->host->port, c->host->name, c->host->port);
		bufferevent_setcb(c->up, parent_read, NULL, up_event, c);
		bufferevent_enable(c->up, EV_READ);
		return;
	}
	if (c->state == DIAL || c->state == HELLO) {
		if (c->tunnel)
			evbuffer_add_printf(bufferevent_get_output(c->client),
					    "HTTP/1.1 200 Connection established\r\n\r\n");
		c->state = c->tunnel && c->host->tls ? HELLO : RELAY;
	}
	bufferevent_setcb(c->up, up_read, up_drained, up_event, c);
	bufferevent_write_buffer(c->up, c->first);
	bufferevent_setcb(c->client,
			  c->state == HELLO ? hello_read
			  : c->tunnel       ? tunnel_read
					    : request_read,
			  client_drained, client_gone, c);
	bufferevent_enable(c->client, EV_READ);
	bufferevent_enable(c->up, EV_READ);
	if (evbuffer_get_length(bufferevent_get_input(c->client)) > 0)
		bufferevent_trigger(c->client, EV_READ, 0);
}

/* Split "NAME:PORT" (an IPv6 literal in brackets is no registry's name). */
static bool authority(const char *p, size_t n, char *ret_name, size_t size, unsigned *ret_port)
{
	const char *colon = memchr(p, ':', n);
	char *end = NULL;

	if (!colon || (size_t)(colon - p) >= size || colon == p || n - (size_t)(colon - p) > 6)
		return false;
	memcpy(ret_name, p, (size_t)(colon - p));
	ret_name[colon - p] = '\0';
	char port[8] = "";
	memcpy(port, colon + 1, n - (size_t)(colon - p) - 1);
	unsigned long v = strtoul(port, &end, 10);
	if (end == port || *end || v == 0 || v > 65535 ||
	    strspn(ret_name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") !=
		    strlen(ret_name))
		return false;
	*ret_port = (unsigned)v;
	return true;
}

/* CONNECT NAME:PORT; its fields are not ours to read. @return octets of the head, 0 not whole, -1 wrong */
static int connect_parse(const char *p, size_t len, char *ret_name, size_t size, unsigned *ret_port)
{
	const char *end = memmem(p, len, "\r\n\r\n", 4);
	const char *blank = memchr(p + 8, ' ', len - 8);

	if (!end)
		return 0;
	if (!blank || blank > end || strncmp(blank, " HTTP/1.", 8) != 0 ||
	    !authority(p + 8, (size_t)(blank - p) - 8, ret_name, size, ret_port))
		return -1;
	return (int)(end - p) + 4;
}

/* The request as the registry gets it: origin-form, without what was meant for a proxy. */
static void request_write(struct conn *c, const char *buf, const struct creel_httphead *h)
{
	struct creel_span target = c->host->parent ? h->target : h->path, name, value;
	size_t at = h->fields_at;

	evbuffer_add(c->first, h->method.p, h->method.n);
	evbuffer_add(c->first, " ", 1);
	evbuffer_add(c->first, target.p, target.n);
	evbuffer_add_printf(c->first, " HTTP/1.%u\r\n", h->minor);
	while (creel_httphead_field(buf, h, &at, &name, &value) == 1) {
		if (name.n >= 6 && strncasecmp(name.p, "proxy-", 6) == 0)
			continue;
		evbuffer_add(c->first, name.p, name.n);
		evbuffer_add(c->first, ": ", 2);
		evbuffer_add(c->first, value.p, value.n);
		evbuffer_add(c->first, "\r\n", 2);
	}
	evbuffer_add(c->first, "\r\n", 2);
}

/* One request in absolute-form. @return false: the connection was ended, or more is needed */
static bool request_take(struct conn *c, struct evbuffer *in)
{
	const char *p = (const char *)evbuffer_pullup(in, -1);
	struct creel_httphead h;
	struct creel_err err = {0};
	int r = creel_httphead_parse(p, evbuffer_get_length(in), &h, &err);

	if (r == CREEL_E_TRUNC && evbuffer_get_length(in) < HEAD_MAX)
		return false;
	if (r < 0 || h.target.n < 8 || strncasecmp(h.target.p, "http://", 7) != 0) {
		refuse(c, "400 Bad Request", "request", 0, "not understood");
		return false;
	}
	unsigned port = h.port ? h.port : 80;
	const struct creel_proxy_host *host = host_find(c->p, h.host, port);
	if (!host) {
		refuse(c, "403 Forbidden", h.host, port, "is no registry of this build: refused");
		return false;
	}
	if ((h.method.n != 3 || memcmp(h.method.p, "GET", 3) != 0) &&
	    (h.method.n != 4 || memcmp(h.method.p, "HEAD", 4) != 0)) {
		refuse(c, "403 Forbidden", h.host, port, "only GET and HEAD go to a registry: refused");
		return false;
	}
	if (h.body != CREEL_HTTP_BODY_NONE || h.upgrade) {
		refuse(c, "403 Forbidden", h.host, port, "a request with a body: refused");
		return false;
	}
	if (c->host && c->host != host) {
		/* its answers would stand behind those of the other one: the client asks again */
		c->stop = true;
		bufferevent_disable(c->client, EV_READ);
		(void)shutdown(bufferevent_getfd(c->up), SHUT_WR);
		return false;
	}
	c->host = host;
	request_write(c, p, &h);
	evbuffer_drain(in, h.used);
	return true;
}

static void request_read(struct bufferevent *b, void *ctx)
{
	struct conn *c = ctx;
	struct evbuffer *in = bufferevent_get_input(b);

	while (!c->stop && evbuffer_get_length(in) > 0 && request_take(c, in)) {
		if (!c->up) {
			bufferevent_disable(b, EV_READ);
			dial(c);
			return;
		}
		bufferevent_write_buffer(c->up, c->first);
	}
}

static void head_read(struct bufferevent *b, void *ctx)
{
	struct conn *c = ctx;
	struct evbuffer *in = bufferevent_get_input(b);
	size_t len = evbuffer_get_length(in);
	const char *p = (const char *)evbuffer_pullup(in, -1);
	char name[256];
	unsigned port = 0;

	if (len < 8)
		return;
	if (memcmp(p, "CONNECT ", 8) != 0) {
		request_read(b, ctx);
		return;
	}
	int used = connect_parse(p, len, name, sizeof(name), &port);
	if (used == 0 && len < HEAD_MAX)
		return;
	if (used <= 0) {
		refuse(c, "400 Bad Request", "request", 0, "not understood");
		return;
	}
	c->host = host_find(c->p, name, port);
	if (!c->host) {
		refuse(c, "403 Forbidden", name, port, "is no registry of this build: refused");
		return;
	}
	evbuffer_drain(in, (size_t)used);
	c->tunnel = true;
	bufferevent_disable(b, EV_READ);
	dial(c);
}

static void accepted(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *ctx)
{
	struct timeval idle = {.tv_sec = IDLE_S};
	struct proxy *p = ctx;
	struct conn *c = p->conns < CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		evutil_closesocket(fd);
		return;
	}
	p->conns++;
	c->p = p;
	c->first = evbuffer_new();
	c->client = c->first ? bufferevent_socket_new(p->base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;
	if (!c->client) {
		evutil_closesocket(fd);
		if (c->first)
			evbuffer_free(c->first);
		free(c);
		p->conns--;
		return;
	}
	bufferevent_setcb(c->client, head_read, NULL, client_gone, c);
	bufferevent_set_timeouts(c->client, &idle, &idle);
	bufferevent_setwatermark(c->client, EV_READ, 0, CREEL_HELLO_MAX);
	bufferevent_enable(c->client, EV_READ | EV_WRITE);
}

int creel_proxy_serve(int listen_fd, const struct creel_proxy_host *hosts, size_t n, uint64_t *counter,
		      struct creel_err *err)
{
	struct proxy p = {.hosts = hosts, .n_hosts = n, .counter = counter};

	p.base = event_base_new();
	struct evconnlistener *l = p.base ? evconnlistener_new(p.base, accepted, &p, LEV_OPT_CLOSE_ON_FREE, 0,
							       listen_fd)
					  : NULL;
	if (!l)
		return creel_err_set(err, CREEL_E_OS, errno, "proxy");
	(void)event_base_dispatch(p.base);
	evconnlistener_free(l);
	event_base_free(p.base);
	return creel_err_set(err, CREEL_E_OS, 0, "the proxy's loop has ended");
}

#include "front.h"
#include "linux/fdpass.h"
#include "wire/httppath.h"
#include <event2/buffer.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* A guest's connection: heads, bodies and answers, each bounded, one request after another. */
static void take(struct conn *c);

static void tell(struct conn *c, enum creel_broker_reason why, uint16_t status)
{
	c->told.told = CREEL_BROKER_DENIED;
	c->told.reason = (uint8_t)why;
	c->told.status = status;
	(void)broker_tell(c->f->events, &c->told);
}

static void refuse(struct conn *c, enum creel_broker_reason why, uint16_t status)
{
	struct evbuffer *out = bufferevent_get_output(c->guest);
	char text[160];
	int n = snprintf(text, sizeof(text),
			 "{\"error\":{\"type\":\"creel_broker\",\"code\":\"%s\",\"message\":"
			 "\"refused by creel's broker: %s\"}}\n",
			 creel_broker_reason_name(why), creel_broker_reason_name(why));
	(void)evbuffer_add_printf(out,
				  "HTTP/1.1 %u Refused\r\nContent-Type: application/json\r\n"
				  "Content-Length: %d\r\nConnection: close\r\n%s\r\n%s",
				  status, n, status == 429 ? "Retry-After: 5\r\n" : "", text);
	c->state = CONN_ENDING;
	c->active_ms = broker_now();
	(void)bufferevent_disable(c->guest, EV_READ);
	if (c->chan)
		bufferevent_free(c->chan);
	c->chan = NULL;
}

void conn_cut(struct conn *c, enum creel_broker_reason why)
{
	tell(c, why, 0);
	conn_free(c);
}

static void deny(struct conn *c, enum creel_broker_reason why)
{
	bool again = why == CREEL_BROKER_BUSY || why == CREEL_BROKER_NAME_FAILED;

	uint16_t status = again                         ? 502
			  : why == CREEL_BROKER_REQUEST ? 400
			  : why == CREEL_BROKER_SIZE    ? 413
							: 403;

	tell(c, why, status);
	refuse(c, why, status);
}

/* All is said: when it has gone out the guest reads the end. */
static void end(struct conn *c)
{
	c->state = CONN_ENDING;
	(void)bufferevent_disable(c->guest, EV_READ);
	if (evbuffer_get_length(bufferevent_get_output(c->guest)) > 0)
		return; /* writable() comes back here */
	if (c->tls)
		tls_end(c);
	/* what it still sends would reset the connection before it read the answer: it is read, to no end */
	(void)shutdown(bufferevent_getfd(c->guest), SHUT_WR);
	(void)bufferevent_enable(c->guest, EV_READ);
	c->active_ms = broker_now() - (FRONT_HEAD_S - 2) * 1000;
}

/* Both sides agreed: what the guest has said since, and says, are frames. */
static void websocket_begin(struct conn *c)
{
	creel_wsframe_init(&c->frame, true, c->f->pt->brokers->v[c->broker].body_max);
	c->state = CONN_WEBSOCKET;
	(void)evbuffer_add_printf(bufferevent_get_output(c->guest),
				  "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
}

/* --- the answer ------------------------------------------------------------------------------- */

static void answer_head(struct conn *c, const uint8_t *data, size_t len)
{
	static struct creel_brokerresp r;
	struct evbuffer *out = bufferevent_get_output(c->guest);
	struct creel_err err = {0};

	if (c->begun || creel_brokerresp_decode(data, len, &r, &err) < 0 ||
	    (r.status < 200 && (r.status != 101 || !c->upgrade))) {
		conn_free(c);
		return;
	}
	c->begun = true;
	c->chunked = r.body == CREEL_HTTP_BODY_CHUNKED;
	(void)evbuffer_add_printf(out, "HTTP/1.1 %u %s\r\n", r.status,
				  r.status == 101  ? "Switching Protocols"
				  : r.status < 400 ? "OK"
						   : "Error");
	for (size_t i = 0; i < r.n_fields; i++)
		(void)evbuffer_add_printf(out, "%.*s: %.*s\r\n", (int)r.fields[i].name.n, r.fields[i].name.p,
					  (int)r.fields[i].value.n, r.fields[i].value.p);
	if (r.status == 101) {
		websocket_begin(c);
		return;
	}
	if (c->close)
		(void)evbuffer_add_printf(out, "Connection: close\r\n");
	if (c->chunked)
		(void)evbuffer_add_printf(out, "Transfer-Encoding: chunked\r\n\r\n");
	else if (r.status == 204 || r.status == 304)
		(void)evbuffer_add_printf(out, "\r\n");
	else
		(void)evbuffer_add_printf(out, "Content-Length: %llu\r\n\r\n",
					  r.body == CREEL_HTTP_BODY_LENGTH ? (unsigned long long)r.length
									   : 0);
}

static void answer_end(struct conn *c)
{
	if (c->chunked)
		(void)evbuffer_add(bufferevent_get_output(c->guest), "0\r\n\r\n", 5);
	c->begun = c->chunked = false;
	/* an answer before the request was whole: what follows is not taken */
	if (c->state != CONN_SENT || c->close) {
		end(c);
		return;
	}
	c->state = CONN_HEAD;
	c->told = (struct creel_brokerev){0};
}

/* A whole piece of the body at the front of @p in goes on, without being laid out in one piece. */
static bool data_move(struct conn *c, struct evbuffer *in, size_t len)
{
	struct evbuffer *out = bufferevent_get_output(c->guest);

	broker_frame_drop(in, 0);
	if (c->chunked)
		(void)evbuffer_add_printf(out, "%zx\r\n", len);
	if (evbuffer_remove_buffer(in, out, len) != (int)len)
		return false;
	if (c->chunked)
		(void)evbuffer_add(out, "\r\n", 2);
	return true;
}

/* @return false: the connection is gone, or nothing more of this channel is wanted */
static bool frame_take(struct conn *c, struct evbuffer *in, enum creel_broker_frame type, size_t len)
{
	struct creel_err err = {0};
	struct front *f = c->f;
	size_t n = f->n_conns;
	const uint8_t *data;

	if (type == CREEL_FRAME_DATA && c->begun && len > 0) {
		if (data_move(c, in, len))
			return true;
		conn_free(c);
		return false;
	}
	if (broker_frame_peek(in, &type, &data, &len, &err) <= 0)
		return false;
	if (type == CREEL_FRAME_REFUSE && len == 3 && !c->begun) {
		refuse(c, data[0], (uint16_t)(data[1] | data[2] << 8)); /* creel-broker told it */
		return false;
	}
	if (type == CREEL_FRAME_RESPONSE) {
		answer_head(c, data, len);
		if (f->n_conns < n)
			return false;
	} else if (type == CREEL_FRAME_END && c->begun) {
		answer_end(c);
	} else {
		conn_free(c); /* cut: what the guest has is not whole, and it sees so */
		return false;
	}
	broker_frame_drop(in, len);
	return true;
}

static void answer_take(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->chan);
	enum creel_broker_frame type;
	struct creel_err err = {0};
	size_t len;

	while (broker_frame_whole(in, &type, &len, &err) > 0) {
		c->active_ms = broker_now();
		if (!frame_take(c, in, type, len))
			return;
	}
	if (c->chan && evbuffer_get_length(bufferevent_get_output(c->guest)) > BROKER_QUEUE)
		(void)bufferevent_disable(c->chan, EV_READ);
	if (c->state == CONN_HEAD || c->state == CONN_WEBSOCKET)
		take(c);
}

static void chan_readable(struct bufferevent *bev, void *ctx)
{
	broker_fill(bev);
	answer_take(ctx);
}

static void chan_writable(struct bufferevent *bev, void *ctx)
{
	struct conn *c = ctx;

	if ((c->state == CONN_BODY || c->state == CONN_WEBSOCKET) &&
	    !(bufferevent_get_enabled(c->guest) & EV_READ)) {
		(void)bufferevent_enable(c->guest, EV_READ);
		take(c);
	}
}

static void chan_ended(struct bufferevent *bev, short what, void *ctx)
{
	conn_free(ctx);
}

static bool chan_open(struct conn *c)
{
	static const int queue = BROKER_QUEUE;
	struct creel_err err = {0};
	int pair[2];

	if (c->chan)
		return true;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return false;
	/* each turn of one process is then one of the other's */
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &queue, sizeof(queue));
	(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &queue, sizeof(queue));
	int r = creel_fdpass_send(c->f->keeper, "c", 1, &pair[1], 1, &err);
	close(pair[1]);
	c->chan = r < 0 ? NULL : bufferevent_socket_new(c->f->base, pair[0], BEV_OPT_CLOSE_ON_FREE);
	if (!c->chan) {
		close(pair[0]);
		return false;
	}
	bufferevent_setcb(c->chan, chan_readable, chan_writable, chan_ended, c);
	bufferevent_setwatermark(c->chan, EV_WRITE, BROKER_QUEUE / 4, 0);
	(void)bufferevent_set_max_single_read(c->chan, 1 << 17);
	(void)bufferevent_set_max_single_write(c->chan, 1 << 17);
	return bufferevent_enable(c->chan, EV_READ | EV_WRITE) == 0;
}

/* --- the request ------------------------------------------------------------------------------ */

static void text_of(struct creel_span s, char *to, size_t size)
{
	size_t n = MIN(s.n, size - 1);

	memcpy(to, s.p, n);
	to[n] = '\0';
}

/* @return false: nothing more is to be done now */
static bool head_take(struct conn *c, struct evbuffer *in)
{
	static struct creel_httppath path;
	static struct creel_brokerreq q;
	struct creel_buf autoclean(creel_buf_fini) frame = {0};
	struct creel_httphead h;
	struct creel_err err = {0};
	const char *text = (const char *)evbuffer_pullup(in, -1);

	c->told = (struct creel_brokerev){0};
	int r = evbuffer_get_length(in) == 0 ? CREEL_E_TRUNC
					     : creel_httphead_parse(text, evbuffer_get_length(in), &h, &err);
	if (r == CREEL_E_TRUNC)
		return false;
	if (r < 0) {
		deny(c, CREEL_BROKER_REQUEST);
		return false;
	}
	enum creel_broker_reason why = judge(c->f, c->by, text, &h, &q, &path, &c->broker);
	const struct creel_broker *b = &c->f->pt->brokers->v[c->broker];
	text_of(h.method, c->told.method, sizeof(c->told.method));
	/* a query may hold what is nobody's to keep */
	text_of((struct creel_span){h.path.p, strcspn(h.path.p, "? \r")}, c->told.path, sizeof(c->told.path));
	text_of((struct creel_span){h.host, strlen(h.host)}, c->told.host, sizeof(c->told.host));
	if (why != CREEL_BROKER_HOST && why != CREEL_BROKER_REQUEST) {
		(void)snprintf(c->told.broker, sizeof(c->told.broker), "%s", b->name);
		(void)snprintf(c->told.host, sizeof(c->told.host), "%s", b->host);
		c->told.line = b->line;
	}
	if (why != CREEL_BROKER_OK) {
		deny(c, why);
		return false;
	}
	struct front_host *host = &c->f->hosts[c->broker];
	if (broker_now() >= host->until_ms || host->asking) {
		c->state = CONN_NAME;
		names_ask(c->f, c->broker); /* may answer before it returns */
		return false;
	}
	if (host->n == 0) {
		deny(c, CREEL_BROKER_NAME_FAILED);
		return false;
	}
	q.n_addrs = host->n;
	memcpy(q.addr, host->addr, sizeof(q.addr));
	creel_buf_init(&frame, CREEL_BROKER_FRAME_MAX);
	if (creel_brokerreq_encode(&q, &frame, &err) < 0 || !chan_open(c) ||
	    !broker_frame_put(c->chan, CREEL_FRAME_REQUEST, frame.data, frame.len)) {
		deny(c, CREEL_BROKER_BUSY);
		return false;
	}
	/* a host that does not agree answers, and nothing that was said after the question is another */
	c->upgrade = h.upgrade;
	c->close = h.close || h.upgrade;
	c->body.kind = h.body;
	c->body.left = h.length;
	c->body.total = 0;
	c->body.matched = 0;
	creel_chunked_init(&c->body.chunked, false);
	c->state = h.body == CREEL_HTTP_BODY_NONE ? CONN_SENT : CONN_BODY;
	if (h.expect && c->state == CONN_BODY)
		(void)evbuffer_add_printf(bufferevent_get_output(c->guest), "HTTP/1.1 100 Continue\r\n\r\n");
	(void)evbuffer_drain(in, h.used);
	return c->state == CONN_BODY;
}

static bool body_take(struct conn *c, struct evbuffer *in)
{
	size_t n = MIN(evbuffer_get_length(in), (size_t)BROKER_PIECE), used;
	const struct creel_broker *b = &c->f->pt->brokers->v[c->broker];
	struct creel_span data = {(const char *)evbuffer_pullup(in, (ssize_t)n), n};
	struct creel_err err = {0};
	int r = 1;

	if (n == 0)
		return false;
	if (c->body.kind == CREEL_HTTP_BODY_CHUNKED) {
		r = creel_chunked_next(&c->body.chunked, data.p, n, &used, &data, &err);
	} else {
		data.n = used = (size_t)MIN((uint64_t)n, c->body.left);
		c->body.left -= used;
	}
	c->body.total += data.n;
	enum creel_broker_reason why = r < 0                         ? CREEL_BROKER_REQUEST
				       : c->body.total > b->body_max ? CREEL_BROKER_SIZE
				       : judge_piece(&c->body.matched, data.p, data.n)
					       ? CREEL_BROKER_PLACEHOLDER
					       : CREEL_BROKER_OK;
	if (why != CREEL_BROKER_OK && c->begun) {
		conn_free(c);
		return false;
	}
	if (why != CREEL_BROKER_OK) {
		deny(c, why); /* the channel ends, and with it what was begun */
		return false;
	}
	if (data.n > 0)
		(void)broker_frame_put(c->chan, CREEL_FRAME_DATA, data.p, data.n);
	(void)evbuffer_drain(in, used);
	if (r == 2 || (c->body.kind == CREEL_HTTP_BODY_LENGTH && c->body.left == 0)) {
		(void)broker_frame_put(c->chan, CREEL_FRAME_END, NULL, 0);
		c->state = CONN_SENT;
		return false;
	}
	if (evbuffer_get_length(bufferevent_get_output(c->chan)) > BROKER_QUEUE) {
		(void)bufferevent_disable(c->guest, EV_READ);
		return false;
	}
	return true;
}

static void take(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->guest);

	while (c->state == CONN_HEAD || c->state == CONN_BODY || c->state == CONN_WEBSOCKET)
		if (!(c->state == CONN_HEAD   ? head_take(c, in)
		      : c->state == CONN_BODY ? body_take(c, in)
					      : ws_take(c, in)))
			return;
}

void conn_named(struct front *f, size_t broker)
{
	struct conn *next;

	for (struct conn *c = TAILQ_FIRST(&f->conns); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->state != CONN_NAME || c->broker != broker)
			continue;
		c->state = CONN_HEAD;
		if (f->hosts[broker].n == 0)
			deny(c, CREEL_BROKER_NAME_FAILED);
		else
			take(c);
	}
}

/* --- the connection --------------------------------------------------------------------------- */

static void readable(struct bufferevent *bev, void *ctx)
{
	struct conn *c = ctx;

	if (c->state == CONN_ENDING) { /* not one moment longer for it */
		struct evbuffer *in = bufferevent_get_input(bev);
		(void)evbuffer_drain(in, evbuffer_get_length(in));
		return;
	}
	c->active_ms = broker_now();
	if (!c->tls)
		broker_fill(bev);
	take(c);
}

static void writable(struct bufferevent *bev, void *ctx)
{
	struct conn *c = ctx;

	if (c->chan)
		(void)bufferevent_enable(c->chan, EV_READ);
	if (c->state == CONN_ENDING && evbuffer_get_length(bufferevent_get_output(c->guest)) == 0)
		end(c);
}

static void ended(struct bufferevent *bev, short what, void *ctx)
{
	if (!(what & BEV_EVENT_CONNECTED)) /* TLS is agreed on */
		conn_free(ctx);
}

void conn_new(struct front *f, int fd, bool tls)
{
	static const int on = 1;
	struct conn *c = f->n_conns < FRONT_CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (c) {
		c->f = f;
		c->tls = tls;
		c->guest = tls ? tls_conn(c, fd) : bufferevent_socket_new(f->base, fd, BEV_OPT_CLOSE_ON_FREE);
	}
	if (!c || !c->guest) {
		free(c);
		close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->active_ms = broker_now();
	bufferevent_setcb(c->guest, readable, writable, ended, c);
	bufferevent_setwatermark(c->guest, EV_READ, 0, FRONT_IN_MAX);
	(void)bufferevent_set_max_single_read(c->guest, 1 << 17);
	(void)bufferevent_set_max_single_write(c->guest, 1 << 17);
	(void)bufferevent_enable(c->guest, EV_READ | EV_WRITE);
	TAILQ_INSERT_TAIL(&f->conns, c, entry);
	f->n_conns++;
}

void conn_free(struct conn *c)
{
	TAILQ_REMOVE(&c->f->conns, c, entry);
	c->f->n_conns--;
	if (c->chan)
		bufferevent_free(c->chan);
	bufferevent_free(c->guest);
	if (c->tls)
		tls_forget();
	free(c);
}

void conn_sweep(struct front *f)
{
	int64_t now = broker_now();
	struct conn *next;

	for (struct conn *c = TAILQ_FIRST(&f->conns); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		bool begun = evbuffer_get_length(bufferevent_get_input(c->guest)) > 0;
		begun |= c->tls && !c->by;
		int limit = c->state == CONN_ENDING || (c->state == CONN_HEAD && begun) ? FRONT_HEAD_S
			    : c->state == CONN_HEAD                                     ? FRONT_IDLE_S
											: FRONT_QUIET_S;
		if (now - c->active_ms > (int64_t)limit * 1000)
			conn_free(c);
	}
}

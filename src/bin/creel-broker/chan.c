#include "keep.h"
#include "policy/range.h"
#include "wire/httpresp.h"
#include <event2/buffer.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/*
 * A request at a time on each channel: checked by the rules that the front had too, given its
 * credential, sent; its answer checked, blanked where it holds the credential, given back.
 */
static void tell(struct chan *c, enum creel_broker_told what, enum creel_broker_reason why, uint16_t status)
{
	c->told.told = (uint8_t)what;
	c->told.reason = (uint8_t)why;
	c->told.status = status;
	c->told.ms = (uint32_t)(broker_now() - c->began_ms);
	c->told.sent = c->body.sent;
	c->told.received = c->answer.received;
	(void)broker_tell(c->k->events, &c->told);
}

static void request_end(struct chan *c)
{
	mask_fini(&c->answer.mask);
	memset(&c->answer, 0, sizeof(c->answer));
	memset(&c->body, 0, sizeof(c->body));
	memset(&c->ws, 0, sizeof(c->ws));
	c->h = NULL;
}

static uint16_t status_of(enum creel_broker_reason why)
{
	switch ((int)why) {
	case CREEL_BROKER_RATE:
		return 429;
	case CREEL_BROKER_SIZE:
		return 413;
	case CREEL_BROKER_BUSY:
	case CREEL_BROKER_NO_SECRET:
		return 503;
	case CREEL_BROKER_TIMEOUT:
		return 504;
	case CREEL_BROKER_CONNECT:
	case CREEL_BROKER_TLS:
	case CREEL_BROKER_RESPONSE:
	case CREEL_BROKER_ENCODED:
	case CREEL_BROKER_CLOSED:
	case CREEL_BROKER_NAME_FAILED:
		return 502;
	default:
		return 403;
	}
}

void chan_refuse(struct chan *c, enum creel_broker_reason why)
{
	uint16_t status = status_of(why);
	uint8_t say[3] = {(uint8_t)why, (uint8_t)status, (uint8_t)(status >> 8)};

	if (c->answer.begun) {
		tell(c, CREEL_BROKER_ENDED, why, c->answer.status);
		(void)broker_frame_put(c->bev, CREEL_FRAME_CUT, NULL, 0);
	} else {
		tell(c, CREEL_BROKER_DENIED, why, status);
		(void)broker_frame_put(c->bev, CREEL_FRAME_REFUSE, say, sizeof(say));
	}
	if (c->up)
		up_free(c->up);
	/* what still comes of its body belongs to nothing: the front ends this channel */
	request_end(c);
	(void)bufferevent_disable(c->bev, EV_READ);
}

void chan_host_gone(struct chan *c, enum creel_broker_reason why)
{
	struct creel_err err = {0};
	struct evbuffer *rest;

	if (!c->answer.begun || (!c->answer.until_end && !c->ws.open) || why != CREEL_BROKER_OK) {
		chan_refuse(c, why == CREEL_BROKER_OK ? CREEL_BROKER_CLOSED : why);
		return;
	}
	rest = evbuffer_new();
	if (!rest || mask_feed(&c->answer.mask, "", 0, true, rest, &err) < 0) {
		chan_refuse(c, CREEL_BROKER_BUSY);
	} else {
		size_t n = evbuffer_get_length(rest);
		if (n > 0)
			(void)broker_frame_put(c->bev, CREEL_FRAME_DATA, evbuffer_pullup(rest, -1), n);
		(void)broker_frame_put(c->bev, CREEL_FRAME_END, NULL, 0);
		tell(c, CREEL_BROKER_ENDED, CREEL_BROKER_OK, c->answer.status);
		up_free(c->up);
		request_end(c);
	}
	if (rest)
		evbuffer_free(rest);
}

/* --- the request ------------------------------------------------------------------------------ */

static struct host *host_find(struct keeper *k, struct creel_span name)
{
	for (size_t i = 0; i < k->n_hosts; i++)
		if (strlen(k->hosts[i].b->name) == name.n && memcmp(k->hosts[i].b->name, name.p, name.n) == 0)
			return &k->hosts[i];
	return NULL;
}

static bool rate_ok(struct host *h)
{
	int64_t now = broker_now();

	h->tokens += (double)(now - h->filled_ms) * h->b->rate / 60000.0;
	h->tokens = MIN(h->tokens, (double)h->b->rate);
	h->filled_ms = now;
	if (h->tokens < 1)
		return false;
	h->tokens -= 1;
	return true;
}

static void text_of(struct creel_span s, char *to, size_t size)
{
	size_t n = MIN(s.n, size - 1);

	memcpy(to, s.p, n);
	to[n] = '\0';
}

/* The front decided all of this; it is decided here as if it had not. */
static enum creel_broker_reason judge(struct chan *c, const struct creel_brokerreq *q, struct host *h)
{
	char path[4096];

	if (q->path.n >= sizeof(path))
		return CREEL_BROKER_BADPATH;
	text_of(q->path, path, sizeof(path));
	enum creel_broker_reason why = creel_broker_decide(h->b, q->method, path);
	if (why != CREEL_BROKER_OK)
		return why;
	for (size_t i = 0; i < q->n_fields; i++)
		if (creel_broker_request_field(h->b, q->fields[i].name) != CREEL_FIELD_PASS)
			return CREEL_BROKER_OVERRIDE;
	if (creel_broker_query_has(h->b, q->query))
		return CREEL_BROKER_CREDENTIAL;
	if (q->body == CREEL_HTTP_BODY_LENGTH && q->length > h->b->body_max)
		return CREEL_BROKER_SIZE;
	if (!rate_ok(h))
		return CREEL_BROKER_RATE;
	if (!h->value)
		return CREEL_BROKER_NO_SECRET;
	for (size_t i = 0; i < q->n_addrs; i++) {
		static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
		struct creel_net a = {.family = 4, .bits = 32};
		memcpy(a.addr, q->addr[i] + 12, 4);
		if (memcmp(q->addr[i], v4, 12) != 0 || creel_range_of(&a, NULL) != CREEL_RANGE_PUBLIC)
			continue;
		memcpy(c->addr[c->n_addrs++], q->addr[i], 16);
	}
	return c->n_addrs > 0 ? CREEL_BROKER_OK : CREEL_BROKER_NAME_FAILED;
}

static int span_add(struct evbuffer *out, struct creel_span s)
{
	return s.n == 0 ? 0 : evbuffer_add(out, s.p, s.n);
}

/* The only place where a credential goes out. */
static int request_write(struct chan *c, const struct creel_brokerreq *q, struct evbuffer *out)
{
	const struct creel_broker *b = c->h->b;
	int bad = span_add(out, q->method) | evbuffer_add(out, " ", 1) | span_add(out, q->path);

	if (q->has_query || b->auth == CREEL_BROKER_QUERY)
		bad |= evbuffer_add(out, "?", 1) | span_add(out, q->query);
	if (b->auth == CREEL_BROKER_QUERY) {
		bad |= evbuffer_add_printf(out, "%s%s=", q->query.n ? "&" : "", b->carrier) < 0;
		bad |= evbuffer_add(out, c->h->value, c->h->n_value);
	}
	bad |= evbuffer_add_printf(out, " HTTP/1.1\r\nHost: %s", b->host) < 0;
	if (b->port != 443)
		bad |= evbuffer_add_printf(out, ":%u", b->port) < 0;
	bad |= evbuffer_add_printf(out, "\r\nAccept-Encoding: identity\r\n") < 0;
	if (q->websocket)
		bad |= evbuffer_add_printf(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n") < 0;
	if (b->auth != CREEL_BROKER_QUERY)
		bad |= evbuffer_add_printf(out, "%s: ", b->carrier) < 0 ||
		       evbuffer_add(out, c->h->value, c->h->n_value) != 0 ||
		       evbuffer_add(out, "\r\n", 2) != 0;
	for (size_t i = 0; i < q->n_fields; i++)
		bad |= span_add(out, q->fields[i].name) | evbuffer_add(out, ": ", 2) |
		       span_add(out, q->fields[i].value) | evbuffer_add(out, "\r\n", 2);
	if (q->body == CREEL_HTTP_BODY_CHUNKED)
		bad |= evbuffer_add_printf(out, "Transfer-Encoding: chunked\r\n") < 0;
	else if (q->body == CREEL_HTTP_BODY_LENGTH ||
		 (q->method.n > 0 && (q->method.p[0] == 'P'))) /* POST, PUT, PATCH: servers want one */
		bad |= evbuffer_add_printf(out, "Content-Length: %llu\r\n", (unsigned long long)q->length) <
		       0;
	return bad | evbuffer_add(out, "\r\n", 2);
}

static void request_begin(struct chan *c, const uint8_t *data, size_t len)
{
	static struct creel_brokerreq q;
	struct creel_err err = {0};

	if (creel_brokerreq_decode(data, len, &q, &err) < 0 || c->h) {
		chan_free(c); /* the front would not say that */
		return;
	}
	struct host *h = host_find(c->k, q.broker);
	c->told = (struct creel_brokerev){.id = ++c->k->next_id};
	c->began_ms = c->active_ms = broker_now();
	c->n_addrs = c->next_addr = 0;
	text_of(q.broker, c->told.broker, sizeof(c->told.broker));
	text_of(q.method, c->told.method, sizeof(c->told.method));
	text_of(q.path, c->told.path, sizeof(c->told.path));
	if (!h) {
		chan_refuse(c, CREEL_BROKER_HOST);
		return;
	}
	(void)snprintf(c->told.host, sizeof(c->told.host), "%s", h->b->host);
	c->told.line = h->b->line;
	enum creel_broker_reason why = judge(c, &q, h);
	c->h = h;
	c->intercepted = q.intercepted;
	c->body.kind = (enum creel_http_body)q.body;
	c->body.left = q.length;
	c->body.whole = q.body == CREEL_HTTP_BODY_NONE;
	c->answer.head_only = q.method.n == 4 && memcmp(q.method.p, "HEAD", 4) == 0;
	if (why == CREEL_BROKER_OK && q.websocket)
		why = ws_ask(c, &q);
	mask_init(&c->answer.mask, &h->needles);
	/* nothing is sent that the record could not be told of */
	c->told.told = CREEL_BROKER_ALLOWED;
	if (why == CREEL_BROKER_OK && !broker_tell(c->k->events, &c->told))
		why = CREEL_BROKER_BUSY;
	if (why == CREEL_BROKER_OK)
		why = up_get(c);
	if (why == CREEL_BROKER_OK && request_write(c, &q, bufferevent_get_output(c->up->bev)) != 0)
		why = CREEL_BROKER_BUSY;
	if (why != CREEL_BROKER_OK)
		chan_refuse(c, why);
}

static void queue_bound(struct chan *c)
{
	if (evbuffer_get_length(bufferevent_get_output(c->up->bev)) > BROKER_QUEUE)
		(void)bufferevent_disable(c->bev, EV_READ); /* up.c: until the host has taken it */
}

static void body_piece(struct chan *c, const uint8_t *data, size_t len)
{
	struct evbuffer *out = c->up ? bufferevent_get_output(c->up->bev) : NULL;
	bool chunked = c->body.kind == CREEL_HTTP_BODY_CHUNKED;

	if (out && c->ws.open && ws_guest(c, (const char *)data, len)) {
		c->body.sent += len;
		(void)evbuffer_add(out, data, len);
		queue_bound(c);
		return;
	}

	if (!out || c->body.whole || (!chunked && len > c->body.left) || len == 0) {
		chan_refuse(c, CREEL_BROKER_REQUEST);
		return;
	}
	c->body.sent += len;
	c->body.left -= chunked ? 0 : len;
	if (c->body.sent > c->h->b->body_max) {
		chan_refuse(c, CREEL_BROKER_SIZE);
		return;
	}
	if (chunked)
		(void)evbuffer_add_printf(out, "%zx\r\n", len);
	(void)evbuffer_add(out, data, len);
	if (chunked)
		(void)evbuffer_add(out, "\r\n", 2);
	queue_bound(c);
}

static void body_end(struct chan *c)
{
	if (!c->up || c->body.whole || (c->body.kind == CREEL_HTTP_BODY_LENGTH && c->body.left > 0)) {
		chan_refuse(c, CREEL_BROKER_REQUEST);
		return;
	}
	c->body.whole = true;
	if (c->body.kind == CREEL_HTTP_BODY_CHUNKED)
		(void)evbuffer_add(bufferevent_get_output(c->up->bev), "0\r\n\r\n", 5);
}

void chan_take(struct chan *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct keeper *k = c->k;
	enum creel_broker_frame type;
	struct creel_err err = {0};
	const uint8_t *data;
	size_t len, n = k->n_chans;
	int r = 0;

	while ((bufferevent_get_enabled(c->bev) & EV_READ) &&
	       (r = broker_frame_peek(in, &type, &data, &len, &err)) > 0) {
		c->active_ms = broker_now();
		if (type == CREEL_FRAME_REQUEST)
			request_begin(c, data, len);
		else if (type == CREEL_FRAME_DATA && c->h)
			body_piece(c, data, len);
		else if (type == CREEL_FRAME_END && c->h)
			body_end(c);
		else
			r = -1;
		if (k->n_chans < n)
			return; /* it was freed */
		if (r < 0)
			break;
		broker_frame_drop(in, len);
	}
	if (r < 0)
		chan_free(c);
}

/* --- the answer ------------------------------------------------------------------------------- */

/* A redirect to the host itself leads to the broker; any other leads where the guest may go by itself. */
static struct creel_span location(const struct creel_broker *b, struct creel_span v, char *buf, size_t size)
{
	char own[300];
	size_t n = (size_t)snprintf(own, sizeof(own), b->port == 443 ? "https://%s" : "https://%s:%u",
				    b->host, b->port);

	if (v.n < n || strncasecmp(v.p, own, n) != 0 || (v.n > n && !strchr("/?", v.p[n])))
		return v;
	int m = snprintf(buf, size, "http://%s.broker.creel%.*s", b->name, (int)(v.n - n), v.p + n);
	return m > 0 && (size_t)m < size ? (struct creel_span){buf, (size_t)m} : v;
}

static enum creel_broker_reason head_take(struct chan *c, const char *text, const struct creel_httpresp *h)
{
	static struct creel_brokerresp out;
	static char places[8192];
	struct creel_buf autoclean(creel_buf_fini) frame = {0};
	struct creel_err err = {0};
	struct creel_span name, value;
	size_t at = h->fields_at;

	out = (struct creel_brokerresp){.status = h->status, .body = (uint8_t)h->body, .length = h->length};
	bool bodiless = c->answer.head_only || h->status == 101 || h->status == 204 || h->status == 304;
	if (h->encoded && !bodiless)
		return CREEL_BROKER_ENCODED;
	if (bodiless)
		out.body = CREEL_HTTP_BODY_NONE;
	else if (h->until_end)
		out.body = CREEL_HTTP_BODY_CHUNKED;
	while (creel_httpresp_field(text, h, &at, &name, &value) > 0) {
		if (!creel_broker_response_field(name))
			continue;
		if (out.n_fields == CREEL_BROKER_FIELDS)
			return CREEL_BROKER_RESPONSE;
		if (!c->intercepted && creel_httpfield_is(name, "Location"))
			value = location(c->h->b, value, places, sizeof(places));
		out.fields[out.n_fields++] = (struct creel_broker_kv){name, value};
	}
	creel_buf_init(&frame, CREEL_BROKER_FRAME_MAX);
	if (creel_brokerresp_encode(&out, &frame, &err) < 0)
		return CREEL_BROKER_RESPONSE;
	c->answer.mask.found += mask_text(&c->h->needles, (char *)frame.data, frame.len);
	(void)broker_frame_put(c->bev, CREEL_FRAME_RESPONSE, frame.data, frame.len);
	c->answer.begun = true;
	c->answer.status = h->status;
	c->answer.kind = bodiless ? CREEL_HTTP_BODY_NONE : h->body;
	c->answer.until_end = h->until_end && !bodiless;
	c->answer.left = h->length;
	c->answer.close = h->close;
	creel_chunked_init(&c->answer.chunked, true);
	return CREEL_BROKER_OK;
}

static void answer_whole(struct chan *c)
{
	struct up *u = c->up;
	bool keep = !c->answer.close && c->body.whole &&
		    evbuffer_get_length(bufferevent_get_input(u->bev)) == 0;

	(void)broker_frame_put(c->bev, CREEL_FRAME_END, NULL, 0);
	if (c->answer.mask.found > 0)
		tell(c, CREEL_BROKER_DENIED, CREEL_BROKER_ECHO, c->answer.status);
	tell(c, CREEL_BROKER_ENDED, CREEL_BROKER_OK, c->answer.status);
	bool whole = c->body.whole;
	request_end(c);
	if (keep)
		up_idle(u);
	else
		up_free(u);
	if (!whole)
		(void)bufferevent_disable(c->bev,
					  EV_READ); /* the rest of the body has no use; the front ends it */
}

/* What has gathered, as frames. */
static bool gathered_put(struct chan *c, struct evbuffer *out)
{
	struct evbuffer *to = bufferevent_get_output(c->bev);
	uint8_t head[CREEL_BROKER_FRAME_HEAD];

	for (size_t n; (n = MIN(evbuffer_get_length(out), (size_t)BROKER_PIECE)) > 0;) {
		creel_brokerframe_head(head, CREEL_FRAME_DATA, n);
		if (evbuffer_add(to, head, sizeof(head)) < 0 || evbuffer_remove_buffer(out, to, n) != (int)n)
			return false;
	}
	return true;
}

/* @return 1 the answer is whole, 0 more is needed, negative: not well-formed, or no memory */
static int body_gather(struct chan *c, struct evbuffer *in, struct evbuffer *out)
{
	while (evbuffer_get_length(in) > 0) {
		size_t n = evbuffer_get_contiguous_space(in), used = n;
		const char *p = (const char *)evbuffer_pullup(in, (ssize_t)n);
		struct creel_span data = {p, n};
		struct creel_err err = {0};
		int r = 1;
		if (c->answer.kind == CREEL_HTTP_BODY_CHUNKED) {
			r = creel_chunked_next(&c->answer.chunked, p, n, &used, &data, &err);
		} else if (c->answer.kind == CREEL_HTTP_BODY_LENGTH) {
			data.n = used = (size_t)MIN((uint64_t)n, c->answer.left);
			c->answer.left -= used;
		}
		bool last = r == 2 || (c->answer.kind == CREEL_HTTP_BODY_LENGTH && c->answer.left == 0);
		if (r < 0 || mask_feed(&c->answer.mask, data.p, data.n, last, out, &err) < 0)
			return -1;
		c->answer.received += data.n;
		(void)evbuffer_drain(in, used);
		if (last)
			return 1;
	}
	return 0;
}

static int body_take(struct chan *c, struct evbuffer *in)
{
	struct evbuffer *out = evbuffer_new();
	struct creel_err err = {0};
	int r = !out ? -1 : c->ws.open ? ws_host(c, in, out, &err) : body_gather(c, in, out);

	if (r >= 0 && !gathered_put(c, out))
		r = -1;
	if (out)
		evbuffer_free(out);
	return r;
}

void chan_answer(struct chan *c)
{
	struct evbuffer *in = bufferevent_get_input(c->up->bev);
	struct creel_httpresp h;
	struct creel_err err = {0};

	c->active_ms = broker_now();
	while (!c->answer.begun) {
		size_t n = evbuffer_get_length(in);
		const char *text = (const char *)evbuffer_pullup(in, -1);
		int r = n == 0 ? CREEL_E_TRUNC : creel_httpresp_parse(text, n, &h, &err);
		if (r == CREEL_E_TRUNC)
			return;
		bool bad = r < 0 || (h.status == 101 && !ws_agreed(c, text, &h));
		enum creel_broker_reason why = bad                                 ? CREEL_BROKER_RESPONSE
					       : h.status < 200 && h.status != 101 ? CREEL_BROKER_OK
										   : head_take(c, text, &h);
		if (why != CREEL_BROKER_OK) {
			chan_refuse(c, why);
			return;
		}
		(void)evbuffer_drain(in, h.used);
		if (h.status == 101)
			ws_open(c);
	}
	bool none = !c->ws.open && !c->answer.until_end && c->answer.kind == CREEL_HTTP_BODY_NONE;
	int r = none ? 1 : body_take(c, in);
	if (r < 0)
		chan_refuse(c, CREEL_BROKER_RESPONSE);
	else if (r == 1)
		answer_whole(c);
	else if (evbuffer_get_length(bufferevent_get_output(c->bev)) > BROKER_QUEUE)
		(void)bufferevent_disable(c->up->bev, EV_READ); /* until the front has taken it */
}

/* --- the channel ------------------------------------------------------------------------------ */

static void readable(struct bufferevent *bev, void *ctx)
{
	broker_fill(bev);
	chan_take(ctx);
}

static void writable(struct bufferevent *bev, void *ctx)
{
	struct chan *c = ctx;

	if (c->up)
		(void)bufferevent_enable(c->up->bev, EV_READ);
}

static void ended(struct bufferevent *bev, short what, void *ctx)
{
	chan_free(ctx);
}

void chan_new(struct keeper *k, int fd)
{
	struct chan *c = calloc(1, sizeof(*c));

	if (!c || k->n_chans >= KEEP_CHANS_MAX ||
	    !(c->bev = bufferevent_socket_new(k->base, fd, BEV_OPT_CLOSE_ON_FREE))) {
		free(c);
		close(fd);
		return;
	}
	c->k = k;
	c->active_ms = broker_now();
	bufferevent_setcb(c->bev, readable, writable, ended, c);
	bufferevent_setwatermark(c->bev, EV_WRITE, BROKER_QUEUE / 4, 0);
	(void)bufferevent_set_max_single_read(c->bev, 1 << 17);
	(void)bufferevent_set_max_single_write(c->bev, 1 << 17);
	(void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	TAILQ_INSERT_TAIL(&k->chans, c, entry);
	k->n_chans++;
}

void chan_free(struct chan *c)
{
	if (c->h)
		tell(c, CREEL_BROKER_ENDED, c->ws.open ? CREEL_BROKER_OK : CREEL_BROKER_CLOSED,
		     c->answer.status);
	if (c->up)
		up_free(c->up);
	request_end(c);
	TAILQ_REMOVE(&c->k->chans, c, entry);
	c->k->n_chans--;
	bufferevent_free(c->bev);
	free(c);
}

void chan_sweep(struct keeper *k)
{
	int64_t now = broker_now();
	struct chan *next;

	for (struct chan *c = TAILQ_FIRST(&k->chans); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		bool dialing = c->up && !c->up->connected;
		if (c->h && now - c->active_ms > (dialing ? KEEP_CONNECT_S : KEEP_ANSWER_S) * 1000)
			chan_refuse(c, CREEL_BROKER_TIMEOUT);
	}
}

#include "flow.h"
#include "wire/hello.h"
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

/* What is asked of the policy: the connection's address and port, and a name. */
static struct creel_question question(const struct conn *c, const char *name)
{
	return (struct creel_question){
		.name = name, .port = c->told.dport, .addr = creel_net_of(c->told.dst)};
}

static void allow(struct conn *c, const struct creel_answer *a, const char *name)
{
	c->told.way = (uint8_t)a->way;
	c->told.line = a->line;
	memset(c->told.name, 0, sizeof(c->told.name));
	memcpy(c->told.name, name, strnlen(name, sizeof(c->told.name) - 1));
}

bool judge_open(struct conn *c)
{
	const struct creel_policy *p = &c->flow->conf.pt->policy;
	struct creel_question q = question(c, NULL);
	struct creel_answer a;
	const char *name;
	int64_t until;

	creel_policy_decide(p, &q, &a);
	if (a.decision == CREEL_ALLOW && a.why != CREEL_WHY_REACH) {
		allow(c, &a, "");
		return true;
	}
	for (size_t i = 0; (name = creel_pins_name(&c->flow->pins, c->told.dst, i, &until, NULL)) != NULL;
	     i++) {
		q = question(c, name);
		creel_policy_decide(p, &q, &a);
		if (until >= c->accepted && a.decision == CREEL_ALLOW && a.way == CREEL_WAY_TCP) {
			allow(c, &a, name);
			return true;
		}
	}
	return false;
}

/* @return 0 when @p name may be asked of this address and port */
static enum creel_flow_reason check(struct conn *c, const char *name, enum creel_way way)
{
	struct creel_err err = {0};
	struct creel_name n;
	struct creel_answer a;
	bool granted = false;

	if (creel_name_parse(name, strlen(name), &n, &err) < 0)
		return CREEL_FLOW_POLICY;
	flow_pins_take(c->flow);
	bool known = c->allowed && strcmp(n.text, c->told.name) == 0; /* a pin's end cuts no flow */
	known = creel_pins_has(&c->flow->pins, n.text, c->told.dst, c->requests ? flow_now() : c->accepted,
			       &granted) ||
		known;
	struct creel_question q = question(c, n.text);
	creel_policy_decide(&c->flow->conf.pt->policy, &q, &a);
	granted = granted || (c->allowed && c->told.granted);
	bool yes = a.decision == CREEL_ALLOW || (a.decision == CREEL_ASK && granted);
	if (!yes || (a.decision == CREEL_ALLOW && a.way != way && a.way != CREEL_WAY_ANY)) {
		allow(c, &a, n.text); /* what was asked for, and the line that denies it */
		return CREEL_FLOW_POLICY;
	}
	if (!known) {
		allow(c, &a, n.text);
		return CREEL_FLOW_PIN;
	}
	if (c->allowed && strcmp(n.text, c->told.name) != 0)
		c->allowed = false; /* another name on this connection: it is told, too */
	c->told.granted = granted;
	allow(c, &a, n.text);
	c->told.way = (uint8_t)way;
	return CREEL_FLOW_OK;
}

bool judge_still(struct conn *c)
{
	if (c->state == CONN_WAITING)
		return true; /* it is decided by what holds then */
	if (c->watch == WATCH_NOTHING && c->told.way != CREEL_WAY_TLS && c->told.way != CREEL_WAY_HTTP)
		return judge_open(c);
	c->allowed = true;
	return check(c, c->told.name, (enum creel_way)c->told.way) == CREEL_FLOW_OK;
}

/* The first @p n octets of what waits may pass. */
static int pass(struct conn *c, size_t n)
{
	struct creel_err err = {0};

	if (creel_buf_add(&c->server.out, c->in.data, n, &err) < 0)
		return -1;
	creel_buf_drain(&c->in, n);
	return 0;
}

/* --- TLS --------------------------------------------------------------------------------------- */

/* How many octets a hello has at least, by the records that are there: until then it is not parsed. */
static size_t hello_need(const struct creel_buf *in)
{
	size_t at = 0;

	while (in->len - at >= 5) {
		size_t n = (size_t)5 + ((size_t)in->data[at + 3] << 8 | in->data[at + 4]);
		if (n > in->len - at)
			return at + n;
		at += n;
	}
	return at + 5;
}

static enum creel_flow_reason hello(struct conn *c, struct creel_hello *h, bool *ret_more)
{
	struct creel_err err = {0};
	int r;

	*ret_more = false;
	/* the first octets are looked at as they come, so that what is no hello ends at once */
	if (c->in.len < c->need && c->in.len > 5)
		*ret_more = true;
	r = *ret_more ? CREEL_E_TRUNC : creel_hello_parse(c->in.data, c->in.len, h, &err);
	if (r == CREEL_E_TRUNC) {
		c->need = hello_need(&c->in);
		*ret_more = true;
		return c->in.len >= FLOW_IN_MAX - FLOW_BUF ? CREEL_FLOW_HELLO : CREEL_FLOW_OK;
	}
	c->need = 0;
	if (r < 0)
		return CREEL_FLOW_HELLO;
	return h->ech ? CREEL_FLOW_ECH : !h->name[0] ? CREEL_FLOW_NO_NAME : CREEL_FLOW_OK;
}

static enum creel_flow_reason first_hello(struct conn *c, bool *ret_more)
{
	struct creel_hello h = {0};
	enum creel_flow_reason why = hello(c, &h, ret_more);

	if (why != CREEL_FLOW_OK || *ret_more) {
		memcpy(c->told.name, h.name, sizeof(c->told.name));
		return why;
	}
	why = check(c, h.name, CREEL_WAY_TLS);
	if (why == CREEL_FLOW_OK && pass(c, h.used) < 0)
		return CREEL_FLOW_BUSY;
	c->watch = WATCH_ANSWER;
	return why;
}

/*
 * After a HelloRetryRequest (RFC 8446, 4.1.4) a second hello comes, and some servers take its name: it
 * must be the first one's. Before it stand change_cipher_spec records, or an alert ends all.
 */
static enum creel_flow_reason second_hello(struct conn *c, bool *ret_more)
{
	struct creel_hello h = {0};
	struct creel_name n;
	struct creel_err err = {0};

	while (c->in.len > 0 && (c->in.data[0] == 20 || c->in.data[0] == 21)) {
		size_t len = c->in.len < 5 ? 0 : (size_t)c->in.data[3] << 8 | c->in.data[4];
		if (c->in.len >= 5 && (len == 0 || len > 2))
			return CREEL_FLOW_HELLO;
		if (c->in.len < 5 + len || len == 0) {
			*ret_more = true;
			return CREEL_FLOW_OK;
		}
		if (pass(c, 5 + len) < 0)
			return CREEL_FLOW_BUSY;
	}
	if (c->in.len == 0) {
		*ret_more = true;
		return CREEL_FLOW_OK;
	}
	enum creel_flow_reason why = hello(c, &h, ret_more);
	if (why != CREEL_FLOW_OK || *ret_more)
		return why;
	if (creel_name_parse(h.name, strlen(h.name), &n, &err) < 0 || strcmp(n.text, c->told.name) != 0)
		return CREEL_FLOW_RENAMED;
	c->watch = WATCH_NOTHING;
	return pass(c, h.used) < 0 ? CREEL_FLOW_BUSY : CREEL_FLOW_OK;
}

/* Does the server's first record ask for another hello? @return -1: not known yet */
static int is_retry(const uint8_t *p, size_t n)
{
	/* SHA-256 of "HelloRetryRequest" in place of random (RFC 8446, 4.1.3) */
	static const uint8_t random[32] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
					   0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
					   0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
	if (n > 0 && p[0] != 22)
		return 0;
	if (n > 5 && p[5] != 2)
		return 0;
	return n < 43 ? -1 : memcmp(p + 11, random, 32) == 0;
}

/* --- HTTP -------------------------------------------------------------------------------------- */

static bool is_websocket(const struct conn *c, const struct creel_httphead *h)
{
	const char *buf = (const char *)c->in.data;
	struct creel_span name, value;

	for (size_t at = h->fields_at; creel_httphead_field(buf, h, &at, &name, &value) > 0;)
		if (name.n == 7 && strncasecmp(name.p, "Upgrade", 7) == 0 &&
		    !(value.n == 9 && strncasecmp(value.p, "websocket", 9) == 0))
			return false;
	return true;
}

static enum creel_flow_reason request(struct conn *c, bool *ret_more)
{
	struct creel_httphead h;
	struct creel_err err = {0};

	*ret_more = true;
	/* parsed when a line's end has come, or much more; not again for each octet */
	if (c->in.len == 0 ||
	    (c->in.len < c->need && !memchr(c->in.data + c->need / 2, '\n', c->in.len - c->need / 2)))
		return CREEL_FLOW_OK;
	int r = creel_httphead_parse((const char *)c->in.data, c->in.len, &h, &err);
	if (r == CREEL_E_TRUNC) {
		c->need = 2 * c->in.len;
		return CREEL_FLOW_OK;
	}
	c->need = 0;
	*ret_more = false;
	if (r < 0)
		return CREEL_FLOW_REQUEST;
	if (h.port && h.port != c->told.dport)
		return CREEL_FLOW_HOST;
	enum creel_flow_reason why = check(c, h.host, CREEL_WAY_HTTP);
	if (why != CREEL_FLOW_OK)
		return why;
	/* whose answer it is, is sure for the first request alone */
	if (h.upgrade && (c->requests > 0 || h.body != CREEL_HTTP_BODY_NONE || !is_websocket(c, &h)))
		return CREEL_FLOW_UPGRADE;
	c->requests++;
	creel_httpbody_init(&c->body, &h);
	c->watch = h.upgrade ? WATCH_UPGRADE : WATCH_BODY;
	return pass(c, h.used) < 0 ? CREEL_FLOW_BUSY : CREEL_FLOW_OK;
}

static enum creel_flow_reason body(struct conn *c, bool *ret_more)
{
	struct creel_err err = {0};
	size_t used = 0;
	int r = creel_httpbody_feed(&c->body, (const char *)c->in.data, c->in.len, &used, &err);

	if (r < 0)
		return CREEL_FLOW_REQUEST;
	if (pass(c, used) < 0)
		return CREEL_FLOW_BUSY;
	*ret_more = r == 0;
	if (r > 0)
		c->watch = WATCH_HEAD;
	return CREEL_FLOW_OK;
}

/* --- both -------------------------------------------------------------------------------------- */

enum creel_flow_reason judge_guest(struct conn *c)
{
	enum creel_flow_reason why = CREEL_FLOW_OK;
	bool more = false;

	c->stalled = false;
	while (why == CREEL_FLOW_OK && !more && (c->in.len > 0 || c->watch == WATCH_BODY)) {
		switch (c->watch) {
		case WATCH_HELLO:
			why = first_hello(c, &more);
			break;
		case WATCH_SECOND:
			why = second_hello(c, &more);
			break;
		case WATCH_HEAD:
			why = request(c, &more);
			break;
		case WATCH_BODY:
			why = body(c, &more);
			break;
		case WATCH_ANSWER:
		case WATCH_UPGRADE:
			more = true;
			break;
		case WATCH_NOTHING:
			why = pass(c, c->in.len) < 0 ? CREEL_FLOW_BUSY : CREEL_FLOW_OK;
			break;
		}
		c->stalled = c->server.out.len >= FLOW_BUF;
		more = more || c->stalled;
	}
	return why;
}

void judge_server(struct conn *c, const uint8_t *data, size_t len)
{
	if (c->watch != WATCH_ANSWER && c->watch != WATCH_UPGRADE)
		return;
	size_t n = MIN(len, sizeof(c->first) - c->n_first);
	memcpy(c->first + c->n_first, data, n);
	c->n_first += n;
	if (c->watch == WATCH_ANSWER) {
		int retry = is_retry(c->first, c->n_first);
		if (retry >= 0)
			c->watch = retry ? WATCH_SECOND : WATCH_NOTHING;
	} else if (c->n_first >= 12) {
		bool switched = memcmp(c->first, "HTTP/1.", 7) == 0 && memcmp(c->first + 8, " 101", 4) == 0;
		c->watch = switched ? WATCH_NOTHING : WATCH_HEAD;
	}
	c->need = 0;
}

#include "wire/brokermsg.h"
#include "wire/httppath.h"
#include "wire/le.h"
#include <stdlib.h>
#include <string.h>

void creel_brokerframe_head(uint8_t buf[CREEL_BROKER_FRAME_HEAD], enum creel_broker_frame type, size_t len)
{
	creel_put_le32(buf, (uint32_t)len << 8 | (uint8_t)type);
}

int creel_brokerframe_read(const uint8_t buf[CREEL_BROKER_FRAME_HEAD], enum creel_broker_frame *ret_type,
			   size_t *ret_len, struct creel_err *err)
{
	uint32_t v = creel_le32(buf), type = v & 255, len = v >> 8;

	if (type < CREEL_FRAME_REQUEST || type > CREEL_FRAME_CUT || len > CREEL_BROKER_FRAME_MAX)
		return creel_err_set(err, CREEL_E_PROTO, 0, "broker frame %u of %u octets", type, len);
	*ret_type = (enum creel_broker_frame)type;
	*ret_len = len;
	return 0;
}

const char *creel_broker_reason_name(unsigned reason)
{
	static const char *const names[CREEL_BROKER_REASONS] = {
		[CREEL_BROKER_OK] = "ok",
		[CREEL_BROKER_METHOD] = "method",
		[CREEL_BROKER_PATH] = "path",
		[CREEL_BROKER_BADPATH] = "path-form",
		[CREEL_BROKER_HOST] = "host",
		[CREEL_BROKER_REQUEST] = "request",
		[CREEL_BROKER_OVERRIDE] = "override",
		[CREEL_BROKER_PLACEHOLDER] = "placeholder",
		[CREEL_BROKER_CREDENTIAL] = "credential",
		[CREEL_BROKER_SIZE] = "size",
		[CREEL_BROKER_RATE] = "rate",
		[CREEL_BROKER_BUSY] = "busy",
		[CREEL_BROKER_UPGRADE] = "upgrade",
		[CREEL_BROKER_NAME_FAILED] = "name",
		[CREEL_BROKER_CONNECT] = "connect",
		[CREEL_BROKER_TLS] = "tls",
		[CREEL_BROKER_RESPONSE] = "response",
		[CREEL_BROKER_ENCODED] = "encoded",
		[CREEL_BROKER_ECHO] = "echo",
		[CREEL_BROKER_NO_SECRET] = "no-secret",
		[CREEL_BROKER_TIMEOUT] = "timeout",
		[CREEL_BROKER_CLOSED] = "closed",
	};

	return reason < CREEL_BROKER_REASONS ? names[reason] : "unknown";
}

/* --- parts: two octets of length, then the octets --------------------------------------------- */

static int put(struct creel_buf *out, struct creel_span s, struct creel_err *err)
{
	uint8_t n[2] = {(uint8_t)s.n, (uint8_t)(s.n >> 8)};

	if (s.n > 65535)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a part of %zu octets", s.n);
	int r = creel_buf_add(out, n, 2, err);
	return r < 0 ? r : creel_buf_add(out, s.p, s.n, err);
}

static int fields_put(struct creel_buf *out, const struct creel_broker_kv *f, size_t n, struct creel_err *err)
{
	uint8_t count = (uint8_t)n;
	int r = creel_buf_add(out, &count, 1, err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = put(out, f[i].name, err);
		if (r == 0)
			r = put(out, f[i].value, err);
	}
	return r;
}

struct reader {
	const uint8_t *at, *end;
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *p = r->at;

	if (r->bad || (size_t)(r->end - r->at) < n) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	return p;
}

static struct creel_span get(struct reader *r)
{
	const uint8_t *n = take(r, 2);
	size_t len = n ? (size_t)(n[0] | n[1] << 8) : 0;
	const uint8_t *p = n ? take(r, len) : NULL;

	return (struct creel_span){(const char *)p, p ? len : 0};
}

static bool token(struct creel_span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (c && strchr("!#$%&'*+-.^_`|~", c))))
			return false;
	}
	return s.n > 0;
}

static bool value_ok(struct creel_span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static size_t fields_get(struct reader *r, struct creel_broker_kv *f)
{
	const uint8_t *count = take(r, 1);
	size_t n = count ? *count : 0;

	if (n > CREEL_BROKER_FIELDS)
		r->bad = true;
	for (size_t i = 0; !r->bad && i < n; i++) {
		f[i].name = get(r);
		f[i].value = get(r);
		if (!r->bad && (!token(f[i].name) || !value_ok(f[i].value)))
			r->bad = true;
	}
	return r->bad ? 0 : n;
}

int creel_brokerreq_encode(const struct creel_brokerreq *q, struct creel_buf *out, struct creel_err *err)
{
	uint8_t fixed[12] = {q->body, q->has_query, (uint8_t)(q->websocket | q->intercepted << 1),
			     (uint8_t)q->n_addrs};

	creel_put_le64(fixed + 4, q->length);
	int r = creel_buf_add(out, fixed, sizeof(fixed), err);
	if (r == 0)
		r = creel_buf_add(out, q->addr, 16 * q->n_addrs, err);
	if (r == 0)
		r = put(out, q->broker, err);
	if (r == 0)
		r = put(out, q->method, err);
	if (r == 0)
		r = put(out, q->path, err);
	if (r == 0)
		r = put(out, q->query, err);
	return r < 0 ? r : fields_put(out, q->fields, q->n_fields, err);
}

/* Is it the spelling that httppath.c writes? */
static bool canonical(const struct creel_brokerreq *q)
{
	autofree struct creel_httppath *p = malloc(sizeof(*p));
	struct creel_err err = {0};

	if (!p || creel_httppath_parse(q->path, p, &err) < 0 || p->has_query ||
	    strlen(p->path) != q->path.n || memcmp(p->path, q->path.p, q->path.n) != 0)
		return false;
	for (size_t i = 0; i < q->query.n; i++) {
		unsigned char c = (unsigned char)q->query.p[i];
		if (c <= 0x20 || c >= 0x7f || c == '#')
			return false;
	}
	return q->has_query || q->query.n == 0;
}

int creel_brokerreq_decode(const uint8_t *buf, size_t len, struct creel_brokerreq *ret, struct creel_err *err)
{
	struct reader r = {.at = buf, .end = buf + len};
	const uint8_t *fixed = take(&r, 12);
	struct creel_brokerreq *q = ret;

	memset(q, 0, sizeof(*q));
	if (fixed) {
		q->body = fixed[0];
		q->has_query = fixed[1];
		q->websocket = fixed[2] & 1;
		q->intercepted = fixed[2] & 2;
		q->n_addrs = fixed[3];
		q->length = creel_le64(fixed + 4);
	}
	if (q->n_addrs > CREEL_BROKER_ADDRS || q->body > CREEL_HTTP_BODY_CHUNKED)
		r.bad = true;
	const uint8_t *addrs = take(&r, 16 * q->n_addrs);
	if (addrs)
		memcpy(q->addr, addrs, 16 * q->n_addrs);
	q->broker = get(&r);
	q->method = get(&r);
	q->path = get(&r);
	q->query = get(&r);
	q->n_fields = fields_get(&r, q->fields);
	if (r.bad || r.at != r.end || !token(q->method) || !canonical(q))
		return creel_err_set(err, CREEL_E_PROTO, 0, "not a request of the front's");
	return 0;
}

int creel_brokerresp_encode(const struct creel_brokerresp *p, struct creel_buf *out, struct creel_err *err)
{
	uint8_t fixed[11] = {(uint8_t)p->status, (uint8_t)(p->status >> 8), p->body};

	creel_put_le64(fixed + 3, p->length);
	int r = creel_buf_add(out, fixed, sizeof(fixed), err);
	return r < 0 ? r : fields_put(out, p->fields, p->n_fields, err);
}

int creel_brokerresp_decode(const uint8_t *buf, size_t len, struct creel_brokerresp *ret,
			    struct creel_err *err)
{
	struct reader r = {.at = buf, .end = buf + len};
	const uint8_t *fixed = take(&r, 11);

	memset(ret, 0, sizeof(*ret));
	if (fixed) {
		ret->status = (uint16_t)(fixed[0] | fixed[1] << 8);
		ret->body = fixed[2];
		ret->length = creel_le64(fixed + 3);
	}
	ret->n_fields = fields_get(&r, ret->fields);
	if (r.bad || r.at != r.end || ret->status < 100 || ret->status > 599 ||
	    ret->body > CREEL_HTTP_BODY_CHUNKED)
		return creel_err_set(err, CREEL_E_PROTO, 0, "not a response of the broker's");
	return 0;
}

/* --- events ----------------------------------------------------------------------------------- */

enum { EV_FIXED = 32 };

static size_t text_put(uint8_t *at, const char *s, size_t max)
{
	size_t n = strnlen(s, max);

	at[0] = (uint8_t)n;
	at[1] = (uint8_t)(n >> 8);
	memcpy(at + 2, s, n);
	return n + 2;
}

size_t creel_brokerev_encode(const struct creel_brokerev *e, uint8_t *buf)
{
	size_t n = EV_FIXED;

	buf[0] = e->told;
	buf[1] = e->reason;
	buf[2] = (uint8_t)e->status;
	buf[3] = (uint8_t)(e->status >> 8);
	creel_put_le32(buf + 4, e->id);
	creel_put_le32(buf + 8, e->line);
	creel_put_le32(buf + 12, e->ms);
	creel_put_le64(buf + 16, e->sent);
	creel_put_le64(buf + 24, e->received);
	n += text_put(buf + n, e->broker, sizeof(e->broker) - 1);
	n += text_put(buf + n, e->method, sizeof(e->method) - 1);
	n += text_put(buf + n, e->host, sizeof(e->host) - 1);
	n += text_put(buf + n, e->path, sizeof(e->path) - 1);
	return n;
}

static void text_get(struct reader *r, char *to, size_t size)
{
	struct creel_span s = get(r);

	if (s.n >= size || (s.n > 0 && memchr(s.p, '\0', s.n)))
		r->bad = true;
	else if (s.n > 0)
		memcpy(to, s.p, s.n);
}

int creel_brokerev_decode(const uint8_t *buf, size_t len, struct creel_brokerev *ret, struct creel_err *err)
{
	struct reader r = {.at = buf, .end = buf + len};
	const uint8_t *f = take(&r, EV_FIXED);

	memset(ret, 0, sizeof(*ret));
	if (f) {
		ret->told = f[0];
		ret->reason = f[1];
		ret->status = (uint16_t)(f[2] | f[3] << 8);
		ret->id = creel_le32(f + 4);
		ret->line = creel_le32(f + 8);
		ret->ms = creel_le32(f + 12);
		ret->sent = creel_le64(f + 16);
		ret->received = creel_le64(f + 24);
	}
	text_get(&r, ret->broker, sizeof(ret->broker));
	text_get(&r, ret->method, sizeof(ret->method));
	text_get(&r, ret->host, sizeof(ret->host));
	text_get(&r, ret->path, sizeof(ret->path));
	if (r.bad || r.at != r.end || ret->told < CREEL_BROKER_ALLOWED || ret->told > CREEL_BROKER_ENDED ||
	    ret->reason >= CREEL_BROKER_REASONS)
		return creel_err_set(err, CREEL_E_PROTO, 0, "not an event of a broker's");
	return 0;
}

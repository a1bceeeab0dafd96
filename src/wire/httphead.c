#include "wire/httphead.h"
#include <string.h>
#include <strings.h>

#define FIELDS_MAX 200

static int bad(struct creel_err *err, const char *what)
{
	return creel_err_set(err, CREEL_E_SYNTAX, 0, "request head: %s", what);
}

static bool is_token(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool same(struct creel_span a, struct creel_span b)
{
	return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

bool creel_httpfield_is(struct creel_span s, const char *word)
{
	return same(s, creel_span_of(word));
}

int creel_httpline_next(const char *buf, size_t len, size_t *at, struct creel_span *ret,
			struct creel_err *err)
{
	for (size_t i = *at; i < len; i++) {
		unsigned char c = (unsigned char)buf[i];
		if (c == '\r') {
			if (i + 1 == len)
				return 0;
			if (buf[i + 1] != '\n')
				return bad(err, "a CR alone");
			*ret = (struct creel_span){buf + *at, i - *at};
			*at = i + 2;
			return 1;
		}
		if (c == '\n')
			return bad(err, "a LF alone");
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return bad(err, "a control octet");
	}
	return 0;
}

/* "HOST[:PORT]" of Host or an absolute target */
static int authority(struct creel_span s, char host[256], uint16_t *port, struct creel_err *err)
{
	const char *end = s.p + s.n, *stop;
	size_t n = 0;
	unsigned long value = 0;

	if (s.n > 0 && s.p[0] == '[') {
		stop = memchr(s.p, ']', s.n);
		if (!stop)
			return bad(err, "Host");
		s.p++;
		for (const char *c = s.p; c < stop; c++)
			if (!strchr("0123456789abcdefABCDEF:.", *c))
				return bad(err, "Host");
	} else {
		stop = memchr(s.p, ':', s.n);
		stop = stop ? stop : end;
		for (const char *c = s.p; c < stop; c++)
			if (!is_token((unsigned char)*c) || strchr("!#$%&'*+^`|~", *c))
				return bad(err, "Host");
	}
	if (stop == s.p || stop - s.p > 255)
		return bad(err, "Host");
	for (const char *c = s.p; c < stop; c++)
		host[n++] = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	host[n] = '\0';
	stop += *stop == ']' && stop < end;
	*port = 0;
	if (stop == end)
		return 0;
	if (*stop != ':' || end - stop < 2 || end - stop > 6)
		return bad(err, "Host's port");
	for (const char *c = stop + 1; c < end; c++) {
		if (*c < '0' || *c > '9')
			return bad(err, "Host's port");
		value = value * 10 + (unsigned)(*c - '0');
	}
	if (value == 0 || value > 65535)
		return bad(err, "Host's port");
	*port = (uint16_t)value;
	return 0;
}

static int request_line(struct creel_span l, struct creel_httphead *h, struct creel_err *err)
{
	size_t n = 0;

	while (n < l.n && is_token((unsigned char)l.p[n]))
		n++;
	h->method = (struct creel_span){l.p, n};
	if (n == 0 || n == l.n || l.p[n] != ' ')
		return bad(err, "the method");
	const char *t = l.p + n + 1, *end = l.p + l.n, *sp = memchr(t, ' ', (size_t)(end - t));
	if (!sp || sp == t || end - sp != 9 || memcmp(sp + 1, "HTTP/", 5) != 0)
		return bad(err, "the request line");
	for (const char *c = t; c < sp; c++)
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
			return bad(err, "the target");
	if (memcmp(sp + 6, "2.0", 3) == 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "HTTP/2");
	if (memcmp(sp + 6, "1.", 2) != 0 || (sp[8] != '0' && sp[8] != '1'))
		return bad(err, "the version");
	h->minor = (uint8_t)(sp[8] - '0');
	h->target = (struct creel_span){t, (size_t)(sp - t)};
	return creel_httpfield_is(h->method, "CONNECT") ? creel_err_set(err, CREEL_E_UNSUPP, 0, "CONNECT")
							: 0;
}

/* Where the path begins, and for an absolute target its authority. */
static int target_split(struct creel_httphead *h, struct creel_span *ret_authority, struct creel_err *err)
{
	struct creel_span t = h->target;
	static const char root[] = "/";

	if (t.p[0] == '/' || (t.n == 1 && t.p[0] == '*')) {
		h->path = t;
		return 0;
	}
	if (t.n < 8 || strncasecmp(t.p, "http://", 7) != 0)
		return bad(err, "the target");
	const char *a = t.p + 7, *end = t.p + t.n;
	size_t n = 0;
	while (a + n < end && !strchr("/?#", a[n]))
		n++;
	if (n == 0 || memchr(a, '@', n))
		return bad(err, "the target");
	*ret_authority = (struct creel_span){a, n};
	if (a + n < end && a[n] != '/')
		return bad(err, "the target");
	h->path = a + n < end ? (struct creel_span){a + n, (size_t)(end - a) - n}
			      : (struct creel_span){root, 1};
	return 0;
}

int creel_httpfield_split(struct creel_span l, struct creel_span *name, struct creel_span *value)
{
	const char *colon = memchr(l.p, ':', l.n);

	if (!colon || colon == l.p)
		return -1;
	*name = (struct creel_span){l.p, (size_t)(colon - l.p)};
	for (size_t i = 0; i < name->n; i++)
		if (!is_token((unsigned char)l.p[i]))
			return -1; /* a blank before the colon and a folded line, too */
	value->p = colon + 1;
	value->n = l.n - name->n - 1;
	while (value->n && (*value->p == ' ' || *value->p == '\t')) {
		value->p++;
		value->n--;
	}
	while (value->n && (value->p[value->n - 1] == ' ' || value->p[value->n - 1] == '\t'))
		value->n--;
	return 0;
}

int creel_httpfield_length(struct creel_span value, uint64_t *ret)
{
	if (value.n == 0 || value.n > 18)
		return -1;
	*ret = 0;
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return -1;
		*ret = *ret * 10 + (unsigned)(value.p[i] - '0');
	}
	return 0;
}

bool creel_httpfield_has(struct creel_span value, struct creel_span token)
{
	for (size_t at = 0; at < value.n;) {
		const char *comma = memchr(value.p + at, ',', value.n - at);
		size_t from = at, to = comma ? (size_t)(comma - value.p) : value.n;
		at = to + 1;
		while (from < to && (value.p[from] == ' ' || value.p[from] == '\t'))
			from++;
		while (to > from && (value.p[to - 1] == ' ' || value.p[to - 1] == '\t'))
			to--;
		if (same((struct creel_span){value.p + from, to - from}, token))
			return true;
	}
	return false;
}

struct seen {
	bool host, length, encoding;
};

static int field_apply(struct creel_span name, struct creel_span value, struct seen *seen,
		       struct creel_httphead *h, struct creel_err *err)
{
	if (creel_httpfield_is(name, "Host")) {
		if (seen->host)
			return bad(err, "Host twice");
		seen->host = true;
		return authority(value, h->host, &h->port, err);
	}
	if (creel_httpfield_is(name, "Content-Length")) {
		if (seen->length || creel_httpfield_length(value, &h->length) < 0)
			return bad(err, "Content-Length");
		seen->length = true;
		return 0;
	}
	if (creel_httpfield_is(name, "Transfer-Encoding")) {
		if (seen->encoding || !creel_httpfield_is(value, "chunked"))
			return bad(err, "Transfer-Encoding");
		seen->encoding = true;
		return 0;
	}
	if (creel_httpfield_is(name, "Upgrade"))
		h->upgrade = true;
	if (creel_httpfield_is(name, "Connection"))
		h->close |= creel_httpfield_has(value, creel_span_of("close"));
	if (creel_httpfield_is(name, "Expect")) {
		if (!creel_httpfield_is(value, "100-continue"))
			return bad(err, "Expect");
		h->expect = true;
	}
	return 0;
}

/* The head is whole: do its parts agree? */
static int check(struct creel_httphead *h, const struct seen *seen, struct creel_span absolute,
		 struct creel_err *err)
{
	char host[256];
	uint16_t port;

	if (!seen->host)
		return bad(err, "no Host");
	if (seen->length && seen->encoding)
		return bad(err, "both Content-Length and Transfer-Encoding");
	if (seen->encoding && h->minor == 0)
		return bad(err, "Transfer-Encoding in HTTP/1.0");
	if (absolute.p) {
		int r = authority(absolute, host, &port, err);
		if (r < 0)
			return r;
		if (strcmp(host, h->host) != 0 || (port ? port : 80) != (h->port ? h->port : 80))
			return bad(err, "the target names another host than Host");
	}
	h->close |= h->minor == 0;
	h->body = seen->encoding              ? CREEL_HTTP_BODY_CHUNKED
		  : seen->length && h->length ? CREEL_HTTP_BODY_LENGTH
					      : CREEL_HTTP_BODY_NONE;
	return 0;
}

int creel_httphead_parse(const char *buf, size_t len, struct creel_httphead *ret_head, struct creel_err *err)
{
	struct creel_httphead h = {0};
	struct creel_span line, name, value, absolute = {0};
	struct seen seen = {0};
	size_t at = 0, fields = 0, cap = len < CREEL_HTTPHEAD_MAX ? len : CREEL_HTTPHEAD_MAX;
	int r;

	while ((r = creel_httpline_next(buf, cap, &at, &line, err)) > 0) {
		if (!h.method.p) {
			r = request_line(line, &h, err);
			if (r >= 0)
				r = target_split(&h, &absolute, err);
			h.fields_at = at;
		} else if (line.n == 0) {
			r = check(&h, &seen, absolute, err);
			h.used = at;
			if (r >= 0)
				*ret_head = h;
			return r;
		} else if (++fields > FIELDS_MAX) {
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "more than %d fields", FIELDS_MAX);
		} else if (creel_httpfield_split(line, &name, &value) < 0) {
			return bad(err, "a field");
		} else {
			r = field_apply(name, value, &seen, &h, err);
		}
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	if (len >= CREEL_HTTPHEAD_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a request head over %d octets",
				     CREEL_HTTPHEAD_MAX);
	return creel_err_set(err, CREEL_E_TRUNC, 0, "more is needed");
}

int creel_httphead_field(const char *buf, const struct creel_httphead *head, size_t *at,
			 struct creel_span *ret_name, struct creel_span *ret_value)
{
	struct creel_span line;
	struct creel_err ignored = {0};

	if (*at + 2 >= head->used || creel_httpline_next(buf, head->used, at, &line, &ignored) <= 0 ||
	    line.n == 0 || creel_httpfield_split(line, ret_name, ret_value) < 0)
		return 0;
	return 1;
}

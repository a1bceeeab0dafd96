#include "wire/httpresp.h"
#include <string.h>

enum { FIELDS_MAX = 200 };

static int bad(struct creel_err *err, const char *what)
{
	return creel_err_set(err, CREEL_E_SYNTAX, 0, "response head: %s", what);
}

static int status_line(struct creel_span l, struct creel_httpresp *h, struct creel_err *err)
{
	if (l.n < 12 || memcmp(l.p, "HTTP/1.", 7) != 0 || (l.p[7] != '0' && l.p[7] != '1') || l.p[8] != ' ' ||
	    (l.n > 12 && l.p[12] != ' '))
		return bad(err, "the status line");
	h->minor = (uint8_t)(l.p[7] - '0');
	for (size_t i = 9; i < 12; i++) {
		if (l.p[i] < '0' || l.p[i] > '9')
			return bad(err, "the status");
		h->status = (uint16_t)(h->status * 10 + (l.p[i] - '0'));
	}
	return h->status >= 100 && h->status < 600 ? 0 : bad(err, "the status");
}

struct seen {
	bool length, encoding;
};

static int field_apply(struct creel_span name, struct creel_span v, struct seen *seen,
		       struct creel_httpresp *h, struct creel_err *err)
{
	if (creel_httpfield_is(name, "Content-Length")) {
		uint64_t n = 0;
		if (creel_httpfield_length(v, &n) < 0)
			return bad(err, "Content-Length");
		if (seen->length && n != h->length)
			return bad(err, "two lengths");
		seen->length = true;
		h->length = n;
	} else if (creel_httpfield_is(name, "Transfer-Encoding")) {
		if (seen->encoding || !creel_httpfield_is(v, "chunked"))
			return bad(err, "Transfer-Encoding");
		seen->encoding = true;
	} else if (creel_httpfield_is(name, "Connection")) {
		h->close |= creel_httpfield_has(v, creel_span_of("close"));
	} else if (creel_httpfield_is(name, "Content-Encoding")) {
		h->encoded |= v.n > 0 && !creel_httpfield_is(v, "identity");
	}
	return 0;
}

int creel_httpresp_parse(const char *buf, size_t len, struct creel_httpresp *ret, struct creel_err *err)
{
	size_t at = 0, fields = 0, cap = len < CREEL_HTTPHEAD_MAX ? len : CREEL_HTTPHEAD_MAX;
	struct creel_httpresp h = {0};
	struct creel_span line, name, value;
	struct seen seen = {0};
	int r;

	while ((r = creel_httpline_next(buf, cap, &at, &line, err)) > 0) {
		if (!h.status) {
			r = status_line(line, &h, err);
			h.close = h.minor == 0;
			h.fields_at = at;
		} else if (line.n == 0) {
			if (seen.length && seen.encoding)
				return bad(err, "both Content-Length and Transfer-Encoding");
			h.until_end = !seen.length && !seen.encoding;
			h.close |= h.until_end;
			h.body = seen.encoding             ? CREEL_HTTP_BODY_CHUNKED
				 : seen.length && h.length ? CREEL_HTTP_BODY_LENGTH
							   : CREEL_HTTP_BODY_NONE;
			h.used = at;
			*ret = h;
			return 0;
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
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a response head over %d octets",
				     CREEL_HTTPHEAD_MAX);
	return creel_err_set(err, CREEL_E_TRUNC, 0, "more is needed");
}

int creel_httpresp_field(const char *buf, const struct creel_httpresp *head, size_t *at,
			 struct creel_span *ret_name, struct creel_span *ret_value)
{
	const struct creel_httphead h = {.used = head->used};

	return creel_httphead_field(buf, &h, at, ret_name, ret_value);
}

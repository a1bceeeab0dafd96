/*
 * What the broker's two processes read, by the first octet: a server's head, a chunked body in two
 * cuts, a path, and the frames between the two.
 */
#include "base/cleanup.h"
#include "wire/brokermsg.h"
#include "wire/chunked.h"
#include "wire/httphead.h"
#include "wire/httppath.h"
#include "wire/httpresp.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool so)
{
	if (!so)
		abort();
}

static void response(const char *buf, size_t len)
{
	struct creel_httpresp h = {0}, b = {0};
	struct creel_err err = {0};
	struct creel_span name, value;

	if (creel_httpresp_parse(buf, len, &h, &err) < 0)
		return;
	must(h.used <= len && h.used >= 4 && memcmp(buf + h.used - 4, "\r\n\r\n", 4) == 0);
	must(h.status >= 100 && h.status <= 599);
	for (size_t at = h.fields_at; creel_httpresp_field(buf, &h, &at, &name, &value) > 0;)
		must(name.p >= buf && value.p + value.n <= buf + h.used);
	must(creel_httpresp_parse(buf, h.used - 1, &b, &err) == CREEL_E_TRUNC);
}

/* The data of a body that comes in pieces of @p piece octets; -1: refused, -2: not at its end. */
static long unchunk(const char *buf, size_t len, size_t piece, bool lenient, char *out)
{
	struct creel_chunked c;
	struct creel_err err = {0};
	size_t at = 0, end = 0, n = 0;

	creel_chunked_init(&c, lenient);
	while (at < len) {
		struct creel_span d = {0};
		size_t used = 0;
		end = end > at ? end : MIN(len, at + piece);
		int r = creel_chunked_next(&c, buf + at, end - at, &used, &d, &err);
		if (r < 0)
			return -1;
		must(used <= end - at && (d.n == 0 || (d.p >= buf + at && d.p + d.n <= buf + at + used)));
		if (d.n)
			memcpy(out + n, d.p, d.n);
		n += d.n;
		at += used;
		if (r == 2)
			return (long)n;
		must(r == 1 || at == end); /* what it did not want more for, it has taken */
	}
	return -2;
}

static void chunks(const char *buf, size_t len)
{
	for (int lenient = 0; len <= 4096 && lenient < 2; lenient++) {
		char whole[4096], cut[4096];
		long a = unchunk(buf, len, len ? len : 1, lenient, whole),
		     b = unchunk(buf, len, 1, lenient, cut);
		must(a == b && (a < 0 || memcmp(whole, cut, (size_t)a) == 0));
	}
}

static void path(const char *buf, size_t len)
{
	static struct creel_httppath p, again;
	struct creel_err err = {0};

	if (creel_httppath_parse((struct creel_span){buf, len}, &p, &err) < 0)
		return;
	must(p.path[0] == '/' && !strstr(p.path, "//") && !strstr(p.path, "/../") && !strchr(p.path, '\\'));
	must(creel_httppath_parse((struct creel_span){p.path, strlen(p.path)}, &again, &err) == 0);
	must(strcmp(p.path, again.path) == 0 && !again.has_query);
}

static void frames(const uint8_t *buf, size_t len)
{
	static struct creel_brokerreq q, q2;
	static struct creel_brokerresp r;
	static struct creel_brokerev e;
	struct creel_buf autoclean(creel_buf_fini) out = {0};
	struct creel_err err = {0};
	uint8_t event[CREEL_BROKER_EVENT_MAX];

	creel_buf_init(&out, CREEL_BROKER_FRAME_MAX);
	if (creel_brokerreq_decode(buf, len, &q, &err) == 0) {
		must(creel_brokerreq_encode(&q, &out, &err) == 0);
		must(creel_brokerreq_decode(out.data, out.len, &q2, &err) == 0 && q2.n_fields == q.n_fields);
	}
	(void)creel_brokerresp_decode(buf, len, &r, &err);
	if (creel_brokerev_decode(buf, len, &e, &err) == 0)
		must(creel_brokerev_encode(&e, event) <= sizeof(event));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	const char *text = (const char *)data + 1;
	switch (data[0] & 3) {
	case 0:
		response(text, len - 1);
		break;
	case 1:
		chunks(text, len - 1);
		break;
	case 2:
		path(text, len - 1);
		break;
	default:
		frames(data + 1, len - 1);
	}
	return 0;
}

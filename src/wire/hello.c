#include "wire/hello.h"
#include "wire/be.h"
#include <string.h>

#define EXT_SERVER_NAME  0
#define EXT_VERSIONS     43
#define EXT_ECH          0xfe0d
#define EXT_ESNI         0xffce
#define EXTENSIONS_LIMIT 64

/* A part of the hello that is read from its front. */
struct view {
	const uint8_t *p;
	size_t n;
};

static int bad(struct creel_err *err, const char *what)
{
	return creel_err_set(err, CREEL_E_SYNTAX, 0, "ClientHello: %s", what);
}

/* Take a vector with a length of @p width octets off the front. */
static bool vector(struct view *v, unsigned width, struct view *ret)
{
	size_t n = 0;

	if (v->n < width)
		return false;
	for (unsigned i = 0; i < width; i++)
		n = n << 8 | v->p[i];
	if (n > v->n - width)
		return false;
	*ret = (struct view){v->p + width, n};
	v->p += width + n;
	v->n -= width + n;
	return true;
}

static bool skip(struct view *v, size_t n)
{
	if (v->n < n)
		return false;
	v->p += n;
	v->n -= n;
	return true;
}

static int server_name(struct view ext, struct creel_hello *h, struct creel_err *err)
{
	struct view list, name;

	if (!vector(&ext, 2, &list) || ext.n != 0 || list.n == 0)
		return bad(err, "server_name");
	if (list.p[0] != 0 || !skip(&list, 1) || !vector(&list, 2, &name) || list.n != 0)
		return bad(err, "server_name is not one host name");
	if (name.n == 0 || name.n >= sizeof(h->name))
		return bad(err, "a host name of no or too many octets");
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];
		if (c >= 'A' && c <= 'Z')
			c = (uint8_t)(c - 'A' + 'a');
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
			return bad(err, "an octet that no host name has");
		h->name[i] = (char)c;
	}
	return 0;
}

static int versions(struct view ext, struct creel_hello *h, struct creel_err *err)
{
	struct view list;

	if (!vector(&ext, 1, &list) || ext.n != 0 || list.n == 0 || list.n % 2)
		return bad(err, "supported_versions");
	h->version = 0;
	for (; list.n; (void)skip(&list, 2)) {
		uint16_t v = creel_be16(list.p);
		if (v >> 8 == 3 && v > h->version) /* GREASE values are not of this form */
			h->version = v;
	}
	return 0;
}

static int extensions(struct view v, struct creel_hello *h, struct creel_err *err)
{
	uint16_t seen[EXTENSIONS_LIMIT];
	size_t n = 0;

	while (v.n > 0) {
		struct view ext;
		if (v.n < 4)
			return bad(err, "an extension cut");
		uint16_t type = creel_be16(v.p);
		(void)skip(&v, 2);
		if (!vector(&v, 2, &ext))
			return bad(err, "an extension cut");
		for (size_t i = 0; i < n; i++)
			if (seen[i] == type)
				return bad(err, "an extension twice");
		if (n == EXTENSIONS_LIMIT)
			return bad(err, "too many extensions");
		seen[n++] = type;
		int r = type == EXT_SERVER_NAME ? server_name(ext, h, err)
			: type == EXT_VERSIONS  ? versions(ext, h, err)
						: 0;
		if (r < 0)
			return r;
		h->ech = h->ech || type == EXT_ECH || type == EXT_ESNI;
	}
	return 0;
}

static int body(struct view v, struct creel_hello *h, struct creel_err *err)
{
	struct view session, suites, compression, ext = {0};

	if (v.n < 2 + 32)
		return bad(err, "cut");
	h->version = creel_be16(v.p);
	if (h->version >> 8 != 3)
		return bad(err, "its version");
	(void)skip(&v, 2 + 32);
	if (!vector(&v, 1, &session) || session.n > 32)
		return bad(err, "session_id");
	if (!vector(&v, 2, &suites) || suites.n < 2 || suites.n % 2)
		return bad(err, "cipher_suites");
	if (!vector(&v, 1, &compression) || compression.n == 0)
		return bad(err, "compression_methods");
	if (v.n > 0 && (!vector(&v, 2, &ext) || v.n != 0))
		return bad(err, "extensions");
	return extensions(ext, h, err);
}

int creel_hello_parse(const uint8_t *buf, size_t len, struct creel_hello *ret_hello, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) whole;
	struct creel_hello h = {0};
	size_t at = 0, need = 4;

	creel_buf_init(&whole, CREEL_HELLO_MAX);
	/* the message may be cut into records anywhere, in its own four first octets too */
	while (whole.len < need) {
		/* what is wrong is said as soon as it is seen: a peer that waits learns nothing more */
		if (len > at && buf[at] != 22)
			return bad(err, at == 0 ? "not TLS" : "another record inside it");
		if (len > at + 1 && buf[at + 1] != 3)
			return bad(err, "the record's version");
		if (len - at < 5)
			return creel_err_set(err, CREEL_E_TRUNC, 0, "more is needed");
		size_t n = creel_be16(buf + at + 3);
		if (n == 0 || n > 16384)
			return bad(err, "a record's length");
		size_t have = MIN(n, len - at - 5);
		int r = creel_buf_add(&whole, buf + at + 5, have, err);
		if (r < 0)
			return r;
		if (whole.len > 0 && whole.data[0] != 1)
			return bad(err, "another handshake message");
		if (whole.len >= 4) {
			need = 4 + creel_be24(whole.data + 1);
			if (need > CREEL_HELLO_MAX)
				return creel_err_set(err, CREEL_E_TOOBIG, 0, "a ClientHello of %zu octets",
						     need);
		}
		if (have < n) {
			if (whole.len > need)
				return bad(err, "more in its record");
			return creel_err_set(err, CREEL_E_TRUNC, 0, "more is needed");
		}
		at += 5 + n;
	}
	if (whole.len != need)
		return bad(err, "more in its record");
	int r = body((struct view){whole.data + 4, need - 4}, &h, err);
	if (r < 0)
		return r;
	h.used = at;
	*ret_hello = h;
	return 0;
}

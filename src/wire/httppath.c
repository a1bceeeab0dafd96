#include "wire/httppath.h"
#include <string.h>

static int refused(struct creel_err *err, const char *what)
{
	return creel_err_set(err, CREEL_E_INVALID, 0, "path: %s", what);
}

static bool unreserved(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("-._~", c));
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A decoded octet after another: is it UTF-8 yet? (RFC 3629: no overlong form, no surrogate) */
struct utf8 {
	unsigned left;
	uint8_t low, high; /* what the next may be */
};

static bool utf8_next(struct utf8 *u, unsigned char c)
{
	if (u->left > 0) {
		bool ok = c >= u->low && c <= u->high;
		u->left--;
		u->low = 0x80;
		u->high = 0xbf;
		return ok;
	}
	u->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	u->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	u->left = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc2 ? 1 : 0;
	return c < 0x80 || (c >= 0xc2 && c <= 0xf4);
}

static int encoded(const char *p, const char *end, char *out, size_t *n, struct utf8 *u,
		   struct creel_err *err)
{
	static const char digits[] = "0123456789ABCDEF";
	int high = end - p > 2 ? hex(p[1]) : -1, low = high < 0 ? -1 : hex(p[2]);

	if (low < 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "path: a %% without two digits");
	unsigned char c = (unsigned char)(high << 4 | low);
	if (c < 0x20 || c == 0x7f || strchr("/\\%;?#", c))
		return refused(err, "an encoded octet that servers read in two ways");
	if (!utf8_next(u, c))
		return refused(err, "not UTF-8");
	if (unreserved(c)) {
		out[(*n)++] = (char)c;
	} else {
		out[(*n)++] = '%';
		out[(*n)++] = digits[c >> 4];
		out[(*n)++] = digits[c & 15];
	}
	return 0;
}

static int segments(const char *path, struct creel_err *err)
{
	for (const char *s = path; *s;) {
		const char *next = strchr(s + 1, '/');
		size_t n = next ? (size_t)(next - s) - 1 : strlen(s + 1);
		if ((n == 1 && s[1] == '.') || (n == 2 && s[1] == '.' && s[2] == '.'))
			return refused(err, "a dot segment");
		if (n == 0 && next)
			return refused(err, "an empty segment");
		s += n + 1;
	}
	return 0;
}

int creel_httppath_parse(struct creel_span t, struct creel_httppath *ret, struct creel_err *err)
{
	const char *mark = memchr(t.p, '?', t.n), *end = mark ? mark : t.p + t.n;
	struct utf8 u = {0};
	size_t n = 0;

	if (t.n == 0 || t.p[0] != '/')
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "path: it begins with a `/`");
	for (const char *p = t.p; p < end; p++) {
		unsigned char c = (unsigned char)*p;
		if (n + 4 > sizeof(ret->path))
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "path: over %d octets",
					     CREEL_HTTPPATH_MAX - 4);
		if (c == '%') {
			int r = encoded(p, end, ret->path, &n, &u, err);
			if (r < 0)
				return r;
			p += 2;
			continue;
		}
		if (u.left > 0)
			return refused(err, "not UTF-8");
		if (c == ';' || c == '\\' || c == '#')
			return refused(err, "a `;`, `\\` or `#`");
		if (!unreserved(c) && !strchr("/!$&'()*+,=:@", c))
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "path: octet %#x", c);
		if (c == 0)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "path: a NUL");
		ret->path[n++] = (char)c;
	}
	if (u.left > 0)
		return refused(err, "not UTF-8");
	ret->path[n] = '\0';
	ret->has_query = mark != NULL;
	ret->query = mark ? (struct creel_span){mark + 1, (size_t)(t.p + t.n - mark) - 1}
			  : (struct creel_span){t.p, 0};
	for (size_t i = 0; i < ret->query.n; i++) {
		unsigned char c = (unsigned char)ret->query.p[i];
		if (c <= 0x20 || c >= 0x7f || c == '#')
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "query: octet %#x", c);
	}
	return segments(ret->path, err);
}

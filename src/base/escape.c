#include "base/escape.h"
#include <string.h>

size_t creel_utf8_decode(const uint8_t *p, size_t len, uint32_t *ret_cp)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n;
	uint32_t cp;

	if (len == 0)
		return 0;
	if (p[0] < 0x80) {
		*ret_cp = p[0];
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	cp = p[0] & (0x7f >> n); /* what the lead octet says of the value */
	if (len < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (p[i] & 0x3f);
	}
	if (cp < least[n] || (cp >= 0xd800 && cp <= 0xdfff) || cp > 0x10ffff)
		return 0;
	*ret_cp = cp;
	return n;
}

/* characters that are valid but change how what stands around them is shown */
static bool unseen(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || cp == 0xad || cp == 0x61c ||
	       (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
	       (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff || (cp >= 0xfff9 && cp <= 0xfffb) ||
	       (cp >= 0xe0000 && cp <= 0xe0fff);
}

int creel_escape_term(struct creel_buf *out, const void *data, size_t len, struct creel_err *err)
{
	const uint8_t *p = data;
	int r = 0;

	for (size_t i = 0; i < len && r == 0;) {
		uint32_t cp = 0;
		size_t n = creel_utf8_decode(p + i, len - i, &cp);
		if (n == 0) {
			r = creel_buf_addf(out, err, "\\x%02x", p[i]);
			i++;
			continue;
		}
		if (cp == '\n')
			r = creel_buf_adds(out, "\\n", err);
		else if (cp == '\t')
			r = creel_buf_adds(out, "\\t", err);
		else if (cp == '\r')
			r = creel_buf_adds(out, "\\r", err);
		else if (cp == '\\')
			r = creel_buf_adds(out, "\\\\", err);
		else if (cp < 0x80 && unseen(cp))
			r = creel_buf_addf(out, err, "\\x%02x", cp);
		else if (unseen(cp))
			r = creel_buf_addf(out, err, "\\u{%04x}", cp);
		else
			r = creel_buf_add(out, p + i, n, err);
		i += n;
	}
	return r;
}

/* How many octets from @p p on stand for themselves in a JSON string? */
static size_t plain(const uint8_t *p, size_t len)
{
	size_t n = 0;

	while (n < len && p[n] >= 0x20 && p[n] < 0x7f && p[n] != '"' && p[n] != '\\')
		n++;
	return n;
}

int creel_escape_json(struct creel_buf *out, const void *data, size_t len, struct creel_err *err)
{
	const uint8_t *p = data;
	int r = creel_buf_adds(out, "\"", err);

	for (size_t i = 0; i < len && r == 0;) {
		uint32_t cp = 0;
		size_t n = plain(p + i, len - i);
		if (n > 0) {
			r = creel_buf_add(out, p + i, n, err);
			i += n;
			continue;
		}
		n = creel_utf8_decode(p + i, len - i, &cp);
		if (n == 0) {
			r = creel_buf_adds(out, "\xef\xbf\xbd", err);
			i++;
			continue;
		}
		if (cp == '"' || cp == '\\')
			r = creel_buf_addf(out, err, "\\%c", (int)cp);
		else if (cp == '\n')
			r = creel_buf_adds(out, "\\n", err);
		else if (cp == '\t')
			r = creel_buf_adds(out, "\\t", err);
		else if (unseen(cp) && cp > 0xffff)
			r = creel_buf_addf(out, err, "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10),
					   0xdc00 + ((cp - 0x10000) & 0x3ff));
		else if (unseen(cp))
			r = creel_buf_addf(out, err, "\\u%04x", cp);
		else
			r = creel_buf_add(out, p + i, n, err);
		i += n;
	}
	return r < 0 ? r : creel_buf_adds(out, "\"", err);
}

static bool unreserved(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
	       c == '.' || c == '_' || c == '~';
}

size_t creel_escape_uri(const void *data, size_t len, const char *also, char *out, size_t size)
{
	static const char digits[] = "0123456789ABCDEF";
	const uint8_t *p = data;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t c = p[i];
		bool as_is = unreserved(c) || (c && strchr(also, c));
		if (size - n < (as_is ? 1 : 3))
			break;
		if (as_is) {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '%';
		out[n++] = digits[c >> 4];
		out[n++] = digits[c & 15];
	}
	return n;
}

bool creel_utf8_space(uint32_t cp)
{
	return (cp >= 0x09 && cp <= 0x0d) || cp == ' ' || cp == 0x85 || cp == 0xa0 || cp == 0x1680 ||
	       (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f ||
	       cp == 0x205f || cp == 0x3000;
}

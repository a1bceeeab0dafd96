#include "tok.h"
#include <stdlib.h>
#include <string.h>

static const struct {
	uint32_t from, to;
	int cls;
} gcb[] = {
#include "gcb-table.h"
};
enum { OTHER, CR, LF, CONTROL, EXTEND, ZWJ, PREPEND, SPACING, L, V, T, LV, LVT, FLAG, PICTURE };

static int gcb_of(uint32_t c)
{
	size_t lo = 0, hi = sizeof(gcb) / sizeof(gcb[0]);

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (c > gcb[mid].to)
			lo = mid + 1;
		else if (c < gcb[mid].from)
			hi = mid;
		else
			return gcb[mid].cls;
	}
	return OTHER;
}

/* The length of a sequence by its first octet, and what its second may be (Unicode, table 3-7). */
static unsigned lead(uint8_t c, uint8_t *lo, uint8_t *hi)
{
	*lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	*hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	return c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

void def_utf8_clean(const uint8_t *p, size_t len, struct def_buf *ret)
{
	for (size_t i = 0; i < len;) {
		uint8_t lo, hi;
		unsigned want = lead(p[i], &lo, &hi), n = 1;
		for (; n < want && i + n < len && p[i + n] >= lo && p[i + n] <= hi; n++) {
			lo = 0x80;
			hi = 0xbf;
		}
		if (n == want)
			def_buf_add(ret, p + i, n);
		else
			def_buf_add(ret, "\xef\xbf\xbd", 3);
		i += n;
	}
}

uint32_t def_utf8_at(const uint8_t *p, size_t *ret_len)
{
	*ret_len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	uint32_t c = *ret_len == 1 ? p[0] : p[0] & (0x7fu >> *ret_len);
	for (size_t i = 1; i < *ret_len; i++)
		c = c << 6 | (p[i] & 0x3fu);
	return c;
}

/* GB3 to GB13; @p pic: a pictograph and EXTENDs stand before; @p flags: how many before */
static bool joined(int a, int b, bool pic, unsigned flags)
{
	if (a == CR && b == LF)
		return true;
	if (a == CR || a == LF || a == CONTROL || b == CR || b == LF || b == CONTROL)
		return false;
	if ((a == L && (b == L || b == V || b == LV || b == LVT)) ||
	    ((a == LV || a == V) && (b == V || b == T)) || ((a == LVT || a == T) && b == T))
		return true;
	if (b == EXTEND || b == ZWJ || b == SPACING || a == PREPEND)
		return true;
	return (a == ZWJ && b == PICTURE && pic) || (a == FLAG && b == FLAG && flags % 2 == 1);
}

size_t def_cluster(const uint8_t *p, size_t at, size_t len)
{
	size_t n;
	int a = gcb_of(def_utf8_at(p + at, &n));
	bool pic = a == PICTURE;
	unsigned flags = a == FLAG;

	for (at += n; at < len; at += n) {
		int b = gcb_of(def_utf8_at(p + at, &n));
		if (!joined(a, b, pic, flags))
			break;
		pic = b == PICTURE || (pic && (b == EXTEND || b == ZWJ));
		flags = b == FLAG ? flags + 1 : 0;
		a = b;
	}
	return at;
}

static int base64_value(char c)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(set, c) : NULL;
	return at ? (int)(at - set) : -1;
}

int def_charsmap_load(struct def_charsmap *ret, const char *b, size_t len, struct creel_err *err)
{
	struct def_buf raw = {.mem = &def_mem_libc};
	uint32_t word = 0, size;
	unsigned bits = 0;

	while (len && b[len - 1] == '=')
		len--;
	for (size_t i = 0; i < len; i++) {
		int v = base64_value(b[i]);
		if (v < 0) {
			def_buf_fini(&raw);
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "precompiled_charsmap: not base64");
		}
		word = word << 6 | (uint32_t)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			uint8_t octet = (uint8_t)(word >> bits);
			def_buf_add(&raw, &octet, 1);
		}
	}
	int r = 0;
	if (raw.failed)
		r = creel_err_nomem(err);
	else if (raw.len < 8)
		r = creel_err_set(err, CREEL_E_SYNTAX, 0, "precompiled_charsmap: cut off");
	if (r == 0) {
		memcpy(&size, raw.data, 4); /* little-endian, as the machines that this runs on */
		if (size % 4 != 0 || size < 4 || size > raw.len - 4)
			r = creel_err_set(err, CREEL_E_SYNTAX, 0, "precompiled_charsmap: a wrong length");
	}
	if (r == 0) {
		ret->n_units = size / 4;
		ret->n_texts = raw.len - 4 - size;
		ret->units = malloc(size);
		ret->texts = calloc(1, ret->n_texts + 1);
		if (!ret->units || !ret->texts) {
			r = creel_err_nomem(err);
		} else {
			memcpy(ret->units, raw.data + 4, size);
			memcpy(ret->texts, raw.data + 4 + size, ret->n_texts);
		}
	}
	def_buf_fini(&raw);
	return r;
}

/* The shortest beginning of @p p that the map has decides for all of it: the reference does so. */
static const char *map_find(const struct def_charsmap *m, const uint8_t *p, size_t len)
{
	size_t at = 0;
	uint32_t u = m->units[0];

	at ^= (size_t)(u >> 10) << ((u & (1u << 9)) >> 6);
	for (size_t i = 0; i < len && p[i]; i++) {
		at ^= p[i];
		if (at >= m->n_units)
			return NULL;
		u = m->units[at];
		if ((u & (1u << 31 | 0xff)) != p[i])
			return NULL;
		at ^= (size_t)(u >> 10) << ((u & (1u << 9)) >> 6);
		if (!(u >> 8 & 1))
			continue;
		uint32_t to = at < m->n_units ? m->units[at] & 0x7fffffffu : UINT32_MAX;
		return to <= m->n_texts ? m->texts + to : NULL;
	}
	return NULL;
}

void def_charsmap_apply(const struct def_charsmap *m, const uint8_t *p, size_t len, struct def_buf *ret)
{
	for (size_t at = 0, end; at < len; at = end) {
		end = def_cluster(p, at, len);
		const char *to = end - at < 6 ? map_find(m, p + at, end - at) : NULL;
		if (to) {
			def_buf_add(ret, to, strnlen(to, DEF_TOK_PIECE));
			continue;
		}
		for (size_t k = at, n; k < end; k += n) {
			(void)def_utf8_at(p + k, &n);
			to = map_find(m, p + k, n);
			def_buf_add(ret, to ? to : (const char *)p + k, to ? strnlen(to, DEF_TOK_PIECE) : n);
		}
	}
}

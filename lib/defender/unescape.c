/*
 * The escapes that texts carry inline: terminal sequences (removed), percent-encoding, HTML
 * entities, \n, \uXXXX, \xXX. Every step looks ahead a bounded number of octets, so the cost is
 * linear whatever the input.
 */
#include "find.h"
#include "view.h"
#include <string.h>

static const uint8_t special[256] = {['%'] = 1, ['&'] = 1, ['\\'] = 1, [0x1b] = 1};

static int hex1(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static long hexn(const uint8_t *p, size_t n)
{
	long v = 0;
	for (size_t i = 0; i < n; i++) {
		int h = hex1(p[i]);
		if (h < 0)
			return -1;
		v = v * 16 + h;
	}
	return v;
}

static size_t utf8_put(uint32_t cp, uint8_t out[4])
{
	if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
		cp = 0xfffd;
	if (cp < 0x80) {
		out[0] = (uint8_t)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (uint8_t)(0xc0 | cp >> 6);
		out[1] = (uint8_t)(0x80 | (cp & 63));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (uint8_t)(0xe0 | cp >> 12);
		out[1] = (uint8_t)(0x80 | (cp >> 6 & 63));
		out[2] = (uint8_t)(0x80 | (cp & 63));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | cp >> 18);
	out[1] = (uint8_t)(0x80 | (cp >> 12 & 63));
	out[2] = (uint8_t)(0x80 | (cp >> 6 & 63));
	out[3] = (uint8_t)(0x80 | (cp & 63));
	return 4;
}

#define ANSI_MAX 64
#define OSC_MAX  256

/* A terminal's sequence at p (ECMA-48): CSI ... final, OSC ... BEL or ST, ESC and one octet. */
static size_t ansi_len(const uint8_t *p, size_t len)
{
	size_t i = 2;

	if (len < 2)
		return 1;
	if (p[1] == '[') {
		while (i < len && i < ANSI_MAX && p[i] >= 0x20 && p[i] < 0x40)
			i++;
		return i < len && p[i] >= 0x40 && p[i] < 0x7f ? i + 1 : 1;
	}
	if (p[1] == ']') {
		for (; i < len && i < OSC_MAX; i++) {
			if (p[i] == 7)
				return i + 1;
			if (p[i] == 0x1b && i + 1 < len && p[i + 1] == '\\')
				return i + 2;
		}
		return 1;
	}
	return p[1] >= 0x30 && p[1] < 0x7f ? 2 : 1;
}

static const struct {
	const char *name;
	uint32_t cp;
} entities[] = {
	{"amp", '&'},      {"lt", '<'},       {"gt", '>'},       {"quot", '"'},
	{"apos", '\''},    {"nbsp", ' '},     {"shy", 0xad},     {"zwj", 0x200d},
	{"zwnj", 0x200c},  {"lrm", 0x200e},   {"rlm", 0x200f},   {"colon", ':'},
	{"sol", '/'},      {"lsqb", '['},     {"rsqb", ']'},     {"lbrack", '['},
	{"rbrack", ']'},   {"lpar", '('},     {"rpar", ')'},     {"period", '.'},
	{"comma", ','},    {"Tab", '\t'},     {"NewLine", '\n'}, {"excl", '!'},
	{"num", '#'},      {"vert", '|'},     {"verbar", '|'},   {"lowbar", '_'},
	{"hyphen", '-'},   {"ndash", 0x2013}, {"mdash", 0x2014}, {"hellip", 0x2026},
	{"lsquo", 0x2018}, {"rsquo", 0x2019}, {"ldquo", 0x201c}, {"rdquo", 0x201d},
	{"ensp", ' '},     {"emsp", ' '},     {"thinsp", ' '},   {"ZeroWidthSpace", 0x200b},
};

static size_t entity(const uint8_t *p, size_t len, uint32_t *ret)
{
	size_t i = 1, max = len < 24 ? len : 24;

	if (len > 3 && p[1] == '#') {
		bool hex = (p[2] | 32) == 'x';
		uint32_t v = 0;
		size_t from = i = hex ? 3 : 2;
		for (; i < max && v < 0x110000; i++) {
			int d = hex ? hex1(p[i]) : p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : -1;
			if (d < 0)
				break;
			v = v * (hex ? 16 : 10) + (uint32_t)d;
		}
		if (i == from || v == 0 || v >= 0x110000)
			return 0;
		*ret = v;
		return i < len && p[i] == ';' ? i + 1 : i; /* browsers forgive a missing semicolon */
	}
	while (i < max && ((p[i] | 32) >= 'a' && (p[i] | 32) <= 'z'))
		i++;
	if (i >= len || p[i] != ';')
		return 0;
	for (size_t k = 0; k < sizeof(entities) / sizeof(entities[0]); k++)
		if (strlen(entities[k].name) == i - 1 && memcmp(entities[k].name, p + 1, i - 1) == 0) {
			*ret = entities[k].cp;
			return i + 1;
		}
	return 0;
}

/* After a backslash; 0: it stands for itself. */
static size_t backslash(const uint8_t *p, size_t len, uint32_t *ret)
{
	long v, w;

	if (len < 2)
		return 0;
	switch (p[1]) {
	case 'n':
	case 'r':
		*ret = '\n';
		return 2;
	case 't':
		*ret = '\t';
		return 2;
	case '"':
	case '\\':
	case '/':
	case '\'':
	case '<':
	case '>':
	case '[':
	case ']':
	case '*':
	case '#':
	case '_':
	case '`':
	case '|':
		*ret = p[1];
		return 2;
	case 'x':
		if (len < 4 || (v = hexn(p + 2, 2)) < 0)
			return 0;
		*ret = (uint32_t)v;
		return 4;
	case 'u':
		if (len >= 4 && p[2] == '{') {
			size_t i = 3;
			uint32_t u = 0;
			while (i < len && i < 9 && hex1(p[i]) >= 0)
				u = u * 16 + (uint32_t)hex1(p[i++]);
			*ret = u;
			return i > 3 && i < len && p[i] == '}' ? i + 1 : 0;
		}
		if (len < 6 || (v = hexn(p + 2, 4)) < 0)
			return 0;
		*ret = (uint32_t)v;
		if (v >= 0xd800 && v < 0xdc00 && len >= 12 && p[6] == '\\' && p[7] == 'u' &&
		    (w = hexn(p + 8, 4)) >= 0xdc00 && w < 0xe000) {
			*ret = 0x10000 + ((uint32_t)(v - 0xd800) << 10) + (uint32_t)(w - 0xdc00);
			return 12;
		}
		return 6;
	case 'U':
		if (len < 10 || (v = hexn(p + 2, 8)) < 0)
			return 0;
		*ret = (uint32_t)v;
		return 10;
	default:
		return 0;
	}
}

static size_t escape_at(const uint8_t *p, size_t len, uint8_t out[4], size_t *ret_out)
{
	uint32_t cp = 0;
	size_t n = 0;
	long v;

	switch (p[0]) {
	case 0x1b:
		*ret_out = 0;
		return ansi_len(p, len);
	case '%':
		if (len < 3 || (v = hexn(p + 1, 2)) < 0)
			return 0;
		out[0] = (uint8_t)v; /* an octet of UTF-8, not a character */
		*ret_out = 1;
		return 3;
	case '&':
		n = entity(p, len, &cp);
		break;
	case '\\':
		n = backslash(p, len, &cp);
		break;
	default:
		break;
	}
	if (n > 0)
		*ret_out = utf8_put(cp, out);
	return n;
}

/* An escape: where it is, how long, and what it stands for. */
struct escape {
	size_t at, len; /* at the text's end: none */
	uint8_t out[4];
	size_t n_out;
};

/* The next escape from @p i on, of a text of @p len octets. */
static struct escape escape_next(struct def_known *known, const uint8_t *in, size_t i, size_t len)
{
	struct escape e = {.at = len};

	for (; (i = def_find_escape(known, in, i, len)) < len; i++) {
		if (!special[in[i]])
			continue;
		e.len = escape_at(in + i, len - i, e.out, &e.n_out);
		if (e.len > 0) {
			e.at = i;
			break;
		}
	}
	return e;
}

/* May @p c, which an escape stood for, begin another with what stands behind it, or with what that stands for? */
static bool may_escape(uint8_t c, const uint8_t *next, size_t len)
{
	if (c == 0x1b)
		return true;
	if (len == 0)
		return false;
	if (c == '\\')
		return memchr("ntrux\\\"U", next[0], 8) != NULL;
	if (c == '%')
		return hex1(next[0]) >= 0 || special[next[0]];
	return (uint8_t)((next[0] | 32) - 'a') < 26 || next[0] == '#' || special[next[0]];
}

void def_unescape(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts)
{
	struct def_facts *f = facts;
	struct def_known known = {0};

	for (size_t i = 0; i < len && !def_done(s, 0);) {
		const struct def_mark *mark = s->out ? NULL : def_jump(s, i);
		if (mark)
			i = mark->in;
		else if (s->at >= def_mark_due(s))
			def_mark(s, i, s->at, 0);
		const struct escape e = escape_next(&known, in, i, len);
		def_put_run(s, in + i, e.at - i, i);
		if (e.at == len)
			break;
		i = e.at + e.len;
		def_put(s, e.out, e.n_out, e.at, i);
		if (f)
			f->again |= e.n_out == 1 && special[e.out[0]] &&
				    may_escape(e.out[0], in + i, len - i);
	}
}

bool def_escapes(const uint8_t *in, size_t len)
{
	struct def_known known = {0};

	return escape_next(&known, in, 0, len).at < len;
}

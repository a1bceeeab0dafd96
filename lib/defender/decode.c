/* What hides a whole text: base64, hexadecimal, quoted-printable, invisible tags, rot13, reversal. */
#include "base/cleanup.h"
#include "base/escape.h"
#include "find.h"
#include "tree.h"
#include "view.h"
#include <string.h>

#define QP_NEAR 400 /* octets in which five marks of quoted-printable stand, or it is none */

/* 1 + the value of a digit of base64, of either alphabet. */
static const uint8_t b64_of[256] = {
#define D(c, v) [c] = (v) + 1
	D('A', 0),  D('B', 1),  D('C', 2),  D('D', 3),  D('E', 4),  D('F', 5),  D('G', 6),  D('H', 7),
	D('I', 8),  D('J', 9),  D('K', 10), D('L', 11), D('M', 12), D('N', 13), D('O', 14), D('P', 15),
	D('Q', 16), D('R', 17), D('S', 18), D('T', 19), D('U', 20), D('V', 21), D('W', 22), D('X', 23),
	D('Y', 24), D('Z', 25), D('a', 26), D('b', 27), D('c', 28), D('d', 29), D('e', 30), D('f', 31),
	D('g', 32), D('h', 33), D('i', 34), D('j', 35), D('k', 36), D('l', 37), D('m', 38), D('n', 39),
	D('o', 40), D('p', 41), D('q', 42), D('r', 43), D('s', 44), D('t', 45), D('u', 46), D('v', 47),
	D('w', 48), D('x', 49), D('y', 50), D('z', 51), D('0', 52), D('1', 53), D('2', 54), D('3', 55),
	D('4', 56), D('5', 57), D('6', 58), D('7', 59), D('8', 60), D('9', 61), D('+', 62), D('-', 62),
	D('/', 63), D('_', 63),
#undef D
};

static int b64(uint8_t c)
{
	return (int)b64_of[c] - 1;
}

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What an octet is a digit of. */
enum { IS_B64 = 1, IS_HEX = 2, BOTH = IS_B64 | IS_HEX };
static const uint8_t run_cls[256] = {
	['A' ... 'F'] = BOTH,   ['G' ... 'Z'] = IS_B64, ['a' ... 'f'] = BOTH,
	['g' ... 'z'] = IS_B64, ['0' ... '9'] = BOTH,   ['+'] = IS_B64,
	['-'] = IS_B64,         ['/'] = IS_B64,         ['_'] = IS_B64,
};

static bool is_b64(uint8_t c)
{
	return run_cls[c] & IS_B64;
}

static bool is_hex(uint8_t c)
{
	return run_cls[c] & IS_HEX;
}

/* Whatever an encoded run yields comes from the whole run: a part of it cannot be taken out. */
void def_base64(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts)
{
	uint32_t acc = 0;
	unsigned bits = 0;

	for (size_t i = arg->from; i < arg->to; i++) {
		int v = b64(in[i]);
		if (v < 0)
			continue;
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			uint8_t c = (uint8_t)(acc >> bits);
			def_put(s, &c, 1, arg->from, arg->to);
		}
	}
}

void def_hex(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts)
{
	int high = -1;

	for (size_t i = arg->from; i < arg->to; i++) {
		int v = hex(in[i]);
		if (v < 0)
			continue;
		if (high < 0) {
			high = v;
			continue;
		}
		uint8_t c = (uint8_t)(high << 4 | v);
		def_put(s, &c, 1, arg->from, arg->to);
		high = -1;
	}
}

static bool hex_run(const uint8_t *in, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (!is_hex(in[i]))
			return false;
	return (to - from) % 2 == 0;
}

static size_t line_end(const uint8_t *in, size_t i, size_t len)
{
	while (i < len && (in[i] == '\r' || in[i] == '\n' || in[i] == ' ' || in[i] == '\t'))
		i++;
	return i;
}

#define LOOK 12 /* octets that are looked at before a run is decoded */

/*
 * May what a run of base64 begins with be text? Names and paths are such runs too, and theirs is none at once.
 * As def_texty() counts: a sixteenth of what is decoded may be no text.
 */
static bool may_be_text(const uint8_t *in, size_t from, size_t to)
{
	size_t most = MIN(to - from, (size_t)DEF_HEAD) * 6 / 8, bad = 0, n = 0;
	uint8_t out[LOOK + 3] = {0};

	for (; n < LOOK && to - from >= 4; n += 3, from += 4) {
		int v[4] = {b64(in[from]), b64(in[from + 1]), b64(in[from + 2]), b64(in[from + 3])};
		if ((v[0] | v[1] | v[2] | v[3]) < 0) /* a line's end */
			break;
		out[n] = (uint8_t)(v[0] << 2 | v[1] >> 4);
		out[n + 1] = (uint8_t)(v[1] << 4 | v[2] >> 2);
		out[n + 2] = (uint8_t)(v[2] << 6 | v[3]);
	}
	for (size_t i = 0; i < n && bad * 16 <= most;) {
		size_t text = def_text_at(out + i, n - i, true); /* what is not there yet is taken for good */
		bad += text == 0;
		i += text ? text : 1;
	}
	return bad * 16 <= most;
}

typedef int run_each(void *ctx, def_transform fn, const char *via, size_t from, size_t to);

/* One line's run; hexadecimal is base64 by its letters too, so it is asked first. */
static int run_one(const uint8_t *in, size_t from, size_t to, run_each *each, void *ctx)
{
	size_t a = from;

	if (to - from < DEF_RUN_MIN)
		return 0;
	if (hex_run(in, from, to))
		return each(ctx, def_hex, "hex", from, to);
	/* a path or a URL before it: what stands after the last '/' or '=' is tried alone as well */
	int r = may_be_text(in, from, to) ? each(ctx, def_base64, "base64", from, to) : 0;
	if (r != 0)
		return r < 0 ? r : 0;
	for (size_t i = from; i < to; i++)
		if (in[i] == '/' || in[i] == '-' || in[i] == '_' || in[i] == '+')
			a = i + 1;
	if (a > from && to - a >= DEF_RUN_MIN && may_be_text(in, a, to))
		r = each(ctx, def_base64, "base64", a, to);
	return r < 0 ? r : 0;
}

/* "69 67 6e", "69:67:6e", "0x69, 0x67": pairs with a short separator; where they end */
static size_t hex_pairs(const uint8_t *in, size_t i, size_t len, size_t *ret_pairs)
{
	size_t end = i, pairs = 0;

	while (i + 1 < len) {
		if (in[i] == '0' && (in[i + 1] | 32) == 'x' && i + 3 < len)
			i += 2;
		if (i + 1 >= len || !is_hex(in[i]) || !is_hex(in[i + 1]) ||
		    (i + 2 < len && is_hex(in[i + 2])))
			break;
		i += 2;
		pairs++;
		end = i;
		size_t k = 0;
		while (k < 2 && i < len && (in[i] == ' ' || in[i] == ':' || in[i] == ',' || in[i] == '\n')) {
			i++;
			k++;
		}
		if (k == 0)
			break;
	}
	*ret_pairs = pairs;
	return end;
}

int def_runs(const uint8_t *in, size_t len, run_each *each, void *ctx)
{
	struct def_known known = {0};

	for (size_t i = 0; i < len;) {
		if (i == 0 || !is_b64(in[i - 1])) { /* where a run may begin: does a long one? */
			size_t next = def_find_run(&known, in, i, len);
			if (next > i) {
				i = next;
				continue;
			}
		}
		if (!is_b64(in[i])) {
			i++;
			continue;
		}
		size_t pairs = 0, end = i, from = i, first, second = 0, to, lines = 1, chars;
		if (i + 2 < len && (!is_hex(in[i + 2]) || in[i + 1] == 'x') && (i == 0 || !is_b64(in[i - 1])))
			end = hex_pairs(in, i, len, &pairs);
		if (pairs >= DEF_RUN_MIN / 2) {
			int r = each(ctx, def_hex, "hex", i, end);
			if (r < 0)
				return r;
			i = end;
			continue;
		}
		while (i < len && is_b64(in[i]))
			i++;
		first = to = i;
		chars = to - from;
		/* a run that fills its line goes on in the next one */
		while (chars >= 4 && i < len) {
			size_t next = line_end(in, i, len), k = next;
			if (next == i || memchr(in + i, '\n', next - i) == NULL)
				break;
			while (k < len && is_b64(in[k]))
				k++;
			if (k - next < 4)
				break;
			/* the line must be nothing else */
			if (k < len && in[k] != '\n' && in[k] != '\r' && in[k] != '=' && in[k] != '"')
				break;
			chars += k - next;
			to = i = k;
			second = lines++ == 1 ? next : second;
		}
		while (i < len && in[i] == '=')
			i++;
		if (chars < DEF_RUN_MIN)
			continue;
		int r = lines > 1 && may_be_text(in, from, to) ? each(ctx, def_base64, "base64", from, to)
							       : 0;
		/* what seems to be its first line may be the last word of what stands before */
		if (r == 0 && lines > 2 && may_be_text(in, second, to)) {
			r = each(ctx, def_base64, "base64", second, to);
			int one = r > 0 ? run_one(in, from, first, each, ctx) : 0;
			r = one < 0 ? one : r;
		}
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		for (size_t a = from; a < to;) { /* each line alone */
			size_t b = a;
			while (b < to && is_b64(in[b]))
				b++;
			r = run_one(in, a, b, each, ctx);
			if (r < 0)
				return r;
			a = line_end(in, b, to);
			if (a == b)
				a++;
		}
	}
	return 0;
}

bool def_is_qp(const uint8_t *in, size_t len)
{
	size_t marks[4] = {0}, n = 0; /* where the last ones were */

	for (const uint8_t *p = in, *end = in + len; end - p >= 3; p++) {
		p = memchr(p, '=', (size_t)(end - p));
		if (!p || end - p < 3)
			break;
		if (!((hex(p[1]) >= 0 && hex(p[2]) >= 0 && p[1] < 'a' && p[2] < 'a') || p[1] == '\n' ||
		      (p[1] == '\r' && p[2] == '\n')))
			continue;
		size_t at = (size_t)(p - in);
		if (n >= 4 && at - marks[n % 4] < QP_NEAR)
			return true;
		marks[n++ % 4] = at;
	}
	return n >= 4 && len < QP_NEAR;
}

void def_qp(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts)
{
	for (size_t i = 0; i < len;) {
		size_t from = i;
		while (i < len && in[i] != '=')
			i++;
		def_put_run(s, in + from, i - from, from);
		if (i == len)
			break;
		if (i + 2 < len && hex(in[i + 1]) >= 0 && hex(in[i + 2]) >= 0) {
			uint8_t c = (uint8_t)(hex(in[i + 1]) << 4 | hex(in[i + 2]));
			def_put(s, &c, 1, i, i + 3);
			i += 3;
		} else if (i + 1 < len && in[i + 1] == '\n') {
			i += 2;
		} else if (i + 2 < len && in[i + 1] == '\r' && in[i + 2] == '\n') {
			i += 3;
		} else {
			def_put_run(s, "=", 1, i++);
		}
	}
}

/* Tag characters spell ASCII that no screen shows. */
void def_tags(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts)
{
	for (size_t i = 0; i + 3 < len; i++) {
		if (in[i] != 0xf3 || in[i + 1] != 0xa0 || (in[i + 2] & 0xfe) != 0x80)
			continue;
		uint8_t c = (uint8_t)((in[i + 2] & 1) << 6 | (in[i + 3] & 63));
		def_put(s, &c, 1, i, i + 4);
		i += 3;
	}
}

/* Variation selectors 1 to 256 carry an octet each behind some harmless character. */
void def_selectors(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts)
{
	for (size_t i = 0; i + 2 < len;) {
		uint32_t cp = 0;
		size_t n = in[i] == 0xef || in[i] == 0xf3 ? creel_utf8_decode(in + i, len - i, &cp) : 0;
		uint8_t c = cp >= 0xfe00 && cp < 0xfe10     ? (uint8_t)(cp - 0xfe00)
			    : cp >= 0xe0100 && cp < 0xe01f0 ? (uint8_t)(cp - 0xe0100 + 16)
							    : 0;
		if (n && (cp >> 8 == 0xfe || cp >> 8 == 0xe01))
			def_put(s, &c, 1, i, i + n);
		i += n ? n : 1;
	}
}

void def_rot13(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts)
{
	uint8_t block[256];

	for (size_t i = 0; i < len;) {
		size_t n = len - i < sizeof(block) ? len - i : sizeof(block);
		for (size_t k = 0; k < n; k++) {
			uint8_t c = in[i + k];
			block[k] = (uint8_t)(c - 'a') < 26 ? (uint8_t)('a' + (c - 'a' + 13) % 26) : c;
		}
		def_put_run(s, block, n, i);
		i += n;
	}
}

void def_reverse(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts)
{
	for (size_t i = len; i > 0;) {
		size_t to = i--;
		while (i > 0 && to - i < 4 && (in[i] & 0xc0) == 0x80)
			i--;
		def_put(s, in + i, to - i, i, to);
	}
}

#define TAG_MAX     48
#define COMMENT_MAX 128

/* Markup that stands inside a word at i: its length, 0 when it is none. */
static size_t markup(const uint8_t *in, size_t i, size_t len)
{
	size_t from = i;

	if (in[i] == '<') {
		bool comment = len - i > 4 && memcmp(in + i, "<!--", 4) == 0;
		size_t max = comment ? COMMENT_MAX : TAG_MAX;
		while (i < len && i - from < max &&
		       (in[i] != '>' || (comment && (i - from < 6 || in[i - 1] != '-'))))
			i++;
		return i < len && i - from < max ? i + 1 - from : 0;
	}
	while (i < len && i - from < 3 && (in[i] == '*' || in[i] == '`' || in[i] == '~'))
		i++;
	return i - from;
}

#define GLUE_NEAR 192 /* octets on either side that are read with it */

static bool is_mark(uint8_t c)
{
	return c == '<' || c == '*' || c == '`' || c == '~';
}

/* The next mark from @p i on, as def_find_mark() has it; near the text's end also one before a blank. */
static size_t mark_next(struct def_known *known, const uint8_t *in, size_t i, size_t len)
{
	i = def_find_mark(known, in, i, len);
	while (i < len && (!is_mark(in[i]) || in[i - 1] <= ' ' || in[i - 1] == '>'))
		i++;
	return i;
}

/* Markup before a character that is no blank, at i: its length, else 0. */
static size_t glue_at(const uint8_t *in, size_t i, size_t len)
{
	size_t end = i, n;

	while (end < len && end - i < COMMENT_MAX && (n = markup(in, end, len)) > 0)
		end += n;
	return end > i && end < len && in[end] > ' ' ? end - i : 0;
}

static bool in_word(uint8_t c)
{
	return (uint8_t)((c | 32) - 'a') < 26 || (uint8_t)(c - '0') < 10 || c >= 0x80 || c == '\'';
}

/* Does it change the words that the @p n octets of markup at @p i go? */
static bool joins(const uint8_t *in, size_t i, size_t n)
{
	return (in_word(in[i - 1]) && in_word(in[i + n])) || memchr(in + i, '<', n);
}

/*
 * The text without the markup that takes words apart: ig<b></b>nore, ig**no**re; and only what stands
 * near such places, each stretch on a line of its own. Such places are those that change words, and those that put
 * side by side what arg->beside has.
 */
void def_glue(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts)
{
	struct def_facts *f = facts;
	struct def_known known = {0};
	size_t done = 0, until = 0; /* put so far; to be put because of the last place */

	for (size_t i = 1; (i = mark_next(&known, in, i, len)) < len; i++) {
		if (def_done(s, 0))
			return;
		const struct def_mark *mark = !s->out ? def_jump(s, i) : NULL;
		if (mark) { /* where a stretch begins, of which nothing is put */
			i = mark->in;
			done = until = i > GLUE_NEAR ? i - GLUE_NEAR : 0;
		}
		size_t n = glue_at(in, i, len);
		if (n == 0)
			continue;
		bool change = joins(in, i, n);
		if (f)
			f->joins |= change;
		if (!change && i >= until &&
		    !(arg->beside && tree_has(arg->beside->pairs[in[i - 1]], in[i + n]))) {
			i += n - 1;
			continue;
		}
		size_t from = i > GLUE_NEAR ? i - GLUE_NEAR : 0;
		if (from > until) { /* a stretch of its own */
			if (until > done)
				def_put_run(s, in + done, until - done, done);
			if (until > 0)
				def_put(s, "\n", 1, until - 1, until);
			done = from;
			if (s->at >= def_mark_due(s))
				def_mark(s, i, s->at, 0);
		}
		def_put_run(s, in + done, i - done, done);
		done = i + n;
		until = len - done > GLUE_NEAR ? done + GLUE_NEAR : len;
		i = done - 1;
	}
	if (until > done)
		def_put_run(s, in + done, until - done, done);
}

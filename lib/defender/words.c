/*
 * From the folded text to its words: letters and digits, one blank between, one at both ends; and
 * the two readings of words that somebody took apart: letter by letter ("i g n o r e", "i.g.n") and
 * with digits in the place of letters.
 */
#include "base/cleanup.h"
#include "base/escape.h"
#include "find.h"
#include "foldtab.h"
#include "view.h"
#include "wide.h"
#include <assert.h>

enum { W_SEP = 0, W_WORD, W_NONE, W_HIGH };
static const uint8_t cls[256] = {
	['\''] = W_NONE, /* don't: one word */
#define D(c) [c] = W_WORD
	D('0'),
	D('1'),
	D('2'),
	D('3'),
	D('4'),
	D('5'),
	D('6'),
	D('7'),
	D('8'),
	D('9'),
	D('a'),
	D('b'),
	D('c'),
	D('d'),
	D('e'),
	D('f'),
	D('g'),
	D('h'),
	D('i'),
	D('j'),
	D('k'),
	D('l'),
	D('m'),
	D('n'),
	D('o'),
	D('p'),
	D('q'),
	D('r'),
	D('s'),
	D('t'),
	D('u'),
	D('v'),
	D('w'),
	D('x'),
	D('y'),
	D('z'),
#undef D
	[0xc2 ... 0xf4] = W_HIGH,
};

#define SPLIT_MIN 5 /* single letters in a row that make a word taken apart */

struct words {
	struct def_sink *s;
	struct def_facts *f;
	bool blank;       /* a separator was put last */
	bool only_blanks; /* and nothing but blanks stood there */
	bool cjk;         /* the last character was */
};

static void sep(struct words *w, size_t at, bool blank)
{
	if (!w->blank) {
		def_put(w->s, " ", 1, at, at + 1);
		w->blank = true;
		w->only_blanks = true;
	}
	w->only_blanks &= blank;
}

/* Scripts without blanks stay without: one between two of their characters goes. */
static void begin(struct words *w, bool cjk)
{
	if (w->blank && w->only_blanks && w->cjk && cjk)
		def_rewind(w->s, w->s->at - 1);
	w->blank = false;
	w->cjk = cjk;
}

static const uint8_t leet_as[256] = {['0'] = 'o', ['1'] = 'i', ['2'] = '2', ['3'] = 'e', ['4'] = 'a',
				     ['5'] = 's', ['6'] = '6', ['7'] = 't', ['8'] = 'b', ['9'] = 'g',
				     ['@'] = 'a', ['$'] = 's', ['!'] = 'i', ['|'] = 'l', ['+'] = 't'};

static bool letter(uint8_t c)
{
	return (uint8_t)(c - 'a') < 26;
}

static bool leet_digit(uint8_t c)
{
	return leet_as[c] != 0;
}

/* Does it stand for another octet, or only for itself? */
static bool leet_changes(uint8_t c)
{
	return leet_as[c] != 0 && leet_as[c] != c;
}

/* A digit between letters, as in l3tter, that is read as a letter. Two are enough to know. */
static size_t digits_in_words(const uint8_t *in, size_t len)
{
	struct def_known known = {0};
	size_t n = 0;

	for (size_t i = 1; n < 2 && (i = def_find_changed(&known, in, i, len)) + 1 < len; i++)
		n += leet_changes(in[i]) && in[i] != '|' && in[i] != '+' && letter(in[i - 1]) &&
		     letter(in[i + 1]);
	return n;
}

/* A stretch of single letters: blanks at every second octet (of letters that are one octet). */
static bool splits_in(const uint8_t *w, size_t len)
{
	size_t i = 0;

	for (; i + WIDE + 2 * SPLIT_MIN <= len; i += WIDE) {
		wide v = wide_is(wide_load(w + i), ' ') & wide_is(wide_load(w + i + 2), ' ');
		if (wide_mask(v) == 0)
			continue;
		for (size_t k = 4; k <= 2 * SPLIT_MIN; k += 2)
			v &= wide_is(wide_load(w + i + k), ' ');
		if (wide_mask(v))
			return true;
	}
	for (; i + 2 * SPLIT_MIN < len; i++) {
		size_t k = 0;
		while (k <= 2 * SPLIT_MIN && w[i + k] == ' ')
			k += 2;
		if (k > 2 * SPLIT_MIN)
			return true;
	}
	return false;
}

/* Are the separators before @p end, back to a word or to @p from, nothing but blanks? */
static bool only_blanks(const struct words *w, const uint8_t *in, size_t from, size_t end)
{
	bool only = true;

	while (end > from && cls[in[end - 1]] != W_WORD) {
		uint8_t c = in[--end];
		only = only && (cls[c] == W_NONE || c == ' ' || c == '\n');
	}
	return only && (end > from || w->only_blanks || !w->blank);
}

/*
 * Of sixteen octets those up to the first that is something else than words and separators, put at @p out.
 * @p blank says whether a blank was put last, before and after.
 * @return how many were put
 */
WIDE_BODY unsigned sixteen(const uint8_t *in, bool *blank, uint8_t *out, unsigned *ret_used, bool fast)
{
	wide v = wide_load(in), word = wide_range(v, 'a', 'z') | wide_range(v, '0', '9');
	unsigned is = wide_mask(word), keep = (is | (is << 1 | !*blank)) & 0xffff, used = WIDE;
	unsigned other = wide_mask(v | wide_is(v, '\''));

	v = (v & word) | (wide_all(' ') & ~word);
	if (other) { /* not in all cases: the next sixteen need not wait for these */
		used = (unsigned)__builtin_ctz(other);
		keep &= (1u << used) - 1;
		*blank = used > 0 ? !(is >> (used - 1) & 1) : *blank;
	} else {
		*blank = !(is >> (WIDE - 1));
	}
	*ret_used = used;
	return fast ? wide_pack_fast(out, v, keep) : wide_pack_plain(out, v, keep);
}

/* As sixteen(), of a block. @return how many were put; -1: there is something else in it */
WIDE_BODY int block_words(const uint8_t *in, bool *blank, uint8_t *out, bool fast)
{
	uint64_t is = 0;
	wide to[WIDE_BLOCK / WIDE], other = {0};
	uint8_t *first = out;

	if (fast) {
		wide_two others = {0};
		for (unsigned k = 0; k < WIDE_BLOCK; k += sizeof(others)) {
			wide_two v;
			memcpy(&v, in + k, sizeof(v));
			wide_two word = WIDE_RANGE(v, 'a', 'z') | WIDE_RANGE(v, '0', '9');
			is |= (uint64_t)wide_two_mask(&word) << k;
			others |= v | WIDE_IS(v, '\'');
			v = (v & word) | (~word & ' ');
			memcpy(&to[k / WIDE], &v, sizeof(v));
		}
		if (wide_two_mask(&others))
			return -1;
	}
	for (unsigned k = 0; !fast && k < WIDE_BLOCK / WIDE; k++) {
		wide v = wide_load(in + k * WIDE), word = wide_range(v, 'a', 'z') | wide_range(v, '0', '9');
		is |= (uint64_t)wide_mask(word) << k * WIDE;
		other |= v | wide_is(v, '\'');
		to[k] = (v & word) | (wide_all(' ') & ~word);
	}
	if (wide_mask(other))
		return -1;
	uint64_t keep = is | is << 1 | !*blank;
	for (unsigned k = 0; k < WIDE_BLOCK / WIDE; k++) {
		unsigned some = (unsigned)(keep >> k * WIDE) & 0xffff;
		out += fast ? wide_pack_fast(out, to[k], some) : wide_pack_plain(out, to[k], some);
	}
	*blank = !(is >> 63);
	return (int)(out - first);
}

/* Up to the next character beyond ASCII, one octet at least; only where no map of places is asked for. */
WIDE_BODY size_t ascii_words(struct words *w, const uint8_t *in, size_t i, size_t len, bool fast)
{
	struct def_buf *b = w->s->out;
	size_t from = i;
	bool blank = w->blank, any = false;

	def_buf_more(b, len - i + 2 * WIDE);
	if (b->failed)
		return len;
	uint8_t *out = b->data + b->len, *first = out;
	size_t due = def_mark_due(w->s), block = i; /* the next one is tried here */
	while (i < len && cls[in[i]] != W_HIGH) {
		int all = i >= block && len - i >= WIDE_BLOCK ? block_words(in + i, &blank, out, fast) : -1;
		unsigned used = WIDE_BLOCK, n = (unsigned)all;
		if (all < 0) {
			block = i >= block ? i + WIDE_BLOCK : block;
			used = 0;
			n = len - i >= WIDE ? sixteen(in + i, &blank, out, &used, fast) : 0;
		}
		if (used > 0) { /* nothing is put of separators behind one */
			out += n;
			i += used;
			size_t at = w->s->at + (size_t)(out - first);
			if (at >= due && !blank) { /* within a word nothing else is known */
				def_mark(w->s, i, at, 0);
				due = at + DEF_MARK_EVERY;
			}
			continue;
		}
		for (size_t end = len - i >= WIDE ? i + 1 : len; i < end && cls[in[i]] != W_HIGH; i++) {
			uint8_t k = cls[in[i]];
			if (k == W_NONE || (k == W_SEP && blank))
				continue;
			*out++ = k == W_WORD ? in[i] : ' ';
			blank = k != W_WORD;
		}
	}
	for (const uint8_t *p = first; p < out && p < first + 2; p++)
		any |= *p != ' '; /* a blank is never behind a blank */
	b->len += (size_t)(out - first);
	w->s->at += (size_t)(out - first);
	w->only_blanks = cls[in[i - 1]] != W_WORD && only_blanks(w, in, from, i);
	w->blank = blank;
	w->cjk = any ? false : w->cjk;
	return i;
}

WIDE_FAST static size_t ascii_fast(struct words *w, const uint8_t *in, size_t i, size_t len)
{
	return ascii_words(w, in, i, len, true);
}

static size_t ascii_plain(struct words *w, const uint8_t *in, size_t i, size_t len)
{
	return ascii_words(w, in, i, len, false);
}

/* In mapping mode, as long as nothing near is wanted: ASCII, sixteen octets at once. @return where it ends */
static size_t skip_words(struct words *w, const uint8_t *in, size_t i, size_t len)
{
	const struct words first = *w;
	struct def_sink *s = w->s;
	uint8_t out[2 * WIDE];
	size_t from = i, put = 0;

	if (s->next == s->n_want || s->want[s->next] < 4 * WIDE)
		return i;
	while (len - i >= WIDE && s->at + put < s->want[s->next] - 4 * WIDE) {
		bool blank = w->blank;
		unsigned used, n = sixteen(in + i, &blank, out, &used, false);
		if (used < WIDE)
			break;
		put += n;
		i += WIDE;
		w->blank = blank;
		if (n > 1 || (n == 1 && !w->blank))
			w->cjk = false;
	}
	s->at += put;
	if (i > from)
		w->only_blanks = cls[in[i - 1]] != W_WORD && only_blanks(&first, in, from, i);
	return i;
}

void def_words(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts)
{
	struct words w = {.s = s, .f = facts};
	const bool fast = wide_fast();
	size_t first = s->out ? s->out->len : 0, cjk_singles = 0;

	def_put(s, " ", 1, 0, len ? 1 : 0);
	w.blank = true;
	for (size_t i = 0; i < len;) {
		uint8_t k = cls[in[i]];
		if (k == W_HIGH) {
			uint32_t cp = 0;
			size_t n = creel_utf8_decode(in + i, len - i, &cp);
			const struct fold_row *row = n ? fold_row_of(cp) : NULL;
			if (row && (row->cls == FOLD_WORD || row->cls == FOLD_CJK)) {
				cjk_singles += w.blank;
				begin(&w, row->cls == FOLD_CJK);
				def_put_run(s, in + i, n, i);
			} else if (cp != 0x2019) { /* an apostrophe too */
				sep(&w, i, false);
			}
			i += n ? n : 1;
		} else if (s->out) {
			i = fast ? ascii_fast(&w, in, i, len) : ascii_plain(&w, in, i, len);
		} else {
			const struct def_mark *mark = def_jump(s, i);
			size_t next = mark ? mark->in : skip_words(&w, in, i, len);
			if (mark)
				w.blank = w.cjk = false;
			if (next > i) {
				i = next;
				continue;
			}
			if (def_done(s, 1)) /* one octet at most is taken back */
				return;
			if (k == W_WORD) {
				begin(&w, false);
				def_put_run(s, in + i, 1, i);
			} else if (k == W_SEP) {
				sep(&w, i, in[i] == ' ' || in[i] == '\n');
			}
			i++;
		}
	}
	if (!w.blank)
		def_put(s, " ", 1, len ? len - 1 : 0, len);
	if (w.f && !s->out->failed) {
		w.f->splits = splits_in(s->out->data + first, s->out->len - first);
		w.f->splits += cjk_singles >= SPLIT_MIN;
		w.f->leets = digits_in_words(in, len);
	}
}

#define LEET_LONG 24 /* octets of a word that somebody may read */

/* A word in which something stands for a letter: l3tter, pr3v10us, p@ss; and no number, no hash, no e2e. */
static bool leet_word(const uint8_t *p, size_t n)
{
	bool hash = n >= 6, found = false;

	if (n > LEET_LONG)
		return false;
	for (size_t i = 0; i < n; i++) {
		hash = hash && ((uint8_t)(p[i] - '0') < 10 || (uint8_t)(p[i] - 'a') < 6);
		if (i > 0 && letter(p[i - 1]) && leet_digit(p[i]))
			found = found || (i + 1 < n && letter(p[i + 1]) && leet_changes(p[i])) ||
				(i + 2 < n && leet_digit(p[i + 1]) && letter(p[i + 2]) &&
				 (leet_changes(p[i]) || leet_changes(p[i + 1])));
	}
	return found && !hash;
}

#define LEET_NEAR 8 /* words on either side that are read with one */

/* One word, read as letters. */
static void leet_put(struct def_sink *s, const uint8_t *in, size_t from, size_t to, int mode)
{
	uint8_t block[64];
	size_t n = 0;
	bool letters = false;

	/* '!' and '|' at a word's end are what they seem */
	while (to > from && (in[to - 1] == '!' || in[to - 1] == '|'))
		to--;
	for (size_t k = from; k < to; k++)
		letters |= letter(in[k]);
	for (size_t k = from; k < to; k++) {
		uint8_t c = letters && leet_as[in[k]] ? leet_as[in[k]] : in[k];
		if (in[k] == '1' && letters && mode == 1)
			c = 'l';
		if (n == sizeof(block) || cls[c] == W_SEP || c == '\'') {
			def_put_run(s, block, n, k - n);
			n = 0;
		}
		if (cls[c] != W_SEP && c != '\'')
			block[n++] = c;
	}
	def_put_run(s, block, n, to - n);
	def_put(s, " ", 1, to - (to > from), to + (to == from));
}

#define LEET_SPAN 160 /* and octets at most */

static bool leet_octet(uint8_t c)
{
	return cls[c] == W_WORD || leet_digit(c) || c >= 0x80 || c == '\'';
}

/* Words from i on: where @p words of them end. */
static size_t words_after(const uint8_t *in, size_t i, size_t len, unsigned words)
{
	size_t end = len - i > LEET_SPAN ? i + LEET_SPAN : len;

	while (words-- > 0 && i < end) {
		while (i < end && !leet_octet(in[i]))
			i++;
		while (i < end && leet_octet(in[i]))
			i++;
	}
	return i;
}

/* The next digit behind a letter and before one, or before another digit and that; @p len - 1 or more: none. */
static size_t leet_find(struct def_known *known, const uint8_t *in, size_t i, size_t len)
{
	i = def_find_leet(known, in, i, len);
	while (i + 1 < len &&
	       (!leet_digit(in[i]) || !letter(in[i - 1]) ||
		!(letter(in[i + 1]) || (i + 2 < len && leet_digit(in[i + 1]) && letter(in[i + 2])))))
		i++;
	return i;
}

/*
 * The words near those that leet_word() knows, each read as letters; two blanks where some are left out. With
 * arg->mode 1 a 1 is an l and no i: only where there is one, from arg->from on and before arg->to, which mode 0 has
 * put into the facts.
 */
void def_leet(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts)
{
	struct def_facts *f = facts;
	struct def_known known = {0};
	size_t done = 0, end = arg->mode == 1 ? MIN(len, arg->to) : len;

	def_put(s, " ", 1, 0, len ? 1 : 0);
	for (size_t i = MAX(arg->from, (size_t)1); (i = leet_find(&known, in, i, end)) + 1 < end; i++) {
		size_t a = i, b, least = i > done + LEET_SPAN ? i - LEET_SPAN : done;
		while (a > least && i - a <= LEET_LONG && leet_octet(in[a - 1]))
			a--;
		size_t word = words_after(in, i, len, 1);
		if (!leet_word(in + a, word - a)) {
			i = word - 1; /* its other digits are those of the same word */
			continue;
		}
		for (unsigned words = 0; words < LEET_NEAR && a > least; words++) {
			while (a > least && !leet_octet(in[a - 1]))
				a--;
			while (a > least && leet_octet(in[a - 1]))
				a--;
		}
		b = words_after(in, word, len, LEET_NEAR);
		bool ones = memchr(in + a, '1', b - a) != NULL;
		if (arg->mode == 1 && !ones) { /* read so already */
			i = word - 1;
			continue;
		}
		if (f && ones) {
			f->ones_from = f->ones_to ? f->ones_from : i;
			f->ones_to = b;
		}
		if (a > done)
			def_put(s, " ", 1, a, a + 1);
		while (a < b) {
			size_t from = a;
			while (a < b && leet_octet(in[a]))
				a++;
			if (a > from)
				leet_put(s, in, from, a, arg->mode);
			while (a < b && !leet_octet(in[a]))
				a++;
		}
		done = i = b;
	}
}

/* One character's length in a words view (valid UTF-8). */
static size_t char_len(uint8_t c)
{
	return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/*
 * The word from which a stretch of single letters may begin, at @p i or behind it; its blank. None begins in a block's
 * first octets when all of it is ASCII and none of them has as many blanks behind it at every second octet.
 */
static size_t single_next(const uint8_t *in, size_t i, size_t len)
{
	static_assert(SPLIT_MIN == 5, "of six blanks");
	size_t from = i;

	for (; i + WIDE_BLOCK <= len; i += WIDE_BLOCK - 2 * SPLIT_MIN) {
		uint64_t m = 0;
		wide all = {0};
		for (unsigned k = 0; k < WIDE_BLOCK; k += WIDE) {
			wide v = wide_load(in + i + k);
			m |= (uint64_t)wide_mask(wide_is(v, ' ')) << k;
			all |= v;
		}
		m &= m >> 2;
		if (wide_mask(all) || (m & m >> 4 & m >> 8))
			break;
	}
	while (i > from && in[i] != ' ')
		i--;
	return i;
}

/* Words of one letter, SPLIT_MIN in a row or more, written together; a blank between stretches. */
void def_dense(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts)
{
	size_t run = 0, n = 0, i = 0;

	while (i < len) {
		if (n == 0)
			i = single_next(in, i, len);
		size_t from = i;
		while (i < len && in[i] == ' ')
			i++;
		size_t word = i, c = i < len ? char_len(in[i]) : 0;
		while (i < len && in[i] != ' ')
			i++;
		if (i > word && i - word == c) {
			if (n++ == 0)
				run = word;
			if (i < len)
				continue;
		}
		if (n >= SPLIT_MIN) {
			size_t end = i - word == c && i == len ? len : from;
			for (size_t k = run; k < end; k++)
				if (in[k] != ' ')
					def_put_run(s, in + k, 1, k);
			def_put(s, " ", 1, end - 1, end);
		}
		n = 0;
	}
}

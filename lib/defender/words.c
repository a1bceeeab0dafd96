/*
 * From the folded text to its words: letters and digits, one blank between, one at both ends; and
 * the two readings of words that somebody took apart: letter by letter ("i g n o r e", "i.g.n") and
 * with digits in the place of letters.
 */
#include "base/escape.h"
#include "foldtab.h"
#include "view.h"

enum { W_SEP = 0, W_WORD, W_NONE, W_HIGH };
static const uint8_t cls[256] = {
	['\''] = W_NONE, /* don't: one word */
#define D(c) [c] = W_WORD
	D('0'), D('1'), D('2'), D('3'), D('4'), D('5'), D('6'), D('7'), D('8'), D('9'), D('a'), D('b'),
	D('c'), D('d'), D('e'), D('f'), D('g'), D('h'), D('i'), D('j'), D('k'), D('l'), D('m'), D('n'),
	D('o'), D('p'), D('q'), D('r'), D('s'), D('t'), D('u'), D('v'), D('w'), D('x'), D('y'), D('z'),
#undef D
	[0xc2 ... 0xf4] = W_HIGH,
};

#define SPLIT_MIN 5 /* single letters in a row that make a word taken apart */

struct words {
	struct def_sink *s;
	struct def_facts *f;
	bool blank;	  /* a separator was put last */
	bool only_blanks; /* and nothing but blanks stood there */
	bool cjk;	  /* the last character was */
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

static const uint8_t leet_as[256] = {
	['0'] = 'o', ['1'] = 'i', ['2'] = '2', ['3'] = 'e', ['4'] = 'a', ['5'] = 's', ['6'] = '6',
	['7'] = 't', ['8'] = 'b', ['9'] = 'g', ['@'] = 'a', ['$'] = 's', ['!'] = 'i', ['|'] = 'l',
	['+'] = 't'};

static bool leet_digit(uint8_t c)
{
	return leet_as[c] != 0;
}

/* A digit between letters, as in l3tter; written so that the compiler takes many octets at once. */
static size_t digits_in_words(const uint8_t *in, size_t len)
{
	size_t n = 0;

	for (size_t at = 1; at + 1 < len; at += 128) {
		size_t end = at + 128 < len - 1 ? at + 128 : len - 1;
		uint8_t sum = 0;
		for (size_t i = at; i < end; i++)
			sum = (uint8_t)(sum + ((((uint8_t)(in[i] - '0') < 10) | (in[i] == '@') | (in[i] == '$') | (in[i] == '!')) &
					       ((uint8_t)(in[i - 1] - 'a') < 26) &
					       ((uint8_t)(in[i + 1] - 'a') < 26)));
		n += sum;
	}
	return n;
}

/* Stretches of single letters: blanks at every second octet (of letters that are one octet). */
static size_t splits_in(const uint8_t *w, size_t len)
{
	size_t n = 0;

	for (size_t at = 0; at + 2 * SPLIT_MIN < len; at += 128) {
		size_t end = at + 128 < len - 2 * SPLIT_MIN ? at + 128 : len - 2 * SPLIT_MIN;
		uint8_t sum = 0;
		for (size_t i = at; i < end; i++)
			sum = (uint8_t)(sum + ((w[i] == ' ') & (w[i + 2] == ' ') & (w[i + 4] == ' ') &
					       (w[i + 6] == ' ') & (w[i + 8] == ' ') & (w[i + 10] == ' ')));
		n += sum;
	}
	return n;
}

/* ASCII up to a block's end, without a branch an octet; only where no map of places is asked for. */
static size_t ascii_words(struct words *w, const uint8_t *in, size_t i, size_t len)
{
	uint8_t block[512];
	size_t n = 0, end = len - i > sizeof(block) ? i + sizeof(block) : len;
	uint8_t last = w->blank ? ' ' : 'x', only = w->only_blanks;
	bool any = false;

	for (; i < end && cls[in[i]] != W_HIGH; i++) {
		uint8_t k = cls[in[i]], c = k == W_WORD ? in[i] : ' ';
		block[n] = c;
		only = c == ' ' && (only || last != ' ') && (k == W_NONE || in[i] == ' ' || in[i] == '\n');
		any |= k == W_WORD;
		bool put = (k != W_NONE) & ((c != ' ') | (last != ' '));
		last = put ? c : last;
		n += put;
	}
	def_buf_add(w->s->out, block, n);
	w->s->at += n;
	w->blank = last == ' ';
	w->only_blanks = only;
	w->cjk = any ? false : w->cjk;
	return i;
}

void def_words(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	       void *facts)
{
	struct words w = {.s = s, .f = facts};
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
			i = ascii_words(&w, in, i, len);
		} else {
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

static bool letter(uint8_t c)
{
	return (uint8_t)(c - 'a') < 26;
}

/* A word in which something stands for a letter: l3tter, pr3v10us, p@ss; and no number, no hash. */
static bool leet_word(const uint8_t *p, size_t n)
{
	bool hash = n >= 6, found = false;

	for (size_t i = 0; i < n; i++) {
		hash = hash && ((uint8_t)(p[i] - '0') < 10 || (uint8_t)(p[i] - 'a') < 6);
		if (i > 0 && letter(p[i - 1]) && leet_digit(p[i]))
			found = found || (i + 1 < n && letter(p[i + 1])) ||
				(i + 2 < n && leet_digit(p[i + 1]) && letter(p[i + 2]));
	}
	return found && !hash && n <= 24;
}

#define LEET_NEAR 8 /* words on either side that are read with one */

/* One word, read as letters. */
static void leet_put(struct def_sink *s, const uint8_t *in, size_t from, size_t to, int mode)
{
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
		if (cls[c] != W_SEP && c != '\'')
			def_put_run(s, &c, 1, k);
	}
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

/* The words near those that leet_word() knows, each read as letters; two blanks where some are left out. */
void def_leet(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	      void *facts)
{
	size_t done = 0;

	def_put(s, " ", 1, 0, len ? 1 : 0);
	for (size_t i = 1; i + 1 < len; i++) {
		if (!leet_digit(in[i]) || !letter(in[i - 1]) || !(letter(in[i + 1]) || leet_digit(in[i + 1])))
			continue;
		size_t a = i, b = i, least = i > done + LEET_SPAN ? i - LEET_SPAN : done;
		while (a > least && leet_octet(in[a - 1]))
			a--;
		b = words_after(in, i, len, 1);
		if (!leet_word(in + a, b - a))
			continue;
		for (unsigned words = 0; words < LEET_NEAR && a > least; words++) {
			while (a > least && !leet_octet(in[a - 1]))
				a--;
			while (a > least && leet_octet(in[a - 1]))
				a--;
		}
		b = words_after(in, b, len, LEET_NEAR);
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

/* Words of one letter, SPLIT_MIN in a row or more, written together; a blank between stretches. */
void def_dense(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	       void *facts)
{
	size_t run = 0, n = 0, i = 0;

	while (i < len) {
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

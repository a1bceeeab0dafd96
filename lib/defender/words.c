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
	size_t pending_at; /* of the separator that is due */
	bool pending, blank; /* due; and it was blanks only */
	bool cjk;	     /* the last character was */
	unsigned chars;	     /* of this word */
	unsigned singles;    /* words of one character in a row */
};

static void word_end(struct words *w)
{
	if (w->chars == 1) {
		if (++w->singles == SPLIT_MIN && w->f)
			w->f->splits++;
	} else if (w->chars > 1) {
		w->singles = 0;
	}
	w->chars = 0;
}

static void sep(struct words *w, size_t at, bool blank)
{
	if (!w->pending) {
		w->pending = true;
		w->pending_at = at;
		w->blank = true;
		word_end(w);
	}
	w->blank &= blank;
}

static void flush(struct words *w, bool cjk)
{
	if (w->pending && !(w->blank && w->cjk && cjk))
		def_put(w->s, " ", 1, w->pending_at, w->pending_at + 1);
	w->pending = false;
	w->cjk = cjk;
}

static bool leet_digit(uint8_t c)
{
	return (c >= '0' && c <= '9') || c == '@' || c == '$' || c == '!' || c == '|' || c == '+';
}

void def_words(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	       void *facts)
{
	struct words w = {.s = s, .f = facts, .pending = true};

	for (size_t i = 0; i < len;) {
		size_t from = i;
		while (i < len && cls[in[i]] == W_WORD)
			i++;
		if (i > from) {
			flush(&w, false);
			def_put_run(s, in + from, i - from, from);
			w.chars += (unsigned)(i - from < 2 ? i - from : 2);
			continue;
		}
		uint8_t k = cls[in[i]];
		if (k == W_HIGH) {
			uint32_t cp;
			size_t n = creel_utf8_decode(in + i, len - i, &cp);
			const struct fold_row *row = n ? fold_row_of(cp) : NULL;
			if (row && (row->cls == FOLD_WORD || row->cls == FOLD_CJK)) {
				flush(&w, row->cls == FOLD_CJK);
				def_put_run(s, in + i, n, i);
				w.chars++;
			} else if (cp != 0x2019) { /* an apostrophe too */
				sep(&w, i, false);
			}
			i += n ? n : 1;
			continue;
		}
		if (k == W_SEP) {
			if (w.f && i > 0 && i + 1 < len && leet_digit(in[i]) && cls[in[i - 1]] == W_WORD &&
			    cls[in[i + 1]] == W_WORD)
				w.f->leets++;
			sep(&w, i, in[i] == ' ' || in[i] == '\n');
		}
		i++;
	}
	word_end(&w);
	def_put(s, " ", 1, len ? len - 1 : 0, len);
	for (size_t i = 1; w.f && i + 1 < len; i++) /* l3tter */
		w.f->leets += (uint8_t)(in[i] - '0') < 10 && (uint8_t)(in[i - 1] - 'a') < 26 &&
			      (uint8_t)(in[i + 1] - 'a') < 26;
}

void def_leet(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	      void *facts)
{
	static const uint8_t as[256] = {['0'] = 'o', ['1'] = 'i', ['3'] = 'e', ['4'] = 'a', ['5'] = 's',
					['7'] = 't', ['8'] = 'b', ['9'] = 'g', ['@'] = 'a', ['$'] = 's',
					['!'] = 'i', ['|'] = 'l', ['+'] = 't'};
	bool blank = true;

	def_put(s, " ", 1, 0, len ? 1 : 0);
	for (size_t i = 0; i < len;) {
		size_t from = i, letters = 0;
		while (i < len && (cls[in[i]] == W_WORD || leet_digit(in[i])))
			letters += (uint8_t)(in[i++] - 'a') < 26;
		if (i > from) {
			/* '!' and '|' at a word's end are what they seem */
			size_t end = i;
			while (end > from && (in[end - 1] == '!' || in[end - 1] == '|'))
				end--;
			for (size_t k = from; k < end; k++) {
				uint8_t c = as[in[k]] && letters ? as[in[k]] : in[k];
				if (in[k] == '1' && letters && arg->mode == 1)
					c = 'l';
				if (cls[c] == W_WORD)
					def_put_run(s, &c, 1, k);
			}
			blank = end == from ? blank : false;
			continue;
		}
		if (in[i] >= 0x80) {
			def_put_run(s, in + i, 1, i);
			blank = false;
		} else if (!blank && in[i] != '\'') {
			def_put(s, " ", 1, i, i + 1);
			blank = true;
		}
		i++;
	}
	if (!blank)
		def_put(s, " ", 1, len - 1, len);
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

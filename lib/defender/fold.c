/*
 * Folding: from any octets to the text that structural rules see. Lower case, NFKC, invisible
 * characters gone, blanks collapsed, look-alikes read as the ASCII that they play, but only in words
 * that mix alphabets (so that Russian stays Russian).
 */
#include "base/escape.h"
#include "foldtab.h"
#include "view.h"
#include "wide.h"

/* ASCII: what becomes of it; 0: dropped, 1: see the slow path */
static const uint8_t ascii[256] = {
	[0x20] = ' ',  ['!'] = '!', ['"'] = '"', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&',
	['\''] = '\'', ['('] = '(', [')'] = ')', ['*'] = '*', ['+'] = '+', [','] = ',', ['-'] = '-',
	['.'] = '.',   ['/'] = '/', ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4',
	['5'] = '5',   ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', [':'] = ':', [';'] = ';',
	['<'] = '<',   ['='] = '=', ['>'] = '>', ['?'] = '?', ['@'] = '@', ['['] = '[', ['\\'] = '\\',
	[']'] = ']',   ['^'] = '^', ['_'] = '_', ['`'] = '`', ['{'] = '{', ['|'] = '|', ['}'] = '}',
	['~'] = '~',
#define L(c) [c] = c, [(c)-32] = c
	L('a'),        L('b'),      L('c'),      L('d'),      L('e'),      L('f'),      L('g'),
	L('h'),        L('i'),      L('j'),      L('k'),      L('l'),      L('m'),      L('n'),
	L('o'),        L('p'),      L('q'),      L('r'),      L('s'),      L('t'),      L('u'),
	L('v'),        L('w'),      L('x'),      L('y'),      L('z'),
#undef L
};

struct fold {
	const uint8_t *in;
	size_t len;
	struct def_sink *s;
	struct def_facts *f;
	uint8_t last;     /* what was put last: ' ', '\n' or else */
	uint32_t last_cp; /* for characters that join the one before */
	size_t last_len;
	size_t unseen_from; /* of a run of invisible characters */
	unsigned unseen;    /* in a row */
	size_t wide_from;
	unsigned wide; /* fullwidth ASCII in a row */
};

static size_t decode(const uint8_t *p, size_t len, uint32_t *cp)
{
	if (p[0] < 0x80) {
		*cp = p[0];
		return 1;
	}
	return creel_utf8_decode(p, len, cp);
}

static void put_blank(struct fold *o, uint8_t c, size_t from, size_t to)
{
	if (o->last == '\n' || (o->last == ' ' && c == ' '))
		return;
	if (o->last == ' ' && c == '\n')
		def_rewind(o->s, o->s->at - 1);
	def_put(o->s, &c, 1, from, to);
	o->last = c;
}

/*
 * Kana with a voice mark, Hangul from its letters: the result stands in place of the last character.
 * @return false: the two do not join
 */
static bool join(struct fold *o, uint32_t cp, size_t from, size_t to)
{
	uint32_t l = o->last_cp, n = 0;
	uint8_t b[3];

	if (cp == 0x3099 || cp == 0x309a) {
		bool kana = (l >= 0x304b && l <= 0x307b) || (l >= 0x30ab && l <= 0x30db);
		n = kana ? l + (cp == 0x3099 ? 1 : 2) : 0;
	} else if (cp >= 0x1161 && cp <= 0x1175 && l >= 0x1100 && l <= 0x1112) {
		n = 0xac00 + ((l - 0x1100) * 21 + (cp - 0x1161)) * 28;
	} else if (cp >= 0x11a8 && cp <= 0x11c2 && l >= 0xac00 && l < 0xd7a4 && (l - 0xac00) % 28 == 0) {
		n = l + (cp - 0x11a7);
	}
	if (n == 0 || o->last_len != 3)
		return false;
	b[0] = (uint8_t)(0xe0 | n >> 12);
	b[1] = (uint8_t)(0x80 | (n >> 6 & 63));
	b[2] = (uint8_t)(0x80 | (n & 63));
	def_rewind(o->s, o->s->at - 3);
	def_put(o->s, b, 3, from, to);
	o->last_cp = n;
	return true;
}

static void put_char(struct fold *o, uint32_t cp, const struct fold_row *row, size_t from, size_t to,
		     bool look)
{
	const char *p = (const char *)o->in + from;
	size_t n = to - from;

	if (look && row->conf_len) {
		p = creel_fold_pool + row->conf;
		n = row->conf_len;
	} else if (row->fold_len) {
		p = creel_fold_pool + row->fold;
		n = row->fold_len;
	} else if (join(o, cp, from, to)) {
		return;
	}
	def_put(o->s, p, n, from, to);
	o->last = (uint8_t)p[n - 1];
	if (o->last == ' ' && n > 1)
		o->last = 'x';
	o->last_cp = n == to - from && n == 3 ? cp : 0;
	if (row->fold_len == 3 && !look) /* half-width kana and jamo join after folding */
		(void)creel_utf8_decode((const uint8_t *)p, 3, &o->last_cp);
	o->last_len = n;
}

/* A character that nobody sees. */
static void unseen(struct fold *o, uint32_t cp, size_t from, size_t to)
{
	if (!o->f)
		return;
	if (cp >= 0xe0020 && cp < 0xe0080) {
		o->f->tags++;
		def_fact(o->f, DEF_TAGS, from, to);
		return;
	}
	if ((cp >= 0xfe00 && cp < 0xfe10) || (cp >= 0xe0100 && cp < 0xe01f0)) {
		if (o->f->selectors++ > 0 && o->unseen > 0)
			def_fact(o->f, DEF_SELECTORS, from, to);
		o->unseen++;
		return;
	}
	if ((cp >= 0x202a && cp < 0x202f) || (cp >= 0x2066 && cp < 0x206a))
		def_fact(o->f, DEF_BIDI, from, to);
	bool zero = (cp >= 0x200b && cp < 0x2010) || (cp >= 0x2060 && cp < 0x2066) || cp == 0xfeff ||
		    cp == 0xad || cp == 0x180e || cp == 0x34f || cp == 0x3164 || cp == 0xffa0;
	if (!zero)
		return;
	if (o->unseen == 0)
		o->unseen_from = from;
	if (++o->unseen >= 3)
		def_fact(o->f, DEF_ZERO_WIDTH, o->unseen_from, to);
	/* one between two letters of ASCII: none is needed there */
	else if (from > 0 && to < o->len && ascii[o->in[from - 1]] >= 'a' && o->in[to] < 0x80 &&
		 ascii[o->in[to]] >= 'a' && ascii[o->in[from - 1]] <= 'z' && ascii[o->in[to]] <= 'z')
		def_fact(o->f, DEF_ZERO_WIDTH, from, to);
}

/* Put [from, to), which is one word, reading look-alikes as ASCII. */
static void put_word(struct fold *o, size_t from, size_t to)
{
	for (size_t i = from; i < to;) {
		uint32_t cp;
		size_t n = decode(o->in + i, to - i, &cp);
		if (n == 0) {
			i++;
			continue;
		}
		const struct fold_row *row = fold_row_of(cp);
		if (cp < 0x80)
			def_put(o->s, &ascii[cp], ascii[cp] ? 1 : 0, i, i + 1);
		else if (row->cls != FOLD_DROP)
			put_char(o, cp, row, i, i + n, true);
		i += n;
	}
	o->last = 'x';
}

static bool ascii_letter(uint8_t c)
{
	return (uint8_t)((c | 32) - 'a') < 26;
}

static bool ascii_word(uint8_t c)
{
	return ascii_letter(c) || (uint8_t)(c - '0') < 10;
}

/*
 * From the first character beyond ASCII to the end of its word. The word's beginning, which the
 * fast path has put already, is ASCII: it is looked for backwards.
 * @return where the fast path goes on
 */
static size_t slow(struct fold *o, size_t i)
{
	size_t word = i, at = o->s->at, latin = 0, looks = 0, plain = 0;

	while (word > 0 && ascii_word(o->in[word - 1])) {
		word--;
		at--;
		latin += ascii_letter(o->in[word]);
	}
	bool after_latin = word >= 2 && ascii_letter(o->in[word - 2]);
	while (i < o->len) {
		uint32_t cp;
		size_t n = decode(o->in + i, o->len - i, &cp);
		if (n == 0) { /* not UTF-8: an octet that stands for itself */
			def_put(o->s, "?", 1, i, i + 1);
			o->last = '?';
			return i + 1;
		}
		if (cp < 0x80) {
			if (!ascii_word((uint8_t)cp))
				break;
			def_put_run(o->s, &ascii[cp], 1, i);
			latin += ascii_letter((uint8_t)cp);
			o->last = ascii[cp];
			o->last_cp = 0;
			o->unseen = 0;
			o->wide = 0;
			i++;
			continue;
		}
		const struct fold_row *row = fold_row_of(cp);
		if (row->cls == FOLD_DROP) {
			unseen(o, cp, i, i + n);
			i += n;
			continue;
		}
		o->unseen = 0;
		if (row->cls == FOLD_SPACE || row->cls == FOLD_BREAK) {
			put_blank(o, row->cls == FOLD_SPACE ? ' ' : '\n', i, i + n);
			i += n;
			break;
		}
		if (cp > 0xff00 && cp < 0xff5f) {
			if (o->wide++ == 0)
				o->wide_from = i;
			if (o->wide >= 3 && o->f && row->cls == FOLD_WORD)
				def_fact(o->f, DEF_FULLWIDTH, o->wide_from, i + n);
		} else {
			o->wide = 0;
		}
		put_char(o, cp, row, i, i + n, false);
		i += n;
		if (row->cls == FOLD_SEP)
			break;
		if (row->script == FOLD_LATIN)
			latin++;
		else if (row->conf_len)
			looks++;
		else
			plain++;
	}
	if (looks > 0 && plain == 0 && (latin > 0 || (after_latin && looks > 1))) {
		def_rewind(o->s, at);
		put_word(o, word, i);
		if (o->f && latin > 1)
			def_fact(o->f, DEF_HOMOGLYPH, word, i);
	}
	return i;
}

/*
 * Of sixteen octets those up to the first that is not printable ASCII or a line's end, or is a blank behind
 * one: their lower case. @return how many
 */
static unsigned sixteen(const uint8_t *in, uint8_t last, uint8_t *out)
{
	wide v = wide_load(in), blank = wide_is(v, ' ') | wide_is(v, '\n');
	unsigned blanks = wide_mask(blank), after = blanks << 1 | (last <= ' ');
	unsigned bad = (blanks & after) | ~wide_mask(blank | wide_range(v, 0x20, 0x7e));

	wide_store(out, v | (wide_range(v, 'A', 'Z') & wide_all(0x20)));
	return (unsigned)__builtin_ctz(bad | 1u << WIDE);
}

/* What stands before the next octets. */
struct before {
	bool space, blank; /* a space; it or a line's end */
};

/*
 * A block of printable ASCII, tabs and line ends, without a line's end behind a space: lower case, and of blanks in a
 * row the first.
 * @return how many are put at @p out; -1: it is none
 */
WIDE_BODY int block_fold(const uint8_t *in, struct before *b, uint8_t *out, bool fast)
{
	uint64_t spaces = 0, lines = 0;
	wide low[WIDE_BLOCK / WIDE], odd = {0};
	uint8_t *first = out;

	if (fast) {
		wide_two odds = {0};
		for (unsigned k = 0; k < WIDE_BLOCK; k += sizeof(odds)) {
			wide_two v;
			memcpy(&v, in + k, sizeof(v));
			wide_two line = WIDE_IS(v, '\n'), tab = WIDE_IS(v, '\t');
			v ^= tab & (' ' ^ '\t');
			wide_two space = WIDE_IS(v, ' ');
			spaces |= (uint64_t)wide_two_mask(&space) << k;
			lines |= (uint64_t)wide_two_mask(&line) << k;
			odds |= ~(WIDE_RANGE(v, 0x20, 0x7e) | line);
			v |= WIDE_RANGE(v, 'A', 'Z') & 0x20;
			memcpy(&low[k / WIDE], &v, sizeof(v));
		}
		if (wide_two_mask(&odds))
			return -1;
	}
	for (unsigned k = 0; !fast && k < WIDE_BLOCK / WIDE; k++) {
		wide v = wide_load(in + k * WIDE), line = wide_is(v, '\n');
		v ^= wide_is(v, '\t') & wide_all(' ' ^ '\t');
		spaces |= (uint64_t)wide_mask(wide_is(v, ' ')) << k * WIDE;
		lines |= (uint64_t)wide_mask(line) << k * WIDE;
		odd |= ~(wide_range(v, 0x20, 0x7e) | line);
		low[k] = v | (wide_range(v, 'A', 'Z') & wide_all(0x20));
	}
	uint64_t blanks = spaces | lines, again = blanks & (blanks << 1 | b->blank);
	if (wide_mask(odd) || (lines & (spaces << 1 | b->space)))
		return -1;
	for (unsigned k = 0; ~again && k < WIDE_BLOCK / WIDE; k++) { /* of blanks alone none is put */
		unsigned keep = ~(unsigned)(again >> k * WIDE) & 0xffff;
		if (!again) { /* most of them */
			wide_store(out, low[k]);
			out += WIDE;
		} else {
			out += fast ? wide_pack_fast(out, low[k], keep) : wide_pack_plain(out, low[k], keep);
		}
	}
	b->space = spaces >> 63;
	b->blank = blanks >> 63;
	return (int)(out - first);
}

/*
 * As much of ASCII as comes in a row, sixteen octets at once or more: lower case, and of blanks and line ends in a row the
 * first. What stands otherwise (a line's end behind a blank, which takes its place) is left.
 * @return where it ends
 */
WIDE_BODY size_t ascii_fold(struct fold *o, size_t i, bool fast)
{
	struct def_buf *b = o->s->out;
	struct before before = {.space = o->last == ' ', .blank = o->last <= ' '};

	def_buf_more(b, o->len - i + 2 * WIDE);
	if (b->failed)
		return i;
	uint8_t *out = b->data + b->len;
	unsigned any = 0;
	size_t due = def_mark_due(o->s), block = i; /* the next one is tried here */
	while (o->len - i >= WIDE) {
		size_t at = o->s->at + (size_t)(out - b->data) - b->len;
		if (at >= due && any) {
			def_mark(o->s, i, at, out[-1]);
			due = at + DEF_MARK_EVERY;
		}
		int n = i >= block && o->len - i >= WIDE_BLOCK ? block_fold(o->in + i, &before, out, fast)
							       : -1;
		if (n >= 0) {
			out += n;
			any |= n > 0;
			i += WIDE_BLOCK;
			continue;
		}
		if (i >= block)
			block = i + WIDE_BLOCK;
		wide v = wide_load(o->in + i), is_space = wide_is(v, ' ') | wide_is(v, '\t'),
		     is_line = wide_range(v, '\n', '\r');
		unsigned spaces = wide_mask(is_space), lines = wide_mask(is_line), blanks = spaces | lines,
			 plain = wide_mask(wide_range(v, 0x20, 0x7e) | wide_is(v, '\n')),
			 bad = (~(plain | blanks) | (lines & (spaces << 1 | before.space))) & 0xffff,
			 keep = ~(blanks & (blanks << 1 | before.blank)) & 0xffff, last = WIDE - 1;
		if (bad) {
			if (bad & 1)
				break;
			last = (unsigned)__builtin_ctz(bad) - 1;
			keep &= (2u << last) - 1;
		}
		v = (v & ~(is_space | is_line)) | (is_space & wide_all(' ')) | (is_line & wide_all('\n'));
		v |= wide_range(v, 'A', 'Z') & wide_all(0x20);
		if (keep == 0xffff) { /* most of them */
			wide_store(out, v);
			out += WIDE;
		} else {
			out += fast ? wide_pack_fast(out, v, keep) : wide_pack_plain(out, v, keep);
		}
		before.blank = blanks >> last & 1;
		before.space = spaces >> last & 1;
		any |= keep & plain;
		if (bad) {
			i += last + 1;
			break;
		}
		i += WIDE; /* known at once: the next sixteen need not wait for these */
	}
	if (out == b->data + b->len)
		return i;
	o->s->at += (size_t)(out - b->data) - b->len;
	b->len = (size_t)(out - b->data);
	o->last = out[-1];
	if (any) { /* as below: blanks of other kinds do not part what nobody sees */
		o->last_cp = 0;
		o->unseen = 0;
		o->wide = 0;
	}
	return i;
}

WIDE_FAST static size_t ascii_fast(struct fold *o, size_t i)
{
	return ascii_fold(o, i, true);
}

static size_t ascii_plain(struct fold *o, size_t i)
{
	return ascii_fold(o, i, false);
}

/* Blanks from @p i on, and line ends when @p lines. @return where they end */
static size_t blanks_end(const uint8_t *in, size_t i, size_t len, bool lines)
{
	while (i < len && (in[i] == ' ' || in[i] == '\t' || (lines && in[i] >= '\n' && in[i] <= '\r')))
		i++;
	return i;
}

void def_fold(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts)
{
	struct fold o = {.in = in, .len = len, .s = s, .f = facts, .last = '\n'};
	const bool fast = wide_fast();
	uint8_t block[256];

	for (size_t i = 0; i < len;) {
		size_t n = 0;
		unsigned k = WIDE;
		/* what is taken back is a word at most, or one character */
		bool apart = i == 0 || (!ascii_word(in[i - 1]) && in[i - 1] < 0x80);
		if (apart && def_done(s, 4))
			return;
		const struct def_mark *mark = apart ? def_jump(s, i) : NULL;
		if (mark) {
			i = mark->in;
			o.last = mark->state;
			o.last_cp = 0;
			o.unseen = 0;
			o.wide = 0;
		}
		if (s->out)
			i = fast ? ascii_fast(&o, i) : ascii_plain(&o, i);
		if (i == len)
			break;
		/* the common case: letters and single blanks, copied in blocks */
		for (; k == WIDE && n + WIDE <= sizeof(block) && i + n + WIDE <= len; n += k)
			k = sixteen(in + i + n, n > 0 ? block[n - 1] : o.last, block + n);
		while (k == WIDE && n < sizeof(block) && i + n < len) {
			uint8_t c = ascii[in[i + n]];
			if (c == 0 || (c == ' ' && (n > 0 ? block[n - 1] : o.last) <= ' '))
				break;
			block[n++] = c;
		}
		if (n > 0) {
			def_put_run(s, block, n, i);
			i += n;
			o.last = block[n - 1];
			o.last_cp = 0;
			o.unseen = 0;
			o.wide = 0;
			continue;
		}
		uint8_t c = in[i];
		if (c >= 0x80) {
			i = slow(&o, i);
			continue;
		}
		i++; /* other controls: dropped */
		if (c == ' ' || c == '\t') {
			put_blank(&o, ' ', i - 1, i);
			i = blanks_end(in, i, len, false);
		} else if (c >= '\n' && c <= '\r') {
			put_blank(&o, '\n', i - 1, i);
			i = blanks_end(in, i, len, true);
		}
	}
}

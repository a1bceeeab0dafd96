/*
 * One sifting: the words of a view in parts, and around those that a chain asks for first a stretch when what
 * else it asks for stands near. Most words are none of them, and most of those stand alone: what all words cost
 * has no branches in it, and whether anything is near is asked of sixteen words at once.
 */
#include "sift.h"
#include "base/cleanup.h"
#include "wide.h"
#include <string.h>

#define PART 2048  /* words that are looked at together, and what is kept of those before */
#define KEEP 65536 /* words that a state has room for between two texts */

struct sift {
	const struct def_sieve *s;
	struct def_sieve_state *st;
	const uint8_t *p;
	size_t len;
	uint32_t base,
		no; /* the first word's number, and the last one's; loop words have none of their own */
	size_t n, n_hits;
	bool cut; /* there were words before the first that is kept */
	unsigned turn;
	bool nomem;
};

void def_sieve_state_fini(struct def_sieve_state *st, const struct def_sieve *s)
{
	def_free(s->mem, st->room);
	def_free(s->mem, st->stretches);
	*st = (struct def_sieve_state){.room = NULL};
}

/* The octets of a word, blanks behind the text's end. */
static inline void text_at(const struct sift *f, size_t at, uint64_t text[2])
{
	if (f->len - at >= 16) {
		memcpy(text, f->p + at, 16);
	} else {
		memset(text, ' ', 16);
		memcpy(text, f->p + at, f->len - at);
	}
}

/* The first so many octets of sixteen. */
#define FIRST(n) ((UINT64_C(1) << (n)*8) - 1)
static const uint64_t octets[16][2] = {
	{FIRST(0), 0},          {FIRST(1), 0},          {FIRST(2), 0},          {FIRST(3), 0},
	{FIRST(4), 0},          {FIRST(5), 0},          {FIRST(6), 0},          {FIRST(7), 0},
	{UINT64_MAX, FIRST(0)}, {UINT64_MAX, FIRST(1)}, {UINT64_MAX, FIRST(2)}, {UINT64_MAX, FIRST(3)},
	{UINT64_MAX, FIRST(4)}, {UINT64_MAX, FIRST(5)}, {UINT64_MAX, FIRST(6)}, {UINT64_MAX, FIRST(7)},
};

static inline bool stands(const struct form *f, const uint64_t text[2])
{
	const uint64_t *m = octets[f->len % 16];
	uint64_t w[2];

	memcpy(w, f, sizeof(w));
	return !(((text[0] ^ w[0]) & m[0]) | ((text[1] ^ w[1]) & m[1]));
}

/* Is the word, which is of the kinds of the step's words, one of them? */
static bool step_has(const struct sift *f, const struct step *t, size_t at)
{
	uint64_t text[2] = {0};

	text_at(f, at, text);
	for (size_t i = 0; i < t->n_forms; i++)
		if (stands(&f->s->forms[t->first_form + i], text))
			return true;
	return false;
}

/* Which of sixteen words are of kinds that the step has. */
static unsigned kinds_plain(const struct step *t, const uint8_t *begin, const uint8_t *key)
{
	unsigned m = 0;

	for (unsigned i = 0; i < WIDE; i++)
		m |= (t->begin[begin[i] & 15] >> (begin[i] >> 4) & t->key[key[i] & 15] >> (key[i] >> 4) & 1u)
		     << i;
	return m;
}

#ifdef __x86_64__
/* A set of 128 by two shuffles, one for the octet and one for its bit (as "truffle" of Hyperscan, Wang et al. 2019). */
WIDE_FAST static inline __m128i kinds_of(const uint8_t set[DEF_KINDS / 8], const uint8_t *kinds)
{
	const __m128i bits = _mm_set1_epi64x((long long)0x8040201008040201u);
	__m128i k = _mm_loadu_si128((const __m128i *)kinds);
	__m128i bit = _mm_shuffle_epi8(bits, _mm_and_si128(_mm_srli_epi16(k, 4), _mm_set1_epi8(7)));
	__m128i has = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)set), k);
	return _mm_cmpeq_epi8(_mm_and_si128(has, bit), bit);
}

WIDE_FAST static inline unsigned kinds_fast(const struct step *t, const uint8_t *begin, const uint8_t *key)
{
	return (unsigned)_mm_movemask_epi8(_mm_and_si128(kinds_of(t->begin, begin), kinds_of(t->key, key)));
}
#else
#define kinds_fast kinds_plain
#endif

/* The first word that is kept whose number is @p no or more. */
static inline size_t first_of(const struct sift *f, uint32_t no)
{
	return no <= f->base ? 0 : no > f->no ? f->n : f->st->first[no - f->base];
}

/* Does one of the step's words stand near enough to word @p i? */
WIDE_BODY bool near(const struct sift *f, const struct step *t, size_t i, bool fast)
{
	const struct def_sieve_state *st = f->st;
	size_t end = first_of(f, st->no[i] + t->after + 1u);

	for (size_t k = first_of(f, st->no[i] - t->before); k < end; k += WIDE) {
		unsigned m = fast ? kinds_fast(t, st->begin + k, st->key + k)
				  : kinds_plain(t, st->begin + k, st->key + k);
		m &= end - k < WIDE ? (1u << (end - k)) - 1 : 0xffff;
		for (; m; m &= m - 1)
			if (step_has(f, t, st->at[k + (size_t)__builtin_ctz(m)]))
				return true;
	}
	return false;
}

/* All that chain @p c asks for stands near word @p i: a stretch around it. */
static void candidate(struct sift *f, const struct chain *c, size_t i)
{
	struct def_sieve_state *st = f->st;
	struct def_stretch now = {.groups = 1u << c->group};
	size_t k = first_of(f, st->no[i] - c->before - 1u);

	now.from = k > 0 || f->cut ? st->at[k] - 1 : 0;
	k = first_of(f, st->no[i] + c->after + 1u);
	now.to = k < f->n ? st->at[k] : f->len;
	while (st->n > 0 && st->stretches[st->n - 1].to >= now.from) {
		const struct def_stretch *last = &st->stretches[--st->n];
		now.from = MIN(now.from, last->from);
		now.to = MAX(now.to, last->to);
		now.groups |= last->groups;
	}
	if (def_room(f->s->mem, &st->stretches, st->n, &st->cap, sizeof(*st->stretches)) < 0)
		f->nomem = true;
	else
		st->stretches[st->n++] = now;
}

/* The first word of @p key, + 1. */
static inline size_t word_find(const struct def_sieve *s, uint64_t key)
{
	size_t slot = def_word_hash(def_word_mix(key)) & s->last_slot, i;

	while ((i = s->slots[slot]) != 0 && s->words[i - 1].key != key)
		slot = (slot + 1) & s->last_slot;
	return i;
}

/* The words of @p key that stand at word @p at, and the chains that ask for them. */
WIDE_BODY void asked(struct sift *f, const uint64_t text[2], size_t at, uint64_t key, bool fast)
{
	const struct def_sieve *s = f->s;

	for (size_t i = word_find(s, key); i > 0 && i <= s->n_words && s->words[i - 1].key == key; i++) {
		const struct word *w = &s->words[i - 1];
		if (!stands(&w->form, text))
			continue;
		f->turn |= w->turn;
		for (const uint16_t *r = s->refs + w->first_ref, *end = r + w->n_refs; r < end; r++) {
			const struct chain *c = &s->chains[*r];
			bool all = true;
			for (unsigned k = 0; all && k < c->n; k++)
				all = near(f, &c->step[k], at, fast);
			if (all)
				candidate(f, c, at);
		}
	}
}

/* Look at the words that are asked for and have all of theirs behind them. @return how many */
WIDE_BODY size_t hits_take(struct sift *f, bool end, bool fast)
{
	const struct def_sieve_state *st = f->st;
	size_t k = 0;

	for (; k < f->n_hits; k++) {
		size_t i = st->hits[k];
		uint64_t text[2] = {0};
		if (!end && f->no - st->no[i] <= SHAPE_FAR)
			break;
		text_at(f, st->at[i], text);
		uint64_t key = def_word_key(text[0]);
		uint32_t h4 = def_word_four((uint32_t)key);
		asked(f, text, i, key, fast);
		if (!(f->s->four[h4 >> 2] >> (h4 & 3) * 2 & DEF_WORD_OPEN))
			continue;
		if (key > UINT32_MAX)
			asked(f, text, i, key & UINT32_MAX, fast);
		if (f->s->threes)
			asked(f, text, i, key & 0xffffff, fast);
	}
	return k;
}

/*
 * The places of blanks from @p i on, as many as there is room for; more is written than is said.
 * @return where the next may be
 */
WIDE_BODY size_t blanks_find(const uint8_t *p, size_t i, size_t len, uint32_t *at, size_t room, size_t *ret_n)
{
	uint8_t last[WIDE_BLOCK];
	size_t n = 0;

	for (; i < len && n + WIDE_BLOCK <= room; i += WIDE_BLOCK) {
		const uint8_t *q = p + i;
		uint64_t m = 0;
		if (len - i < WIDE_BLOCK) {
			memset(last, 0, sizeof(last));
			memcpy(last, q, len - i);
			q = last;
		}
		for (unsigned k = 0; k < WIDE_BLOCK; k += WIDE)
			m |= (uint64_t)wide_mask(wide_is(wide_load(q + k), ' ')) << k;
		size_t all = n + (size_t)__builtin_popcountll(m);
		for (unsigned k = 0; k < WIDE; k++, m &= m - 1)
			at[n++] = (uint32_t)(i + (size_t)__builtin_ctzll(m | (uint64_t)1 << 63));
		for (; m; m &= m - 1)
			at[n++] = (uint32_t)(i + (size_t)__builtin_ctzll(m));
		n = all;
	}
	*ret_n = n;
	return MIN(i, len);
}

/* Words from the blank at or behind @p i on, as many as there is room for. @return the blank behind them */
WIDE_BODY size_t words_take(struct sift *f, size_t i)
{
	const struct def_sieve *s = f->s;
	const struct def_sieve_state *st = f->st;
	const uint8_t *p = f->p, *fours = s->four;
	const uint64_t *all_asked = s->asked;
	const size_t len = f->len;
	const uint32_t base = f->base;
	uint32_t *at = st->at, *nos = st->no, *first = st->first + 1, *hits = st->hits, no = f->no - base;
	uint8_t *begin = st->begin,
		*kinds = st->key; /* what is stored here does not change the lists' places */
	size_t n = f->n, n_hits = f->n_hits, n_blanks, blanks = n;

	i = blanks_find(p, i, len, at + n, st->cap_words - n, &n_blanks);
	if (n_blanks > 0 && i == len &&
	    at[n + n_blanks - 1] + 1 < len) { /* the last word has no blank behind it */
		at[n + n_blanks++] = (uint32_t)len;
	}
	size_t from = n_blanks > 0 ? at[blanks] + 1 : 0;
	for (size_t k = blanks + 1; k < blanks + n_blanks; k++) {
		size_t end = at[k], size = end - from;
		uint64_t key = 0x2020202020202020u;
		if (len - from >= sizeof(key))
			memcpy(&key, p + from, sizeof(key));
		else
			memcpy(&key, p + from, len - from);
		key &= octets[MIN(size + 1, sizeof(key))][0];
		uint64_t mixed = def_word_mix(key);
		uint32_t h = def_word_hash(mixed), h4 = def_word_four((uint32_t)key);
		unsigned four = fours[h4 >> 2] >> (h4 & 3) * 2;
		unsigned is = size > 0, loop = four & DEF_WORD_LOOP;
		unsigned hit = (unsigned)(all_asked[h >> 6] >> (h & 63)) | four / DEF_WORD_OPEN;
		no += is & ~loop;
		at[n] = (uint32_t)from;
		nos[n] = base + no;
		begin[n] = def_word_begin_kind(key);
		kinds[n] = def_word_key_kind(mixed);
		hits[n_hits] = (uint32_t)n;
		n_hits += is & hit;
		n += is;
		first[no] = (uint32_t)n;
		from = end + 1;
	}
	f->no = base + no;
	f->n = n;
	f->n_hits = n_hits;
	return i == len || n_blanks == 0 ? len : from - 1;
}

/* Keep what the @p done first hits do not need any more; that is all but a few words, or there is more room. */
static void words_keep(struct sift *f, size_t done)
{
	struct def_sieve_state *st = f->st;
	uint32_t least = f->no - 2 * SHAPE_FAR - 4;
	size_t from = first_of(f, least), n = f->n - from, hit = 0;

	memmove(st->at, st->at + from, n * sizeof(*st->at));
	memmove(st->no, st->no + from, n * sizeof(*st->no));
	memmove(st->begin, st->begin + from, n);
	memmove(st->key, st->key + from, n);
	if (least > f->base) {
		for (uint32_t no = least; no <= f->no + 1; no++)
			st->first[no - least] = st->first[no - f->base] - (uint32_t)from;
		f->base = least;
	}
	for (size_t k = done; k < f->n_hits; k++)
		st->hits[hit++] = st->hits[k] - (uint32_t)from;
	f->n = n;
	f->n_hits = hit;
	f->cut |= from > 0;
}

/* Where the lists of @p cap words are in @p room. @return how many octets that is */
static size_t lists_place(struct def_sieve_state *st, size_t cap, uint8_t *room)
{
	/* and what is written behind the last, or read with it */
	const size_t all = cap + 2 * WIDE_BLOCK, size = all * sizeof(uint32_t);

	if (room) {
		st->at = (uint32_t *)(void *)room;
		st->no = (uint32_t *)(void *)(room + size);
		st->first = (uint32_t *)(void *)(room + 2 * size);
		st->hits = (uint32_t *)(void *)(room + 3 * size);
		st->begin = room + 4 * size;
		st->key = st->begin + all;
	}
	return 4 * size + 2 * all;
}

/* Room for words: more when half of it is not enough for those that are kept. */
static int words_room(struct sift *f)
{
	struct def_sieve_state *st = f->st, old = *st;
	size_t cap = st->cap_words ? st->cap_words * 2 : PART;

	if (st->cap_words && f->n < st->cap_words / 2)
		return 0;
	uint8_t *room = def_realloc(f->s->mem, NULL, lists_place(NULL, cap, NULL));
	if (!room)
		return CREEL_E_NOMEM;
	(void)lists_place(st, cap, room);
	if (old.room) {
		memcpy(st->at, old.at, f->n * sizeof(*old.at));
		memcpy(st->no, old.no, f->n * sizeof(*old.no));
		memcpy(st->first, old.first, (f->no - f->base + 2) * sizeof(*old.first));
		memcpy(st->hits, old.hits, f->n_hits * sizeof(*old.hits));
		memcpy(st->begin, old.begin, f->n);
		memcpy(st->key, old.key, f->n);
	}
	def_free(f->s->mem, old.room);
	st->room = room;
	st->cap_words = cap;
	return 0;
}

WIDE_BODY int sift(struct sift *f, bool fast)
{
	size_t i = 0;

	for (bool end = false; !end && !f->nomem;) {
		if (words_room(f) < 0)
			return CREEL_E_NOMEM;
		if (i == 0)
			f->st->first[0] = f->st->first[1] = 0;
		i = words_take(f, i);
		end = i >= f->len;
		size_t done = hits_take(f, end, fast);
		if (!end)
			words_keep(f, done);
	}
	return f->nomem ? CREEL_E_NOMEM : 0;
}

WIDE_FAST static int sift_fast(struct sift *f)
{
	return sift(f, true);
}

static int sift_plain(struct sift *f)
{
	return sift(f, false);
}

int def_sieve_sift(const struct def_sieve *s, struct def_sieve_state *st, const uint8_t *words, size_t len,
		   unsigned *ret_turn)
{
	struct sift f = {
		.s = s, .st = st, .p = words, .len = len, .base = 4 * SHAPE_FAR, .no = 4 * SHAPE_FAR};

	st->n = 0;
	int r = s->plain ? sift_plain(&f) : sift_fast(&f);
	*ret_turn = f.turn;
	if (st->cap_words > KEEP) {
		def_free(s->mem, st->room);
		st->room = NULL;
		st->cap_words = 0;
	}
	return r;
}

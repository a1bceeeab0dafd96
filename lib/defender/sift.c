/*
 * One sifting: the words of a view in parts, and around those that a chain asks for first a stretch when what
 * else it asks for stands near. Most words are none of them, and most of those stand alone: what all words cost
 * has no branches in it, and whether anything is near is asked of sixteen words at once.
 */
#include "sift.h"
#include "base/cleanup.h"
#include "wide.h"
#include <assert.h>
#include <string.h>

#define PART 1024  /* words that are looked at together, and what is kept of those before */
#define KEEP 65536 /* words that a state has room for between two texts */

struct sift {
	const struct def_sieve *s;
	struct def_sieve_state *st;
	const uint8_t *p;
	size_t len;
	int32_t no; /* the last word's number among those that are kept; loop words have none of their own */
	uint64_t base; /* what was counted before number 0 */
	size_t n, n_hits;
	bool cut; /* there were words before the first that is kept */
	unsigned turn;
	bool nomem, high;
};

void def_sieve_state_fini(struct def_sieve_state *st, const struct def_sieve *s)
{
	def_free(s->mem, st->room);
	def_free(s->mem, st->seen);
	def_free(s->mem, st->stretches);
	*st = (struct def_sieve_state){.room = NULL};
}

/* The octets of a word, blanks behind the text's end. */
static inline wide text_at(const struct sift *f, size_t at)
{
	wide text = wide_all(' ');

	if (f->len - at >= sizeof(text))
		return wide_load(f->p + at);
	memcpy(&text, f->p + at, f->len - at);
	return text;
}

static inline bool stands(const struct form *f, wide text)
{
	wide form;

	static_assert(sizeof(form) == sizeof(*f), "one load");
	memcpy(&form, f, sizeof(form));
	return !(~wide_mask((wide)(form == text)) & ((1u << f->len) - 1));
}

/* Is the word, which is of the kinds of the step's words, one of them? @p blank: where the one before it is */
static bool step_has(const struct sift *f, const struct step *t, size_t blank)
{
	const wide text = text_at(f, blank + 1);

	for (size_t i = 0; i < t->n_forms; i++)
		if (stands(&f->s->forms[t->first_form + i], text))
			return true;
	return false;
}

/* 1: the set has the kind */
static unsigned kind_of(const uint8_t set[DEF_KINDS / 8], uint8_t kind)
{
	return set[kind & 15] >> (kind >> 4) & 1u;
}

/* Which of sixteen words are of kinds that the step has. */
static unsigned kinds_plain(const struct step *t, const uint8_t *begin, const uint8_t *key)
{
	unsigned m = 0;

	for (unsigned i = 0; i < WIDE; i++)
		m |= (kind_of(t->begin, begin[i]) & kind_of(t->key, key[i])) << i;
	return m;
}

#ifdef __x86_64__
/*
 * The same of thirty-two. A set of 128 by two shuffles, one for the octet and one for its bit (as "truffle" of Hyperscan,
 * Wang et al. 2019).
 */
WIDE_FAST static inline __m256i kinds_of(const uint8_t set[DEF_KINDS / 8], const uint8_t *kinds)
{
	const __m256i bits = _mm256_set1_epi64x((long long)0x8040201008040201u);
	__m256i k = _mm256_loadu_si256((const __m256i *)kinds);
	__m256i bit = _mm256_shuffle_epi8(bits,
					  _mm256_and_si256(_mm256_srli_epi16(k, 4), _mm256_set1_epi8(7)));
	__m256i has = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)set)),
					  k);
	return _mm256_cmpeq_epi8(_mm256_and_si256(has, bit), bit);
}

WIDE_FAST static inline unsigned kinds_fast(const struct step *t, const uint8_t *begin, const uint8_t *key)
{
	return (unsigned)_mm256_movemask_epi8(
		_mm256_and_si256(kinds_of(t->begin, begin), kinds_of(t->key, key)));
}
#else
#define kinds_fast kinds_plain
#endif

/* The first word that is kept whose number is @p no or more. */
static inline size_t first_of(const struct sift *f, int32_t no)
{
	return no <= 0 ? 0 : no > f->no ? f->n : f->st->first[no];
}

/* Does one of the step's words stand near enough to word @p i? */
WIDE_BODY bool near(const struct sift *f, const struct step *t, size_t i, bool fast)
{
	const struct def_sieve_state *st = f->st;
	size_t end = first_of(f, st->no[i] + t->after + 1);

	for (size_t k = first_of(f, st->no[i] - t->before); k < end; k += fast ? 2 * WIDE : WIDE) {
		unsigned m = fast ? kinds_fast(t, st->begin + k, st->key + k)
				  : kinds_plain(t, st->begin + k, st->key + k);
		m &= end - k < 2 * WIDE ? (1u << (end - k)) - 1 : UINT32_MAX;
		for (; m; m &= m - 1)
			if (step_has(f, t, st->at[k + (size_t)__builtin_ctz(m)]))
				return true;
	}
	return false;
}

/* Is word @p i one of the step's? */
static bool step_is(const struct sift *f, const struct step *t, size_t i)
{
	const struct def_sieve_state *st = f->st;

	return kind_of(t->begin, st->begin[i]) && kind_of(t->key, st->key[i]) && step_has(f, t, st->at[i]);
}

/* Of the words from @p from to before @p end: from the first that is one of the step's to behind the last. */
static bool narrow(const struct sift *f, const struct step *t, size_t *from, size_t *end)
{
	while (*from < *end && !step_is(f, t, *from))
		++*from;
	while (*from < *end && !step_is(f, t, *end - 1))
		--*end;
	return *from < *end;
}

/*
 * Of chain @p c all stands near words @p i to @p last, of one number. Also in its order, each no farther from the next than it
 * may be? Two may be one word, where what stands between them may be left out.
 */
static bool in_order(const struct sift *f, const struct chain *c, size_t i, size_t last)
{
	const int32_t *no = f->st->no;
	size_t from = i, end = last + 1;
	int32_t far = 0;

	for (unsigned k = c->rarest; k-- > 0;) {
		const struct step *t = &c->step[c->by_place[k]];
		from = first_of(f, no[from] - t->before + far);
		far = t->before;
		if (!narrow(f, t, &from, &end))
			return false;
	}
	from = i;
	end = last + 1;
	far = 0;
	for (unsigned k = c->rarest + 1u; k <= c->n; k++) {
		const struct step *t = &c->step[c->by_place[k]];
		end = first_of(f, no[end - 1] + t->after - far + 1);
		far = t->after;
		if (!narrow(f, t, &from, &end))
			return false;
	}
	return true;
}

/* All that chain @p c asks for stands near word @p i: a stretch around it. */
static void candidate(struct sift *f, const struct chain *c, size_t i)
{
	struct def_sieve_state *st = f->st;
	struct def_stretch now = {.groups = 1u << c->group};
	size_t k = first_of(f, st->no[i] - c->before - 1);

	now.from = k > 0 || f->cut ? st->at[k] : 0;
	k = first_of(f, st->no[i] + c->after + 1);
	now.to = k < f->n ? st->at[k] + 1 : f->len;
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

/*
 * Words that a pattern repeats have the number of the one before them. What stands near is the same for all of one
 * number, and there may be as many as the text has: of word @p w of the sieve the first one answers for the others.
 */
static bool is_seen(struct sift *f, size_t w, size_t i)
{
	struct def_sieve_state *st = f->st;
	const uint64_t no = f->base + (uint64_t)st->no[i];

	if (!st->seen)
		st->seen = def_alloc(f->s->mem, f->s->n_words * sizeof(*st->seen));
	if (!st->seen) {
		f->nomem = true;
		return true;
	}
	bool seen = st->seen[w] == no;
	st->seen[w] = no;
	return seen;
}

/* The words of @p key that stand at word @p at, and the chains that ask for them. */
WIDE_BODY void asked(struct sift *f, wide text, size_t at, uint64_t key, bool fast)
{
	const struct def_sieve *s = f->s;
	const size_t first = f->st->first[f->st->no[at]], last = f->st->first[f->st->no[at] + 1] - 1u;

	for (size_t i = word_find(s, key); i > 0 && i <= s->n_words && s->words[i - 1].key == key; i++) {
		const struct word *w = &s->words[i - 1];
		if (!stands(&w->form, text))
			continue;
		f->turn |= w->turn;
		if (last > first && is_seen(f, i - 1, at))
			continue;
		for (const uint16_t *r = s->refs + w->first_ref, *end = r + w->n_refs; r < end; r++) {
			const struct chain *c = &s->chains[*r];
			bool all = true;
			for (unsigned k = 0; all && k < c->n; k++)
				all = near(f, &c->step[k], at, fast);
			if (all && (c->n < 2 || in_order(f, c, first, last)))
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
		if (!end && f->no - st->no[i] <= f->s->far)
			break;
		const wide text = text_at(f, st->at[i] + 1u);
		uint64_t key;
		memcpy(&key, &text, sizeof(key));
		key = def_word_key(key);
		uint32_t h4 = def_word_four((uint32_t)key);
		asked(f, text, i, key, fast);
		if (!(f->s->four[h4] & DEF_WORD_OPEN))
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
 *
 * @param ret_twice  a blank stands behind a blank
 * @param high       set when an octet is DEF_HIGH or more
 * @return where the next may be
 */
WIDE_BODY size_t blanks_find(const uint8_t *p, size_t i, size_t len, uint32_t *at, size_t room, size_t *ret_n,
			     bool *ret_twice, bool *high)
{
	uint8_t last[WIDE_BLOCK];
	uint64_t twice = 0, before = 0;
	wide greatest = wide_all(0);
	size_t n = 0;

	for (; i < len && n + WIDE_BLOCK <= room; i += WIDE_BLOCK) {
		const uint8_t *q = p + i;
		uint64_t m = 0;
		if (len - i < WIDE_BLOCK) {
			memset(last, 0, sizeof(last));
			memcpy(last, q, len - i);
			q = last;
		}
		for (unsigned k = 0; k < WIDE_BLOCK; k += WIDE) {
			const wide v = wide_load(q + k);
			m |= (uint64_t)wide_mask(wide_is(v, ' ')) << k;
			greatest = wide_max(greatest, v);
		}
		twice |= m & (m << 1 | before);
		before = m >> 63;
		size_t all = n + (size_t)__builtin_popcountll(m);
		for (unsigned k = 0; k < WIDE; k++, m &= m - 1)
			at[n++] = (uint32_t)(i + (size_t)__builtin_ctzll(m | (uint64_t)1 << 63));
		for (; m; m &= m - 1)
			at[n++] = (uint32_t)(i + (size_t)__builtin_ctzll(m));
		n = all;
	}
	*ret_n = n;
	*ret_twice = twice != 0;
	*high |= wide_mask(wide_range(greatest, DEF_HIGH, 0xff)) != 0;
	return MIN(i, len);
}

/* The first so many octets of eight. */
#define FIRST(n) ((UINT64_C(1) << (n)*8) - 1)
static const uint64_t octets[9] = {FIRST(0), FIRST(1), FIRST(2), FIRST(3),  FIRST(4),
				   FIRST(5), FIRST(6), FIRST(7), UINT64_MAX};

/* The lists while words are put into them. What is stored does not change where they are. */
struct lists {
	const struct def_sieve *s;
	int32_t *no;
	uint32_t *first, *hits;
	uint8_t *begin, *key;
	size_t n_hits, last; /* last: the last word's number */
};

/* Word @p n, whose first four octets have the hash @p h4 and whose key has @p h. */
WIDE_BODY void list(struct lists *l, size_t n, uint32_t h4, uint32_t h)
{
	unsigned four = l->s->four[h4];

	l->last += four & DEF_WORD_COUNTS;
	l->no[n] = (int32_t)l->last;
	l->first[l->last + 1] = (uint32_t)n + 1;
	l->hits[l->n_hits] = (uint32_t)n;
	l->n_hits += ((unsigned)(l->s->asked[h >> 6] >> (h & 63)) | four / DEF_WORD_OPEN) & 1;
}

/* Word @p n, of @p key. */
WIDE_BODY void list_one(struct lists *l, size_t n, uint64_t key)
{
	uint32_t mixed = def_word_mix(key);

	l->begin[n] = def_word_begin_kind(key);
	l->key[n] = def_word_key_kind(mixed);
	list(l, n, def_word_four((uint32_t)key), def_word_hash(mixed));
}

#ifdef __x86_64__
static inline long long eight_at(const uint8_t *p)
{
	long long w;

	memcpy(&w, p, sizeof(w));
	return w;
}

/* Words @p n to @p n + 3, behind the blanks at @p at; that behind the last one stands there too. */
WIDE_FAST static inline void list_four(struct lists *l, size_t n, const uint8_t *p, const uint32_t *at)
{
	/* pairs of lanes, one for the lower half of a key and of all that is done with it, one for all of it */
	const __m256i mix = _mm256_set1_epi64x((long long)((uint64_t)DEF_WORD_HIGH << 32 | DEF_WORD_LOW)),
		      hash = _mm256_set1_epi64x((uint64_t)(32 - DEF_WORD_HASH) << 32 | (32 - DEF_WORD_FOUR)),
		      kind = _mm256_set1_epi64x((uint64_t)(32 - 7) << 32 | (24 - 7)),
		      two = _mm256_set1_epi64x(0x0c0408000c040800), kinds = _mm256_set1_epi8(DEF_KINDS - 1);
	__m128i size = _mm_sub_epi32(_mm_loadu_si128((const __m128i *)(at + 1)),
				     _mm_loadu_si128((const __m128i *)at));
	__m256i bits = _mm256_slli_epi64(_mm256_cvtepu32_epi64(_mm_min_epu32(size, _mm_set1_epi32(8))), 3);
	__m256i words = _mm256_set_epi64x(eight_at(p + at[3] + 1), eight_at(p + at[2] + 1),
					  eight_at(p + at[1] + 1), eight_at(p + at[0] + 1));
	__m256i keys = _mm256_andnot_si256(_mm256_sllv_epi64(_mm256_set1_epi64x(-1), bits), words);
	__m256i mixed = _mm256_mullo_epi32(keys, mix);
	mixed = _mm256_add_epi32(mixed, _mm256_slli_epi64(mixed, 32));
	__m256i k = _mm256_shuffle_epi8(_mm256_and_si256(_mm256_srlv_epi32(mixed, kind), kinds), two);
	uint64_t both = (uint64_t)_mm_cvtsi128_si64(
		_mm_unpacklo_epi16(_mm256_castsi256_si128(k), _mm256_extracti128_si256(k, 1)));
	uint32_t h[8];

	memcpy(l->begin + n, &both, sizeof(uint32_t));
	both >>= 32;
	memcpy(l->key + n, &both, sizeof(uint32_t));
	_mm256_storeu_si256((__m256i *)h, _mm256_srlv_epi32(mixed, hash));
	for (unsigned i = 0; i < 4; i++)
		list(l, n + i, h[2 * i], h[2 * i + 1]);
}
#else
#define list_four(l, n, p, at) (void)0
#endif

/* Words from the blank at or behind @p i on, as many as there is room for. @return the blank behind them */
WIDE_BODY size_t words_take(struct sift *f, size_t i, bool fast)
{
	const struct def_sieve_state *st = f->st;
	const uint8_t *p = f->p;
	const size_t len = f->len;
	struct lists l = {
		.s = f->s,
		.no = st->no,
		.first = st->first,
		.hits = st->hits,
		.begin = st->begin,
		.key = st->key,
		.n_hits = f->n_hits,
		.last = (size_t)f->no,
	};
	uint32_t *at = st->at;
	size_t n = f->n, end = 0;
	bool twice;

	i = blanks_find(p, i, len, at + n, st->cap_words - n, &end, &twice, &f->high);
	if (end == 0)
		return len;
	end += n;
	if (i == len && at[end - 1] + 1u < len) /* the last word has no blank behind it */
		at[end++] = (uint32_t)len;
	size_t k = n, plain = twice ? n : end - 1, next = at[end - 1];
	while (plain > n && at[plain - 1] + 1 + sizeof(uint64_t) > len)
		plain--;
	/* most words: a place is the one of its blank already */
	for (; fast && k + 4 <= plain; k += 4)
		list_four(&l, k, p, at + k);
	for (; k < plain; k++) {
		uint64_t key, size = at[k + 1] - at[k];
		memcpy(&key, p + at[k] + 1, sizeof(key));
		list_one(&l, k, key & octets[MIN(size, sizeof(key))]);
	}
	for (n = k; k + 1 < end; k++) {
		size_t size = at[k + 1] - at[k], from = at[k] + 1u;
		uint64_t key = 0x2020202020202020u;
		if (size == 1)
			continue;
		memcpy(&key, p + from, MIN(len - from, sizeof(key)));
		at[n] = at[k];
		list_one(&l, n++, key & octets[MIN(size, sizeof(key))]);
	}
	f->no = (int32_t)l.last;
	f->n = n;
	f->n_hits = l.n_hits;
	return i == len ? len : next;
}

/* Each a function of its own, for the sake of the processor's few registers. */
WIDE_FAST static __attribute__((noinline)) size_t words_fast(struct sift *f, size_t i)
{
	return words_take(f, i, true);
}

static __attribute__((noinline)) size_t words_plain(struct sift *f, size_t i)
{
	return words_take(f, i, false);
}

/* Keep what the @p done first hits do not need any more; that is all but a few words, or there is more room. */
static void words_keep(struct sift *f, size_t done)
{
	struct def_sieve_state *st = f->st;
	int32_t least = MAX(f->no - 2 * f->s->far - 4, 0);
	size_t from = first_of(f, least), n = f->n - from, hit = 0;

	memmove(st->at, st->at + from, n * sizeof(*st->at));
	for (size_t k = 0; k < n; k++)
		st->no[k] = st->no[from + k] - least;
	memmove(st->begin, st->begin + from, n);
	memmove(st->key, st->key + from, n);
	for (int32_t no = least; least > 0 && no <= f->no + 1; no++)
		st->first[no - least] = st->first[no] - (uint32_t)from;
	f->no -= least;
	f->base += (uint64_t)least;
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
		st->no = (int32_t *)(void *)(room + size);
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
		memcpy(st->first, old.first, ((size_t)f->no + 2) * sizeof(*old.first));
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
		i = fast ? words_fast(f, i) : words_plain(f, i);
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
	struct sift f = {.s = s, .st = st, .p = words, .len = len, .base = st->base + 1};

	st->n = 0;
	int r = s->plain ? sift_plain(&f) : sift_fast(&f);
	*ret_turn = f.turn;
	st->base = f.base + (uint64_t)f.no;
	st->high = f.high;
	if (st->cap_words > KEEP) {
		def_free(s->mem, st->room);
		st->room = NULL;
		st->cap_words = 0;
	}
	return r;
}

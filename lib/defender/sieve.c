#include "base/cleanup.h"
#include "sift.h"
#include "wide.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 16384 /* asked for; what more rules there are is looked for everywhere */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a key's first octet is its lowest");

/* A word on its way into the table. */
struct row {
	struct word w;
	uint16_t chain;
};

static void bit_set(uint64_t *set, uint32_t i)
{
	set[i >> 6] |= (uint64_t)1 << (i & 63);
}

static void kind_set(uint8_t set[DEF_KINDS / 8], uint8_t kind)
{
	set[kind & 15] = (uint8_t)(set[kind & 15] | 1u << (kind >> 4));
}

struct def_sieve *def_sieve_new(const def_mem *mem)
{
	struct def_sieve *s = def_alloc(mem, sizeof(*s));

	if (s) {
		s->mem = mem;
		s->shape.mem = mem;
		s->plain = !wide_fast();
		memset(s->four, DEF_WORD_COUNTS, sizeof(s->four));
	}
	return s;
}

void def_sieve_free(struct def_sieve *s)
{
	if (!s)
		return;
	def_shape_fini(&s->shape);
	def_free(s->mem, s->rows);
	def_free(s->mem, s->words);
	def_free(s->mem, s->refs);
	def_free(s->mem, s->chains);
	def_free(s->mem, s->forms);
	def_free(s->mem, s->slots);
	def_free(s->mem, s);
}

int def_sieve_add(struct def_sieve *s, const char *expr, unsigned group)
{
	size_t c = s->shape.n_chains;

	/* and one pattern more still has numbers of 16 bits */
	if (s->shape.n_words > WORDS || s->shape.n_chains > UINT16_MAX - 64)
		return 0;
	int r = def_shape_add(&s->shape, expr);
	for (; r > 0 && c < s->shape.n_chains; c++)
		s->shape.chains[c].group = (uint8_t)(group % DEF_GROUPS);
	return r;
}

bool def_sieve_high(struct def_sieve *s, const char *expr)
{
	return def_shape_high(&s->shape, expr);
}

static struct form form_of(const struct def_shape_word *w)
{
	struct form f = {.len = w->len};

	memcpy(f.text, w->text, w->len);
	if (w->whole)
		f.text[f.len++] = ' ';
	return f;
}

static uint64_t form_eight(const struct form *f)
{
	uint64_t w;

	memcpy(&w, f->text, sizeof(w));
	return w;
}

static bool form_open(const struct form *f)
{
	return f->len < sizeof(uint64_t) && f->text[f->len - 1] != ' ';
}

static uint64_t form_key(const struct form *f)
{
	return form_open(f) ? form_eight(f) & UINT32_MAX : def_word_key(form_eight(f));
}

static int row_add(struct def_sieve *s, const struct def_shape_word *w, size_t chain, unsigned turn)
{
	if (def_room(s->mem, &s->rows, s->n_rows, &s->cap_rows, sizeof(*s->rows)) < 0)
		return CREEL_E_NOMEM;
	struct row *r = &s->rows[s->n_rows++];
	*r = (struct row){.w = {.form = form_of(w), .turn = (uint8_t)turn}, .chain = (uint16_t)chain};
	r->w.key = form_key(&r->w.form);
	return 0;
}

int def_sieve_turn(struct def_sieve *s, const char *word, unsigned turn)
{
	struct def_shape_word w = {.len = (uint8_t)MIN(strlen(word), (size_t)SHAPE_WORD)};

	/* a longer word is asked for by its beginning: a turn too many finds nothing */
	w.whole = word[w.len] == 0;
	memcpy(w.text, word, w.len);
	return row_add(s, &w, 0, turn);
}

static int row_order(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int r;

	if (x->w.key != y->w.key)
		return x->w.key < y->w.key ? -1 : 1;
	r = memcmp(&x->w.form, &y->w.form, sizeof(x->w.form));
	return r ? r : (int)x->chain - (int)y->chain;
}

static void slot_take(struct def_sieve *s, const struct word *w)
{
	uint32_t h = def_word_hash(def_word_mix(w->key)), at = h & s->last_slot;
	bool open = form_open(&w->form), three = open && w->key < 1u << 24;

	while (s->slots[at] && s->words[s->slots[at] - 1].key != w->key)
		at = (at + 1) & s->last_slot;
	if (!s->slots[at])
		s->slots[at] = (uint16_t)(w - s->words + 1);
	bit_set(s->asked, h);
	if (open)
		s->four[def_word_four((uint32_t)w->key)] |= DEF_WORD_OPEN;
	s->threes |= three;
	for (uint32_t c = 1; three && c < 256; c++)
		s->four[def_word_four((uint32_t)w->key | c << 24)] |= DEF_WORD_OPEN;
}

/* A row becomes a word, or is one more to ask for it. */
static void row_take(struct def_sieve *s, const struct row *r)
{
	struct word *w = s->n_words ? &s->words[s->n_words - 1] : NULL;

	if (!w || w->key != r->w.key || memcmp(&w->form, &r->w.form, sizeof(w->form)) != 0) {
		w = &s->words[s->n_words++];
		*w = r->w;
		w->first_ref = (uint32_t)s->n_refs;
	}
	w->turn |= r->w.turn;
	if (r->w.turn)
		return;
	s->refs[s->n_refs++] = r->chain;
	w->n_refs++;
}

/* The table of keys: a quarter full at most, so that a search ends, and soon. */
static int slots_fill(struct def_sieve *s)
{
	size_t keys = 1, n = 1;

	for (size_t i = 1; i < s->n_words; i++)
		keys += s->words[i].key != s->words[i - 1].key;
	while (n < 4 * keys)
		n *= 2;
	s->slots = def_alloc(s->mem, n * sizeof(*s->slots));
	if (!s->slots)
		return CREEL_E_NOMEM;
	s->last_slot = (uint32_t)n - 1;
	for (size_t i = 0; i < s->n_words; i++)
		slot_take(s, &s->words[i]);
	return 0;
}

/* Step @p j of chain @p from, which is not asked for first: how far it may be from the one that is. */
static struct step step_of(struct def_sieve *s, const struct def_chain *from, unsigned j)
{
	const struct def_shape_word *w = &s->shape.words[from->first_word];
	struct step t = {.first_form = (uint32_t)s->n_forms};
	unsigned far = 0;
	bool open = false;

	for (unsigned k = MIN(j, from->rarest) + 1u; k <= MAX(j, from->rarest); k++)
		far += from->gap[k];
	*(j < from->rarest ? &t.before : &t.after) = (uint8_t)far;
	for (size_t i = 0; i < from->n_words; i++) {
		if (w[i].step != j)
			continue;
		struct form f = form_of(&w[i]);
		s->forms[s->n_forms++] = f;
		t.n_forms++;
		open |= form_open(&f); /* a beginning that is shorter than a key */
	}
	for (size_t i = t.first_form; i < s->n_forms; i++) {
		uint64_t key = form_key(&s->forms[i]);
		kind_set(t.key, def_word_key_kind(def_word_mix(key)));
		kind_set(t.begin, def_word_begin_kind(key));
	}
	if (open)
		memset(t.key, 0xff, sizeof(t.key));
	return t;
}

static int chain_take(struct def_sieve *s, size_t at)
{
	const struct def_chain *from = &s->shape.chains[at];
	struct chain *c = &s->chains[at];

	*c = (struct chain){
		.before = from->before, .after = from->after, .group = from->group, .rarest = from->rarest};
	for (size_t i = 0; i < from->n_words; i++) {
		const struct def_shape_word *w = &s->shape.words[from->first_word + i];
		if (w->step == from->rarest && row_add(s, w, at, 0) < 0)
			return CREEL_E_NOMEM;
	}
	s->far = MAX(s->far, from->before + 1);
	s->far = MAX(s->far, from->after + 1);
	for (unsigned k = 0; k < from->n_steps; k++) {
		unsigned j = from->by_cost[k];
		if (j == from->rarest)
			continue;
		c->by_place[j] = c->n;
		c->step[c->n++] = step_of(s, from, j);
	}
	return 0;
}

int def_sieve_seal(struct def_sieve *s)
{
	const struct def_shape *h = &s->shape;

	s->chains = def_alloc(s->mem, (h->n_chains + 1) * sizeof(*s->chains));
	s->forms = def_alloc(s->mem, (h->n_words + 1) * sizeof(*s->forms));
	if (!s->chains || !s->forms)
		return CREEL_E_NOMEM;
	for (size_t i = 0; i < h->n_chains; i++)
		if (chain_take(s, i) < 0)
			return CREEL_E_NOMEM;
	qsort(s->rows, s->n_rows, sizeof(*s->rows), row_order);
	s->words = def_alloc(s->mem, (s->n_rows + 1) * sizeof(*s->words));
	s->refs = def_alloc(s->mem, (s->n_rows + 1) * sizeof(*s->refs));
	if (!s->words || !s->refs)
		return CREEL_E_NOMEM;
	for (size_t i = 0; i < s->n_rows; i++)
		row_take(s, &s->rows[i]);
	if (slots_fill(s) < 0)
		return CREEL_E_NOMEM;
	for (size_t i = 0; i < h->n_loops; i++)
		s->four[def_word_four(h->loops[i])] &= (uint8_t)~DEF_WORD_COUNTS;
	def_free(s->mem, s->rows);
	s->rows = NULL;
	return 0;
}

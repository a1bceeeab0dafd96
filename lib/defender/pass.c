/*
 * One pass of the matcher over one view: Vectorscan says where matches end; where they begin, which
 * of them an exception takes back and which only mention an attack is found afterwards, of those few:
 * exceptions and marks of such writing are looked for only then.
 */
#include "place.h"
#include "scan.h"
#include <string.h>

#define MENTION_SPAN 700 /* octets on either side in which marks of writing about attacks count */
#define MENTION_AT   4   /* different ones */
/* octets on either side of a hit: what marks that count and an exception around it need */
#define NEAR (MENTION_SPAN + DEF_SPAN)

struct mark {
	size_t at;
	uint32_t id;
};
struct unless {
	size_t from, to;
	uint32_t next; /* 1 + index, same rule */
};

/* What one pass of the matcher over one view brought. */
struct pass {
	struct scan *s;
	const struct def_view *v;
	uint8_t db;    /* that reads now, */
	size_t offset; /* from here on */
	struct hit *hits;
	size_t n_hits, cap_hits;
	struct unless *unless;
	size_t n_unless, cap_unless;
	struct mark *marks; /* of writing about attacks, ascending */
	size_t n_marks, cap_marks;
	bool nomem;
};

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *arg)
{
	struct pass *p = arg;
	const struct def_id *i = &p->s->d->matcher.ids[p->db][id];
	const def_mem *m = p->s->mem;

	/* without a start from Vectorscan: found afterwards, in hit_place() */
	if (p->db == DEF_DB_MARKS || p->db == DEF_DB_MARKS_TEXT) {
		if (def_room(m, &p->marks, p->n_marks, &p->cap_marks, sizeof(*p->marks)) < 0)
			return p->nomem = true;
		p->marks[p->n_marks++] = (struct mark){p->offset + to, id};
		return 0;
	}
	const struct def_rule *u = &p->s->d->rules.rules[i->rule];
	if (p->s->out ? !u->out : !u->in)
		return 0;
	if (def_room(m, &p->hits, p->n_hits, &p->cap_hits, sizeof(*p->hits)) < 0)
		return p->nomem = true;
	p->hits[p->n_hits++] = (struct hit){0, p->offset + to, i->rule, id, p->db, false};
	return 0;
}

/* Database @p db reads @p len octets from @p from on. */
static int read_part(struct pass *p, enum def_db db, size_t from, size_t len)
{
	struct scan *s = p->s;

	if (!s->d->matcher.db[db])
		return 0;
	p->db = (uint8_t)db;
	p->offset = from;
	hs_error_t e = hs_scan(s->d->matcher.db[db], (const char *)p->v->data + from, (unsigned)len, 0,
			       s->w->scratch, on_match, p);
	s->work += len;
	if (p->nomem)
		return CREEL_E_NOMEM;
	return e == HS_SUCCESS ? 0
			       : creel_err_set(s->err, CREEL_E_INVALID, 0, "Vectorscan: error %d", (int)e);
}

static int hit_order(const struct hit *a, const struct hit *b)
{
	if (a->to != b->to)
		return a->to < b->to ? -1 : 1;
	if (a->db != b->db)
		return a->db < b->db ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* Hits of one database that end alike: in the order of its patterns. There are few. */
static void ties_order(struct hit *h, size_t n)
{
	for (size_t i = 1; i < n; i++)
		for (size_t k = i; k > 0 && hit_order(&h[k], &h[k - 1]) < 0; k--) {
			struct hit t = h[k];
			h[k] = h[k - 1];
			h[k - 1] = t;
		}
}

/* The hits since @p mid, ascending, among those before, which are as well. */
static int hits_merge(struct pass *p, size_t mid)
{
	size_t a = 0, b = mid, n = p->n_hits, k = 0;

	ties_order(p->hits + mid, n - mid);
	if (mid == 0 || mid == n)
		return 0;
	struct hit *all = def_alloc(p->s->mem, n * sizeof(*all));
	if (!all)
		return CREEL_E_NOMEM;
	while (k < n)
		all[k++] = b == n || (a < mid && hit_order(&p->hits[a], &p->hits[b]) <= 0) ? p->hits[a++]
											   : p->hits[b++];
	def_free(p->s->mem, p->hits);
	p->hits = all;
	p->cap_hits = n;
	return 0;
}

static int read_whole(struct pass *p, enum def_db db)
{
	size_t mid = p->n_hits;
	int r = read_part(p, db, 0, p->v->len);

	return r < 0 ? r : hits_merge(p, mid);
}

/* The database of group @p g reads the stretches where it may match. */
static int read_stretches(struct pass *p, unsigned g)
{
	const struct def_sieve_state *st = &p->s->w->sieve;
	size_t mid = p->n_hits;
	int r = 0;

	for (size_t i = 0; r == 0 && i < st->n; i++)
		if (st->stretches[i].groups & 1u << g)
			r = read_part(p, (enum def_db)(DEF_DB_WORDS + g), st->stretches[i].from,
				      st->stretches[i].to - st->stretches[i].from);
	return r < 0 ? r : hits_merge(p, mid);
}

static int read_words(struct pass *p, struct def_turn *ret_turn)
{
	struct scan *s = p->s;
	struct def_sieve_state *st = &s->w->sieve;
	unsigned turn = 0;
	uint32_t groups = 0;
	int r = def_sieve_sift(s->d->matcher.sieve, st, p->v->data, p->v->len, &turn);

	s->work += p->v->len;
	for (size_t i = 0; i < st->n; i++)
		groups |= st->stretches[i].groups;
	for (; r == 0 && groups; groups &= groups - 1)
		r = read_stretches(p, (unsigned)__builtin_ctz(groups));
	if (r == 0)
		r = read_whole(p, DEF_DB_REST);
	if (r == 0 && st->high)
		r = read_whole(p, DEF_DB_HIGH);
	if (ret_turn)
		*ret_turn = (struct def_turn){turn & DEF_TURN_ROT13, turn & DEF_TURN_REVERSE};
	return r;
}

static int unless_add(struct pass *p, uint32_t rule, size_t from, size_t to)
{
	struct def_rule_state *st = &p->s->w->state[rule];

	if (def_room(p->s->mem, &p->unless, p->n_unless, &p->cap_unless, sizeof(*p->unless)) < 0)
		return CREEL_E_NOMEM;
	p->unless[p->n_unless++] = (struct unless){from, to, 0};
	if (st->unless_last)
		p->unless[st->unless_last - 1].next = (uint32_t)p->n_unless;
	else
		st->unless = (uint32_t)p->n_unless;
	st->unless_last = (uint32_t)p->n_unless;
	return 0;
}

/* Where a match begins; without the blanks around it. @return false: nothing is left of it */
static bool hit_place(struct pass *p, struct hit *h)
{
	const struct def_matcher *m = &p->s->d->matcher;
	bool padded = m->ids[h->db][h->id].padded;

	h->from = def_placer_start(m->placer[h->db], p->s->w->places, h->id, padded, p->v->data, h->to);
	p->s->work += MIN(h->to, (size_t)DEF_SPAN);
	if (padded) {
		h->from += p->v->data[h->from] == ' ';
		h->to--;
	}
	return h->from < h->to;
}

/* Join what the same rule found right behind itself (a pattern with an optional end matches several times). */
static void hits_place(struct pass *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n_hits; i++) {
		struct hit h = p->hits[i], *last = kept ? &p->hits[kept - 1] : NULL;
		if (!hit_place(p, &h))
			continue;
		if (last && last->rule == h.rule && h.from <= last->to) {
			last->to = MAX(last->to, h.to);
			last->from = MIN(last->from, h.from);
			continue;
		}
		p->hits[kept++] = h;
	}
	p->n_hits = kept;
}

/* Database @p db reads what is near the first @p n hits, which are placed and in order of their ends. */
static int read_near(struct pass *p, enum def_db db, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n;) {
		size_t from = p->hits[i].from, to = p->hits[i].to;
		for (i++; i < n && p->hits[i].from <= to + 2 * NEAR; i++) {
			from = MIN(from, p->hits[i].from);
			to = MAX(to, p->hits[i].to);
		}
		from = from > NEAR ? from - NEAR : 0;
		r = read_part(p, db, from, MIN(p->v->len, to + NEAR) - from);
	}
	return r;
}

/* The exceptions near the hits, which are placed and stay in front. */
static int unless_find(struct pass *p)
{
	size_t n = p->n_hits;
	int r = read_near(p, DEF_DB_UNLESS, n);

	ties_order(p->hits + n, p->n_hits - n);
	for (size_t i = n; r == 0 && i < p->n_hits; i++) {
		struct hit h = p->hits[i];
		if (hit_place(p, &h))
			r = unless_add(p, h.rule, h.from, h.to);
	}
	p->n_hits = n;
	return r;
}

/*
 * Drop hits that end within an `unless` of the same rule; both come in order of their ends. What only stands beside
 * one, or goes on behind it, stays: else the words that excuse would be put before any attack.
 */
static void unless_apply(struct pass *p)
{
	size_t kept = 0;

	for (size_t i = 0; p->n_unless && i < p->n_hits; i++) {
		struct hit h = p->hits[i];
		struct def_rule_state *st = &p->s->w->state[h.rule];
		while (st->unless && p->unless[st->unless - 1].to < h.to)
			st->unless = p->unless[st->unless - 1].next;
		if (!st->unless || p->unless[st->unless - 1].from >= h.to)
			p->hits[kept++] = h;
	}
	if (p->n_unless)
		p->n_hits = kept;
}

static bool hidden(const struct def_view *v)
{
	for (; v; v = v->parent)
		if (v->via && v->via[0])
			return true;
	return false;
}

/*
 * Who writes about attacks quotes them. A hit in the open, with several different marks of such
 * writing around it, is a mention; what hides is never one.
 */
static void mentions_find(struct pass *p)
{
	size_t first = 0;

	if (p->n_marks < MENTION_AT)
		return;
	for (size_t i = 0; i < p->n_hits; i++) {
		struct hit *h = &p->hits[i];
		uint32_t seen[MENTION_AT];
		size_t n = 0;
		while (first < p->n_marks && p->marks[first].at + MENTION_SPAN < h->from)
			first++;
		for (size_t k = first; k < p->n_marks && p->marks[k].at < h->to + MENTION_SPAN; k++) {
			size_t q = 0;
			while (q < n && seen[q] != p->marks[k].id)
				q++;
			if (q == n && n < MENTION_AT)
				seen[n++] = p->marks[k].id;
		}
		h->mention = n >= MENTION_AT;
	}
}

static void show(struct scan *s, const char *name, const struct def_view *v)
{
	if (!s->explain || s->explain->stopped)
		return;
	struct creel_defender_view w = {name, def_via(s, v), (const char *)v->data, v->len};
	s->explain->stopped = s->explain->each(s->explain->arg, &w);
}

int def_pass(struct scan *s, const struct def_view *v, enum def_pass_kind kind, const char *name,
	     struct def_turn *ret_turn)
{
	struct pass p = {.s = s, .v = v};
	int r = 0;

	show(s, name, v);
	if (v->len == 0)
		return 0;
	if (kind == DEF_PASS_WORDS)
		r = read_words(&p, ret_turn);
	else
		r = read_whole(&p, kind == DEF_PASS_TEXT ? DEF_DB_TEXT : DEF_DB_DENSE);
	if (r == 0 && kind == DEF_PASS_TEXT && s->out)
		r = read_whole(&p, DEF_DB_TEXT_OUT);
	if (r == 0 && p.n_hits > 0) {
		memset(s->w->state, 0, s->d->rules.n_rules * sizeof(*s->w->state));
		hits_place(&p);
	}
	if (r == 0 && p.n_hits > 0 && kind == DEF_PASS_WORDS)
		r = unless_find(&p);
	unless_apply(&p);
	if (r == 0 && p.n_hits > 0 && kind != DEF_PASS_DENSE && !hidden(v)) {
		r = read_near(&p, kind == DEF_PASS_TEXT ? DEF_DB_MARKS_TEXT : DEF_DB_MARKS, p.n_hits);
		mentions_find(&p);
	}
	if (r == 0)
		r = def_hits_take(s, v, p.hits, p.n_hits);
	def_free(s->mem, p.hits);
	def_free(s->mem, p.unless);
	def_free(s->mem, p.marks);
	return r;
}

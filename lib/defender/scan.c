/*
 * One scan: from the original octets to findings in them. Each text that is found inside (an
 * escape's result, a decoded run, the text backwards) is a view and goes the same way.
 */
#include "base/cleanup.h"
#include "inner.h"
#include "place.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX   5
#define VIEW_MAX    0x7fffffffu
#define COMBINE_SPAN 480 /* octets of the words view in which signals belong together */
#define COMBINE_AT   0.72
#define MENTION_SPAN 700 /* octets on either side in which marks of writing about attacks count */
#define MENTION_AT   4	 /* different ones */

struct hit {
	size_t from, to;
	uint32_t rule;
	uint32_t id; /* of the pattern in its database */
	bool mention;
};
struct mark {
	size_t at;
	uint32_t id;
};
struct unless {
	size_t from, to;
	uint32_t next; /* 1 + index, same rule */
};

struct scan {
	const struct creel_defender *d;
	struct def_worker *w;
	const struct creel_defender_context *ctx;
	struct creel_defender_result *r;
	struct def_explain *explain;
	const def_mem *mem;
	uint64_t work;
	size_t budget; /* octets that may still be decoded */
	bool out;
	double signals; /* 1 - the product of (1 - confidence) of what spoke */
	struct creel_err *err;
};

/* What one pass of the matcher over one view brought. */
struct pass {
	struct scan *s;
	int db;
	struct hit *hits;
	size_t n_hits, cap_hits;
	struct unless *unless;
	size_t n_unless, cap_unless;
	struct mark *marks; /* of writing about attacks, ascending */
	size_t n_marks, cap_marks;
	bool rot13, reverse, nomem;
};

enum creel_defender_action def_action_of(enum creel_defender_severity s)
{
	static const enum creel_defender_action of[] = {CREEL_DEFENDER_LOG, CREEL_DEFENDER_WARN,
							CREEL_DEFENDER_SANITIZE, CREEL_DEFENDER_BLOCK,
							CREEL_DEFENDER_BLOCK};
	return of[s];
}

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *arg)
{
	struct pass *p = arg;
	const struct def_id *i = &p->s->d->matcher.ids[p->db][id];
	const def_mem *m = p->s->mem;

	/* without a start from Vectorscan: found afterwards, in hit_places() */
	if (i->what == DEF_ID_ROT13 || i->what == DEF_ID_REVERSE) {
		*(i->what == DEF_ID_ROT13 ? &p->rot13 : &p->reverse) = true;
		return 0;
	}
	if (i->what == DEF_ID_CONTEXT) {
		if (def_room(m, &p->marks, p->n_marks, &p->cap_marks, sizeof(*p->marks)) < 0)
			return p->nomem = true;
		p->marks[p->n_marks++] = (struct mark){to, id};
		return 0;
	}
	const struct def_rule *u = &p->s->d->rules.rules[i->rule];
	if (p->s->out ? !u->out : !u->in)
		return 0;
	if (def_room(m, &p->hits, p->n_hits, &p->cap_hits, sizeof(*p->hits)) < 0)
		return p->nomem = true;
	p->hits[p->n_hits++] = (struct hit){0, to, i->rule, id, false};
	return 0;
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

/*
 * Find where the matches begin, part them into hits and exceptions, and join what the same rule found
 * right behind itself (a pattern with an optional end matches several times).
 */
static int hit_places(struct pass *p, const struct def_view *v)
{
	const struct def_matcher *m = &p->s->d->matcher;
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n_hits; i++) {
		struct hit h = p->hits[i];
		const struct def_id *id = &m->ids[p->db][h.id];
		h.from = def_placer_start(m->placer[p->db], p->s->w->places, h.id, id->padded, v->data, h.to);
		p->s->work += MIN(h.to, (size_t)DEF_SPAN);
		if (id->padded) {
			h.from += v->data[h.from] == ' ';
			h.to--;
		}
		if (h.from >= h.to)
			continue;
		if (id->what == DEF_ID_UNLESS) {
			r = unless_add(p, h.rule, h.from, h.to);
			continue;
		}
		struct hit *last = kept ? &p->hits[kept - 1] : NULL;
		if (last && last->rule == h.rule && h.from <= last->to) {
			last->to = MAX(last->to, h.to);
			last->from = MIN(last->from, h.from);
			continue;
		}
		p->hits[kept++] = h;
	}
	p->n_hits = kept;
	return r;
}

/* Drop hits that an `unless` of the same rule overlaps or touches; both come in order of their ends. */
static void unless_apply(struct pass *p)
{
	size_t kept = 0;

	for (size_t i = 0; p->n_unless && i < p->n_hits; i++) {
		struct hit h = p->hits[i];
		struct def_rule_state *st = &p->s->w->state[h.rule];
		while (st->unless && p->unless[st->unless - 1].to + 2 < h.from)
			st->unless = p->unless[st->unless - 1].next;
		if (!st->unless || p->unless[st->unless - 1].from > h.to + 2)
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
static void mentions_find(struct pass *p, const struct def_view *v)
{
	size_t first = 0;

	if (p->n_marks < MENTION_AT || hidden(v))
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

/* "base64,url": the ways by which a view is hidden, outermost first. */
static const char *via_of(struct scan *s, const struct def_view *v)
{
	char text[96] = "";
	size_t at = sizeof(text) - 1;

	for (; v; v = v->parent) {
		size_t n = v->via ? strlen(v->via) : 0;
		if (n == 0 || at < n + 1)
			continue;
		if (text[at])
			text[--at] = ',';
		at -= n;
		memcpy(text + at, v->via, n);
	}
	return text[at] ? def_arena_text(&s->r->strings, text + at, strlen(text + at)) : "";
}

static int finding_add(struct scan *s, const struct creel_defender_finding *f)
{
	struct creel_defender_result *r = s->r;

	r->action = MAX(r->action, f->action);
	if (r->n_findings >= r->max_findings * 4) {
		r->dropped++;
		return 0;
	}
	if (def_room(s->mem, &r->findings, r->n_findings, &r->cap_findings, sizeof(*r->findings)) < 0)
		return CREEL_E_NOMEM;
	r->findings[r->n_findings++] = *f;
	return 0;
}

static struct creel_defender_finding finding_of(const struct def_rule *u, const char *via)
{
	return (struct creel_defender_finding){.rule = u->id, .category = u->category, .via = via,
					       .severity = u->severity, .confidence = u->confidence,
					       .action = def_action_of(u->severity), .layer = 1};
}

static int by_size(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	return x < y ? -1 : x > y;
}

/*
 * The places of @p n findings, which stand in @p v, in the original. Their number is bounded, so they
 * may be sorted.
 */
static int places_set(struct scan *s, const struct def_view *v, struct creel_defender_finding *f, size_t n)
{
	size_t *at = def_alloc(s->mem, 4 * n * sizeof(*at)), *sorted = at ? at + 2 * n : NULL;
	int r = at ? 0 : CREEL_E_NOMEM;

	/* each end alone, as a pair: the first octet and the last one of its source */
	for (size_t i = 0; r == 0 && i < n; i++) {
		at[i] = f[i].from;
		at[n + i] = f[i].to - 1;
	}
	for (int end = 0; r == 0 && end < 2; end++) {
		for (size_t i = 0; i < n; i++)
			sorted[i] = at[(size_t)end * n + i];
		qsort(sorted, n, sizeof(*sorted), by_size);
		size_t k = 0;
		for (size_t i = 0; i < n; i++)
			if (i == 0 || sorted[i] != sorted[k - 1])
				sorted[k++] = sorted[i];
		size_t *pair = def_alloc(s->mem, 2 * k * sizeof(*pair));
		if (!pair)
			r = CREEL_E_NOMEM;
		for (size_t i = 0; r == 0 && i < k; i++)
			pair[2 * i] = pair[2 * i + 1] = sorted[i];
		if (r == 0)
			r = def_view_origin(v, pair, 2 * k, s->mem, &s->work);
		bool back = false;
		for (const struct def_view *p = v; p; p = p->parent)
			back ^= p->fn == def_reverse;
		for (size_t i = 0; r == 0 && i < n; i++) {
			size_t *hit = bsearch(&at[(size_t)end * n + i], sorted, k, sizeof(*sorted), by_size);
			size_t j = (size_t)(hit - sorted);
			if (back)
				j = k - 1 - j;
			if ((end == 0) != back)
				f[i].from = pair[2 * j];
			else
				f[i].to = pair[2 * j + 1];
		}
		def_free(s->mem, pair);
	}
	def_free(s->mem, at);
	return r;
}

/* The ranges to be replaced, of all hits however many: merged here, then mapped, then kept. */
static int ranges_add(struct scan *s, const struct def_view *v, const struct hit *hits, size_t n)
{
	size_t *at = def_alloc(s->mem, 2 * (n ? n : 1) * sizeof(*at)), k = 0;
	struct creel_defender_result *r = s->r;
	int e = at ? 0 : CREEL_E_NOMEM;

	for (size_t i = 0; e == 0 && i < n; i++) {
		size_t from = hits[i].from, to = hits[i].to - 1;
		while (k > 0 && at[2 * k - 1] + 1 >= from) {
			k--;
			from = MIN(from, at[2 * k]);
			to = MAX(to, at[2 * k + 1]);
		}
		at[2 * k] = from;
		at[2 * k + 1] = to;
		k++;
	}
	if (e == 0 && k > 0)
		e = def_view_origin(v, at, 2 * k, s->mem, &s->work);
	for (size_t i = 0; e == 0 && i < k; i++) {
		struct def_range *last = r->n_ranges ? &r->ranges[r->n_ranges - 1] : NULL;
		if (last && at[2 * i] >= last->from && at[2 * i] <= last->to) {
			last->to = MAX(last->to, at[2 * i + 1]);
			continue;
		}
		e = def_room(s->mem, &r->ranges, r->n_ranges, &r->cap_ranges, sizeof(*r->ranges));
		if (e == 0)
			r->ranges[r->n_ranges++] = (struct def_range){at[2 * i], at[2 * i + 1]};
	}
	def_free(s->mem, at);
	return e;
}

/*
 * Signals (info rules) count together: several of different rules close by are a finding. Each rule
 * speaks once a window, with its confidence.
 */
static int signals_combine(struct scan *s, const struct hit *hits, size_t n,
			   struct creel_defender_finding *ret, bool *ret_found)
{
	size_t first = 0;
	double best = 0;

	*ret_found = false;
	for (size_t i = 0; i < n; i++) {
		double miss = 1;
		unsigned rules = 0;
		while (hits[first].to + COMBINE_SPAN < hits[i].to)
			first++;
		/* at most a rule's number of distinct speakers: bounded by walking back so far */
		size_t stop = i - first > 32 ? i - 32 : first;
		for (size_t k = i + 1; k-- > stop;) {
			bool seen = false;
			for (size_t q = k + 1; q <= i && !seen; q++)
				seen = hits[q].rule == hits[k].rule;
			if (seen)
				continue;
			miss *= 1 - s->d->rules.rules[hits[k].rule].confidence;
			rules++;
		}
		if (rules >= 2 && 1 - miss > best) {
			best = 1 - miss;
			ret->from = hits[i].from;
			for (size_t k = stop; k <= i; k++)
				ret->from = MIN(ret->from, hits[k].from);
			ret->to = hits[i].to;
			ret->confidence = best;
			*ret_found = best >= COMBINE_AT;
		} else if (rules == 1) {
			best = MAX(best, 1 - miss);
		}
	}
	s->signals = MAX(s->signals, best);
	return 0;
}

/* Does this view read in another way what its parent showed already? */
static bool reread(const struct def_view *v)
{
	for (; v; v = v->parent)
		if (v->via && (strcmp(v->via, "markup") == 0 || strcmp(v->via, "leet") == 0))
			return true;
	return false;
}

/*
 * Of findings in such a view, those are new that the plain reading did not find, be it as a mention:
 * it saw more of what stands around.
 */
static size_t new_only(const struct creel_defender_result *r, struct creel_defender_finding *f, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		bool old = false;
		for (size_t k = 0; k < r->n_findings && !old; k++)
			old = strcmp(r->findings[k].rule, f[i].rule) == 0 && r->findings[k].from < f[i].to &&
			      f[i].from < r->findings[k].to;
		if (!old)
			f[kept++] = f[i];
	}
	return kept;
}

static int finding_take(struct scan *s, const struct creel_defender_finding *f, bool range)
{
	struct creel_defender_result *r = s->r;
	int e = finding_add(s, f);

	if (f->severity != CREEL_DEFENDER_INFO)
		r->rules_score = MAX(r->rules_score, f->confidence);
	if (e < 0 || !range || f->action < CREEL_DEFENDER_WARN)
		return e;
	e = def_room(s->mem, &r->ranges, r->n_ranges, &r->cap_ranges, sizeof(*r->ranges));
	if (e == 0)
		r->ranges[r->n_ranges++] = (struct def_range){f->from, f->to};
	return e;
}

static int hits_take(struct scan *s, const struct def_view *v, const struct hit *hits, size_t n)
{
	bool again = reread(v); /* and all of its findings fit: they are bounded */
	size_t cap = MIN(n, s->r->max_findings * 2), k = 0, loud = 0, quiet = 0;
	struct creel_defender_finding *f, combined = {.rule = "combined.signals", .category = "combined",
						      .severity = CREEL_DEFENDER_LOW, .layer = 1,
						      .action = CREEL_DEFENDER_WARN};
	struct hit *h;
	bool found = false;
	int r;

	if (n == 0)
		return 0;
	const char *via = via_of(s, v);
	f = def_alloc(s->mem, (cap + 1) * sizeof(*f));
	h = def_alloc(s->mem, 2 * n * sizeof(*h));
	r = f && h && via ? 0 : CREEL_E_NOMEM;
	for (size_t i = 0; r == 0 && i < s->d->rules.n_rules; i++)
		s->w->state[i].finding = 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct def_rule *u = &s->d->rules.rules[hits[i].rule];
		struct def_rule_state *st = &s->w->state[hits[i].rule];
		if (u->severity == CREEL_DEFENDER_INFO)
			h[n + quiet++] = hits[i];
		else if (!hits[i].mention)
			h[loud++] = hits[i];
		if (st->finding && hits[i].from <= f[st->finding - 1].to &&
		    (f[st->finding - 1].severity == CREEL_DEFENDER_INFO) >= hits[i].mention) {
			f[st->finding - 1].to = hits[i].to;
			f[st->finding - 1].from = MIN(f[st->finding - 1].from, hits[i].from);
			continue;
		}
		enum creel_defender_severity sev = hits[i].mention ? CREEL_DEFENDER_INFO : u->severity;
		if (k == cap) {
			s->r->action = MAX(s->r->action, def_action_of(sev));
			again = false;
			s->r->dropped++;
			continue;
		}
		f[k] = finding_of(u, via);
		f[k].severity = sev;
		f[k].action = def_action_of(sev);
		if (hits[i].mention)
			f[k].via = "mention";
		f[k].from = hits[i].from;
		f[k++].to = hits[i].to;
		st->finding = (uint32_t)k;
	}
	if (r == 0 && quiet > 0)
		r = signals_combine(s, h + n, quiet, &combined, &found);
	if (r == 0 && found) {
		combined.via = via;
		f[k++] = combined;
	}
	if (r == 0 && k > 0)
		r = places_set(s, v, f, k);
	if (r == 0 && again)
		k = new_only(s->r, f, k);
	for (size_t i = 0; r == 0 && i < k; i++)
		r = finding_take(s, &f[i], again);
	if (r == 0 && loud > 0 && !again)
		r = ranges_add(s, v, h, loud);
	def_free(s->mem, f);
	def_free(s->mem, h);
	return r;
}

static int show(struct scan *s, const char *name, const struct def_view *v)
{
	if (!s->explain || s->explain->stopped)
		return 0;
	struct creel_defender_view w = {name, via_of(s, v), (const char *)v->data, v->len};
	s->explain->stopped = s->explain->each(s->explain->arg, &w);
	return 0;
}

static int match(struct scan *s, const struct def_view *v, int db, const char *name, struct pass *ret)
{
	struct pass p = {.s = s, .db = db};
	int r = 0;

	show(s, name, v);
	if (!s->d->matcher.db[db] || v->len == 0)
		return 0;
	memset(s->w->state, 0, s->d->rules.n_rules * sizeof(*s->w->state));
	hs_error_t e = hs_scan(s->d->matcher.db[db], (const char *)v->data, (unsigned)v->len, 0,
			       s->w->scratch, on_match, &p);
	s->work += v->len;
	if (p.nomem)
		r = CREEL_E_NOMEM;
	else if (e != HS_SUCCESS)
		r = creel_err_set(s->err, CREEL_E_INVALID, 0, "Vectorscan: error %d", (int)e);
	if (r == 0)
		r = hit_places(&p, v);
	if (r == 0) {
		unless_apply(&p);
		mentions_find(&p, v);
		r = hits_take(s, v, p.hits, p.n_hits);
	}
	if (ret) {
		ret->rot13 = p.rot13;
		ret->reverse = p.reverse;
	}
	def_free(s->mem, p.hits);
	def_free(s->mem, p.unless);
	def_free(s->mem, p.marks);
	return r;
}

/* Take @p n octets off the budget of decoding. */
static bool afford(struct scan *s, size_t n)
{
	if (s->budget < n)
		return false;
	s->budget -= n;
	return true;
}

static int ngram_ask(struct scan *s, const struct def_view *words)
{
	size_t from, to;

	if (!s->d->has_ngram || (s->ctx->skip_layers & (1u << 2)) || s->out)
		return 0;
	double p = def_ngram_score(&s->d->ngram, words->data, words->len, &from, &to);
	s->work += words->len;
	if (p <= s->r->ngram_score)
		return 0;
	s->r->ngram_score = p;
	return 0;
}

static int scan_folded(struct scan *s, const struct def_view *text, bool turn)
{
	struct def_view words = {0}, other = {0};
	struct def_facts facts = {.mem = s->mem};
	struct pass p = {0};
	int r = match(s, text, DEF_DB_TEXT, "text", NULL);

	if (r == 0)
		r = def_view_make(&words, text, def_words, (struct def_arg){0}, "", s->mem, &facts,
				  &s->work);
	if (r == 0)
		r = match(s, &words, DEF_DB_WORDS, "words", &p);
	if (r == 0)
		r = ngram_ask(s, &words);
	if (r == 0 && facts.splits > 0) {
		r = def_view_make(&other, &words, def_dense, (struct def_arg){0}, "split", s->mem, NULL,
				  &s->work);
		if (r == 0)
			r = match(s, &other, DEF_DB_DENSE, "split", NULL);
		def_view_fini(&other);
	}
	for (int mode = 0; r == 0 && facts.leets >= 2 && mode < 2; mode++) {
		if (!afford(s, text->len))
			break;
		r = def_view_make(&other, text, def_leet, (struct def_arg){.mode = mode}, "leet", s->mem,
				  NULL, &s->work);
		if (r == 0)
			r = match(s, &other, DEF_DB_WORDS, "leet", NULL);
		def_view_fini(&other);
	}
	if (r == 0 && turn && p.rot13 && afford(s, text->len)) {
		r = def_view_make(&other, text, def_rot13, (struct def_arg){0}, "rot13", s->mem, NULL,
				  &s->work);
		if (r == 0)
			r = scan_folded(s, &other, false);
		def_view_fini(&other);
	}
	if (r == 0 && turn && p.reverse && afford(s, text->len)) {
		r = def_view_make(&other, text, def_reverse, (struct def_arg){0}, "reversed", s->mem, NULL,
				  &s->work);
		if (r == 0)
			r = scan_folded(s, &other, false);
		def_view_fini(&other);
	}
	def_view_fini(&words);
	return r;
}

/* What the normaliser noticed, as hits of the rules that name it. */
static int facts_take(struct scan *s, const struct def_view *v, struct def_facts *f)
{
	struct hit *hits = def_alloc(s->mem, (f->n_hits ? f->n_hits : 1) * sizeof(*hits));
	size_t n = 0;
	int r = hits ? 0 : CREEL_E_NOMEM;

	for (size_t i = 0; r == 0 && i < f->n_hits; i++) {
		int rule = s->d->builtin_rule[f->hits[i].id];
		if (rule < 0 || (s->out && !s->d->rules.rules[rule].out))
			continue;
		/* in emoji, single joiners, selectors and a flag's tags are as they should be */
		if ((f->hits[i].id == DEF_TAGS && f->tags < 8) ||
		    (f->hits[i].id == DEF_SELECTORS && f->selectors < 8))
			continue;
		hits[n++] = (struct hit){f->hits[i].from, f->hits[i].to, (uint32_t)rule, 0, false};
	}
	if (r == 0)
		r = hits_take(s, v, hits, n);
	def_free(s->mem, hits);
	return r;
}

static int scan_octets(struct scan *s, const struct def_view *v, int depth);

static int over_budget(struct scan *s, const struct def_view *v, size_t from, size_t to)
{
	int rule = s->d->builtin_rule[DEF_BUDGET];
	struct hit h = {from, to, (uint32_t)rule, 0, false};
	return rule < 0 || to <= from ? 0 : hits_take(s, v, &h, 1);
}

struct runs {
	struct scan *s;
	const struct def_view *v;
	int depth;
};

/* A run that may be encoded: decode its beginning, and all of it when that is text. */
static int on_run(void *ctx, def_transform fn, const char *via, size_t from, size_t to)
{
	struct runs *c = ctx;
	struct scan *s = c->s;
	uint8_t head[160];
	/* a look at the beginning, in memory of its own */
	struct def_buf b = {.mem = s->mem, .data = head, .cap = sizeof(head)};
	struct def_sink sink = {.out = &b};
	struct def_arg arg = {.from = from, .to = MIN(to, from + 160)};
	struct def_view child = {0};

	fn(c->v->data, c->v->len, &arg, &sink, NULL);
	s->work += arg.to - arg.from;
	if (!def_texty(head, b.len))
		return 0;
	if (c->depth >= DEPTH_MAX || !afford(s, to - from)) {
		int r = over_budget(s, c->v, from, to);
		return r < 0 ? r : 1;
	}
	arg.to = to;
	int r = def_view_make(&child, c->v, fn, arg, via, s->mem, NULL, &s->work);
	bool texty = r == 0 && def_texty(child.data, child.len);
	if (texty)
		r = scan_octets(s, &child, c->depth + 1);
	def_view_fini(&child);
	return r < 0 ? r : texty;
}

static int child_scan(struct scan *s, const struct def_view *v, def_transform fn, const char *via, int depth)
{
	struct def_view child = {0};

	if (depth >= DEPTH_MAX || !afford(s, v->len))
		return over_budget(s, v, 0, v->len);
	int r = def_view_make(&child, v, fn, (struct def_arg){0}, via, s->mem, NULL, &s->work);
	if (r == 0 && def_texty(child.data, child.len))
		r = scan_octets(s, &child, depth + 1);
	def_view_fini(&child);
	return r;
}

static int fold_and_scan(struct scan *s, const struct def_view *v, struct def_facts *facts)
{
	struct def_view text = {0};
	int r = def_view_make(&text, v, def_fold, (struct def_arg){0}, "", s->mem, facts, &s->work);

	if (r == 0 && facts)
		r = facts_take(s, v, facts);
	if (r == 0)
		r = scan_folded(s, &text, true);
	def_view_fini(&text);
	return r;
}

static int scan_octets(struct scan *s, const struct def_view *v, int depth)
{
	struct def_view plain[3] = {{0}}, glued = {0};
	struct def_facts f = {.mem = s->mem}, glue = {.mem = s->mem};
	struct runs runs = {s, NULL, depth};
	int r = 0;

	bool more = def_escapes(v->data, v->len);
	s->work += v->len;
	for (size_t i = 0; r == 0 && more && i < ELEMENTSOF(plain); i++) {
		struct def_facts u = {.mem = s->mem};
		if (i > 0 && !afford(s, v->len))
			break;
		r = def_view_make(&plain[i], v, def_unescape, (struct def_arg){0}, i ? "escaped" : "",
				  s->mem, &u, &s->work);
		v = &plain[i];
		more = u.again;
	}
	if (r == 0)
		r = fold_and_scan(s, v, &f);
	if (r == 0 && f.tags >= 8)
		r = child_scan(s, v, def_tags, "tags", depth);
	if (r == 0 && f.selectors >= 8)
		r = child_scan(s, v, def_selectors, "selectors", depth);
	if (r == 0) {
		def_glue(v->data, v->len, &(struct def_arg){0}, NULL, &glue);
		s->work += v->len;
	}
	if (r == 0 && glue.glues > 0 && afford(s, v->len)) {
		r = def_view_make(&glued, v, def_glue, (struct def_arg){0}, "markup", s->mem, NULL, &s->work);
		if (r == 0)
			r = fold_and_scan(s, &glued, NULL);
		def_view_fini(&glued);
	}
	s->work += v->len;
	if (r == 0 && def_is_qp(v->data, v->len))
		r = child_scan(s, v, def_qp, "quoted-printable", depth);
	runs.v = v;
	s->work += v->len;
	if (r == 0)
		r = def_runs(v->data, v->len, on_run, &runs);
	for (size_t i = 0; i < ELEMENTSOF(plain); i++)
		def_view_fini(&plain[i]);
	def_free(s->mem, f.hits);
	return r;
}

int def_scan_rules(const struct creel_defender *d, struct def_worker *w, const void *text, size_t len,
		   const struct creel_defender_context *ctx, struct creel_defender_result *r,
		   struct def_explain *explain, struct creel_err *err)
{
	struct def_view root = {.data = text, .len = len};
	struct scan s = {.d = d, .w = w, .ctx = ctx, .r = r, .explain = explain, .mem = &r->mem,
			 .budget = 8 * len + 65536, .err = err,
			 .out = ctx->direction == CREEL_DEFENDER_OUT};

	if (len > VIEW_MAX / 16)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a text of %zu octets: 128 MiB is the most", len);
	int e = scan_octets(&s, &root, 0);
	r->work = s.work;
	if (e == CREEL_E_NOMEM)
		return creel_err_nomem(err);
	if (e < 0)
		return e;
	if (r->rules_score == 0)
		r->rules_score = s.signals * 0.5;
	return 0;
}

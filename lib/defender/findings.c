/*
 * From hits in a view to findings and ranges in the original: signals that belong together are
 * combined, places translated, what repeats is joined, and all of it bounded.
 */
#include "scan.h"
#include <stdlib.h>
#include <string.h>

#define COMBINE_SPAN 480 /* octets of the words view in which signals belong together */
#define COMBINE_AT   0.72

enum creel_defender_action def_action_of(enum creel_defender_severity s)
{
	static const enum creel_defender_action of[] = {CREEL_DEFENDER_LOG, CREEL_DEFENDER_WARN,
							CREEL_DEFENDER_SANITIZE, CREEL_DEFENDER_BLOCK,
							CREEL_DEFENDER_BLOCK};
	return of[s];
}

/* "base64,url": the ways by which a view is hidden, outermost first. */
const char *def_via(struct scan *s, const struct def_view *v)
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
	return (struct creel_defender_finding){.rule = u->id,
					       .category = u->category,
					       .via = via,
					       .severity = u->severity,
					       .confidence = u->confidence,
					       .action = def_action_of(u->severity),
					       .layer = 1};
}

static int by_size(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	return x < y ? -1 : x > y;
}

/* Octets of a view, ascending and each once, and where each comes from. */
struct places {
	size_t *at, *pair; /* pair[2 * i]: the first octet of the source of at[i], then one past its last */
	size_t n;
	bool back; /* pairs stand in the other order */
};

static size_t place_of(const struct places *p, size_t at)
{
	const size_t *hit = bsearch(&at, p->at, p->n, sizeof(*p->at), by_size);
	return (size_t)(hit - p->at);
}

/* From the a-th octet to the b-th. */
static struct def_range place(const struct places *p, size_t a, size_t b)
{
	return p->back ? (struct def_range){p->pair[2 * (p->n - 1 - b)], p->pair[2 * (p->n - 1 - a) + 1]}
		       : (struct def_range){p->pair[2 * a], p->pair[2 * b + 1]};
}

/*
 * The places in the original of @p n findings and @p m ranges of whole octets (first, last; ascending, apart),
 * which all stand in @p v: a translation costs a pass over the view's parents, so there is one for all.
 */
static int places_set(struct scan *s, const struct def_view *v, struct creel_defender_finding *f, size_t n,
		      struct def_range *ranges, size_t m)
{
	size_t all = 2 * (n + m), *mine = def_alloc(s->mem, (4 * all + 1) * sizeof(*mine));
	struct places p = {.at = mine ? mine + all : NULL, .pair = mine ? mine + 2 * all : NULL};
	size_t a = 0, b = 0;

	if (!mine)
		return CREEL_E_NOMEM;
	for (const struct def_view *w = v; w && w != s->shore; w = w->parent)
		p.back ^= w->fn == def_reverse;
	for (size_t i = 0; i < n; i++) {
		mine[2 * i] = f[i].from;
		mine[2 * i + 1] = f[i].to - 1;
	}
	qsort(mine, 2 * n, sizeof(*mine), by_size); /* findings are bounded; ranges need no sorting */
	while (a < 2 * n || b < 2 * m) {
		size_t r = b == 2 * m ? SIZE_MAX : b % 2 ? ranges[b / 2].to : ranges[b / 2].from;
		bool found = a < 2 * n && mine[a] <= r;
		size_t at = found ? mine[a] : r;
		*(found ? &a : &b) += 1;
		if (p.n == 0 || p.at[p.n - 1] != at)
			p.at[p.n++] = at;
	}
	for (size_t i = 0; i < p.n; i++)
		p.pair[2 * i] = p.pair[2 * i + 1] = p.at[i];
	int r = def_view_origin(v, s->shore, p.pair, 2 * p.n, s->mem, &s->work);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct def_range to = place(&p, place_of(&p, f[i].from), place_of(&p, f[i].to - 1));
		f[i].from = to.from;
		f[i].to = to.to;
	}
	for (size_t i = 0, k = 0; r == 0 && i < m; i++) {
		while (p.at[k] < ranges[i].from)
			k++;
		size_t first = k;
		while (p.at[k] < ranges[i].to)
			k++;
		ranges[i] = place(&p, first, k);
	}
	for (size_t i = 0; p.back && i < m / 2; i++) {
		struct def_range t = ranges[i];
		ranges[i] = ranges[m - 1 - i];
		ranges[m - 1 - i] = t;
	}
	def_free(s->mem, mine);
	return r;
}

/* The ranges to be replaced, of all hits however many, in their view: merged. @return how many */
static size_t ranges_of(const struct hit *hits, size_t n, struct def_range *ret)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		struct def_range r = {hits[i].from, hits[i].to - 1};
		for (; k > 0 && ret[k - 1].to + 1 >= r.from; k--) {
			r.from = MIN(r.from, ret[k - 1].from);
			r.to = MAX(r.to, ret[k - 1].to);
		}
		ret[k++] = r;
	}
	return k;
}

static int ranges_add(struct scan *s, const struct def_range *ranges, size_t n)
{
	struct creel_defender_result *r = s->r;

	for (size_t i = 0; i < n; i++) {
		struct def_range *last = r->n_ranges > s->first_range ? &r->ranges[r->n_ranges - 1] : NULL;
		if (last && ranges[i].from >= last->from && ranges[i].from <= last->to) {
			last->to = MAX(last->to, ranges[i].to);
			continue;
		}
		if (def_room(s->mem, &r->ranges, r->n_ranges, &r->cap_ranges, sizeof(*r->ranges)) < 0)
			return CREEL_E_NOMEM;
		r->ranges[r->n_ranges++] = ranges[i];
	}
	return 0;
}

/*
 * Signals (info rules) count together: several of different rules close by are a finding. Each rule
 * speaks once a window, with its confidence.
 */
static bool signals_combine(struct scan *s, const struct hit *hits, size_t n,
			    struct creel_defender_finding *ret)
{
	size_t first = 0;
	double best = 0;
	bool found = false;

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
			found = best >= COMBINE_AT;
		} else if (rules == 1) {
			best = MAX(best, 1 - miss);
		}
	}
	s->signals = MAX(s->signals, best);
	return found;
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
static size_t new_only(const struct scan *s, struct creel_defender_finding *f, size_t n)
{
	const struct creel_defender_result *r = s->r;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		bool old = false;
		for (size_t k = s->first_finding; k < r->n_findings && !old; k++)
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

int def_hits_take(struct scan *s, const struct def_view *v, const struct hit *hits, size_t n)
{
	bool again = reread(v); /* and all of its findings fit: they are bounded */
	size_t cap = MIN(n, s->r->max_findings * 2), k = 0, loud = 0, quiet = 0;
	struct creel_defender_finding *f, combined = {.rule = "combined.signals",
						      .category = "combined",
						      .severity = CREEL_DEFENDER_LOW,
						      .layer = 1,
						      .action = CREEL_DEFENDER_WARN};
	struct def_range *ranges;
	size_t n_ranges = 0;
	struct hit *h;
	int r;

	if (n == 0)
		return 0;
	const char *via = def_via(s, v);
	f = def_alloc(s->mem, (cap + 1) * sizeof(*f));
	h = def_alloc(s->mem, 2 * n * sizeof(*h));
	ranges = def_alloc(s->mem, n * sizeof(*ranges));
	r = f && h && ranges && via ? 0 : CREEL_E_NOMEM;
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
	if (r == 0 && quiet > 0 && signals_combine(s, h + n, quiet, &combined)) {
		combined.via = via;
		f[k++] = combined;
	}
	if (r == 0 && !again)
		n_ranges = ranges_of(h, loud, ranges);
	if (r == 0 && k + n_ranges > 0)
		r = places_set(s, v, f, k, ranges, n_ranges);
	if (r == 0 && again)
		k = new_only(s, f, k);
	for (size_t i = 0; r == 0 && i < k; i++)
		r = finding_take(s, &f[i], again);
	if (r == 0)
		r = ranges_add(s, ranges, n_ranges);
	def_free(s->mem, ranges);
	def_free(s->mem, f);
	def_free(s->mem, h);
	return r;
}

static int range_order(const void *a, const void *b)
{
	const struct def_range *x = a, *y = b;
	return x->from < y->from ? -1 : x->from > y->from;
}

/* Translate what the runs of @p v brought, since @p finding and @p range. */
int def_runs_land(struct scan *s, const struct def_view *v, size_t finding, size_t range)
{
	struct creel_defender_result *r = s->r;
	size_t n = r->n_ranges - range, k = 0;
	int e = 0;

	if (!v->parent || v == s->shore)
		return 0;
	if (r->n_findings > finding)
		e = places_set(s, v, r->findings + finding, r->n_findings - finding, NULL, 0);
	if (e < 0 || n == 0)
		return e;
	struct def_range *at = r->ranges + range;
	size_t *place = def_alloc(s->mem, 2 * n * sizeof(*place));
	qsort(at, n, sizeof(*at), range_order);
	for (size_t i = 0; place && i < n; i++) {
		if (k > 0 && at[i].from <= place[2 * k - 1]) {
			place[2 * k - 1] = MAX(place[2 * k - 1], at[i].to - 1);
			continue;
		}
		place[2 * k] = at[i].from;
		place[2 * k++ + 1] = at[i].to - 1;
	}
	e = place ? def_view_origin(v, s->shore, place, 2 * k, s->mem, &s->work) : CREEL_E_NOMEM;
	for (size_t i = 0; e == 0 && i < k; i++)
		at[i] = (struct def_range){place[2 * i], place[2 * i + 1]};
	if (e == 0)
		r->n_ranges = range + k;
	def_free(s->mem, place);
	return e;
}

/*
 * One scan: from the original octets to findings in them. Each text that is found inside (an
 * escape's result, a decoded run, the text backwards) is a view and goes the same way.
 */
#include "scan.h"
#include <string.h>

#define DEPTH_MAX 5
#define VIEW_MAX  0x7fffffffu

/* Take @p n octets off the budget of decoding. */
static bool afford(struct scan *s, size_t n)
{
	if (s->budget < n)
		return false;
	s->budget -= n;
	return true;
}

/* The least memory that is kept and holds @p need octets; else the least of all, which has to grow. */
static struct def_buf spare_take(struct def_worker *w, size_t need)
{
	size_t best = 0;

	for (size_t i = 1; i < w->n_spare; i++) {
		size_t cap = w->spare[i].cap, had = w->spare[best].cap;
		if ((cap >= need) != (had >= need) ? cap >= need : cap < had)
			best = i;
	}
	struct def_buf buf = w->spare[best];
	w->spare[best] = w->spare[--w->n_spare];
	w->spare_octets -= buf.cap;
	return buf;
}

/* As def_view_make() and def_view_fini(), with memory that the worker keeps. */
static int make(struct scan *s, struct def_view *v, const struct def_view *parent, def_transform fn,
		struct def_arg arg, const char *via, void *facts)
{
	struct def_buf buf = {0};

	if (s->w->n_spare > 0)
		buf = spare_take(s->w, def_view_need(parent, &arg));
	buf.mem = s->mem;
	return def_view_make(v, parent, fn, arg, via, buf, facts, &s->work);
}

static void fini(struct scan *s, struct def_view *v)
{
	struct def_worker *w = s->w;

	if (v->buf.data && !v->buf.failed && w->n_spare < DEF_SPARE &&
	    v->buf.cap <= DEF_SPARE_MAX - w->spare_octets) {
		w->spare[w->n_spare] = v->buf;
		w->spare[w->n_spare++].mem = &s->d->mem; /* the result's goes with it */
		w->spare_octets += v->buf.cap;
		v->buf.data = NULL;
	}
	def_view_fini(v);
}

static bool ngram_wanted(const struct scan *s)
{
	return s->d->has_ngram && !(s->ctx->skip_layers & (1u << 2)) && !s->out;
}

static void ngram_ask(struct scan *s, const struct def_view *words)
{
	size_t from, to;

	if (!ngram_wanted(s))
		return;
	double p = def_ngram_score(&s->d->ngram, words->data, words->len, &from, &to);
	s->work += words->len;
	s->r->ngram_score = MAX(s->r->ngram_score, p);
}

/* What a folded text is read for: each more than the one before. */
enum reading { READ_TEXT, READ_WORDS, READ_TURNED };

static int scan_folded(struct scan *s, const struct def_view *text, enum reading reading)
{
	struct def_view words = {0}, other = {0};
	struct def_facts facts = {.mem = s->mem};
	struct def_turn turned = {0};
	int r = def_pass(s, text, DEF_PASS_TEXT, "text", NULL);

	if (r < 0 || reading == READ_TEXT)
		return r;
	r = make(s, &words, text, def_words, (struct def_arg){0}, "", &facts);
	if (r == 0)
		r = def_pass(s, &words, DEF_PASS_WORDS, "words", &turned);
	if (r == 0)
		ngram_ask(s, &words);
	if (r == 0 && facts.splits > 0) {
		r = make(s, &other, &words, def_dense, (struct def_arg){0}, "split", NULL);
		if (r == 0)
			r = def_pass(s, &other, DEF_PASS_DENSE, "split", NULL);
		fini(s, &other);
	}
	for (int mode = 0; r == 0 && facts.leets >= 2 && mode < 2; mode++) {
		struct def_arg arg = {.mode = mode, .from = facts.ones_from, .to = facts.ones_to};
		if (!afford(s, text->len) || (mode == 1 && !arg.to)) /* both would be the same */
			break;
		r = make(s, &other, text, def_leet, arg, "leet", mode == 0 ? &facts : NULL);
		if (r == 0)
			r = def_pass(s, &other, DEF_PASS_WORDS, "leet", NULL);
		fini(s, &other);
	}
	if (r == 0 && reading == READ_TURNED && turned.rot13 && afford(s, text->len)) {
		r = make(s, &other, text, def_rot13, (struct def_arg){0}, "rot13", NULL);
		if (r == 0)
			r = scan_folded(s, &other, READ_WORDS);
		fini(s, &other);
	}
	if (r == 0 && reading == READ_TURNED && turned.reverse && afford(s, text->len)) {
		r = make(s, &other, text, def_reverse, (struct def_arg){0}, "reversed", NULL);
		if (r == 0)
			r = scan_folded(s, &other, READ_WORDS);
		fini(s, &other);
	}
	fini(s, &words);
	return r;
}

/* What the normaliser noticed, as hits of the rules that name it. */
static int facts_take(struct scan *s, const struct def_view *v, struct def_facts *f)
{
	struct hit *hits = def_alloc(s->mem, f->n_hits * sizeof(*hits));
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
		hits[n++] = (struct hit){f->hits[i].from, f->hits[i].to, (uint32_t)rule, 0, 0, false};
	}
	if (r == 0)
		r = def_hits_take(s, v, hits, n);
	def_free(s->mem, hits);
	return r;
}

static int scan_octets(struct scan *s, const struct def_view *v, int depth);

static int over_budget(struct scan *s, const struct def_view *v, size_t from, size_t to)
{
	int rule = s->d->builtin_rule[DEF_BUDGET];
	struct hit h = {from, to, (uint32_t)rule, 0, 0, false};
	return rule < 0 || to <= from ? 0 : def_hits_take(s, v, &h, 1);
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
	uint8_t head[DEF_HEAD];
	/* a look at the beginning, in memory of its own */
	struct def_buf b = {.mem = s->mem, .data = head, .cap = sizeof(head)};
	struct def_sink sink = {.out = &b};
	struct def_arg arg = {.from = from, .to = MIN(to, from + DEF_HEAD)};
	struct def_view child = {0};

	fn(c->v->data, c->v->len, &arg, &sink, NULL);
	s->work += arg.to - arg.from;
	if (!def_texty(head, b.len))
		return 0;
	const struct scan outer = *s;
	bool texty = true;
	int r;

	s->shore = c->v;
	s->first_finding = s->r->n_findings;
	s->first_range = s->r->n_ranges;
	if (c->depth >= DEPTH_MAX || !afford(s, to - from)) {
		r = over_budget(s, c->v, from, to);
	} else {
		arg.to = to;
		r = make(s, &child, c->v, fn, arg, via, NULL);
		texty = r == 0 && def_texty(child.data, child.len);
		if (texty)
			r = scan_octets(s, &child, c->depth + 1);
		fini(s, &child);
	}
	s->shore = outer.shore;
	s->first_finding = outer.first_finding;
	s->first_range = outer.first_range;
	return r < 0 ? r : texty;
}

static int child_scan(struct scan *s, const struct def_view *v, def_transform fn, const char *via, int depth)
{
	struct def_view child = {0};

	if (depth >= DEPTH_MAX || !afford(s, v->len))
		return over_budget(s, v, 0, v->len);
	int r = make(s, &child, v, fn, (struct def_arg){0}, via, NULL);
	if (r == 0 && def_texty(child.data, child.len))
		r = scan_octets(s, &child, depth + 1);
	fini(s, &child);
	return r;
}

/*
 * Without the markup in it: to structural rules that is another text. Where it changes words, they are other ones
 * from the start: @p ret_joins.
 */
static int scan_glued(struct scan *s, const struct def_view *text, bool *ret_joins)
{
	struct def_view glued = {0};
	struct def_facts facts = {.mem = s->mem};
	int r = make(s, &glued, text, def_glue, (struct def_arg){.beside = s->d->matcher.beside}, "markup",
		     &facts);

	*ret_joins = facts.joins;
	if (r == 0 && glued.len > 0 && afford(s, text->len))
		r = scan_folded(s, &glued, READ_TEXT);
	fini(s, &glued);
	return r;
}

static int fold_and_scan(struct scan *s, const struct def_view *v, struct def_facts *facts,
			 enum reading reading)
{
	struct def_view text = {0};
	int r = make(s, &text, v, def_fold, (struct def_arg){0}, "", facts);

	if (r == 0 && facts)
		r = facts_take(s, v, facts);
	if (r == 0)
		r = scan_folded(s, &text, reading);
	if (r == 0 && facts)
		r = scan_glued(s, &text, &facts->joins);
	fini(s, &text);
	return r;
}

static int scan_octets(struct scan *s, const struct def_view *v, int depth)
{
	struct def_view plain[3] = {{0}}, glued = {0};
	struct def_facts f = {.mem = s->mem};
	struct runs runs = {s, NULL, depth};
	int r = 0;

	bool more = def_escapes(v->data, v->len);
	s->work += v->len;
	for (size_t i = 0; r == 0 && more && i < ELEMENTSOF(plain); i++) {
		struct def_facts u = {.mem = s->mem};
		if (i > 0 && !afford(s, v->len))
			break;
		r = make(s, &plain[i], v, def_unescape, (struct def_arg){0}, i ? "escaped" : "", &u);
		v = &plain[i];
		more = u.again;
	}
	if (r == 0)
		r = fold_and_scan(s, v, &f, READ_TURNED);
	if (r == 0 && f.tags >= 8)
		r = child_scan(s, v, def_tags, "tags", depth);
	if (r == 0 && f.selectors >= 8)
		r = child_scan(s, v, def_selectors, "selectors", depth);
	if (r == 0 && f.joins && afford(s, v->len)) {
		r = make(s, &glued, v, def_glue, (struct def_arg){0}, "markup", NULL);
		if (r == 0)
			r = fold_and_scan(s, &glued, NULL, READ_TURNED);
		fini(s, &glued);
	}
	s->work += v->len;
	if (r == 0 && def_is_qp(v->data, v->len))
		r = child_scan(s, v, def_qp, "quoted-printable", depth);
	runs.v = v;
	s->work += v->len;
	size_t finding = s->r->n_findings, range = s->r->n_ranges;
	if (r == 0)
		r = def_runs(v->data, v->len, on_run, &runs);
	if (r == 0)
		r = def_runs_land(s, v, finding, range);
	for (size_t i = 0; i < ELEMENTSOF(plain); i++)
		fini(s, &plain[i]);
	def_free(s->mem, f.hits);
	return r;
}

int def_scan_rules(const struct creel_defender *d, struct def_worker *w, const void *text, size_t len,
		   const struct creel_defender_context *ctx, struct creel_defender_result *r,
		   struct def_explain *explain, struct creel_err *err)
{
	struct def_view root = {.data = text, .len = len};
	struct scan s = {.d = d,
			 .w = w,
			 .ctx = ctx,
			 .r = r,
			 .explain = explain,
			 .mem = &r->mem,
			 .budget = 8 * len + 65536,
			 .err = err,
			 .out = ctx->direction == CREEL_DEFENDER_OUT};

	if (len > VIEW_MAX / 16)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a text of %zu octets: 128 MiB is the most",
				     len);
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

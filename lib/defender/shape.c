/*
 * A pattern's shape. The pattern becomes a tree; the ways through its outermost alternatives become
 * chains; in each, the rarest places that begin a word are chosen, with the words that may stand
 * there. Whatever is not understood makes the pattern one without a shape: never a wrong one.
 */
#include "shape.h"
#include "base/cleanup.h"
#include "tree.h"
#include <string.h>

#define SEQ    512 /* elements of one chain */
#define FORMS  512 /* words that may stand at one place */
#define MANY   1000000
#define SPLIT  24 /* parts of a choice that become chains of their own, at most, */
#define COMMON 60 /* where the rarest words of the whole cost so much */

/* A chain's elements, one behind the other. */
struct seq {
	const struct node *at[SEQ];
	size_t n;
	bool bad;
};

static void flatten(struct seq *q, const struct node *n)
{
	if (n->kind == CAT || (n->kind == ALT && n->child && !n->child->next)) {
		for (const struct node *c = n->child; c; c = c->next)
			flatten(q, c);
		return;
	}
	if (q->n == SEQ) {
		q->bad = true;
		return;
	}
	q->at[q->n++] = n;
}

static bool blank_before(const struct seq *q, size_t k)
{
	uint64_t set[4] = {0};
	bool empty = true;

	while (k > 0 && empty)
		empty = def_tree_edge(q->at[--k], set, true);
	return !empty && def_tree_only_blank(set);
}

static void edge_from(const struct seq *q, size_t k, uint64_t set[4])
{
	while (k < q->n && def_tree_edge(q->at[k], set, false))
		k++;
}

/* The words that may stand at one place. */
struct forms {
	struct def_shape_word w[FORMS];
	bool open[FORMS]; /* more may be added to it */
	size_t n;
	bool bad;
};

static void form_add(struct forms *f, const struct def_shape_word *w, bool open)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->open[i] == open && f->w[i].len == w->len && f->w[i].whole == w->whole &&
		    memcmp(f->w[i].text, w->text, w->len) == 0)
			return;
	if (f->n == FORMS) {
		f->bad = true;
		return;
	}
	f->w[f->n] = *w;
	f->open[f->n++] = open;
}

/* @p c is put behind form @p i; a blank ends it, whole. */
static void form_octet(struct forms *f, size_t i, uint8_t c)
{
	struct def_shape_word *w = &f->w[i];

	if (c == ' ') {
		w->whole = true;
		f->open[i] = false;
		return;
	}
	w->text[w->len++] = c;
	f->open[i] = w->len < SHAPE_WORD;
}

static unsigned count(const uint64_t set[4])
{
	unsigned n = 0;
	for (size_t i = 0; i < 4; i++)
		n += (unsigned)__builtin_popcountll(set[i]);
	return n;
}

static void grow(const def_mem *mem, struct forms *f, const struct node *n);

/* Each open form goes on through one of the children of @p n, or past it when that may be left out. */
static void grow_choice(const def_mem *mem, struct forms *f, const struct node *n)
{
	bool rep = n->kind == REP, many = rep && (n->endless || n->max > 1);
	struct forms *from = mem->alloc(mem->arg, sizeof(*from)),
		     *one = from ? mem->alloc(mem->arg, sizeof(*one)) : NULL;
	size_t kept = 0;

	f->bad |= !one;
	if (!f->bad)
		from->n = 0;
	for (size_t i = 0; !f->bad && i < f->n; i++) {
		if (f->open[i]) {
			from->w[from->n++] = f->w[i];
			continue;
		}
		f->w[kept] = f->w[i];
		f->open[kept++] = false;
	}
	f->n = f->bad ? f->n : kept;
	for (size_t i = 0; !f->bad && rep && n->min == 0 && i < from->n; i++)
		form_add(f, &from->w[i], true);
	for (const struct node *c = n->child; !f->bad && c && (!rep || many || n->max > 0); c = c->next) {
		one->n = from->n;
		one->bad = false;
		for (size_t i = 0; i < from->n; i++) {
			one->w[i] = from->w[i];
			one->open[i] = true;
		}
		grow(mem, one, c);
		for (size_t i = 0; i < one->n; i++)
			form_add(f, &one->w[i], one->open[i] && !many);
		f->bad |= one->bad;
	}
	def_free(mem, from);
	def_free(mem, one);
}

static bool any_open(const struct forms *f)
{
	return memchr(f->open, true, f->n) != NULL;
}

/* Go on with every open form through @p n. */
static void grow(const def_mem *mem, struct forms *f, const struct node *n)
{
	size_t had = f->n;

	if (f->bad || !any_open(f))
		return;
	if (n->kind == CAT) {
		for (const struct node *c = n->child; c; c = c->next)
			grow(mem, f, c);
		return;
	}
	if (n->kind == ALT || n->kind == REP) {
		grow_choice(mem, f, n);
		return;
	}
	for (size_t i = 0; i < had && !f->bad; i++) {
		if (!f->open[i])
			continue;
		if (n->kind == LIT) {
			form_octet(f, i, n->lit);
			continue;
		}
		struct def_shape_word w = f->w[i];
		f->open[i] = false; /* any of many: it ends as a beginning */
		bool first = true;
		for (unsigned c = 0; count(n->set) <= 4 && c < 256 && !f->bad; c++) {
			if (!tree_has(n->set, (uint8_t)c))
				continue;
			size_t at = first ? i : f->n;
			if (!first)
				form_add(f, &w, true);
			if (!first && f->n == at) {
				f->bad = true; /* it was there already: rare enough to give up */
				continue;
			}
			f->w[at] = w;
			form_octet(f, at, (uint8_t)c);
			first = false;
		}
	}
}

/* The words at place @p k; false: nothing of use. */
static bool forms_at(const def_mem *mem, const struct seq *q, size_t k, struct forms *f)
{
	struct def_shape_word none = {.len = 0};
	uint64_t set[4] = {0};

	edge_from(q, k, set);
	if (tree_has(set, ' ') || !blank_before(q, k))
		return false;
	f->n = 0;
	f->bad = false;
	form_add(f, &none, true);
	for (; k < q->n && any_open(f); k++)
		grow(mem, f, q->at[k]);
	for (size_t i = 0; i < f->n; i++)
		if (f->w[i].len < 3 && !f->w[i].whole)
			return false;
	return !f->bad && f->n > 0;
}

/* What reading one pattern needs; used again for the next. */
struct work {
	struct node nodes[TREE_NODES];
	struct forms forms;
};

static int loop_word(struct def_shape *s, const uint8_t *p, size_t n)
{
	uint8_t four[4] = {0};

	memcpy(four, p, MIN(n, sizeof(four)));
	if (n < sizeof(four))
		four[n] = ' ';
	if (def_room(s->mem, &s->loops, s->n_loops, &s->cap_loops, sizeof(*s->loops)) < 0)
		return CREEL_E_NOMEM;
	s->loops[s->n_loops++] = def_shape_key(four);
	return 0;
}

/* The texts of a loop's body, whole. */
struct texts {
	char t[64][64];
	size_t n;
	bool bad;
};

static void spell(struct texts *a, const struct node *n, unsigned deep);

/* @p some behind those of @p a. */
static void texts_add(struct texts *a, const struct texts *some)
{
	a->bad |= some->bad || a->n + some->n > ELEMENTSOF(a->t);
	if (a->bad)
		return;
	memcpy(a->t[a->n], some->t, some->n * sizeof(some->t[0]));
	a->n += some->n;
}

static void spell_octet(struct texts *a, uint8_t c)
{
	for (size_t i = 0; i < a->n && !a->bad; i++) {
		size_t k = strlen(a->t[i]);
		a->bad = k > 60 || c == 0;
		a->t[i][k] = (char)c; /* 64 have room */
		a->t[i][k + 1] = 0;
	}
}

static void spell_repeat(struct texts *a, const struct node *n, unsigned deep)
{
	if (n->endless && n->child->kind == CLS && !tree_has(n->child->set, ' ')) {
		/* letters behind the four that make a key */
		for (size_t i = 0; i < a->n; i++) {
			const char *last = strrchr(a->t[i], ' ');
			a->bad |= strlen(last ? last + 1 : a->t[i]) < 4;
		}
		return;
	}
	a->bad |= n->endless || n->max > 1 || n->min > 0;
	if (a->bad)
		return;
	const struct texts without = *a;
	spell(a, n->child, deep);
	texts_add(a, &without);
}

static void spell_choice(struct texts *a, const struct node *n, unsigned deep)
{
	const struct texts from = *a;

	a->n = 0;
	for (const struct node *c = n->child; c && !a->bad; c = c->next) {
		struct texts way = from;
		spell(&way, c, deep);
		texts_add(a, &way);
	}
}

static void spell(struct texts *a, const struct node *n, unsigned deep)
{
	a->bad |= deep > 8;
	if (a->bad)
		return;
	switch ((enum tree_kind)n->kind) {
	case LIT:
		spell_octet(a, n->lit);
		return;
	case CAT:
		for (const struct node *c = n->child; c; c = c->next)
			spell(a, c, deep + 1);
		return;
	case REP:
		spell_repeat(a, n, deep + 1);
		return;
	case ALT:
		spell_choice(a, n, deep + 1);
		return;
	case CLS:
		a->bad = true;
	}
}

/*
 * The words of an endless loop's body become loop words: that is right when the body is whole words,
 * each with its blank before it (or each with its blank after it), whatever stands around.
 */
static bool loop_take(struct def_shape *s, const struct node *body, const uint64_t before[4],
		      const uint64_t after[4], int *ret_error)
{
	struct texts *t = def_alloc(s->mem, sizeof(*t));
	bool ok = t != NULL, front = true, back = true;

	*ret_error = t ? 0 : CREEL_E_NOMEM;
	if (ok) {
		t->n = 1;
		spell(t, body, 0);
		ok = !t->bad;
	}
	for (size_t i = 0; ok && i < t->n; i++) {
		size_t n = strlen(t->t[i]);
		front = front && n > 1 && t->t[i][0] == ' ' && t->t[i][n - 1] != ' ';
		back = back && n > 1 && t->t[i][n - 1] == ' ' && t->t[i][0] != ' ';
	}
	ok = ok && ((front && def_tree_only_blank(after)) || (back && def_tree_only_blank(before)));
	for (size_t i = 0; ok && i < t->n; i++)
		for (const char *p = t->t[i]; *p && *ret_error == 0;) {
			size_t n = strcspn(p, " ");
			if (n > 0)
				*ret_error = loop_word(s, (const uint8_t *)p, n);
			p += n + (p[n] == ' ');
		}
	def_free(s->mem, t);
	return ok && *ret_error == 0;
}

/*
 * How many blanks @p n may take, without those of loops; MANY: no end.
 *
 * @param before  octets that may stand there, and @p after; looked at only where @p n loops
 */
static unsigned blanks(struct def_shape *s, const struct node *n, const uint64_t before[4],
		       const uint64_t after[4], int *ret_error)
{
	uint64_t b[4], a[4];
	unsigned sum = 0, k;

	switch ((enum tree_kind)n->kind) {
	case LIT:
		return n->lit == ' ';
	case CLS:
		return tree_has(n->set, ' ');
	case ALT:
		for (const struct node *c = n->child; c; c = c->next) {
			k = blanks(s, c, before, after, ret_error);
			sum = MAX(sum, k);
		}
		return sum;
	case CAT:
		memcpy(b, before, sizeof(b));
		for (const struct node *c = n->child; c; c = c->next) {
			bool empty = c->loops;
			memset(a, 0, sizeof(a));
			for (const struct node *f = c->next; f && empty; f = f->next)
				empty = def_tree_edge(f, a, false);
			for (size_t i = 0; empty && i < 4; i++)
				a[i] |= after[i];
			sum += blanks(s, c, b, a, ret_error);
			if (!n->loops)
				continue;
			uint64_t end[4] = {0};
			empty = def_tree_edge(c, end, true);
			for (size_t i = 0; i < 4; i++)
				b[i] = empty ? b[i] | end[i] : end[i];
		}
		return MIN(sum, (unsigned)MANY);
	case REP:
		break;
	}
	memcpy(a, after, sizeof(a));
	memcpy(b, before, sizeof(b));
	if (n->loops) {
		(void)def_tree_edge(n->child, a, false);
		(void)def_tree_edge(n->child, b, true);
	}
	k = blanks(s, n->child, b, a, ret_error);
	if (k == 0 || *ret_error < 0)
		return 0;
	if (!n->endless)
		return MIN(k * n->max, (unsigned)MANY);
	/* edges once more: the body's own are blanks where it matters */
	return loop_take(s, n->child, b, a, ret_error) ? 0 : MANY;
}

/* Is it one of the words of @p list, or how one begins? */
static bool is_listed(const struct def_shape_word *w, const char *list)
{
	for (size_t n; list && *list; list += n + (list[n] == ' ')) {
		n = strcspn(list, " ");
		if (n >= w->len && (n == w->len || !w->whole) && memcmp(list, w->text, w->len) == 0)
			return true;
	}
	return false;
}

/* What a word costs: a guess at how often benign text has it. By its first octet. */
static unsigned word_cost(const struct def_shape_word *w)
{
	static const char *const often[256] = {
		['2'] = "2",
		['a'] = "and a are as at all an",
		['b'] = "be by but",
		['c'] = "can",
		['d'] = "do",
		['f'] = "for from",
		['h'] = "have how",
		['i'] = "in is it if i",
		['n'] = "not no",
		['o'] = "of on or one",
		['r'] = "return",
		['s'] = "so",
		['t'] = "the to that this they",
		['u'] = "up",
		['w'] = "with will what which when we",
		['y'] = "you your",
	};
	static const char *const seen[256] = {
		['a'] = "any after about add access api",
		['b'] = "been before begin",
		['c'] = "change code call check command copy",
		['d'] = "data define",
		['e'] = "each end error",
		['f'] = "file first files find function",
		['g'] = "get give",
		['h'] = "he his has had",
		['i'] = "its into id include input insert",
		['j'] = "just",
		['k'] = "key",
		['l'] = "like last line link list log",
		['m'] = "more my me must may make message memory mode model",
		['n'] = "new now name next",
		['o'] = "only other out open order output",
		['p'] = "print public",
		['r'] = "run read result root",
		['s'] = "should set show system start state string",
		['t'] = "time text then than there test true",
		['u'] = "use user update using",
		['v'] = "version",
		['w'] = "was were would write without",
	};
	if (w->len == 0 || w->len > sizeof("function") - 1) /* the longest of them */
		return 1;
	if (is_listed(w, often[w->text[0]]))
		return 60;
	if (is_listed(w, seen[w->text[0]]))
		return 12;
	return w->whole || w->len > 4 ? 1 : 3;
}

/* Each once, of those since @p first. */
static int word_add(struct def_shape *s, size_t first, const struct def_shape_word *w, uint8_t step)
{
	for (size_t i = first; i < s->n_words; i++)
		if (s->words[i].len == w->len && s->words[i].whole == w->whole &&
		    memcmp(s->words[i].text, w->text, w->len) == 0)
			return 0;
	if (def_room(s->mem, &s->words, s->n_words, &s->cap_words, sizeof(*s->words)) < 0)
		return CREEL_E_NOMEM;
	s->words[s->n_words] = *w;
	s->words[s->n_words++].step = step;
	return 0;
}

/* One chain, of the elements of @p q. @return 1, 0: it has no shape, CREEL_E_NOMEM */
static int chain_add(struct def_shape *s, const struct seq *q, struct forms *f)
{
	unsigned pre[SEQ + 1] = {0}, cost[SHAPE_STEPS];
	size_t step[SHAPE_STEPS], n = 0;
	struct def_chain c = {.first_word = (uint32_t)s->n_words};
	int e = 0;

	for (size_t k = 0; k < q->n; k++) {
		uint64_t before[4] = {0}, after[4] = {0};
		bool empty = q->at[k]->loops;
		for (size_t i = k; i > 0 && empty;)
			empty = def_tree_edge(q->at[--i], before, true);
		if (q->at[k]->loops)
			edge_from(q, k + 1, after);
		if (empty) /* the pattern's first octet: anything may stand before */
			memset(before, 0xff, sizeof(before));
		pre[k + 1] = pre[k] + blanks(s, q->at[k], before, after, &e);
		if (e < 0 || pre[k + 1] > SHAPE_FAR)
			return e;
	}
	for (size_t k = 1; k < q->n; k++) {
		unsigned sum = 0, worst = 0;
		if (!forms_at(s->mem, q, k, f))
			continue;
		for (size_t i = 0; i < f->n; i++)
			sum += word_cost(&f->w[i]);
		for (size_t i = 1; i < n; i++)
			worst = cost[i] > cost[worst] ? (unsigned)i : worst;
		if (n == SHAPE_STEPS) {
			if (cost[worst] <= sum)
				continue;
			memmove(step + worst, step + worst + 1, (n - worst - 1) * sizeof(step[0]));
			memmove(cost + worst, cost + worst + 1, (n - worst - 1) * sizeof(cost[0]));
			n--;
		}
		step[n] = k;
		cost[n++] = sum;
	}
	if (n == 0)
		return 0;
	for (size_t j = 0; j < n; j++) {
		if (!forms_at(s->mem, q, step[j], f))
			return 0;
		size_t first = s->n_words;
		for (size_t i = 0; i < f->n; i++)
			if (word_add(s, first, &f->w[i], (uint8_t)j) < 0)
				return CREEL_E_NOMEM;
		c.gap[j] = j ? (uint8_t)(pre[step[j]] - pre[step[j - 1]]) : 0;
	}
	c.n_steps = (uint8_t)n;
	c.n_words = (uint32_t)s->n_words - c.first_word;
	for (size_t j = 0; j < n; j++) {
		size_t k = j;
		for (; k > 0 && cost[c.by_cost[k - 1]] > cost[j]; k--)
			c.by_cost[k] = c.by_cost[k - 1];
		c.by_cost[k] = (uint8_t)j;
	}
	c.rarest = c.by_cost[0];
	c.before = (uint8_t)pre[step[c.rarest]];
	c.after = (uint8_t)(pre[q->n] - pre[step[c.rarest]]);
	if (def_room(s->mem, &s->chains, s->n_chains, &s->cap_chains, sizeof(*s->chains)) < 0)
		return CREEL_E_NOMEM;
	s->chains[s->n_chains++] = c;
	return 1;
}

/* What the rarest step of the chain would cost. */
static unsigned rarest(const struct def_shape *s, const struct seq *q, struct forms *f)
{
	unsigned least = MANY;

	for (size_t k = 1; k < q->n; k++) {
		unsigned sum = 0;
		if (!forms_at(s->mem, q, k, f))
			continue;
		for (size_t i = 0; i < f->n; i++)
			sum += word_cost(&f->w[i]);
		least = MIN(least, sum);
	}
	return least;
}

/* Is it a choice whose parts are several words, and not too many? */
static bool is_choice(const struct node *n)
{
	size_t parts = 0;
	bool several = false;

	for (const struct node *c = n->child; n->kind == ALT && c; c = c->next, parts++)
		for (const struct node *e = c->child; e; e = e->next)
			several |= e->kind != LIT || e->lit == ' ';
	return several && parts <= SPLIT;
}

/* @p q by way of @p part of the choice that is its element @p at. */
static void way_of(const struct seq *q, size_t at, const struct node *part, struct seq *way)
{
	way->n = at;
	way->bad = false;
	memcpy(way->at, q->at, at * sizeof(way->at[0]));
	flatten(way, part);
	for (size_t k = at + 1; k < q->n; k++)
		flatten(way, q->at[k]);
}

/* The choice in a chain whose ways ask for the rarest words, all in all; q->n: none. */
static size_t choice(const struct def_shape *s, const struct seq *q, struct forms *f)
{
	size_t best = q->n;
	unsigned least = MANY;
	struct seq way;

	for (size_t k = 0; k < q->n; k++) {
		unsigned sum = 0;
		if (!is_choice(q->at[k]))
			continue;
		for (const struct node *c = q->at[k]->child; c && sum < least; c = c->next) {
			way_of(q, k, c, &way);
			sum += way.bad ? MANY : rarest(s, &way, f);
		}
		if (sum < least) {
			least = sum;
			best = k;
		}
	}
	return best;
}

/* One chain, or one for each way through a choice where the words asked for are common. */
static int chains_add(struct def_shape *s, const struct seq *q, struct forms *f)
{
	struct seq way;
	int r = 1;

	if (q->bad)
		return 0;
	size_t at = rarest(s, q, f) < COMMON ? q->n : choice(s, q, f);
	if (at == q->n)
		return chain_add(s, q, f);
	for (const struct node *c = q->at[at]->child; c && r > 0; c = c->next) {
		way_of(q, at, c, &way);
		r = way.bad ? 0 : chain_add(s, &way, f);
	}
	return r;
}

/* The tree of @p expr; NULL: out of memory, or not understood. */
static const struct node *tree_of(struct def_shape *s, const char *expr, int *ret_error)
{
	if (!s->spare)
		s->spare = s->mem->alloc(s->mem->arg, sizeof(struct work));
	*ret_error = s->spare ? 0 : CREEL_E_NOMEM;
	if (!s->spare)
		return NULL;
	return def_tree_read(((struct work *)s->spare)->nodes, expr);
}

int def_shape_add(struct def_shape *s, const char *expr)
{
	size_t n = strlen(expr), words = s->n_words, chains = s->n_chains;
	int r = 0;

	if (n < 3 || expr[0] != ' ' || expr[n - 1] != ' ')
		return 0;
	const struct node *top = tree_of(s, expr, &r);
	if (!top || top->child->next)
		return r;
	struct seq q = {.n = 0};
	flatten(&q, top);
	r = chains_add(s, &q, &((struct work *)s->spare)->forms);
	if (r <= 0) { /* loop words may stay: they only make distances shorter */
		s->n_words = words;
		s->n_chains = chains;
	}
	return r;
}

bool def_shape_high(struct def_shape *s, const char *expr)
{
	int e;
	const struct node *top = tree_of(s, expr, &e);

	return top && def_tree_high(top, DEF_HIGH);
}

void def_shape_fini(struct def_shape *s)
{
	if (!s->mem)
		return;
	def_free(s->mem, s->chains);
	def_free(s->mem, s->words);
	def_free(s->mem, s->loops);
	def_free(s->mem, s->spare);
}

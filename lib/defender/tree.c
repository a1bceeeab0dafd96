/* A pattern becomes a tree. */
#include "tree.h"
#include <string.h>

#define DEEP 60

struct tree {
	const char *p;
	struct node *nodes;
	size_t n;
	bool bad;
};

static void put(uint64_t set[4], uint8_t c)
{
	set[c / 64] |= 1ull << (c % 64);
}

static struct node *make(struct tree *t, enum tree_kind k)
{
	if (t->n == TREE_NODES) {
		t->bad = true;
		t->n = 0;
	}
	struct node *n = &t->nodes[t->n++];
	*n = (struct node){.kind = (uint8_t)k};
	return n;
}

/* After a backslash: what stands for itself, or for one octet. */
static uint8_t escaped(struct tree *t)
{
	uint8_t c = (uint8_t)*t->p;

	t->p += c != 0;
	if (c == 'n')
		return '\n';
	if (c == 't')
		return '\t';
	if (c <= ' ' || c >= 0x7f || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'))
		t->bad = true;
	return c;
}

/* \s, as Vectorscan has it. */
static bool blanks_read(struct tree *t, uint64_t set[4])
{
	if (t->p[0] != '\\' || t->p[1] != 's')
		return false;
	t->p += 2;
	put(set, ' ');
	for (unsigned c = '\t'; c <= '\r'; c++)
		put(set, (uint8_t)c);
	return true;
}

static bool anchor_read(struct tree *t)
{
	size_t n = *t->p == '^' || *t->p == '$' ? 1 : t->p[0] == '\\' && t->p[1] == 'b' ? 2 : 0;

	t->p += n;
	return n > 0;
}

static struct node *class_read(struct tree *t)
{
	struct node *n = make(t, CLS);
	bool not = *t->p == '^', first = true;

	t->p += not ;
	for (; *t->p && (*t->p != ']' || first); first = false) {
		if (blanks_read(t, n->set))
			continue;
		uint8_t a = (uint8_t)*t->p++, b;
		if (a == '[' && (*t->p == ':' || *t->p == '.' || *t->p == '='))
			t->bad = true;
		if (a == '\\')
			a = escaped(t);
		b = a;
		if (t->p[0] == '-' && t->p[1] && t->p[1] != ']') {
			b = (uint8_t)t->p[1];
			t->p += 2;
			if (b == '\\' || b < a)
				t->bad = true;
		}
		for (unsigned c = a; c <= b; c++)
			put(n->set, (uint8_t)c);
	}
	if (*t->p)
		t->p++;
	else
		t->bad = true;
	for (size_t i = 0; i < 4 && not ; i++)
		n->set[i] = ~n->set[i];
	return n;
}

static struct node *alternatives(struct tree *t, unsigned deep);

/* A group whose every way begins with a blank: the blank, and the group without it. */
static struct node *blank_first(struct tree *t, struct node *alt)
{
	for (const struct node *c = alt->child; !t->bad && c; c = c->next)
		if (!c->child || c->child->kind != LIT || c->child->lit != ' ')
			return alt;
	struct node *both = make(t, CAT), *blank = make(t, LIT);
	for (struct node *c = alt->child; !t->bad && c; c = c->next)
		c->child = c->child->next;
	blank->lit = ' ';
	blank->next = alt;
	both->child = blank;
	both->loops = alt->loops;
	return both;
}

static struct node *atom(struct tree *t, unsigned deep)
{
	struct node *n;

	if (anchor_read(t))
		return make(t, CAT);
	if (t->p[0] == '\\' && t->p[1] == 's') {
		n = make(t, CLS);
		(void)blanks_read(t, n->set);
		return n;
	}
	uint8_t c = (uint8_t)*t->p++;
	if (c == '(') {
		if (t->p[0] == '?') {
			t->bad |= t->p[1] != ':';
			t->p += t->bad ? 0 : 2;
		}
		n = t->bad ? NULL : blank_first(t, alternatives(t, deep + 1));
		if (!n || *t->p != ')') {
			t->bad = true;
			return make(t, CAT);
		}
		t->p++;
		return n;
	}
	if (c == '[')
		return class_read(t);
	if (c == '.') {
		n = make(t, CLS);
		memset(n->set, 0xff, sizeof(n->set));
		return n;
	}
	if (strchr("*+?{", c))
		t->bad = true;
	n = make(t, LIT);
	n->lit = c == '\\' ? escaped(t) : c;
	return n;
}

static unsigned number(struct tree *t)
{
	unsigned v = 0;

	if (*t->p < '0' || *t->p > '9')
		t->bad = true;
	while (*t->p >= '0' && *t->p <= '9' && v < 10000)
		v = v * 10 + (unsigned)(*t->p++ - '0');
	return v;
}

/* A group once, and the repeat @p n of it behind that: what is there at any rate is then to be seen. */
static struct node *once_before(struct tree *t, struct node *n)
{
	struct node *both = make(t, CAT), *once = make(t, CAT);

	both->child = once;
	both->loops = n->loops;
	once->child = n->child;
	once->loops = n->child->loops;
	once->next = n;
	n->min--;
	n->max -= !n->endless;
	return both;
}

static struct node *repeated(struct tree *t, struct node *child)
{
	char c = *t->p;

	if (c == 0 || !strchr("?*+{", c))
		return child;
	struct node *n = make(t, REP);
	n->child = child;
	n->min = c == '+';
	n->max = 1;
	n->endless = c == '*' || c == '+';
	t->p++;
	if (c == '{') {
		n->min = n->max = number(t);
		if (*t->p == ',') {
			t->p++;
			n->endless = *t->p == '}';
			if (!n->endless)
				n->max = number(t);
		}
		t->bad |= *t->p != '}' || (!n->endless && n->max < n->min);
		if (!t->bad)
			t->p++;
	}
	n->loops = n->endless || child->loops;
	if (*t->p && strchr("?*+{", *t->p))
		t->bad = true; /* lazy, possessive */
	bool group = child->kind == ALT || child->kind == CAT;
	return group && n->min > 0 && (n->endless || n->max > 1) ? once_before(t, n) : n;
}

static struct node *alternatives(struct tree *t, unsigned deep)
{
	struct node *alt = make(t, ALT), **last_alt = &alt->child;

	t->bad |= deep > DEEP;
	for (;;) {
		struct node *cat = make(t, CAT), **last = &cat->child;
		while (!t->bad && *t->p && *t->p != '|' && *t->p != ')') {
			*last = repeated(t, atom(t, deep));
			cat->loops |= (*last)->loops;
			last = &(*last)->next;
		}
		alt->loops |= cat->loops;
		*last_alt = cat;
		last_alt = &cat->next;
		if (t->bad || *t->p != '|')
			break;
		t->p++;
	}
	return alt;
}

/* The octets that @p n may begin (or end) with. @return whether it may be empty */
bool def_tree_edge(const struct node *n, uint64_t set[4], bool end)
{
	bool empty = false;

	switch ((enum tree_kind)n->kind) {
	case LIT:
		put(set, n->lit);
		return false;
	case CLS:
		for (size_t i = 0; i < 4; i++)
			set[i] |= n->set[i];
		return false;
	case REP:
		return def_tree_edge(n->child, set, end) || n->min == 0;
	case ALT:
		for (const struct node *c = n->child; c; c = c->next)
			empty |= def_tree_edge(c, set, end);
		return empty;
	case CAT:
		break;
	}
	empty = true;
	if (!end) {
		for (const struct node *c = n->child; c && empty; c = c->next)
			empty = def_tree_edge(c, set, end);
		return empty;
	}
	/* from behind: what follows the last one that cannot be empty, and that one */
	const struct node *from = n->child;
	for (const struct node *c = n->child; c; c = c->next) {
		uint64_t none[4] = {0};
		if (!def_tree_edge(c, none, end)) {
			from = c;
			empty = false;
		}
	}
	for (; from; from = from->next)
		(void)def_tree_edge(from, set, end);
	return empty;
}

bool def_tree_only_blank(const uint64_t set[4])
{
	return set[0] == 1ull << ' ' && !set[1] && !set[2] && !set[3];
}

struct node *def_tree_read(struct node *nodes, const char *expr)
{
	struct tree t = {.p = expr, .nodes = nodes};
	struct node *top = alternatives(&t, 0);

	return t.bad || *t.p ? NULL : top;
}

bool def_tree_high(const struct node *n, uint8_t least)
{
	bool all = true;

	switch ((enum tree_kind)n->kind) {
	case LIT:
		return n->lit >= least;
	case CLS:
		return !n->set[0] && !n->set[1] && !n->set[2] && !(n->set[3] & ((1ull << (least - 192)) - 1));
	case REP:
		return n->min > 0 && def_tree_high(n->child, least);
	case ALT:
		for (const struct node *c = n->child; c; c = c->next)
			all &= def_tree_high(c, least);
		return all;
	case CAT:
		for (const struct node *c = n->child; c; c = c->next)
			if (def_tree_high(c, least))
				return true;
	}
	return false;
}

static void sides(struct def_pairs *p, const uint64_t left[4], const uint64_t right[4])
{
	for (size_t k = 0; k < 4; k++)
		for (uint64_t m = left[k]; m; m &= m - 1)
			for (size_t i = 0; i < 4; i++)
				p->pairs[k * 64 + (unsigned)__builtin_ctzll(m)][i] |= right[i];
}

void def_tree_pairs(struct node *n, struct def_pairs *p)
{
	uint64_t left[4] = {0};
	unsigned octets = 0;

	for (size_t i = 0; n->kind == CLS && i < 4; i++)
		octets += (unsigned)__builtin_popcountll(n->set[i]);
	if (octets > TREE_WIDE)
		memset(n->set, 0, sizeof(n->set));
	if (n->kind == LIT || n->kind == CLS)
		return;
	for (struct node *c = n->child; c; c = c->next) {
		uint64_t first[4] = {0}, last[4] = {0};
		def_tree_pairs(c, p);
		(void)def_tree_edge(c, first, false);
		bool empty = def_tree_edge(c, last, true);
		if (n->kind == CAT)
			sides(p, left, first);
		if (n->kind == REP && (n->endless || n->max > 1))
			sides(p, last, first);
		for (size_t i = 0; i < 4; i++)
			left[i] = last[i] | (empty ? left[i] : 0);
	}
}

#include "policy/policydiff.h"
#include "policy/broker.h"
#include <stdio.h>
#include <string.h>

static const char *const modes[] = {"none", "listed", "ask", "open"};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **texts(const struct creel_rule_text *v, size_t n)
{
	const char **s = calloc(n + 1, sizeof(*s));

	for (size_t i = 0; s && i < n; i++)
		s[i] = v[i].s;
	if (s)
		qsort(s, n, sizeof(*s), by_text);
	return s;
}

/* Both sorted: what stands in one alone. */
static int merge(const char **was, const char **will, const char *more, const char *less,
		 struct creel_buf *out, struct creel_err *err)
{
	int r = 0;

	while (r == 0 && (*was || *will)) {
		int c = !*was ? 1 : !*will ? -1 : strcmp(*was, *will);
		if (c < 0)
			r = creel_buf_addf(out, err, "%s: %s\n", less, *was);
		else if (c > 0)
			r = creel_buf_addf(out, err, "%s: %s\n", more, *will);
		/* the same written twice is the same */
		const char *past = c <= 0 ? *was : *will;
		while (*was && strcmp(*was, past) == 0)
			was++;
		while (*will && strcmp(*will, past) == 0)
			will++;
	}
	return r;
}

static int entries(const struct creel_rule_text *was, size_t n_was, const struct creel_rule_text *will,
		   size_t n_will, const char *more, const char *less, struct creel_buf *out,
		   struct creel_err *err)
{
	autofree const char **a = texts(was, n_was), **b = texts(will, n_will);

	return a && b ? merge(a, b, more, less, out, err) : creel_err_nomem(err);
}

/* @param six  by IPv6, too */
static bool reaches(const struct creel_policy_spec *s, const struct creel_rule_reach *r, bool six)
{
	for (size_t i = 0; s && i < s->n_reach; i++)
		if (s->reach[i].port == r->port && strcmp(s->reach[i].cell, r->cell) == 0 &&
		    (s->reach[i].six || !six))
			return true;
	return false;
}

static int reach(const struct creel_policy_spec *of, const struct creel_policy_spec *other, const char *word,
		 struct creel_buf *out, struct creel_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && of && i < of->n_reach; i++) {
		const struct creel_rule_reach *to = &of->reach[i];
		bool four = reaches(other, to, false);
		if (!four || !reaches(other, to, to->six))
			r = creel_buf_addf(out, err, "%s: %s:%u%s\n", word, to->cell, to->port,
					   four ? " by IPv6" : "");
	}
	return r;
}

static const struct creel_broker *broker_find(const struct creel_policy_spec *s, const char *name)
{
	for (size_t i = 0; s->brokers && i < s->brokers->n; i++)
		if (strcmp(s->brokers->v[i].name, name) == 0)
			return &s->brokers->v[i];
	return NULL;
}

/* @return negative: an error, 1 they are one */
static int broker_same(const struct creel_broker *a, const struct creel_broker *b, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) x, autoclean(creel_buf_fini) y;
	struct creel_broker other = *b;

	other.line = a->line;
	creel_buf_init(&x, 1 << 20);
	creel_buf_init(&y, 1 << 20);
	int r = creel_broker_write(a, &x, err);
	if (r == 0)
		r = creel_broker_write(&other, &y, err);
	return r < 0 ? r : x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
}

/* @param will  whose brokers are looked at; @param now  the words are of what is there now */
static int brokers(const struct creel_policy_spec *of, const struct creel_policy_spec *other, bool now,
		   struct creel_buf *out, struct creel_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && of->brokers && i < of->brokers->n; i++) {
		const struct creel_broker *b = &of->brokers->v[i], *a = broker_find(other, b->name);
		int same = a ? broker_same(a, b, err) : 0;
		if (same < 0)
			return same;
		if (!a)
			r = creel_buf_addf(out, err, "%s: %s (%s)\n", now ? "broker" : "no broker", b->name,
					   b->host);
		else if (!same && now)
			r = creel_buf_addf(out, err, "broker changed: %s (%s)\n", b->name, b->host);
	}
	return r;
}

int creel_policy_diff(const struct creel_policy_spec *was, const struct creel_policy_spec *will,
		      struct creel_buf *out, struct creel_err *err)
{
	static const struct creel_policy_spec nothing = {0};
	const struct creel_policy_spec *w = was ? was : &nothing;
	int r = 0;

	if (!was)
		r = creel_buf_addf(out, err, "mode: %s\n", modes[will->mode]);
	else if (was->mode != will->mode)
		r = creel_buf_addf(out, err, "mode: %s -> %s\n", modes[was->mode], modes[will->mode]);
	if (r == 0)
		r = entries(w->allow, w->n_allow, will->allow, will->n_allow, "may now", "may no longer", out,
			    err);
	if (r == 0)
		r = entries(w->deny, w->n_deny, will->deny, will->n_deny, "denied now", "denied no longer",
			    out, err);
	if (r == 0)
		r = reach(will, w, "reaches now", out, err);
	if (r == 0)
		r = reach(w, will, "reaches no longer", out, err);
	if (r == 0)
		r = brokers(will, w, true, out, err);
	return r < 0 ? r : brokers(w, will, false, out, err);
}

#include "policy/policydiff.h"
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
static int merge(const char **was, const char **will, const char *more, const char *less, struct creel_buf *out,
		 struct creel_err *err)
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
		   size_t n_will, const char *more, const char *less, struct creel_buf *out, struct creel_err *err)
{
	autofree const char **a = texts(was, n_was), **b = texts(will, n_will);

	return a && b ? merge(a, b, more, less, out, err) : creel_err_nomem(err);
}

static bool reaches(const struct creel_policy_spec *s, const struct creel_rule_reach *r)
{
	for (size_t i = 0; s && i < s->n_reach; i++)
		if (s->reach[i].port == r->port && strcmp(s->reach[i].cell, r->cell) == 0)
			return true;
	return false;
}

static int reach(const struct creel_policy_spec *of, const struct creel_policy_spec *other, const char *word,
		 struct creel_buf *out, struct creel_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && of && i < of->n_reach; i++)
		if (!reaches(other, &of->reach[i]))
			r = creel_buf_addf(out, err, "%s: %s:%u\n", word, of->reach[i].cell, of->reach[i].port);
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
		r = entries(w->allow, w->n_allow, will->allow, will->n_allow, "may now", "may no longer", out, err);
	if (r == 0)
		r = entries(w->deny, w->n_deny, will->deny, will->n_deny, "denied now", "denied no longer", out, err);
	if (r == 0)
		r = reach(will, w, "reaches now", out, err);
	return r < 0 ? r : reach(w, will, "reaches no longer", out, err);
}

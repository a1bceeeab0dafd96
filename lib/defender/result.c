#include "base/cleanup.h"
#include "inner.h"
#include <stdlib.h>
#include <string.h>

static int by_place(const void *a, const void *b)
{
	const struct creel_defender_finding *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	int r = strcmp(x->rule, y->rule);
	if (r != 0)
		return r;
	if (x->to != y->to)
		return x->to > y->to ? -1 : 1;
	return strlen(x->via) < strlen(y->via) ? -1 : strlen(x->via) > strlen(y->via);
}

static int by_from(const void *a, const void *b)
{
	const struct def_range *x = a, *y = b;
	return x->from < y->from ? -1 : x->from > y->from;
}

/* The same rule at overlapping places, seen through two views, is one finding. */
static void findings_order(struct creel_defender_result *r)
{
	size_t k = 0;

	if (r->n_findings == 0)
		return;
	qsort(r->findings, r->n_findings, sizeof(*r->findings), by_place);
	for (size_t i = 0; i < r->n_findings; i++) {
		struct creel_defender_finding *f = &r->findings[i];
		bool same = false;
		for (size_t q = k; q-- > 0 && k - q < 16 && !same;)
			if (strcmp(r->findings[q].rule, f->rule) == 0 && r->findings[q].to > f->from) {
				r->findings[q].to = MAX(r->findings[q].to, f->to);
				same = true;
			}
		if (!same)
			r->findings[k++] = *f;
	}
	if (k > r->max_findings) {
		r->dropped += k - r->max_findings;
		k = r->max_findings;
	}
	r->n_findings = k;
}

static void ranges_order(struct creel_defender_result *r)
{
	size_t k = 0;

	if (r->n_ranges == 0)
		return;
	qsort(r->ranges, r->n_ranges, sizeof(*r->ranges), by_from);
	for (size_t i = 0; i < r->n_ranges; i++) {
		if (k > 0 && r->ranges[i].from <= r->ranges[k - 1].to)
			r->ranges[k - 1].to = MAX(r->ranges[k - 1].to, r->ranges[i].to);
		else
			r->ranges[k++] = r->ranges[i];
	}
	r->n_ranges = k;
}

int def_result_finish(const struct creel_defender *d, struct creel_defender_result *r, const char *text,
		      size_t len)
{
	size_t cut = 0, n = strlen(d->replacement), at = 0, k = 0;

	findings_order(r);
	ranges_order(r);
	for (size_t i = 0; i < r->n_ranges; i++)
		cut += r->ranges[i].to - r->ranges[i].from;
	if (n && r->n_ranges > (SIZE_MAX / 2) / n)
		return CREEL_E_NOMEM;
	r->sanitized_len = len - cut + r->n_ranges * n;
	r->sanitized = r->mem.alloc(r->mem.arg, r->sanitized_len + 1);
	if (!r->sanitized)
		return CREEL_E_NOMEM;
	for (size_t i = 0; i <= r->n_ranges; i++) {
		size_t to = i < r->n_ranges ? r->ranges[i].from : len;
		if (to > at)
			memcpy(r->sanitized + k, text + at, to - at);
		k += to - at;
		if (i == r->n_ranges)
			break;
		memcpy(r->sanitized + k, d->replacement, n);
		k += n;
		at = r->ranges[i].to;
	}
	r->sanitized[k] = '\0';
	return 0;
}

enum creel_defender_action creel_defender_result_action(const struct creel_defender_result *r)
{
	return r->action;
}

double creel_defender_result_score(const struct creel_defender_result *r)
{
	return r->score;
}

size_t creel_defender_result_findings(const struct creel_defender_result *r,
				      const struct creel_defender_finding **ret)
{
	if (ret)
		*ret = r->findings;
	return r->n_findings;
}

size_t creel_defender_result_dropped(const struct creel_defender_result *r)
{
	return r->dropped;
}

size_t creel_defender_result_verdicts(const struct creel_defender_result *r,
				      const struct creel_defender_verdict **ret)
{
	if (ret)
		*ret = r->verdicts;
	return r->n_verdicts;
}

unsigned creel_defender_result_failed(const struct creel_defender_result *r)
{
	unsigned mask = 0;

	for (size_t i = 0; i < r->n_verdicts; i++)
		if (r->verdicts[i].failed)
			mask |= 1u << r->verdicts[i].layer;
	return mask;
}

const char *creel_defender_result_sanitized(const struct creel_defender_result *r, size_t *ret_len)
{
	if (ret_len)
		*ret_len = r->sanitized_len;
	return r->sanitized;
}

uint64_t creel_defender_result_work(const struct creel_defender_result *r)
{
	return r->work;
}

void creel_defender_result_free(struct creel_defender_result *r)
{
	if (!r)
		return;
	def_mem m = r->mem;
	def_free(&m, r->findings);
	def_free(&m, r->verdicts);
	def_free(&m, r->ranges);
	def_free(&m, r->sanitized);
	r->strings.mem = &m;
	def_arena_fini(&r->strings);
	def_free(&m, r);
}

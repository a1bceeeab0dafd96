#include "base/cleanup.h"
#include "base/log.h"
#include "scan.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double micros(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The rules that found something, each once; and the lowest layer that did. */
static json_t *rules_of(const struct creel_defender_result *r, int *ret_layer)
{
	const struct creel_defender_finding *f;
	size_t n = creel_defender_result_findings(r, &f);
	json_t *a = json_array();

	*ret_layer = 0;
	for (size_t i = 0; i < n; i++) {
		bool seen = f[i].action < CREEL_DEFENDER_WARN;
		json_t *v;
		size_t k;
		json_array_foreach (a, k, v)
			seen |= strcmp(json_string_value(v), f[i].rule) == 0;
		if (seen)
			continue;
		json_array_append_new(a, json_string(f[i].rule));
		if (*ret_layer == 0 || f[i].layer < *ret_layer)
			*ret_layer = f[i].layer;
	}
	return a;
}

static json_t *line_scan(const struct creel_defender *d, const struct creel_defender_context *ctx, json_t *in,
			 struct scan_sum *sum, struct creel_err *err)
{
	json_t *text = json_object_get(in, "text"), *id = json_object_get(in, "id");
	struct creel_defender_result *res = NULL;
	struct creel_defender_error e;
	int layer = 0;

	if (!json_is_string(text)) {
		creel_err_set(err, CREEL_E_SYNTAX, 0, "wants an object with \"id\" and a string \"text\"");
		return NULL;
	}
	double from = micros();
	if (creel_defender_scan(d, json_string_value(text), json_string_length(text), ctx, &res, &e) < 0) {
		creel_err_set(err, e.code, 0, "%s", e.msg);
		return NULL;
	}
	double took = micros() - from;
	enum creel_defender_action a = creel_defender_result_action(res);
	json_t *rules = rules_of(res, &layer);
	json_t *out = json_pack(
		"{s:O?,s:s,s:s,s:f,s:i,s:o,s:I}", "id", id, "action", creel_defender_action_name(a), "label",
		a >= CREEL_DEFENDER_WARN ? "injection" : "benign", "score", creel_defender_result_score(res),
		"layer", layer, "rules", rules, "micros", (json_int_t)(took + 0.5));
	unsigned failed = creel_defender_result_failed(res);
	json_t *layers = json_array();
	for (int k = 2; k < 4; k++)
		if (failed & (1u << k))
			json_array_append_new(layers, json_integer(k));
	if (out && json_array_size(layers) > 0) /* there only when a layer did not answer */
		json_object_set(out, "failed", layers);
	json_decref(layers);
	creel_defender_result_free(res);
	sum->files++;
	sum->found += a >= CREEL_DEFENDER_WARN;
	sum->blocked += a == CREEL_DEFENDER_BLOCK;
	if (!out)
		creel_err_nomem(err);
	return out;
}

/* A line that cannot be scanned is said, has its line of the answer, and is counted; the others are scanned all the same. */
static json_t *line_failed(const struct scan_opts *o, unsigned long at, json_t *in, struct scan_sum *sum,
			   struct creel_err *e)
{
	json_t *out = json_pack("{s:O?,s:s}", "id", json_object_get(in, "id"), "error", e->msg);

	(void)creel_err_add(e, "%.120s:%lu", o->batch, at);
	creel_log_error(e);
	sum->failed++;
	return out;
}

int scan_batch(const struct scan_opts *o, const struct creel_defender *d, struct scan_sum *sum,
	       struct creel_err *err)
{
	autofile FILE *f = strcmp(o->batch, "-") == 0 ? fdopen(dup(0), "r") : fopen(o->batch, "re");
	struct creel_defender_context ctx;
	autofree char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (!f)
		return creel_err_set(err, CREEL_E_OS, errno, "open %.160s", o->batch);
	scan_context(o, &ctx);
	for (unsigned long at = 1; (n = getline(&line, &cap, f)) > 0; at++) {
		if (strspn(line, " \t\r\n") == (size_t)n)
			continue;
		struct creel_err e = {0};
		json_error_t why;
		json_t *in = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, &why);
		json_t *out = NULL;
		if (in)
			out = line_scan(d, &ctx, in, sum, &e);
		else
			(void)creel_err_set(&e, CREEL_E_SYNTAX, 0, "no JSON: %.160s", why.text);
		if (!out && e.code != CREEL_E_NOMEM)
			out = line_failed(o, at, in, sum, &e);
		json_decref(in);
		if (!out)
			return creel_err_nomem(err);
		json_dumpf(out, stdout, JSON_COMPACT | JSON_REAL_PRECISION(5));
		putchar('\n');
		json_decref(out);
	}
	if (ferror(f))
		return creel_err_set(err, CREEL_E_OS, errno, "read %.160s", o->batch);
	return 0;
}

#include "base/cleanup.h"
#include "base/escape.h"
#include "scan.h"
#include <stdio.h>
#include <string.h>

#define SHOWN 100 /* octets of a finding's own text */

void scan_print(const void *data, size_t len)
{
	struct creel_buf autoclean(creel_buf_fini) shown;
	struct creel_err err = {0};

	creel_buf_init(&shown, 1u << 30);
	if (creel_escape_term(&shown, data, len, &err) == 0)
		fwrite(shown.data, 1, shown.len, stdout);
}

struct place {
	size_t line, column; /* from 1; columns are octets */
};

/* Findings come in order, so the counting goes on where it stopped. */
static struct place place_of(const struct creel_buf *text, size_t at, size_t *from, struct place p)
{
	for (; *from < at; (*from)++) {
		p.column++;
		if (text->data[*from] == '\n') {
			p.line++;
			p.column = 1;
		}
	}
	return p;
}

/* A JSON string of octets that need not be UTF-8. */
static json_t *text_json(const void *p, size_t len)
{
	struct creel_buf autoclean(creel_buf_fini) b;
	struct creel_err err = {0};
	json_t *j = NULL;

	creel_buf_init(&b, 1u << 30);
	if (creel_escape_json(&b, p, len, &err) == 0)
		j = json_loadb((const char *)b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	return j ? j : json_string("");
}

static json_t *finding_json(const struct creel_defender_finding *f, struct place p)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:f,s:i,s:I,s:I,s:I,s:I,s:s}", "rule", f->rule, "category",
			 f->category, "severity", creel_defender_severity_name(f->severity), "action",
			 creel_defender_action_name(f->action), "confidence", f->confidence, "layer",
			 f->layer, "from", (json_int_t)f->from, "to", (json_int_t)f->to, "line",
			 (json_int_t)p.line, "column", (json_int_t)p.column, "via", f->via);
}

static json_t *result_json(const char *name, const struct creel_buf *text,
			   const struct creel_defender_result *r)
{
	const struct creel_defender_finding *f;
	const struct creel_defender_verdict *v;
	size_t n = creel_defender_result_findings(r, &f), m = creel_defender_result_verdicts(r, &v), at = 0;
	struct place p = {1, 1};
	json_t *findings = json_array(), *layers = json_array();

	for (size_t i = 0; i < n; i++) {
		if (f[i].from < at) { /* of a whole-text layer: at the beginning */
			at = 0;
			p = (struct place){1, 1};
		}
		p = place_of(text, f[i].from, &at, p);
		json_array_append_new(findings, finding_json(&f[i], p));
	}
	for (size_t i = 0; i < m; i++)
		json_array_append_new(layers, json_pack("{s:i,s:s,s:f,s:b,s:s}", "layer", v[i].layer, "name",
							v[i].name, "score", v[i].score, "failed", v[i].failed,
							"error", v[i].error));
	return json_pack("{s:o,s:s,s:f,s:o,s:I,s:o}", "file", text_json(name, strlen(name)), "action",
			 creel_defender_action_name(creel_defender_result_action(r)), "score",
			 creel_defender_result_score(r), "findings", findings, "dropped",
			 (json_int_t)creel_defender_result_dropped(r), "layers", layers);
}

/* A layer that did not answer is said, whatever the text's action: it is not a clean one. */
static void report_failed(const char *name, const struct creel_defender_result *r)
{
	const struct creel_defender_verdict *v;
	size_t n = creel_defender_result_verdicts(r, &v);

	for (size_t i = 0; i < n; i++) {
		if (!v[i].failed)
			continue;
		scan_print(name, strlen(name));
		printf(": layer %d (%s) did not answer: ", v[i].layer, v[i].name);
		scan_print(v[i].error, strlen(v[i].error));
		putchar('\n');
	}
}

static void report_text(const char *name, const struct creel_buf *text, const struct creel_defender_result *r)
{
	const struct creel_defender_finding *f;
	size_t n = creel_defender_result_findings(r, &f), at = 0;
	struct place p = {1, 1};

	report_failed(name, r);
	if (creel_defender_result_action(r) < CREEL_DEFENDER_WARN)
		return;
	scan_print(name, strlen(name));
	printf(": %s (score %.2f)\n", creel_defender_action_name(creel_defender_result_action(r)),
	       creel_defender_result_score(r));
	for (size_t i = 0; i < n; i++) {
		if (f[i].action < CREEL_DEFENDER_WARN)
			continue;
		if (f[i].from < at) {
			at = 0;
			p = (struct place){1, 1};
		}
		p = place_of(text, f[i].from, &at, p);
		printf("  %zu:%zu %s %s", p.line, p.column, creel_defender_severity_name(f[i].severity),
		       f[i].rule);
		if (f[i].via[0])
			printf(" (%s)", f[i].via);
		if (strcmp(f[i].category, "model") == 0) {
			printf(": the whole text, %.2f\n", f[i].confidence);
			continue;
		}
		printf(": ");
		scan_print(text->data + f[i].from, MIN(f[i].to - f[i].from, (size_t)SHOWN));
		puts(f[i].to - f[i].from > SHOWN ? "..." : "");
	}
	if (creel_defender_result_dropped(r))
		printf("  and %zu more\n", creel_defender_result_dropped(r));
}

int scan_report(const struct scan_opts *o, const char *name, const struct creel_buf *text,
		const struct creel_defender_result *r, struct scan_sum *sum, struct creel_err *err)
{
	if (o->sanitize) {
		size_t n;
		const char *s = creel_defender_result_sanitized(r, &n);
		fwrite(s, 1, n, stdout);
		return 0;
	}
	if (o->form == SCAN_TEXT) {
		report_text(name, text, r);
		return 0;
	}
	json_t *j = result_json(name, text, r);
	if (!j)
		return creel_err_nomem(err);
	if (o->form == SCAN_SARIF) {
		if (!sum->sarif_results)
			sum->sarif_results = json_array();
		json_array_append_new(sum->sarif_results, j);
		return 0;
	}
	json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(5));
	putchar('\n');
	json_decref(j);
	return 0;
}

static int view_show(void *arg, const struct creel_defender_view *v)
{
	printf("-- %s%s%s%s\n", v->name, v->via[0] ? " (" : "", v->via, v->via[0] ? ")" : "");
	scan_print(v->data, v->len);
	putchar('\n');
	return 0;
}

int scan_explain(const struct creel_defender *d, const struct creel_buf *text, struct creel_err *err)
{
	struct creel_defender_error e = {0};

	if (creel_defender_explain(d, text->data, text->len, view_show, NULL, &e) < 0)
		return creel_err_set(err, e.code, 0, "%s", e.msg);
	return 0;
}

void scan_list(const struct scan_opts *o, const struct creel_defender *d)
{
	struct creel_defender_rule u;

	for (size_t i = 0; creel_defender_rule(d, i, &u) == 0; i++) {
		if (o->form == SCAN_JSON) {
			json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:f,s:b}", "rule", u.id, "title", u.title,
					      "source", u.source, "severity",
					      creel_defender_severity_name(u.severity), "confidence",
					      u.confidence, "enabled", u.enabled);
			json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(5));
			json_decref(j);
			putchar('\n');
			continue;
		}
		printf("%-8s %-34s %s%s\n", creel_defender_severity_name(u.severity), u.id, u.title,
		       u.enabled ? "" : " (off)");
	}
}

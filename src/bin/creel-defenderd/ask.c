#include "ask.h"
#include "base/cleanup.h"
#include <string.h>

static int invalid(struct creel_err *err, const char *why)
{
	return creel_err_set(err, CREEL_E_INVALID, 0, "%s", why);
}

static int text_add(struct ask *a, const json_t *j, struct creel_err *err)
{
	if (!json_is_string(j))
		return invalid(err, "each text is a string");
	a->text[a->n++] = (struct ask_text){json_string_value(j), json_string_length(j), NULL};
	return 0;
}

static int texts_parse(struct ask *a, struct creel_err *err)
{
	const json_t *text = json_object_get(a->in, "text"), *texts = json_object_get(a->in, "texts");
	int r = 0;

	if (text && !json_is_null(text))
		return text_add(a, text, err);
	if (!json_is_array(texts))
		return invalid(err, "Request must include \"text\" (string) or \"texts\" (array of strings)");
	if (json_array_size(texts) == 0)
		return invalid(err, "texts array must not be empty");
	if (json_array_size(texts) > ASK_TEXTS)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "Batch size limited to %d texts", ASK_TEXTS);
	a->batch = true;
	for (size_t i = 0; r == 0 && i < json_array_size(texts); i++)
		r = text_add(a, json_array_get(texts, i), err);
	return r;
}

/* A string without NUL, or nothing. */
static int string_get(const json_t *o, const char *key, const char **ret, struct creel_err *err)
{
	const json_t *j = json_object_get(o, key);

	if (!j || json_is_null(j))
		return 0;
	if (!json_is_string(j) || strlen(json_string_value(j)) != json_string_length(j))
		return creel_err_set(err, CREEL_E_INVALID, 0, "\"%s\" is a string", key);
	*ret = json_string_value(j);
	return 0;
}

static int layers_parse(const json_t *list, unsigned *skip, struct creel_err *err)
{
	unsigned mask = 0;

	if (!list)
		return 0;
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_int_t n = json_integer_value(json_array_get(list, i));
		if (n < 1 || n > 3)
			return invalid(err, "\"layers\" is a list of 1, 2, 3");
		mask |= 1u << n;
	}
	if (!(mask & 2))
		return invalid(err, "\"layers\" is a list with 1: it is always asked");
	*skip = ~mask;
	return 0;
}

static int scan_parse(struct ask *a, struct creel_err *err)
{
	const json_t *c = json_object_get(a->in, "context");
	const char *way = NULL;
	int r = string_get(c, "source", &a->ctx.source, err);

	if (r == 0)
		r = string_get(c, "role", &a->ctx.role, err);
	if (r == 0)
		r = string_get(c, "tool", &a->ctx.tool, err);
	if (r == 0)
		r = string_get(c, "language", &a->ctx.language, err);
	if (r == 0)
		r = string_get(c, "direction", &way, err);
	if (r == 0 && way && strcmp(way, "in") != 0 && strcmp(way, "out") != 0)
		r = invalid(err, "\"direction\" is in or out");
	if (r == 0)
		r = layers_parse(json_object_get(a->in, "layers"), &a->ctx.skip_layers, err);
	a->ctx.direction = way && strcmp(way, "out") == 0 ? CREEL_DEFENDER_OUT : CREEL_DEFENDER_IN;
	a->sanitize = json_is_true(json_object_get(a->in, "sanitize"));
	return r;
}

static int call_parse(struct ask *a, struct creel_err *err)
{
	int r = string_get(a->in, "request", &a->call.request, err);

	a->call.size = sizeof(a->call);
	if (r == 0)
		r = string_get(a->in, "tool", &a->call.tool, err);
	if (r == 0)
		r = string_get(a->in, "arguments", &a->call.arguments, err);
	if (r == 0 && (!a->call.request || !a->call.tool || !a->call.arguments))
		r = invalid(err, "wants \"request\", \"tool\" and \"arguments\" (JSON as a string)");
	return r;
}

int ask_parse(enum ask_kind kind, const char *body, size_t len, struct ask *ret, struct creel_err *err)
{
	struct ask *a = ret;
	int r;

	*a = (struct ask){.kind = kind, .ctx.size = sizeof(a->ctx)};
	a->in = json_loadb(body, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	if (!json_is_object(a->in)) {
		ask_fini(a);
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "the body is no JSON object");
	}
	r = kind == ASK_INTENT ? call_parse(a, err) : texts_parse(a, err);
	if (r == 0 && kind == ASK_SCAN)
		r = scan_parse(a, err);
	if (r < 0)
		ask_fini(a);
	return r;
}

void ask_fini(struct ask *a)
{
	for (size_t i = 0; i < a->n; i++)
		creel_defender_result_free(a->text[i].r);
	json_decref(a->in);
	*a = (struct ask){0};
}

int ask_scan(struct ask *a, const struct creel_defender *d, struct creel_err *err)
{
	struct creel_defender_context ctx = a->ctx;
	struct creel_defender_error e = {0};

	ctx.skip_layers |= 1u << 3;
	for (size_t i = 0; i < a->n; i++) {
		struct ask_text *t = &a->text[i];
		if (creel_defender_scan(d, t->p, t->len, &ctx, &t->r, &e) < 0)
			return creel_err_set(err, e.code, e.os, "%s", e.msg);
		a->judge_waits |= (creel_defender_pending(d, t->r) & ~a->ctx.skip_layers & (1u << 3)) != 0;
	}
	return 0;
}

int ask_judge(struct ask *a, const struct creel_defender *d, struct creel_err *err)
{
	struct creel_defender_error e = {0};

	for (size_t i = 0; i < a->n; i++) {
		struct ask_text *t = &a->text[i];
		if (creel_defender_ask(d, t->r, t->p, t->len, &a->ctx, &e) < 0)
			return creel_err_set(err, e.code, e.os, "%s", e.msg);
	}
	return 0;
}

static json_t *text_json(const char *s, size_t n)
{
	json_t *j = json_stringn(s, n);
	return j ? j : json_string("(not UTF-8)");
}

/* Which layers could not be asked: in every answer, so that none is taken for a clean one. */
static json_t *failed_json(const struct creel_defender_result *r)
{
	const struct creel_defender_verdict *v;
	size_t n = creel_defender_result_verdicts(r, &v);
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		if (v[i].failed)
			json_array_append_new(a, json_pack("{s:i,s:s,s:o}", "layer", v[i].layer, "name",
							   v[i].name, "error",
							   text_json(v[i].error, strlen(v[i].error))));
	return a;
}

/* The original servers' shape (label, confidence, scores), and what we know beside it. */
static json_t *classify_json(const struct creel_defender_result *r)
{
	const struct creel_defender_finding *f;
	size_t n = creel_defender_result_findings(r, &f);
	enum creel_defender_action act = creel_defender_result_action(r);
	double score = creel_defender_result_score(r), bad;
	bool jailbreak = false;

	for (size_t i = 0; i < n; i++)
		jailbreak |= f[i].action >= CREEL_DEFENDER_WARN && strstr(f[i].rule, "jailbreak") != NULL;
	/* callers compare with a threshold of their own: what we would stop is above any of them */
	bad = act == CREEL_DEFENDER_BLOCK  ? MAX(score, 0.99)
	      : act >= CREEL_DEFENDER_WARN ? MAX(score, 0.5)
					   : MIN(score, 0.499);
	return json_pack("{s:s,s:f,s:{s:f,s:f,s:f},s:s,s:o}", "label",
			 act < CREEL_DEFENDER_WARN ? "benign"
			 : jailbreak               ? "jailbreak"
						   : "injection",
			 "confidence", act < CREEL_DEFENDER_WARN ? 1 - bad : bad, "scores", "benign", 1 - bad,
			 "injection", jailbreak ? 0.0 : bad, "jailbreak", jailbreak ? bad : 0.0, "action",
			 creel_defender_action_name(act), "failed", failed_json(r));
}

static json_t *scan_json(const struct creel_defender_result *r, bool sanitize)
{
	const struct creel_defender_finding *f;
	const struct creel_defender_verdict *v;
	size_t n = creel_defender_result_findings(r, &f), m = creel_defender_result_verdicts(r, &v), len;
	json_t *findings = json_array(), *layers = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(findings, json_pack("{s:s,s:s,s:s,s:s,s:f,s:i,s:I,s:I,s:s}", "rule",
							  f[i].rule, "category", f[i].category, "severity",
							  creel_defender_severity_name(f[i].severity),
							  "action", creel_defender_action_name(f[i].action),
							  "confidence", f[i].confidence, "layer", f[i].layer,
							  "from", (json_int_t)f[i].from, "to",
							  (json_int_t)f[i].to, "via", f[i].via));
	for (size_t i = 0; i < m; i++)
		json_array_append_new(layers, json_pack("{s:i,s:s,s:f,s:b,s:o}", "layer", v[i].layer, "name",
							v[i].name, "score", v[i].score, "failed", v[i].failed,
							"error", text_json(v[i].error, strlen(v[i].error))));
	json_t *o = json_pack("{s:s,s:f,s:o,s:I,s:o,s:o}", "action",
			      creel_defender_action_name(creel_defender_result_action(r)), "score",
			      creel_defender_result_score(r), "findings", findings, "dropped",
			      (json_int_t)creel_defender_result_dropped(r), "layers", layers, "failed",
			      failed_json(r));
	if (o && sanitize) {
		const char *s = creel_defender_result_sanitized(r, &len);
		json_object_set_new(o, "sanitized", text_json(s, len));
	}
	return o;
}

json_t *ask_answer(const struct ask *a)
{
	json_t *results = a->batch ? json_array() : NULL;

	for (size_t i = 0; i < a->n; i++) {
		json_t *one = a->kind == ASK_CLASSIFY ? classify_json(a->text[i].r)
						      : scan_json(a->text[i].r, a->sanitize);
		if (!a->batch)
			return one;
		json_array_append_new(results, one);
	}
	return json_pack("{s:o}", "results", results);
}

int ask_intent(const struct ask *a, struct creel_judge *j, json_t **ret, struct creel_err *err)
{
	struct creel_judge_answer said = {.size = sizeof(said)};
	struct creel_defender_error e = {0};

	if (creel_judge_intent(j, &a->call, &said, &e) < 0)
		return creel_err_set(err, e.code, e.os, "%s", e.msg);
	*ret = json_pack("{s:b,s:f,s:b,s:o}", "aligned", said.score < 0.5, "score", said.score, "steered",
			 said.steered, "reason", text_json(said.reason, strlen(said.reason)));
	return *ret ? 0 : creel_err_nomem(err);
}

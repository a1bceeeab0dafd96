/*
 * open(options) and scan: libcreel-defender for JavaScript. A text is copied before it is scanned, so
 * what JavaScript does meanwhile changes nothing. Texts of many octets are scanned in one of Node's
 * worker threads; the defender is shared, which it allows.
 */
#include "native.h"
#include <creel/defender.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RULE_FILES = 16 };

struct options {
	char *cache, *rules, *replacement;
	char *files[RULE_FILES + 1];
};

static void options_fini(struct options *o)
{
	free(o->cache);
	free(o->rules);
	free(o->replacement);
	for (size_t i = 0; i < RULE_FILES; i++)
		free(o->files[i]);
}

static bool files_read(napi_env env, napi_value o, struct options *ret)
{
	napi_value list = NULL, v = NULL;
	int kind = NAPI_UNDEFINED;
	uint32_t n = 0;
	size_t len;

	if (!js_ok(env, napi_get_named_property(env, o, "ruleFiles", &list)) ||
	    !js_ok(env, napi_typeof(env, list, &kind)))
		return false;
	if (kind == NAPI_UNDEFINED)
		return true;
	if (!js_ok(env, napi_get_array_length(env, list, &n)))
		return false;
	if (n > RULE_FILES) {
		(void)js_throw(env, "too many rule files");
		return false;
	}
	for (uint32_t i = 0; i < n; i++)
		if (!js_ok(env, napi_get_element(env, list, i, &v)) ||
		    !js_text(env, v, "ruleFiles", &ret->files[i], &len))
			return false;
	return true;
}

static void defender_gone(napi_env env, void *data, void *hint)
{
	creel_defender_free(data);
}

napi_value native_open(napi_env env, napi_callback_info info)
{
	struct options o = {0};
	struct creel_defender_error err = {0};
	struct creel_defender *d = NULL;
	napi_value arg = NULL, ret = NULL;
	size_t argc = 1;
	int r = -1;

	if (!js_ok(env, napi_get_cb_info(env, info, &argc, &arg, NULL, NULL)))
		return NULL;
	if (argc < 1)
		return js_throw(env, "open(options)");
	if (js_str_of(env, arg, "cacheDir", &o.cache) && js_str_of(env, arg, "rules", &o.rules) &&
	    js_str_of(env, arg, "replacement", &o.replacement) && files_read(env, arg, &o)) {
		const struct creel_defender_options opt = {
			.size = sizeof(opt),
			.rule_files = (const char *const *)o.files,
			.rules_text = o.rules,
			.rules_text_len = o.rules ? strlen(o.rules) : 0,
			.cache_dir = o.cache,
			.replacement = o.replacement,
			.max_findings = 32,
		};
		r = creel_defender_new(&opt, &d, &err);
		if (r < 0)
			(void)js_throw(env, err.msg);
	}
	options_fini(&o);
	if (r < 0)
		return NULL;
	if (!js_ok(env, napi_create_external(env, d, defender_gone, NULL, &ret))) {
		creel_defender_free(d);
		return NULL;
	}
	return ret;
}

/* One scan: what is asked, and then the result. */
struct job {
	const struct creel_defender *defender;
	char *text, *source, *role, *tool;
	size_t len;
	uint32_t out, skip;
	struct creel_defender_result *result;
	struct creel_defender_error err;
	int r;
	napi_deferred deferred;
	napi_async_work work;
	napi_ref keep; /* the defender lives until we are done */
};

static void job_free(struct job *j)
{
	if (!j)
		return;
	creel_defender_result_free(j->result);
	free(j->text);
	free(j->source);
	free(j->role);
	free(j->tool);
	free(j);
}

/* scan(defender, text, skip, out, source, role, tool) */
static struct job *job_read(napi_env env, napi_callback_info info, napi_value *ret_defender)
{
	napi_value argv[7] = {NULL};
	size_t argc = sizeof(argv) / sizeof(argv[0]); /* what is not given is undefined */
	void *defender = NULL;
	int kind = NAPI_UNDEFINED;

	if (!js_ok(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL)))
		return NULL;
	if (argc < 2 || napi_typeof(env, argv[0], &kind) != NAPI_OK || kind != NAPI_EXTERNAL) {
		(void)js_throw(env, "scan(defender, text, skip, out, source, role, tool)");
		return NULL;
	}
	struct job *j = calloc(1, sizeof(*j));
	if (!j) {
		(void)js_throw(env, "out of memory");
		return NULL;
	}
	if (!js_ok(env, napi_get_value_external(env, argv[0], &defender)) ||
	    !js_text(env, argv[1], "text", &j->text, &j->len) || !js_num(env, argv[2], &j->skip) ||
	    !js_num(env, argv[3], &j->out) || !js_str(env, argv[4], "source", &j->source) ||
	    !js_str(env, argv[5], "role", &j->role) || !js_str(env, argv[6], "tool", &j->tool)) {
		job_free(j);
		return NULL;
	}
	j->defender = defender;
	*ret_defender = argv[0];
	return j;
}

static void job_run(struct job *j)
{
	const struct creel_defender_context ctx = {
		.size = sizeof(ctx),
		.direction = j->out ? CREEL_DEFENDER_OUT : CREEL_DEFENDER_IN,
		.source = j->source,
		.role = j->role,
		.tool = j->tool,
		.skip_layers = j->skip,
	};

	j->r = creel_defender_scan(j->defender, j->text, j->len, &ctx, &j->result, &j->err);
}

static bool finding_set(napi_env env, napi_value list, uint32_t i, const struct creel_defender_finding *f)
{
	const char *action = creel_defender_action_name(f->action);
	const char *severity = creel_defender_severity_name(f->severity);
	napi_value o = NULL;

	return js_ok(env, napi_create_object(env, &o)) &&
	       js_set_str(env, o, "rule", f->rule, strlen(f->rule)) &&
	       js_set_str(env, o, "category", f->category, strlen(f->category)) &&
	       js_set_str(env, o, "via", f->via, strlen(f->via)) &&
	       js_set_str(env, o, "action", action, strlen(action)) &&
	       js_set_str(env, o, "severity", severity, strlen(severity)) &&
	       js_set_num(env, o, "confidence", f->confidence) && js_set_num(env, o, "layer", f->layer) &&
	       js_set_num(env, o, "from", (double)f->from) && js_set_num(env, o, "to", (double)f->to) &&
	       js_ok(env, napi_set_element(env, list, i, o));
}

/* A layer that could not be asked is told: what it decided is on_error's word, not its own. */
static bool failures_set(napi_env env, napi_value o, const struct creel_defender_result *r)
{
	const struct creel_defender_verdict *v = NULL;
	size_t n = creel_defender_result_verdicts(r, &v);
	char text[300] = "";

	for (size_t i = 0; i < n; i++)
		if (v[i].failed)
			(void)snprintf(text, sizeof(text), "%s: %s", v[i].name, v[i].error);
	return js_set_str(env, o, "failed", text, strlen(text));
}

/* Is there nothing to tell? So it is of most texts. */
static bool clean(const struct creel_defender_result *r)
{
	const struct creel_defender_finding *f = NULL;
	const struct creel_defender_verdict *v = NULL;

	return creel_defender_result_action(r) == CREEL_DEFENDER_ALLOW &&
	       creel_defender_result_score(r) <= 0 && creel_defender_result_findings(r, &f) == 0 &&
	       creel_defender_result_dropped(r) == 0 && creel_defender_result_verdicts(r, &v) == 0;
}

/*
 * {action, score, dropped, failed, sanitized, findings: [...]}, or null when all of it is as it is of a text in which
 * nothing is: lib/native.js has that one ready. NULL with an exception pending.
 */
static napi_value result_make(napi_env env, const struct creel_defender_result *r)
{
	const struct creel_defender_finding *f = NULL;
	const char *action = creel_defender_action_name(creel_defender_result_action(r));
	size_t len = 0, n = creel_defender_result_findings(r, &f);
	napi_value o = NULL, list = NULL;

	if (clean(r))
		return js_ok(env, napi_get_null(env, &o)) ? o : NULL;
	if (!js_ok(env, napi_create_object(env, &o)) ||
	    !js_set_str(env, o, "action", action, strlen(action)) ||
	    !js_set_num(env, o, "score", creel_defender_result_score(r)) ||
	    !js_set_num(env, o, "dropped", (double)creel_defender_result_dropped(r)) ||
	    !failures_set(env, o, r))
		return NULL;
	/* the text comes back only where it changed */
	const char *clean = creel_defender_result_sanitized(r, &len);
	if (creel_defender_result_action(r) >= CREEL_DEFENDER_WARN &&
	    !js_set_str(env, o, "sanitized", clean, len))
		return NULL;
	if (!js_ok(env, napi_create_array_with_length(env, n, &list)))
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (!finding_set(env, list, (uint32_t)i, &f[i]))
			return NULL;
	return js_ok(env, napi_set_named_property(env, o, "findings", list)) ? o : NULL;
}

napi_value native_scan(napi_env env, napi_callback_info info)
{
	napi_value defender = NULL, ret = NULL;
	struct job *j = job_read(env, info, &defender);

	if (!j)
		return NULL;
	job_run(j);
	ret = j->r < 0 ? js_throw(env, j->err.msg) : result_make(env, j->result);
	job_free(j);
	return ret;
}

static void work_run(napi_env env, void *data)
{
	job_run(data);
}

static void work_done(napi_env env, int status, void *data)
{
	struct job *j = data;
	napi_value v = NULL, msg = NULL;

	if (status == NAPI_OK && j->r == 0)
		v = result_make(env, j->result);
	if (v) {
		(void)napi_resolve_deferred(env, j->deferred, v);
	} else {
		const char *why = j->err.msg[0] ? j->err.msg : "the scan was cut off";
		if (napi_create_string_utf8(env, why, NAPI_AUTO_LENGTH, &msg) == NAPI_OK &&
		    napi_create_error(env, NULL, msg, &v) == NAPI_OK)
			(void)napi_reject_deferred(env, j->deferred, v);
	}
	(void)napi_delete_async_work(env, j->work);
	(void)napi_delete_reference(env, j->keep);
	job_free(j);
}

napi_value native_scan_async(napi_env env, napi_callback_info info)
{
	napi_value defender = NULL, name = NULL, promise = NULL;
	struct job *j = job_read(env, info, &defender);

	if (!j)
		return NULL;
	if (js_ok(env, napi_create_string_utf8(env, "creel-scan", NAPI_AUTO_LENGTH, &name)) &&
	    js_ok(env, napi_create_promise(env, &j->deferred, &promise)) &&
	    js_ok(env, napi_create_async_work(env, NULL, name, work_run, work_done, j, &j->work))) {
		if (js_ok(env, napi_create_reference(env, defender, 1, &j->keep)) &&
		    js_ok(env, napi_queue_async_work(env, j->work)))
			return promise;
		(void)napi_delete_async_work(env, j->work);
	}
	job_free(j);
	return NULL;
}

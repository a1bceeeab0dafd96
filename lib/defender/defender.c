#include "base/cleanup.h"
#include "inner.h"
#include "place.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each built-in rule file: name and text (made by the build from rules/). */
extern const struct def_builtin_file {
	const char *name;
	const unsigned char *text;
	size_t len;
} def_builtin_files[];
extern const size_t def_n_builtin_files;

/* Hand an error out; the caller's object may be missing. */
static int give(const struct creel_err *from, struct creel_defender_error *to)
{
	if (to) {
		to->code = from->code;
		to->os = from->os;
		memcpy(to->msg, from->msg, sizeof(to->msg));
	}
	return from->code;
}

int def_fail(struct creel_defender_error *error, int code, const char *msg)
{
	struct creel_err err = {0};

	creel_err_set(&err, code, 0, "%s", msg);
	return give(&err, error);
}

/* The caller's structure may be older and shorter than ours: what it lacks is 0. */
static bool take(void *to, size_t size, const void *from, size_t from_size)
{
	memset(to, 0, size);
	if (!from)
		return true;
	if (from_size < sizeof(size_t))
		return false;
	memcpy(to, from, MIN(size, from_size));
	return true;
}

static int file_read(struct creel_defender *d, const char *path, struct creel_err *err)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct def_buf b = {.mem = &d->mem};
	uint8_t part[16384];
	ssize_t n = 0;

	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	while ((n = read(fd, part, sizeof(part))) > 0 && b.len <= DEF_RULE_FILE_MAX)
		def_buf_add(&b, part, (size_t)n);
	int r = n < 0      ? creel_err_set(err, CREEL_E_OS, errno, "read %s", path)
		: b.failed ? creel_err_nomem(err)
			   : def_rules_read(&d->rules, path, (const char *)b.data, b.len, err);
	def_buf_fini(&b);
	return r;
}

static int rules_load(struct creel_defender *d, const struct creel_defender_options *o, struct creel_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && !o->no_builtin_rules && i < def_n_builtin_files; i++)
		r = def_rules_read(&d->rules, def_builtin_files[i].name,
				   (const char *)def_builtin_files[i].text, def_builtin_files[i].len, err);
	for (size_t i = 0; r == 0 && o->rule_files && o->rule_files[i]; i++)
		r = file_read(d, o->rule_files[i], err);
	if (r == 0 && o->rules_text)
		r = def_rules_read(&d->rules, "rules_text", o->rules_text, o->rules_text_len, err);
	for (int b = 0; b < DEF_BUILTINS; b++)
		d->builtin_rule[b] = -1;
	for (size_t i = 0; i < d->rules.n_rules; i++)
		if (d->rules.rules[i].builtin >= 0 && d->rules.rules[i].enabled)
			d->builtin_rule[d->rules.rules[i].builtin] = (int)i;
	return r;
}

static int layer_order(const void *a, const void *b)
{
	const struct def_layer *x = a, *y = b;
	return x->l.layer - y->l.layer;
}

static int layers_take(struct creel_defender *d, const struct creel_defender_options *o,
		       struct creel_err *err)
{
	const char *p = (const char *)o->layers;

	if (o->n_layers == 0)
		return 0;
	if (!p || o->n_layers > 16 || o->layers->size < offsetof(struct creel_defender_layer, arg))
		return creel_err_set(err, CREEL_E_INVALID, 0, "layers: at most 16, each with its size");
	d->layers = def_alloc(&d->mem, o->n_layers * sizeof(*d->layers));
	if (!d->layers)
		return creel_err_nomem(err);
	for (size_t i = 0; i < o->n_layers; i++, p += o->layers->size) {
		struct creel_defender_layer l;
		(void)take(&l, sizeof(l), p, o->layers->size);
		if (!l.score || !l.name || l.layer < 2 || l.layer > 3)
			return creel_err_set(err, CREEL_E_INVALID, 0,
					     "layer %zu: wants a name, a function and the number 2 or 3", i);
		d->layers[d->n_layers++].l = l;
	}
	qsort(d->layers, d->n_layers, sizeof(*d->layers), layer_order);
	return 0;
}

int creel_defender_new(const struct creel_defender_options *opt, struct creel_defender **ret,
		       struct creel_defender_error *error)
{
	struct creel_defender_options o;
	struct creel_err err = {0};
	int r = 0;

	if (!ret || !take(&o, sizeof(o), opt, opt ? opt->size : 0))
		return def_fail(error, CREEL_DEFENDER_E_INVALID, "options: size is not set");
	if (o.memory && (!o.memory->alloc || !o.memory->realloc || !o.memory->free))
		return def_fail(error, CREEL_DEFENDER_E_INVALID, "memory: all three functions or none");
	const def_mem *m = o.memory ? o.memory : &def_mem_libc;
	struct creel_defender *d = def_alloc(m, sizeof(*d));
	if (!d)
		return def_fail(error, CREEL_DEFENDER_E_NOMEM, "out of memory");
	d->mem = *m;
	pthread_mutex_init(&d->lock, NULL);
	def_rules_init(&d->rules, &d->mem);
	d->max_findings = o.max_findings ? MIN(o.max_findings, (size_t)65536) : 256;
	const char *repl = o.replacement ? o.replacement : "[removed]";
	d->replacement = def_strndup(&d->mem, repl, strlen(repl));
	if (!d->replacement)
		r = creel_err_nomem(&err);
	if (r == 0)
		r = rules_load(d, &o, &err);
	if (r == 0)
		r = def_matcher_init(&d->matcher, &d->rules, o.cache_dir, &d->mem, &err);
	if (r == 0 && !o.no_builtin_model)
		d->has_ngram = def_ngram_builtin(&d->ngram);
	d->ngram_warn_at = o.ngram_warn_at > 0 ? o.ngram_warn_at : d->ngram.warn_at;
	if (r == 0)
		r = layers_take(d, &o, &err);
	if (r < 0) {
		d->n_layers = 0; /* the caller's layers stay the caller's */
		creel_defender_free(d);
		return give(&err, error);
	}
	*ret = d;
	return 0;
}

static void worker_free(const struct creel_defender *d, struct def_worker *w)
{
	hs_free_scratch(w->scratch);
	def_placer_scratch_free(w->places);
	def_sieve_state_fini(&w->sieve, d->matcher.sieve);
	while (w->n_spare > 0)
		def_buf_fini(&w->spare[--w->n_spare]);
	def_free(&d->mem, w->state);
	def_free(&d->mem, w);
}

void creel_defender_free(struct creel_defender *d)
{
	if (!d)
		return;
	def_mem m = d->mem;
	for (size_t i = 0; i < d->n_layers; i++)
		if (d->layers[i].l.destroy)
			d->layers[i].l.destroy(d->layers[i].l.arg);
	def_free(&m, d->layers);
	while (d->idle) {
		struct def_worker *w = d->idle;
		d->idle = w->next;
		worker_free(d, w);
	}
	def_matcher_fini(&d->matcher);
	def_rules_fini(&d->rules);
	def_free(&m, d->replacement);
	pthread_mutex_destroy(&d->lock);
	def_free(&m, d);
}

struct def_worker *def_worker_get(const struct creel_defender *cd, struct creel_err *err)
{
	struct creel_defender *d = (struct creel_defender *)cd; /* the pool alone changes */
	struct def_worker *w;

	pthread_mutex_lock(&d->lock);
	w = d->idle;
	if (w)
		d->idle = w->next;
	pthread_mutex_unlock(&d->lock);
	if (w)
		return w;
	w = def_alloc(&d->mem, sizeof(*w));
	if (!w) {
		creel_err_nomem(err);
		return NULL;
	}
	w->state = def_alloc(&d->mem, (d->rules.n_rules + 1) * sizeof(*w->state));
	w->places = def_placer_scratch(d->matcher.placer[0]);
	bool ok = w->state && w->places;
	for (int k = 0; ok && k < DEF_DBS; k++)
		ok = !d->matcher.db[k] || hs_alloc_scratch(d->matcher.db[k], &w->scratch) == HS_SUCCESS;
	if (ok)
		return w;
	worker_free(d, w);
	creel_err_nomem(err);
	return NULL;
}

void def_worker_put(const struct creel_defender *cd, struct def_worker *w)
{
	struct creel_defender *d = (struct creel_defender *)cd;

	pthread_mutex_lock(&d->lock);
	w->next = d->idle;
	d->idle = w;
	pthread_mutex_unlock(&d->lock);
}

static int verdict_add(struct creel_defender_result *r, struct creel_defender_verdict v,
		       struct creel_err *err)
{
	if (def_room(&r->mem, &r->verdicts, r->n_verdicts, &r->cap_verdicts, sizeof(*r->verdicts)) < 0)
		return creel_err_nomem(err);
	r->verdicts[r->n_verdicts++] = v;
	if (!v.failed)
		r->score = MAX(r->score, v.score);
	return 0;
}

/* A finding on the whole text, by a layer that names no part of it. */
static int whole_add(struct creel_defender_result *r, const char *rule, int layer, double score,
		     enum creel_defender_severity sev, size_t len, struct creel_err *err)
{
	struct creel_defender_finding f = {.rule = rule,
					   .category = "model",
					   .via = "",
					   .severity = sev,
					   .action = def_action_of(sev),
					   .confidence = score,
					   .layer = layer,
					   .from = 0,
					   .to = len};
	if (def_room(&r->mem, &r->findings, r->n_findings, &r->cap_findings, sizeof(*r->findings)) < 0)
		return creel_err_nomem(err);
	r->findings[r->n_findings++] = f;
	r->action = MAX(r->action, f.action);
	return 0;
}

static bool layer_wanted(const struct creel_defender_layer *l, const struct creel_defender_result *r)
{
	if (l->from_score <= 0 && l->to_score <= 0)
		return true;
	return r->score >= l->from_score && r->score < l->to_score && r->action < CREEL_DEFENDER_BLOCK;
}

static int layer_ask(const struct creel_defender_layer *l, const char *text, size_t len,
		     const struct creel_defender_context *ctx, struct creel_defender_result *r,
		     struct creel_err *err)
{
	struct creel_defender_verdict v = {.layer = l->layer, .name = l->name, .error = ""};
	char why[160] = "";
	int e = 0;

	if (l->score(l->arg, text, len, ctx, &v.score, why, sizeof(why)) < 0) {
		v.failed = 1;
		v.error = def_arena_text(&r->strings, why, strnlen(why, sizeof(why)));
		if (!v.error)
			return creel_err_nomem(err);
		if (l->on_error == CREEL_DEFENDER_CLOSED)
			e = whole_add(r, l->name, l->layer, 0, CREEL_DEFENDER_HIGH, len, err);
	} else if (l->block_at > 0 && v.score >= l->block_at) {
		e = whole_add(r, l->name, l->layer, v.score, CREEL_DEFENDER_HIGH, len, err);
	} else if (l->warn_at > 0 && v.score >= l->warn_at) {
		e = whole_add(r, l->name, l->layer, v.score, CREEL_DEFENDER_LOW, len, err);
	}
	return e < 0 ? e : verdict_add(r, v, err);
}

static int layers_ask(const struct creel_defender *d, const char *text, size_t len,
		      const struct creel_defender_context *ctx, struct creel_defender_result *r,
		      struct creel_err *err)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < d->n_layers; i++) {
		const struct creel_defender_layer *l = &d->layers[i].l;
		if ((r->asked & (1u << i)) || (ctx->skip_layers & (1u << l->layer)) || !layer_wanted(l, r))
			continue;
		r->asked |= 1u << i;
		e = layer_ask(l, text, len, ctx, r, err);
	}
	return e;
}

static int scan(const struct creel_defender *d, struct def_worker *w, const char *text, size_t len,
		const struct creel_defender_context *ctx, struct creel_defender_result *r,
		struct creel_err *err)
{
	int e = def_scan_rules(d, w, text, len, ctx, r, NULL, err);

	if (e == 0)
		e = verdict_add(r, (struct creel_defender_verdict){1, "rules", r->rules_score, 0, ""}, err);
	if (e == 0 && def_result_finish(d, r, text, len) < 0)
		e = creel_err_nomem(err);
	if (e == 0 && d->has_ngram && !(ctx->skip_layers & (1u << 2)) &&
	    ctx->direction == CREEL_DEFENDER_IN) {
		e = verdict_add(r, (struct creel_defender_verdict){2, "ngram", r->ngram_score, 0, ""}, err);
		if (e == 0 && r->ngram_score >= d->ngram_warn_at)
			e = whole_add(r, "ngram", 2, r->ngram_score, CREEL_DEFENDER_LOW, len, err);
	}
	return e < 0 ? e : layers_ask(d, text, len, ctx, r, err);
}

static int result_new(const struct creel_defender *d, struct creel_defender_result **ret,
		      struct creel_err *err)
{
	struct creel_defender_result *r = def_alloc(&d->mem, sizeof(*r));

	if (!r)
		return creel_err_nomem(err);
	r->mem = d->mem;
	r->strings.mem = &r->mem;
	r->max_findings = d->max_findings;
	*ret = r;
	return 0;
}

int creel_defender_scan(const struct creel_defender *d, const void *text, size_t len,
			const struct creel_defender_context *context, struct creel_defender_result **ret,
			struct creel_defender_error *error)
{
	struct creel_defender_context ctx;
	struct creel_defender_result *r = NULL;
	struct creel_err err = {0};

	if (!d || !ret || (!text && len) || !take(&ctx, sizeof(ctx), context, context ? context->size : 0))
		return def_fail(error, CREEL_DEFENDER_E_INVALID, "scan: an argument is missing");
	struct def_worker *w = def_worker_get(d, &err);
	if (!w)
		return give(&err, error);
	int e = result_new(d, &r, &err);
	if (e == 0)
		e = scan(d, w, text ? text : "", len, &ctx, r, &err);
	def_worker_put(d, w);
	if (e < 0) {
		creel_defender_result_free(r);
		return give(&err, error);
	}
	*ret = r;
	return 0;
}

unsigned creel_defender_pending(const struct creel_defender *d, const struct creel_defender_result *r)
{
	unsigned mask = 0;

	for (size_t i = 0; i < d->n_layers; i++)
		if (!(r->asked & (1u << i)) && layer_wanted(&d->layers[i].l, r))
			mask |= 1u << d->layers[i].l.layer;
	return mask;
}

int creel_defender_ask(const struct creel_defender *d, struct creel_defender_result *r, const void *text,
		       size_t len, const struct creel_defender_context *context,
		       struct creel_defender_error *error)
{
	struct creel_defender_context ctx;
	struct creel_err err = {0};

	if (!d || !r || (!text && len) || !take(&ctx, sizeof(ctx), context, context ? context->size : 0))
		return def_fail(error, CREEL_DEFENDER_E_INVALID, "ask: an argument is missing");
	return layers_ask(d, text ? text : "", len, &ctx, r, &err) < 0 ? give(&err, error) : 0;
}

int creel_defender_explain(const struct creel_defender *d, const void *text, size_t len,
			   int (*each)(void *arg, const struct creel_defender_view *view), void *arg,
			   struct creel_defender_error *error)
{
	struct creel_defender_context ctx = {.skip_layers = ~0u};
	struct def_explain ex = {each, arg, 0};
	struct creel_defender_result *r = NULL;
	struct creel_err err = {0};

	if (!d || !each || (!text && len))
		return def_fail(error, CREEL_DEFENDER_E_INVALID, "explain: an argument is missing");
	struct def_worker *w = def_worker_get(d, &err);
	if (!w)
		return give(&err, error);
	int e = result_new(d, &r, &err);
	if (e == 0)
		e = def_scan_rules(d, w, text ? text : "", len, &ctx, r, &ex, &err);
	def_worker_put(d, w);
	creel_defender_result_free(r);
	return e < 0 ? give(&err, error) : ex.stopped;
}

int creel_defender_rule(const struct creel_defender *d, size_t i, struct creel_defender_rule *ret)
{
	static const char *const none[] = {NULL};

	if (!d || i >= d->rules.n_rules)
		return CREEL_DEFENDER_E_INVALID;
	const struct def_rule *u = &d->rules.rules[i];
	*ret = (struct creel_defender_rule){.id = u->id,
					    .category = u->category,
					    .title = u->title,
					    .source = u->source,
					    .severity = u->severity,
					    .confidence = u->confidence,
					    .enabled = u->enabled,
					    .must = u->must ? u->must : none,
					    .must_not = u->must_not ? u->must_not : none};
	return 0;
}

const char *creel_defender_action_name(enum creel_defender_action a)
{
	static const char *const names[] = {"allow", "log", "warn", "sanitize", "block"};
	return (unsigned)a < ELEMENTSOF(names) ? names[a] : "?";
}

const char *creel_defender_severity_name(enum creel_defender_severity s)
{
	static const char *const names[] = {"info", "low", "medium", "high", "critical"};
	return (unsigned)s < ELEMENTSOF(names) ? names[s] : "?";
}

const char *creel_defender_version(void)
{
	return CREEL_DEFENDER_VERSION;
}

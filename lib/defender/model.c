#include "base/cleanup.h"
#include "inner.h"
#include "ort.h"
#include "tok.h"
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LABELS_MAX 16
/*
 * Windows are run together where that costs less than one by one. A run reads all weights, which takes as
 * long as some tokens' arithmetic does; but a batch is as wide as its longest window, and of a few hundred
 * tokens on the arithmetic is all there is (bench/classify, the full-sized model).
 */
#define RUN_TOKENS   24
#define BATCH_TOKENS 256

/* A window that waits to be scored; the one who asked owns it and sleeps until `done`. */
struct job {
	struct job *next;
	const int32_t *id;
	size_t n;
	double score;
	bool done;
	int code;
};

struct creel_defender_model {
	struct def_tok *tok;
	struct def_ort *ort;
	char *name;
	size_t labels, benign;
	size_t window, overlap, max_windows, batch;
	pthread_mutex_t lock;
	pthread_cond_t turn;
	bool busy;            /* one of those who wait runs the model for all */
	struct job *first;    /* in the order of their coming */
	struct creel_err why; /* of the last failed run */
};

static int file_load(const char *dir, const char *name, size_t max, struct def_buf *ret,
		     struct creel_err *err)
{
	char path[4096];
	uint8_t part[65536];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "%.160s: too long a path", dir);
	FILE *f = fopen(path, "re");
	if (!f)
		return creel_err_set(err, CREEL_E_OS, errno, "open %.200s", path);
	for (size_t n; ret->len <= max && (n = fread(part, 1, sizeof(part), f)) > 0;)
		def_buf_add(ret, part, n);
	bool bad = ferror(f);
	fclose(f);
	return bad              ? creel_err_set(err, CREEL_E_OS, errno, "read %.200s", path)
	       : ret->failed    ? creel_err_nomem(err)
	       : ret->len > max ? creel_err_set(err, CREEL_E_TOOBIG, 0, "%.200s is too big", path)
				: 0;
}

/* The score is 1 less the harmless label's part, so two labels and Prompt Guard 1's three are one case. */
static int labels_read(struct creel_defender_model *m, const char *json, size_t len, struct creel_err *err)
{
	static const char *const names[] = {"safe", "benign", "legit", "label_0"};
	json_t *root = json_loadb(json, len, 0, NULL), *v;
	json_t *positions = json_object_get(root, "max_position_embeddings");
	const char *key;
	int benign = -1;

	json_object_foreach (json_object_get(root, "id2label"), key, v) {
		char *end;
		unsigned long i = strtoul(key, &end, 10);
		m->labels++;
		for (size_t k = 0; k < ELEMENTSOF(names); k++)
			if (!*end && i < LABELS_MAX && json_is_string(v) &&
			    strcasecmp(json_string_value(v), names[k]) == 0)
				benign = (int)i;
	}
	if (!json_is_object(json_object_get(root, "id2label"))) {
		m->labels = 2; /* what a configuration leaves out by default */
		benign = 0;
	}
	if (json_is_integer(positions) && json_integer_value(positions) >= 16 &&
	    json_integer_value(positions) < 512)
		m->window = (size_t)json_integer_value(positions);
	bool ok = json_is_object(root);
	json_decref(root);
	if (!ok || benign < 0 || m->labels < 2 || m->labels > LABELS_MAX || (size_t)benign >= m->labels)
		return creel_err_set(err, CREEL_E_SYNTAX, 0,
				     "config.json: no harmless label (SAFE, BENIGN, LABEL_0) in id2label");
	m->benign = (size_t)benign;
	return 0;
}

static unsigned processors(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
	return (unsigned)MIN(n, 4);
}

static int load(struct creel_defender_model *m, const char *dir, const struct creel_defender_model_options *o,
		struct creel_err *err)
{
	struct def_buf tok = {.mem = &def_mem_libc}, conf = {.mem = &def_mem_libc};
	const char *file = o->file ? o->file : "model.onnx", *slash = strrchr(dir, '/');
	const char *name = o->name ? o->name : slash && slash[1] ? slash + 1 : dir;
	const int32_t *ids;
	char path[4096];

	m->name = strdup(name);
	m->window = 512;
	m->max_windows = o->max_windows ? o->max_windows : 64;
	m->batch = MIN(o->batch ? o->batch : 8, 64u);
	int r = m->name ? file_load(dir, "tokenizer.json", DEF_TOK_FILE_MAX, &tok, err)
			: creel_err_nomem(err);
	if (r == 0)
		r = file_load(dir, "config.json", 1u << 20, &conf, err);
	if (r == 0)
		r = labels_read(m, (const char *)conf.data, conf.len, err);
	if (r == 0)
		r = def_tok_load((const char *)tok.data, tok.len, &m->tok, err);
	if (r == 0 && snprintf(path, sizeof(path), "%s/%s", dir, file) >= (int)sizeof(path))
		r = creel_err_set(err, CREEL_E_TOOBIG, 0, "%.160s: too long a path", dir);
	if (r == 0) {
		size_t around = def_tok_before(m->tok, &ids) + def_tok_after(m->tok, &ids);
		m->window -= around;
		m->overlap = m->window / 8;
		r = def_ort_new(o->runtime, path, o->threads ? MIN(o->threads, 64u) : processors(), &m->ort,
				err);
	}
	def_buf_fini(&tok);
	def_buf_fini(&conf);
	return r < 0 ? creel_err_add(err, "model %.60s", name) : 0;
}

int creel_defender_model_open(const char *dir, const struct creel_defender_model_options *opt,
			      struct creel_defender_model **ret, struct creel_defender_error *error)
{
	struct creel_defender_model_options o = {.size = sizeof(o)};
	struct creel_err err = {0};

	if (!dir || !ret || (opt && opt->size < sizeof(size_t)))
		return def_fail(error, CREEL_DEFENDER_E_INVALID, "model: an argument is missing");
	if (opt)
		memcpy(&o, opt, MIN(opt->size, sizeof(o)));
	struct creel_defender_model *m = calloc(1, sizeof(*m));
	if (!m)
		return def_fail(error, CREEL_DEFENDER_E_NOMEM, "out of memory");
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->turn, NULL);
	int r = load(m, dir, &o, &err);
	if (r < 0) {
		creel_defender_model_close(m);
		return def_fail(error, r == CREEL_E_NOTFOUND ? CREEL_DEFENDER_E_OS : r, err.msg);
	}
	*ret = m;
	return 0;
}

void creel_defender_model_close(struct creel_defender_model *m)
{
	if (!m)
		return;
	def_tok_free(m->tok);
	def_ort_free(m->ort);
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->turn);
	free(m->name);
	free(m);
}

/* Run @p n windows as one batch, padded to the longest. */
static int batch_run(struct creel_defender_model *m, struct job *const *jobs, size_t n, struct creel_err *err)
{
	const int32_t *before, *after;
	size_t nb = def_tok_before(m->tok, &before), na = def_tok_after(m->tok, &after), cols = 0;
	float logits[64 * LABELS_MAX];

	for (size_t i = 0; i < n; i++)
		cols = MAX(cols, nb + jobs[i]->n + na);
	int64_t *ids = calloc(2 * MAX(n * cols, (size_t)1), sizeof(*ids)),
		*mask = ids ? ids + n * cols : NULL;
	if (!ids)
		return creel_err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		int64_t *p = ids + i * cols;
		size_t k = 0;
		for (size_t q = 0; q < nb; q++)
			p[k++] = before[q];
		for (size_t q = 0; q < jobs[i]->n; q++)
			p[k++] = jobs[i]->id[q];
		for (size_t q = 0; q < na; q++)
			p[k++] = after[q];
		for (size_t q = 0; q < k; q++)
			mask[i * cols + q] = 1;
	}
	int r = def_ort_run(m->ort, ids, mask, n, cols, logits, m->labels, err);
	free(ids);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const float *x = logits + i * m->labels;
		double sum = 0;
		for (size_t q = 0; q < m->labels; q++)
			sum += exp((double)x[q] - (double)x[m->benign]);
		jobs[i]->score = 1 - 1 / sum;
		if (!isfinite(jobs[i]->score))
			r = creel_err_set(err, CREEL_E_INVALID, 0, "the model's answer is no number");
	}
	return r;
}

/* The first that waits, and of the others those that cost less in its batch than in a run of their own. */
static size_t batch_take(struct creel_defender_model *m, struct job *ret[64])
{
	size_t n = 0, cols = 0;

	for (struct job **at = &m->first; *at && n < m->batch;) {
		size_t len = (*at)->n, wide = MAX(cols, len), all = (n + 1) * wide;
		if (n > 0 && (all > BATCH_TOKENS || all > n * cols + len + RUN_TOKENS)) {
			at = &(*at)->next;
			continue;
		}
		ret[n++] = *at;
		cols = wide;
		*at = (*at)->next;
	}
	return n;
}

/* Take a batch from the queue and run it, the lock let go meanwhile. */
static void lead(struct creel_defender_model *m)
{
	struct job *jobs[64];
	struct creel_err err = {0};

	size_t n = batch_take(m, jobs);
	m->busy = true;
	pthread_mutex_unlock(&m->lock);
	int r = batch_run(m, jobs, n, &err);
	pthread_mutex_lock(&m->lock);
	m->busy = false;
	if (r < 0)
		m->why = err;
	for (size_t i = 0; i < n; i++) {
		jobs[i]->code = r;
		jobs[i]->done = true;
	}
	pthread_cond_broadcast(&m->turn);
}

/* Windows of several callers run together: who finds the model idle runs what has gathered. */
static int jobs_run(struct creel_defender_model *m, struct job *jobs, size_t n, double *ret,
		    struct creel_err *err)
{
	struct job **end = &m->first;
	int r = 0;

	for (size_t i = 1; i < n; i++)
		jobs[i - 1].next = &jobs[i];
	pthread_mutex_lock(&m->lock);
	while (*end)
		end = &(*end)->next;
	*end = jobs;
	for (size_t i = 0; i < n;) {
		if (jobs[i].done)
			i++;
		else if (!m->busy)
			lead(m);
		else
			pthread_cond_wait(&m->turn, &m->lock);
	}
	for (size_t i = 0; i < n; i++) {
		if (jobs[i].code < 0) {
			*err = m->why;
			r = jobs[i].code;
		}
		*ret = MAX(*ret, jobs[i].score);
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int model_score(struct creel_defender_model *m, const char *text, size_t len, double *ret,
		       struct creel_err *err)
{
	struct def_ids ids = {0};
	struct job *jobs = NULL;
	double score = 0;
	int r = def_tok_encode(m->tok, text, len, &ids, err);
	size_t step = m->window - m->overlap;
	size_t n = ids.n <= m->window ? 1 : 1 + (ids.n - m->window + step - 1) / step;

	if (r == 0 && n > m->max_windows)
		r = creel_err_set(err, CREEL_E_TOOBIG, 0, "the text has %zu windows, the model reads %zu", n,
				  m->max_windows);
	if (r == 0 && !(jobs = calloc(n, sizeof(*jobs))))
		r = creel_err_nomem(err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		jobs[i].id = ids.id ? ids.id + i * step : NULL;
		jobs[i].n = MIN(m->window, ids.n - i * step);
	}
	if (r == 0)
		r = jobs_run(m, jobs, n, &score, err);
	free(jobs);
	free(ids.id);
	if (r == 0)
		*ret = score;
	return r;
}

int creel_defender_model_score(struct creel_defender_model *m, const void *text, size_t len, double *ret,
			       struct creel_defender_error *error)
{
	struct creel_err err = {0};

	if (!m || !ret || (!text && len))
		return def_fail(error, CREEL_DEFENDER_E_INVALID, "model: an argument is missing");
	int r = model_score(m, text, len, ret, &err);
	return r < 0 ? def_fail(error, r, err.msg) : 0;
}

static int layer_score(void *arg, const char *text, size_t len, const struct creel_defender_context *ctx,
		       double *ret_score, char *why, size_t why_size)
{
	struct creel_err err = {0};
	int r = model_score(arg, text, len, ret_score, &err);

	if (r < 0)
		(void)snprintf(why, why_size, "%s", err.msg);
	return r;
}

void creel_defender_model_layer(struct creel_defender_model *m, struct creel_defender_layer *ret)
{
	*ret = (struct creel_defender_layer){.size = sizeof(*ret),
					     .layer = 2,
					     .name = m->name,
					     .warn_at = 0.5,
					     .block_at = 0.9,
					     .score = layer_score,
					     .arg = m};
}

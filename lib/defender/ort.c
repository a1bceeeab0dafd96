#include "ort.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* Places in the table. */
enum {
	GET_ERROR_MESSAGE = 2,
	CREATE_ENV = 3,
	CREATE_SESSION = 7,
	RUN = 9,
	CREATE_SESSION_OPTIONS = 10,
	SET_GRAPH_OPTIMIZATION = 23,
	SET_INTRA_OP_THREADS = 24,
	SET_INTER_OP_THREADS = 25,
	SESSION_INPUT_COUNT = 30,
	SESSION_INPUT_NAME = 36,
	SESSION_OUTPUT_NAME = 37,
	CREATE_TENSOR_WITH_DATA = 49,
	GET_TENSOR_DATA = 51,
	GET_ELEMENT_TYPE = 60,
	GET_ELEMENT_COUNT = 64,
	GET_TENSOR_TYPE = 65,
	CREATE_CPU_MEMORY_INFO = 69,
	ALLOCATOR_FREE = 76,
	DEFAULT_ALLOCATOR = 78,
	RELEASE_ENV = 92,
	RELEASE_STATUS = 93,
	RELEASE_MEMORY_INFO = 94,
	RELEASE_SESSION = 95,
	RELEASE_VALUE = 96,
	RELEASE_TENSOR_TYPE = 99,
	RELEASE_SESSION_OPTIONS = 100
};
#define API_VERSION 11
#define TYPE_FLOAT  1
#define TYPE_INT64  7
#define INPUTS_MAX  3

typedef void *status; /* NULL: it went well */
struct api_base {
	const void *const *(*get_api)(uint32_t version);
	const char *(*version)(void);
};

struct def_ort {
	void *lib;
	const void *const *api;
	void *env, *session, *memory;
	char *input[INPUTS_MAX], *output;
	size_t n_inputs;
};

#define CALL(o, slot, type) ((type)(uintptr_t)(o)->api[slot])
typedef void (*release_fn)(void *);

/* A failed call's reason, which is then given back. */
static int check(struct def_ort *o, status s, const char *what, struct creel_err *err)
{
	if (!s)
		return 0;
	const char *msg = CALL(o, GET_ERROR_MESSAGE, const char *(*)(status))(s);
	int r = creel_err_set(err, CREEL_E_INVALID, 0, "onnx runtime: %s: %.150s", what, msg);
	CALL(o, RELEASE_STATUS, release_fn)(s);
	return r;
}

static int runtime_open(struct def_ort *o, const char *path, struct creel_err *err)
{
	o->lib = dlopen(path ? path : "libonnxruntime.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!o->lib && !path)
		o->lib = dlopen("libonnxruntime.so", RTLD_NOW | RTLD_LOCAL);
	if (!o->lib)
		return creel_err_set(
			err, CREEL_E_NOTFOUND, 0,
			"%s cannot be loaded: install ONNX Runtime (Debian 13: libonnxruntime1.21; "
			"others: libonnxruntime.so of a release) and name it by its path",
			path ? path : "libonnxruntime.so.1");
	void *sym = dlsym(o->lib, "OrtGetApiBase");
	const struct api_base *base = sym ? ((const struct api_base *(*)(void))(uintptr_t)sym)() : NULL;
	o->api = base ? base->get_api(API_VERSION) : NULL;
	return o->api ? 0
		      : creel_err_set(err, CREEL_E_INVALID, 0, "%s: no ONNX Runtime of 1.11 or newer",
				      path ? path : "libonnxruntime.so.1");
}

static int name_get(struct def_ort *o, int slot, size_t i, void *alloc, char **ret, struct creel_err *err)
{
	char *name = NULL;
	int r = check(
		o,
		CALL(o, slot, status(*)(const void *, size_t, void *, char **))(o->session, i, alloc, &name),
		"name", err);
	if (r < 0)
		return r;
	*ret = strdup(name);
	r = check(o, CALL(o, ALLOCATOR_FREE, status(*)(void *, void *))(alloc, name), "free", err);
	return r < 0 ? r : *ret ? 0 : creel_err_nomem(err);
}

static int names_get(struct def_ort *o, struct creel_err *err)
{
	void *alloc = NULL;
	int r = check(o, CALL(o, DEFAULT_ALLOCATOR, status(*)(void **))(&alloc), "allocator", err);

	if (r == 0)
		r = check(o,
			  CALL(o, SESSION_INPUT_COUNT, status(*)(const void *, size_t *))(o->session,
											  &o->n_inputs),
			  "inputs", err);
	if (r == 0 && (o->n_inputs == 0 || o->n_inputs > INPUTS_MAX)) {
		o->n_inputs = 0;
		return creel_err_set(err, CREEL_E_INVALID, 0,
				     "the model wants other inputs than a classifier of text");
	}
	for (size_t i = 0; r == 0 && i < o->n_inputs; i++) {
		r = name_get(o, SESSION_INPUT_NAME, i, alloc, &o->input[i], err);
		if (r == 0 && strcmp(o->input[i], "input_ids") != 0 &&
		    strcmp(o->input[i], "attention_mask") != 0 && strcmp(o->input[i], "token_type_ids") != 0)
			r = creel_err_set(err, CREEL_E_INVALID, 0, "the model wants an input \"%.60s\"",
					  o->input[i]);
	}
	return r < 0 ? r : name_get(o, SESSION_OUTPUT_NAME, 0, alloc, &o->output, err);
}

static int session_open(struct def_ort *o, const char *model, unsigned threads, struct creel_err *err)
{
	void *opt = NULL;
	int r = check(o, CALL(o, CREATE_ENV, status(*)(int, const char *, void **))(3, "creel", &o->env),
		      "environment", err);

	if (r == 0)
		r = check(o, CALL(o, CREATE_SESSION_OPTIONS, status(*)(void **))(&opt), "options", err);
	if (r == 0)
		r = check(o, CALL(o, SET_GRAPH_OPTIMIZATION, status(*)(void *, int))(opt, 99), "options",
			  err);
	if (r == 0)
		r = check(o, CALL(o, SET_INTRA_OP_THREADS, status(*)(void *, int))(opt, (int)threads),
			  "threads", err);
	if (r == 0)
		r = check(o, CALL(o, SET_INTER_OP_THREADS, status(*)(void *, int))(opt, 1), "threads", err);
	if (r == 0)
		r = check(o,
			  CALL(o, CREATE_SESSION, status(*)(void *, const char *, void *, void **))(
				  o->env, model, opt, &o->session),
			  "load model", err);
	if (opt)
		CALL(o, RELEASE_SESSION_OPTIONS, release_fn)(opt);
	if (r == 0)
		r = check(o, CALL(o, CREATE_CPU_MEMORY_INFO, status(*)(int, int, void **))(1, 0, &o->memory),
			  "memory", err);
	return r < 0 ? r : names_get(o, err);
}

int def_ort_new(const char *runtime, const char *model, unsigned threads, struct def_ort **ret,
		struct creel_err *err)
{
	struct def_ort *o = calloc(1, sizeof(*o));
	int r = o ? runtime_open(o, runtime, err) : creel_err_nomem(err);

	if (r == 0)
		r = session_open(o, model, threads, err);
	if (r < 0)
		def_ort_free(o);
	else
		*ret = o;
	return r;
}

void def_ort_free(struct def_ort *o)
{
	if (!o)
		return;
	if (o->memory)
		CALL(o, RELEASE_MEMORY_INFO, release_fn)(o->memory);
	if (o->session)
		CALL(o, RELEASE_SESSION, release_fn)(o->session);
	if (o->env)
		CALL(o, RELEASE_ENV, release_fn)(o->env);
	for (size_t i = 0; i < INPUTS_MAX; i++)
		free(o->input[i]);
	free(o->output);
	/* the runtime's library stays: its threads and thread-local data do not outlive an unload well */
	free(o);
}

static int logits_take(struct def_ort *o, void *value, float *logits, size_t want, struct creel_err *err)
{
	void *info = NULL;
	float *data = NULL;
	int type = 0;
	size_t n = 0;
	int r = check(o, CALL(o, GET_TENSOR_TYPE, status(*)(const void *, void **))(value, &info), "answer",
		      err);

	if (r == 0)
		r = check(o, CALL(o, GET_ELEMENT_TYPE, status(*)(const void *, int *))(info, &type), "answer",
			  err);
	if (r == 0)
		r = check(o, CALL(o, GET_ELEMENT_COUNT, status(*)(const void *, size_t *))(info, &n),
			  "answer", err);
	if (info)
		CALL(o, RELEASE_TENSOR_TYPE, release_fn)(info);
	if (r == 0 && (type != TYPE_FLOAT || n != want))
		r = creel_err_set(err, CREEL_E_INVALID, 0,
				  "the model answers %zu numbers of type %d where %zu floats belong", n, type,
				  want);
	if (r == 0)
		r = check(o, CALL(o, GET_TENSOR_DATA, status(*)(void *, void **))(value, (void **)&data),
			  "answer", err);
	if (r == 0)
		memcpy(logits, data, want * sizeof(*logits));
	return r;
}

int def_ort_run(struct def_ort *o, const int64_t *ids, const int64_t *mask, size_t rows, size_t cols,
		float *logits, size_t labels, struct creel_err *err)
{
	void *in[INPUTS_MAX] = {NULL}, *out = NULL;
	const int64_t shape[2] = {(int64_t)rows, (int64_t)cols};
	int64_t *zeros = calloc(rows * cols, sizeof(*zeros));
	int r = zeros ? 0 : creel_err_nomem(err);

	for (size_t i = 0; r == 0 && i < o->n_inputs; i++) {
		const int64_t *p = strcmp(o->input[i], "input_ids") == 0        ? ids
				   : strcmp(o->input[i], "attention_mask") == 0 ? mask
										: zeros;
		r = check(o,
			  CALL(o, CREATE_TENSOR_WITH_DATA,
			       status(*)(const void *, const void *, size_t, const int64_t *, size_t, int,
					 void **))(o->memory, p, rows * cols * sizeof(*p), shape, 2,
						   TYPE_INT64, &in[i]),
			  "input", err);
	}
	if (r == 0)
		r = check(o,
			  CALL(o, RUN,
			       status(*)(void *, const void *, const char *const *, const void *const *,
					 size_t, const char *const *, size_t, void **))(
				  o->session, NULL, (const char *const *)o->input, (const void *const *)in,
				  o->n_inputs, (const char *const *)&o->output, 1, &out),
			  "run", err);
	if (r == 0)
		r = logits_take(o, out, logits, rows * labels, err);
	for (size_t i = 0; i < INPUTS_MAX; i++)
		if (in[i])
			CALL(o, RELEASE_VALUE, release_fn)(in[i]);
	if (out)
		CALL(o, RELEASE_VALUE, release_fn)(out);
	free(zeros);
	return r;
}

/* A classifier by ONNX Runtime: the scores of the Python model, from many threads, and failures said. */
#include "creel/defender.h"
#include "tests/cmocka-all.h"
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N 40
static struct creel_defender_model *model, *exported; /* as traced; and by tools/defender/export */
static struct {
	char *text;
	size_t len;
	double want, odds; /* the score, and the difference of the logits */
} texts[N];

static int open_all(void **state)
{
	struct creel_defender_model_options o = {.size = sizeof(o), .runtime = ONNX, .threads = 1};
	struct creel_defender_error e = {0};
	FILE *f = fopen(TINY "/logits.jsonl", "re");
	char *line = NULL;
	size_t cap = 0;

	for (size_t i = 0; i < N && f; i++) {
		ssize_t n = getline(&line, &cap, f);
		json_t *j = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL), *s = json_array_get(j, 0),
		       *y = json_array_get(j, 2);
		texts[i].len = json_string_length(s);
		texts[i].text = calloc(1, texts[i].len + 1);
		memcpy(texts[i].text, json_string_value(s), texts[i].len);
		double a = json_number_value(json_array_get(y, 0)),
		       b = json_number_value(json_array_get(y, 1));
		texts[i].odds = b - a;
		texts[i].want = 1 / (1 + exp(a - b));
		json_decref(j);
	}
	free(line);
	if (!f || fclose(f) != 0)
		return -1;
	int r = creel_defender_model_open(TINY, &o, &model, &e);
	o.file = "export.onnx";
	if (r == 0)
		r = creel_defender_model_open(TINY, &o, &exported, &e);
	if (r < 0)
		print_message("# %s\n", e.msg);
	return r;
}

static int close_all(void **state)
{
	creel_defender_model_close(model);
	creel_defender_model_close(exported);
	for (size_t i = 0; i < N; i++)
		free(texts[i].text);
	return 0;
}

static void same_scores(struct creel_defender_model *m)
{
	double least = 1, most = 0;

	for (size_t i = 0; i < N; i++) {
		double x = -1;
		struct creel_defender_error e = {0};
		if (creel_defender_model_score(m, texts[i].text, texts[i].len, &x, &e) < 0)
			fail_msg("%s", e.msg);
		if (fabs(x - texts[i].want) > 5e-5)
			fail_msg("text %zu: %.7f, wanted %.7f", i, x, texts[i].want);
		/* two logits, each to 1e-4; where the score is not rounded away */
		if (fabs(texts[i].odds) < 12 && fabs(log(x / (1 - x)) - texts[i].odds) > 2e-4)
			fail_msg("text %zu: logits differ by %.7f", i, log(x / (1 - x)) - texts[i].odds);
		least = x < least ? x : least;
		most = x > most ? x : most;
	}
	assert_true(most - least > 0.01); /* else every text would do */
}

static void as_traced(void **state)
{
	same_scores(model);
}

static void as_exported(void **state)
{
	same_scores(exported);
}

static void *many(void *arg)
{
	unsigned bad = 0;
	for (size_t i = 0; i < 100; i++) {
		double x = -1;
		size_t k = (i * 7 + (size_t)(uintptr_t)arg) % N;
		bad += creel_defender_model_score(i % 2 ? model : exported, texts[k].text, texts[k].len, &x,
						  NULL) < 0 ||
		       fabs(x - texts[k].want) > 5e-5;
	}
	return (void *)(uintptr_t)bad;
}

static void threads(void **state)
{
	pthread_t t[8];
	void *bad = NULL;

	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, many, (void *)(uintptr_t)i), 0);
	for (size_t i = 0; i < 8; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
}

static void in_a_scan(void **state)
{
	struct creel_defender_layer l;
	struct creel_defender_options o = {.size = sizeof(o),
					   .no_builtin_model = 1,
					   .layers = &l,
					   .n_layers = 1,
					   .cache_dir = getenv("CREEL_DEFENDER_CACHE")};
	struct creel_defender *d = NULL;
	struct creel_defender_result *r = NULL;
	struct creel_defender_error e = {0};
	const struct creel_defender_verdict *v;
	const struct creel_defender_finding *f;
	size_t big = 4u << 20;
	char *long_text = malloc(big);

	creel_defender_model_layer(model, &l);
	l.warn_at = 1e-9;
	if (creel_defender_new(&o, &d, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(creel_defender_scan(d, "hello", 5, NULL, &r, &e), 0);
	assert_int_equal(creel_defender_result_verdicts(r, &v), 2);
	assert_string_equal(v[1].name, "tiny");
	assert_false(v[1].failed);
	assert_int_equal(creel_defender_result_findings(r, &f), 1);
	assert_string_equal(f[0].rule, "tiny");
	assert_int_equal(f[0].layer, 2);
	creel_defender_result_free(r);

	/* more than the model reads: an error of the layer, blocked, never silently clean */
	for (size_t i = 0; i < big; i++)
		long_text[i] = "good day "[i % 9];
	assert_int_equal(creel_defender_scan(d, long_text, big, NULL, &r, &e), 0);
	assert_int_equal(creel_defender_result_verdicts(r, &v), 2);
	assert_true(v[1].failed);
	assert_non_null(strstr(v[1].error, "windows"));
	assert_int_equal(creel_defender_result_action(r), CREEL_DEFENDER_BLOCK);
	creel_defender_result_free(r);
	creel_defender_free(d);
	free(long_text);
}

static void refused(void **state)
{
	struct creel_defender_model *m = NULL;
	struct creel_defender_error e = {0};
	struct creel_defender_model_options o = {.size = sizeof(o), .runtime = "/nonexistent/lib.so"};

	assert_true(creel_defender_model_open(TINY, &o, &m, &e) < 0);
	assert_non_null(strstr(e.msg, "install ONNX Runtime"));
	o.runtime = ONNX;
	o.file = "config.json";
	assert_true(creel_defender_model_open(TINY, &o, &m, &e) < 0);
	assert_true(creel_defender_model_open("/nonexistent", &o, &m, &e) < 0);
	assert_null(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(as_traced), cmocka_unit_test(as_exported),
					   cmocka_unit_test(threads), cmocka_unit_test(in_a_scan),
					   cmocka_unit_test(refused)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (access(ONNX, R_OK) != 0) {
		puts("1..0 # SKIP not required: no ONNX Runtime here (tools/onnxruntime BUILD fetches it)");
		return 0;
	}
	return cmocka_run_group_tests(tests, open_all, close_all);
}

/* The judge against a model's server with faults, on loopback: what it asks, what it makes of answers. */
#include "creel/judge.h"
#include "tests/cmocka-all.h"
#include "tests/standin/model/fakemodel.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct fake_model fake;

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct creel_judge *judge(struct creel_judge_options o)
{
	struct creel_defender_error e = {0};
	struct creel_judge *j = NULL;

	fake.fault = FAKE_OK;
	fake.times = -1;
	fake.retry_after = 0;
	fake.anthropic = o.api == CREEL_JUDGE_ANTHROPIC;
	fake.requests = 0;
	fake.say = NULL;
	o.size = sizeof(o);
	o.url = o.url ? o.url : fake.url;
	o.model = "judge-1";
	o.key = o.key ? o.key : "sk-test";
	o.backoff_ms = o.backoff_ms ? o.backoff_ms : 10;
	o.timeout_ms = o.timeout_ms ? o.timeout_ms : 3000;
	if (creel_judge_new(&o, &j, &e) < 0)
		fail_msg("%s", e.msg);
	return j;
}

static int ask(struct creel_judge *j, const char *text, struct creel_judge_answer *a,
	       struct creel_defender_error *e)
{
	*a = (struct creel_judge_answer){.size = sizeof(*a)};
	*e = (struct creel_defender_error){0};
	return creel_judge_text(j, text, strlen(text), NULL, a, e);
}

static struct creel_judge_stats stats(struct creel_judge *j)
{
	struct creel_judge_stats s = {.size = sizeof(s)};
	creel_judge_stats(j, &s);
	return s;
}

static void each_api(void **state)
{
	static const char *const paths[] = {"/v1/chat/completions", "/v1/chat/completions", "/v1/messages"};
	static const char *const auth[] = {"Bearer sk-test", "Bearer sk-test", "sk-test"};
	struct creel_judge_answer a;
	struct creel_defender_error e;

	for (int api = 0; api < 3; api++) {
		struct creel_judge *j = judge((struct creel_judge_options){.api = (enum creel_judge_api)api});
		assert_int_equal(ask(j, "an attack", &a, &e), 0);
		assert_true(a.score > 0.97 && !a.steered && !a.cached);
		assert_string_equal(a.reason, "as the script says");
		assert_string_equal(fake.last_path, paths[api]);
		assert_string_equal(fake.last_auth, auth[api]);
		assert_int_equal(ask(j, "good day", &a, &e), 0);
		assert_true(a.score < 0.03);
		/* by hash, and not another text's */
		assert_int_equal(ask(j, "an attack", &a, &e), 0);
		assert_true(a.cached && a.score > 0.97);
		assert_int_equal(fake.requests, 2);
		struct creel_judge_call c = {sizeof(c), "mail Ann", "send_mail", "{\"to\":\"attack@x\"}"};
		a = (struct creel_judge_answer){.size = sizeof(a)};
		assert_int_equal(creel_judge_intent(j, &c, &a, &e), 0);
		assert_true(a.score > 0.97);
		c.arguments = "{\"to\":\"ann@x\"}";
		assert_int_equal(creel_judge_intent(j, &c, &a, &e), 0);
		assert_true(a.score < 0.03);
		creel_judge_free(j);
	}
}

static void faults(void **state)
{
	static const struct {
		enum fake_fault fault;
		int status, asked;
		const char *says;
	} cases[] = {
		{FAKE_STATUS, 429, 3, "the model's server answered 429"},
		{FAKE_STATUS, 500, 3, "the model's server answered 500"},
		{FAKE_STATUS, 401, 1, "the model's server answered 401"},
		{FAKE_STATUS, 302, 1, "the model's server answered 302"},
		{FAKE_SLOW, 0, 1, "the model's server: Timeout"},
		{FAKE_CUT, 0, 3, "the model's server: Transferred a partial file"},
		{FAKE_CLOSE, 0, 3, "the model's server: Server returned nothing"},
		{FAKE_GARBAGE, 0, 3, "the model's answer is not JSON"},
		{FAKE_SHAPE, 0, 3, "the model's answer has another shape"},
		{FAKE_WORDS, 0, 3, "the model's answer is not the JSON"},
		{FAKE_LENGTH, 0, 3, "the model's answer did not come to its end"},
		{FAKE_ENDLESS, 0, 1, "the model's answer is over"},
	};
	struct creel_judge_answer a;
	struct creel_defender_error e;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct creel_judge *j = judge((struct creel_judge_options){.timeout_ms = 1000});
		fake.fault = cases[i].fault;
		fake.status = cases[i].status;
		fake.ms = 3000;
		uint64_t from = now_ms();
		int r = ask(j, "good day", &a, &e);
		if (r != CREEL_DEFENDER_E_LAYER || strncmp(e.msg, cases[i].says, strlen(cases[i].says)) != 0)
			fail_msg("case %zu: %d `%s`", i, r, e.msg);
		if (fake.requests != cases[i].asked)
			fail_msg("case %zu: asked %d times", i, fake.requests);
		assert_true(now_ms() - from < 2500); /* the time-out is the question's, not a try's */
		assert_int_equal(stats(j).failed, 1);
		creel_judge_free(j);
		/* two of them, then it is well again */
		if (cases[i].asked < 3)
			continue;
		j = judge((struct creel_judge_options){0});
		fake.fault = cases[i].fault;
		fake.status = cases[i].status;
		fake.times = 2;
		assert_int_equal(ask(j, "good day", &a, &e), 0);
		assert_int_equal(stats(j).retries, 2);
		creel_judge_free(j);
	}
}

/* A failed judge is in the result, and on_error decides: never a clean text in silence. */
static void failure_in_a_scan(void **state)
{
	for (int on_error = 0; on_error < 2; on_error++) {
		struct creel_judge *j = judge((struct creel_judge_options){
			.from = -1, .to = 0.9, .on_error = (enum creel_defender_on_error)on_error});
		struct creel_defender_layer l;
		struct creel_defender *d = NULL;
		struct creel_defender_result *r = NULL;
		const struct creel_defender_verdict *v;

		creel_judge_layer(j, &l);
		struct creel_defender_options o = {.size = sizeof(o),
						   .layers = &l,
						   .n_layers = 1,
						   .cache_dir = getenv("CREEL_DEFENDER_CACHE")};
		assert_int_equal(creel_defender_new(&o, &d, NULL), 0);
		fake.fault = FAKE_GARBAGE;
		assert_int_equal(creel_defender_scan(d, "good day", 8, NULL, &r, NULL), 0);
		assert_int_equal(creel_defender_result_failed(r), 1u << 3);
		assert_int_equal(creel_defender_result_action(r), on_error == CREEL_DEFENDER_OPEN
									  ? CREEL_DEFENDER_ALLOW
									  : CREEL_DEFENDER_BLOCK);
		size_t n = creel_defender_result_verdicts(r, &v);
		assert_string_equal(v[n - 1].error, "the model's answer is not JSON");
		creel_defender_result_free(r);
		creel_defender_free(d);
		creel_judge_free(j);
	}
}

static void budget(void **state)
{
	char file[] = "/tmp/creel-budget-XXXXXX";
	struct creel_judge_answer a;
	struct creel_defender_error e;
	char text[16];

	close(mkstemp(file));
	struct creel_judge *j = judge(
		(struct creel_judge_options){.budget = 3, .budget_file = file, .tries = 1});
	struct creel_judge *k = judge(
		(struct creel_judge_options){.budget = 3, .budget_file = file, .tries = 1});
	for (int i = 0; i < 5; i++) { /* two processes would share it as these two judges do */
		(void)snprintf(text, sizeof(text), "text %d", i);
		int r = ask(i % 2 ? j : k, text, &a, &e);
		assert_int_equal(r, i < 3 ? 0 : CREEL_DEFENDER_E_LAYER);
	}
	assert_string_equal(e.msg, "the day's 3 requests are used up");
	assert_int_equal(fake.requests, 3);
	/* what was asked before costs nothing */
	assert_int_equal(ask(k, "text 0", &a, &e), 0);
	creel_judge_free(j);
	creel_judge_free(k);
	j = judge((struct creel_judge_options){.budget = 3, .budget_file = file});
	assert_int_equal(ask(j, "after a restart", &a, &e), CREEL_DEFENDER_E_LAYER);
	creel_judge_free(j);
	FILE *f = fopen(file, "w"); /* a damaged count is no budget */
	fputs("1 -", f);
	fclose(f);
	j = judge((struct creel_judge_options){.budget = 3, .budget_file = file});
	assert_int_equal(ask(j, "x", &a, &e), CREEL_DEFENDER_E_LAYER);
	assert_string_equal(e.msg, "the budget's file is not ours");
	creel_judge_free(j);
	unlink(file);
}

static void it_is_left_alone(void **state)
{
	struct creel_judge_answer a;
	struct creel_defender_error e;
	char text[16];
	struct creel_judge *j = judge(
		(struct creel_judge_options){.tries = 1, .rest_after = 3, .rest_ms = 700});

	fake.fault = FAKE_STATUS;
	fake.status = 500;
	for (int i = 0; i < 6; i++) {
		(void)snprintf(text, sizeof(text), "text %d", i);
		assert_int_equal(ask(j, text, &a, &e), CREEL_DEFENDER_E_LAYER);
	}
	assert_int_equal(fake.requests, 3);
	assert_int_equal(stats(j).busy, 3);
	fake.fault = FAKE_OK;
	usleep(800000);
	assert_int_equal(ask(j, "text", &a, &e), 0);
	creel_judge_free(j);
}

/* Retry-After is kept to, and not waited for when it is beyond the question's time. */
static void retry_after(void **state)
{
	struct creel_judge_answer a;
	struct creel_defender_error e;
	struct creel_judge *j = judge((struct creel_judge_options){0});

	fake.fault = FAKE_STATUS;
	fake.status = 429;
	fake.times = 1;
	fake.retry_after = 1;
	uint64_t from = now_ms();
	assert_int_equal(ask(j, "good day", &a, &e), 0);
	assert_true(now_ms() - from >= 1000);
	fake.times = -1;
	fake.retry_after = 3600;
	from = now_ms();
	assert_int_equal(ask(j, "good evening", &a, &e), CREEL_DEFENDER_E_LAYER);
	assert_true(now_ms() - from < 1000);
	creel_judge_free(j);
}

struct asker {
	struct creel_judge *j;
	int r;
	char text[16];
};
static void *asker(void *arg)
{
	struct asker *s = arg;
	struct creel_judge_answer a;
	struct creel_defender_error e;
	s->r = ask(s->j, s->text, &a, &e);
	return NULL;
}

static void many_at_once(void **state)
{
	struct creel_judge *j = judge((struct creel_judge_options){.at_once = 8});
	struct asker s[12];
	pthread_t t[12];
	int failed = 0;

	fake.fault = FAKE_SLOW;
	fake.ms = 500;
	uint64_t from = now_ms();
	for (int i = 0; i < 12; i++) {
		s[i].j = j;
		(void)snprintf(s[i].text, sizeof(s[i].text), "text %d", i);
		assert_int_equal(pthread_create(&t[i], NULL, asker, &s[i]), 0);
	}
	for (int i = 0; i < 12; i++) {
		pthread_join(t[i], NULL);
		failed += s[i].r < 0;
	}
	assert_int_equal(failed, 4);
	assert_true(now_ms() - from < 2500); /* together, not one after the other */
	creel_judge_free(j);
	/* a stop ends what is under way */
	j = judge((struct creel_judge_options){.timeout_ms = 20000});
	fake.fault = FAKE_SLOW;
	fake.ms = 4000;
	s[0].j = j;
	from = now_ms();
	assert_int_equal(pthread_create(&t[0], NULL, asker, &s[0]), 0);
	usleep(200000);
	creel_judge_stop(j);
	pthread_join(t[0], NULL);
	assert_int_equal(s[0].r, CREEL_DEFENDER_E_LAYER);
	assert_true(now_ms() - from < 3000);
	creel_judge_free(j);
}

static void long_texts(void **state)
{
	struct creel_judge *j = judge((struct creel_judge_options){.window = 1024, .windows = 4});
	static char text[8192];
	struct creel_judge_answer a;
	struct creel_defender_error e;

	for (int i = 0; i < 3500; i++)
		text[i] = (char)('a' + (i / 64) % 23); /* no two windows alike: an equal one is known */
	memcpy(text + 3400, "attack", 6);              /* in the last window alone */
	assert_int_equal(ask(j, text, &a, &e), 0);
	assert_true(a.score > 0.97);
	assert_int_equal(fake.requests, 4);
	memset(text, 'x', 8000); /* never judged by its beginning */
	assert_int_equal(ask(j, text, &a, &e), CREEL_DEFENDER_E_LAYER);
	creel_judge_free(j);
}

static void bad_options(void **state)
{
	static const struct creel_judge_options cases[] = {
		{.api = CREEL_JUDGE_OPENAI}, /* no model */
		{.model = "m", .url = "ftp://x/"},
		{.model = "m", .url = "not a url"},
		{.model = "m", .url = "http://models.example/v1", .key = "k"}, /* a key in the open */
		{.model = "m", .url = "http://127.0.0.1.evil.example/v1", .key = "k"},
		{.model = "m", .url = "https://user:pass@models.example/v1"},
		{.model = "m", .key = "two\r\nX-Other: lines"},
		{.model = "m", .key = ""},
		{.model = "m", .from = 0.9, .to = 0.2},
		{.model = "m", .budget_file = "/nonexistent/budget"},
		{.model = "m", .api = (enum creel_judge_api)7},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct creel_judge_options o = cases[i];
		struct creel_judge *j = (struct creel_judge *)&o;
		struct creel_defender_error e = {0};
		o.size = sizeof(o);
		if (creel_judge_new(&o, &j, &e) >= 0 || e.msg[0] == '\0' || j != (struct creel_judge *)&o)
			fail_msg("case %zu: %s", i, e.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_api),          cmocka_unit_test(faults),
		cmocka_unit_test(failure_in_a_scan), cmocka_unit_test(budget),
		cmocka_unit_test(it_is_left_alone),  cmocka_unit_test(retry_after),
		cmocka_unit_test(many_at_once),      cmocka_unit_test(long_texts),
		cmocka_unit_test(bad_options),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	fake_model_start(&fake);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

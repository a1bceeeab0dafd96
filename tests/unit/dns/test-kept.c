/* What creel-dns gives again within a second: the same octets under the new question's number, to the same question. */
#include "dns.h"
#include "tests/cmocka-all.h"
#include <string.h>
#include <time.h>

static time_t now = 1000;

/* kept.c's clock */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
	*ret = (struct timespec){now, 999999999};
	return 0;
}

static struct dns d;

static struct job asked(uint16_t id, const char *question)
{
	struct job j = {.dns = &d};

	creel_buf_init(&j.answer, CREEL_DNS_MAX);
	j.q.id = id;
	j.q.rd = true;
	j.q.question_len = strlen(question) + 5;
	memcpy(j.q.question, question, strlen(question) + 1);
	return j;
}

static void put(const char *question, size_t answer)
{
	struct job j = asked(0x1111, question);
	struct creel_err err = {0};
	static uint8_t octets[1000];

	memset(octets, 'a', sizeof(octets));
	j.report.n_addrs = 2;
	j.report.ttl = 120;
	memset(j.report.addr[1], 7, 16);
	memcpy(j.report.chain, "cdn.example", 12);
	assert_int_equal(creel_buf_add(&j.answer, octets, answer, &err), 0);
	dns_kept_put(&j);
	creel_buf_fini(&j.answer);
}

static bool has(struct job j)
{
	bool r = dns_kept_answer(&j);

	creel_buf_fini(&j.answer);
	return r;
}

static void given_again(void **state)
{
	struct job j = asked(0x2233, "\3www\4good");

	assert_false(has(j));
	put("\3www\4good", 100);
	assert_true(dns_kept_answer(&j));
	assert_int_equal(j.answer.len, 100);
	assert_memory_equal(j.answer.data,
			    "\x22\x33"
			    "aaaa",
			    6);
	assert_int_equal(j.report.n_addrs, 2);
	assert_int_equal(j.report.ttl, 120);
	assert_int_equal(j.report.addr[1][15], 7);
	assert_int_equal(j.report.addr[2][0], 0);
	assert_string_equal(j.report.chain, "cdn.example");
	creel_buf_fini(&j.answer);
}

static void not_to_another_question(void **state)
{
	struct job j = asked(1, "\3www\4good");

	put("\3www\4good", 100);
	assert_true(has(j));
	assert_false(has(asked(1, "\3wWw\4good"))); /* its letters are answered as they are asked */
	assert_false(has(asked(1, "\3www\4evil")));
	j.q.question[j.q.question_len - 1] = 28; /* another type */
	assert_false(has(j));
	for (int i = 0; i < 4; i++) {
		j = asked(1, "\3www\4good");
		bool *const bits[] = {&j.q.rd, &j.q.cd, &j.q.edns, &j.q.dnssec_ok};
		*bits[i] = !*bits[i];
		assert_false(has(j));
	}
}

static void not_for_long(void **state)
{
	put("\3www\4good", 100);
	now++;
	assert_false(has(asked(1, "\3www\4good")));
	put("\3www\4good", 100);
	assert_true(has(asked(1, "\3www\4good")));
	dns_pinned_clear(&d); /* a policy changed */
	assert_false(has(asked(1, "\3www\4good")));
	put("\3www\4good", 800); /* too long */
	assert_false(has(asked(1, "\3www\4good")));
}

static int done(void **state)
{
	dns_kept_clear(&d);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(given_again),
		cmocka_unit_test(not_to_another_question),
		cmocka_unit_test(not_for_long),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, done);
}

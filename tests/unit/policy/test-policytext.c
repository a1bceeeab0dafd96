/* A policy written and read back decides the same; what is not one is refused; a change in words. */
#include "policy/policydiff.h"
#include "policy/policytext.h"
#include "tests/cmocka-all.h"
#include <string.h>

static bool address(void *ctx, const char *cell, struct creel_net *ret)
{
	*ret = (struct creel_net){.addr = {192, 168, 83, 3}, .family = 4, .bits = 32};
	return strcmp(cell, "gog") == 0;
}

static const struct creel_rule_text allow[] = {{"good.example", 4, 1}, {"10.1.0.0/16:5432", 5, 1}};
static const struct creel_rule_text deny[] = {{"bad.example", 6, 1}};
static const struct creel_rule_reach reach[] = {
	{"gog", 22, 7, true}, {"gog", 23, 8, false}, {"lost", 22, 9, false}};
static const struct creel_policy_spec spec = {.mode = CREEL_MODE_ASK,
					      .mode_line = 3,
					      .allow = allow,
					      .n_allow = 2,
					      .deny = deny,
					      .n_deny = 1,
					      .reach = reach,
					      .n_reach = 3,
					      .subnet = {.addr = {192, 168, 83}, .family = 4, .bits = 24}};
static const char text[] =
	"mode ask 3\nsubnet 192.168.83.0/24\nallow 4 good.example\nallow 5 10.1.0.0/16:5432\n"
	"deny 6 bad.example\ncell gog 192.168.83.3\nreach 7 gog 22 ipv6\nreach 8 gog 23\n"
	"reach 9 lost 22\n";

static void test_round(void **state)
{
	struct creel_policytext autoclean(creel_policytext_fini) t = {0};
	struct creel_buf autoclean(creel_buf_fini) out, autoclean(creel_buf_fini) again;
	struct creel_err err = {0};
	struct creel_answer a;

	creel_buf_init(&out, 4096);
	creel_buf_init(&again, 4096);
	assert_int_equal(creel_policytext_write(&spec, address, NULL, &out, &err), 0);
	assert_string_equal(creel_buf_str(&out), text);
	assert_int_equal(creel_policytext_read(text, sizeof(text) - 1, NULL, NULL, &t, &err), 0);
	assert_int_equal(creel_policytext_write(&t.spec, address, NULL, &again, &err), 0);
	assert_string_equal(creel_buf_str(&again), text);
	struct creel_question q = {.name = "good.example", .port = 443};
	creel_policy_decide(&t.policy, &q, &a);
	assert_int_equal(a.decision, CREEL_ALLOW);
	assert_int_equal(a.line, 4);
	q = (struct creel_question){.name = "gog.creel", .port = 23};
	creel_policy_decide(&t.policy, &q, &a);
	assert_int_equal(a.why, CREEL_WHY_REACH);
	assert_int_equal(a.line, 8);
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
		"mode maybe 1\n",
		"mode ask\n",
		"mode ask -1\n",
		"mode ask 99999999999\n",
		"allow 1\n",
		"allow x good.example\n",
		"allow 1 good.example more\n",
		"allow 1 -bad-\n",
		"deny 1 10.0.0.1/8\n",
		"reach 1 gog\n",
		"reach 1 gog 0\n",
		"reach 1 gog 65536\n",
		"reach 1 gog 22 ipv4\n",
		"reach 1 gog 22 ipv6 ipv6\n",
		"cell gog\n",
		"cell gog 1.2.3\n",
		"cell gog 10.0.0.0/8\n",
		"cell gog ::1\n",
		"subnet x\n",
		"host 1.2.3.4\n",
		"mode\n",
		"mode ask 1\nallow 1 \n",
	};
	struct creel_rule_text blank = {"a b.example", 1, 1};
	struct creel_policy_spec bad = {.allow = &blank, .n_allow = 1};
	struct creel_buf autoclean(creel_buf_fini) out;
	struct creel_err err = {0};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct creel_policytext t = {0};
		err = (struct creel_err){0};
		if (creel_policytext_read(rows[i], strlen(rows[i]), NULL, NULL, &t, &err) == 0)
			fail_msg("passed: %s", rows[i]);
		assert_null(t.text);
	}
	struct creel_policytext t = {0};
	assert_int_equal(creel_policytext_read("mode ask 1\n\0", 12, NULL, NULL, &t, &err), CREEL_E_SYNTAX);
	creel_buf_init(&out, 4096);
	assert_int_equal(creel_policytext_write(&bad, address, NULL, &out, &err), CREEL_E_INVALID);
}

static const char *diff(const struct creel_policy_spec *was, const struct creel_policy_spec *will)
{
	static struct creel_buf out;
	struct creel_err err = {0};

	creel_buf_fini(&out);
	creel_buf_init(&out, 4096);
	assert_int_equal(creel_policy_diff(was, will, &out, &err), 0);
	return creel_buf_str(&out);
}

static void test_diff(void **state)
{
	/* other lines, another order, an entry twice: the same */
	static const struct creel_rule_text same[] = {
		{"10.1.0.0/16:5432", 40, 1}, {"good.example", 41, 1}, {"good.example", 42, 1}};
	static const struct creel_rule_text other[] = {{"good.example:8443", 4, 1}, {"good.example", 5, 1}};
	struct creel_policy_spec b = spec;

	b.allow = same;
	b.n_allow = 3;
	assert_string_equal(diff(&spec, &b), "");
	b.allow = other;
	b.n_allow = 2;
	b.n_deny = 0;
	b.mode = CREEL_MODE_LISTED;
	b.n_reach = 1;
	assert_string_equal(
		diff(&spec, &b),
		"mode: ask -> listed\nmay no longer: 10.1.0.0/16:5432\nmay now: good.example:8443\n"
		"denied no longer: bad.example\nreaches no longer: gog:23\nreaches no longer: lost:22\n");
	assert_string_equal(
		diff(NULL, &b),
		"mode: listed\nmay now: good.example\nmay now: good.example:8443\nreaches now: gog:22\n");
	/* one of the two cells gets IPv6, or loses it */
	static const struct creel_rule_reach four[] = {{"gog", 22, 7, false}};
	struct creel_policy_spec c = b;
	c.reach = four;
	assert_string_equal(diff(&b, &c), "reaches no longer: gog:22 by IPv6\n");
	assert_string_equal(diff(&c, &b), "reaches now: gog:22 by IPv6\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_round), cmocka_unit_test(test_refused),
					   cmocka_unit_test(test_diff)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

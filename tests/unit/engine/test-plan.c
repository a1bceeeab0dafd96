#include "engine/plan.h"
#include "tests/cmocka-all.h"
#include <string.h>

static const char good[] =
	"{\"cell\":\"box\",\"recipe\":\"base\",\"image\":"
	"\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"image_dir\":\"/c/i\",\"boot\":"
	"\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"gate\":false,\"kvm\":false,\"cpus\":1,\"memory_mib\":256,"
	"\"stop_grace_ms\":1000,\"ready_limit_ms\":1000,\"volumes\":[{\"name\":\"persist\",\"octets\":67108864,"
	"\"at\":\"/persist\"}],\"publish\":[{\"address\":\"127.0.0.1\",\"host\":80,\"guest\":81}],\"secrets\":["
	"{\"name\":\"tok\",\"source\":\"hex\",\"bytes\":16,\"optional\":false,\"broker\":false,\"env\":\"TOK\"}],"
	"\"net\":{\"link\":true,\"address\":\"192.168.83.2\",\"gateway\":\"192.168.83.1\",\"subnet\":"
	"\"192.168.83.0/24\",\"ipv6\":false,\"recursive\":false,\"upstreams\":[\"192.0.2.53@5353\"],\"policy\":"
	"\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}}";

static void test_round(void **state)
{
	struct creel_buf autoclean(creel_buf_fini) out;
	struct creel_err err = {0};
	struct creel_plan p;

	creel_buf_init(&out, CREEL_PLAN_MAX);
	assert_int_equal(creel_plan_decode(good, sizeof(good) - 1, &p, &err), 0);
	assert_int_equal(p.n_volumes, 1);
	assert_int_equal(p.ports[0].guest, 81);
	assert_int_equal(p.secrets[0].source, CREEL_SOURCE_HEX);
	assert_int_equal(creel_plan_encode(&p, &out, &err), 0);
	assert_string_equal(creel_buf_str(&out), good);
}

/* One place of a good plan changed to what must not pass: it would be a part of a path or an argument. */
static void test_refused(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{"\"box\"", "\"../x\""},
		{"\"box\"", "\"a/b\""},
		{"\"box\"", "\"\""},
		{"\"box\"", "\"-x\""},
		{"\"/c/i\"", "\"/c/../i\""},
		{"\"/c/i\"", "\"c/i\""},
		{"\"/c/i\"", "\"/c,x\""},
		{"\"/c/i\"", "\"/c/..\""},
		{"\"/c/i\"", "\"/c:/etc\""},
		{"\"persist\"", "\"a.b\""},
		{"\"persist\"", "\"nineteenoctetslongx\""},
		{"\"cpus\":1", "\"cpus\":0"},
		{"\"cpus\":1", "\"cpus\":1.5"},
		{"\"kvm\":false", "\"kvm\":1"},
		{"256", "63"},
		{"256", "99999999"},
		{"\"127.0.0.1\"", "\"localhost\""},
		{"\"host\":80", "\"host\":0"},
		{"\"guest\":81", "\"guest\":65536"},
		{"\"hex\"", "\"shell\""},
		{"\"tok\"", "\"..\""},
		{"\"TOK\"", "\"T=K\""},
		{"67108864", "-1"},
		{"\"bytes\":16", "\"bytes\":1025"},
		{"\"cell\"", "\"celll\""},
		{"\"image\":\"0", "\"image\":\"G"},
		{"\"}}", "\"},\"more\":1}"},
		{"192.0.2.53@5353", "192.0.2.53\\nhost 1.2.3.4"},
		{"\"192.168.83.2\"", "\"192.168.83\""},
		{"\"192.168.83.0/24\"", "\"192.168.83.0\""},
		{"\"192.168.83.1\"", "\"\""},
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct creel_err err = {0};
		struct creel_plan p = {.cpus = 77};
		char text[2048];
		const char *at = strstr(good, rows[i].from);
		assert_non_null(at);
		int n = snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, rows[i].to,
				 at + strlen(rows[i].from));
		if (creel_plan_decode(text, (size_t)n, &p, &err) >= 0)
			fail_msg("passed: %s for %s", rows[i].to, rows[i].from);
		assert_int_equal(p.cpus, 77);
	}
}

static void test_same_machine(void **state)
{
	struct creel_err err = {0};
	struct creel_plan a, b;

	assert_int_equal(creel_plan_decode(good, sizeof(good) - 1, &a, &err), 0);
	assert_int_equal(creel_plan_decode(good, sizeof(good) - 1, &b, &err), 0);
	b.net.policy[0] = 'f';
	b.net.n_upstreams = 0;
	assert_true(creel_plan_same_machine(&a, &b));
	b.cpus++;
	assert_false(creel_plan_same_machine(&a, &b));
	b = a;
	strcpy(b.net.address, "192.168.83.9");
	assert_false(creel_plan_same_machine(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_round), cmocka_unit_test(test_refused),
					   cmocka_unit_test(test_same_machine)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

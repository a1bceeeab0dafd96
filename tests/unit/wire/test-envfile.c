#include "base/buf.h"
#include "tests/cmocka-all.h"
#include "wire/envfile.h"
#include <string.h>

static int each(const char *name, const char *value, size_t len, void *ctx, struct creel_err *err)
{
	assert_int_equal(strlen(value), len);
	return creel_buf_addf(ctx, err, "%s<%s>", name, value);
}

static const struct {
	const char *text;
	int r;
	const char *want; /* or the end of the error */
} cases[] = {
	{"", 0, ""},
	{"\n\n  \n# c\n", 0, ""},
	{"A=1", 0, "A<1>"},
	{"A=1\n", 0, "A<1>"},
	{"A=1\r\nB=2\r\n", 0, "A<1>B<2>"},
	{"\xef\xbb\xbf"
	 "A=1",
	 0, "A<1>"},
	{"A=\nB=", 0, "A<>B<>"},
	{"export A=1\nexport\tB=2", 0, "A<1>B<2>"},
	{"exported=1", 0, "exported<1>"},
	{"A= x y # z \n", 0, "A<x y # z>"}, /* a key may hold a '#' */
	{"A=a=b", 0, "A<a=b>"},
	{"A='x \\n$y' # c\n", 0, "A<x \\n$y>"},
	{"A=\"x\\ty\\n\\\"z\\\\\\$q\\w\"\nB=2", 0, "A<x\ty\n\"z\\$q\\w>B<2>"},
	{"A=\"one\ntwo\\\nthree\"\nB=", 0, "A<one\ntwothree>B<>"},
	{"A=\"\"", 0, "A<>"},
	{"A=\"x", CREEL_E_SYNTAX, "line 1: a quote is not closed"},
	{"A=1\nB='x\ny\n", CREEL_E_SYNTAX, "line 2: a quote is not closed"},
	{"A=\"x\" y", CREEL_E_SYNTAX, "line 1: something stands behind the closing quote"},
	{"A=\"\n\"\nnonsense", CREEL_E_SYNTAX, "line 3: this is no NAME=VALUE"},
	{"1A=x", CREEL_E_SYNTAX, "line 1: this is no NAME=VALUE"},
	{"A-B=x", CREEL_E_SYNTAX, "line 1: this is no NAME=VALUE"},
	{"=x", CREEL_E_SYNTAX, "line 1: this is no NAME=VALUE"},
	{"A =x", CREEL_E_SYNTAX, "line 1: this is no NAME=VALUE"},
	{"A=\"\\", CREEL_E_SYNTAX, "line 1: a quote is not closed"},
};

static void parse(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct creel_buf autoclean(creel_buf_fini) out;
		autofree char *copy = strdup(cases[i].text);
		struct creel_err err = {0};
		creel_buf_init(&out, 4096);
		int r = creel_envfile_parse(copy, strlen(copy), each, &out, &err);
		if (r != cases[i].r || strcmp(r < 0 ? err.msg : creel_buf_str(&out), cases[i].want) != 0)
			fail_msg("case %zu: %d '%s' '%s'", i, r, creel_buf_str(&out), err.msg);
	}
}

static void nul(void **state)
{
	char text[] = "A=x\0y\n";
	struct creel_err err = {0};

	assert_int_equal(creel_envfile_parse(text, sizeof(text) - 1, NULL, NULL, &err), CREEL_E_SYNTAX);
}

static int stop(const char *name, const char *value, size_t len, void *ctx, struct creel_err *err)
{
	return creel_err_set(err, CREEL_E_INVALID, 0, "no");
}

static void stops(void **state)
{
	char text[] = "A=x\nB=y\n";
	struct creel_err err = {0};

	assert_int_equal(creel_envfile_parse(text, sizeof(text) - 1, stop, NULL, &err), CREEL_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(parse), cmocka_unit_test(nul),
					   cmocka_unit_test(stops)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

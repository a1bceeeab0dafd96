#include "base/escape.h"
#include "tests/cmocka-all.h"
#include <string.h>

static const struct {
	const char *in;
	size_t len;
	const char *term;
	const char *json;
} cases[] = {
	{"plain", 5, "plain", "\"plain\""},
	{"a\x1b[31mb", 7, "a\\x1b[31mb", "\"a\\u001b[31mb\""},
	{"q\"\\\n", 4, "q\"\\\\\\n", "\"q\\\"\\\\\\n\""},
	{"\xc3\xa9", 2, "\xc3\xa9", "\"\xc3\xa9\""},
	{"\xff", 1, "\\xff", "\"\xef\xbf\xbd\""},
	{"\xe2\x80\xae", 3, "\\u{202e}", "\"\\u202e\""}, /* right-to-left override */
	{"\xc2\x9b", 2, "\\u{009b}", "\"\\u009b\""},     /* C1 CSI */
	{"\xed\xa0\x80", 3, "\\xed\\xa0\\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	{"\0", 1, "\\x00", "\"\\u0000\""},
	{"a\x7f", 2, "a\\x7f", "\"a\\u007f\""},
	{"\xf3\xa0\x81\x81", 4, "\\u{e0041}", "\"\\udb40\\udc41\""}, /* tag character */
};

static void table(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct creel_err err = {0};
		struct creel_buf autoclean(creel_buf_fini) t, autoclean(creel_buf_fini) j;
		creel_buf_init(&t, 100);
		creel_buf_init(&j, 100);
		assert_int_equal(creel_escape_term(&t, cases[i].in, cases[i].len, &err), 0);
		assert_int_equal(creel_escape_json(&j, cases[i].in, cases[i].len, &err), 0);
		if (strcmp(creel_buf_str(&t), cases[i].term) != 0 ||
		    strcmp(creel_buf_str(&j), cases[i].json) != 0)
			fail_msg("case %zu: %s %s", i, creel_buf_str(&t), creel_buf_str(&j));
	}
}

static void uri(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		const char *also, *out;
	} u[] = {
		{"a-Z.0_9~", 8, "", "a-Z.0_9~"},
		{"a b%c", 5, "", "a%20b%25c"},
		{"x/y:z", 5, "/", "x/y%3Az"},
		{"\0\xc3\xa9\xff", 4, "/", "%00%C3%A9%FF"}, /* a NUL is in no string of what is kept */
		{"@[`{", 4, "", "%40%5B%60%7B"},            /* beside the letters and digits */
	};
	char out[16];

	for (size_t i = 0; i < ELEMENTSOF(u); i++) {
		size_t n = creel_escape_uri(u[i].in, u[i].len, u[i].also, out, sizeof(out));
		assert_int_equal(n, strlen(u[i].out));
		assert_memory_equal(out, u[i].out, n);
	}
	/* no octet in part, none beyond the end */
	memset(out, '!', sizeof(out));
	assert_int_equal(creel_escape_uri("a b", 3, "", out, 3), 1);
	assert_int_equal(creel_escape_uri("a b", 3, "", out, 4), 4);
	assert_memory_equal(out, "a%20!", 5);
	assert_int_equal(creel_escape_uri("a", 1, "", out, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(table), cmocka_unit_test(uri)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

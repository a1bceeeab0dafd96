#include "config/config.h"
#include "engine/cellbroker.h"
#include "tests/cmocka-all.h"
#include <string.h>

#define TOP "version: 1\ncells: {a: {recipe: base, broker: {\n"
#define M   "methods: [GET], paths: [/x]"

static const struct {
	const char *brokers, *errors;
} cases[] = {
	{"m: {host: a.example, secret: k, " M "}", ""},
	{"m: {host: a.example, secret: k, " M ", intercept: true, websocket: true}", ""},
	{"m: {host: a.example, secret: k, " M ", port: 8443, intercept: true}",
	 "t:3:68: `intercept` is of port 443\n"},
	{"m: {host: a.example, secret: k, " M ", intercept: true},\n"
	 "n: {host: a.example, secret: k, " M ", intercept: true}",
	 "t:4:73: a.example is the broker m's already\n"},
	{"m: {host: a.example, secret: k, " M "},\nn: {host: a.example, secret: k, " M ", intercept: true}",
	 ""},
	{"m: {host: A.example, secret: k, " M "}", "t:3:11: a host's name is written in small letters\n"},
	{"m: {host: a.example, secret: k, " M ", user: me}", "t:3:68: `user` goes with `auth: basic`\n"},
	{"m: {host: a.example, secret: k, " M ", auth: basic, user: \"a:b\"}",
	 "t:3:81: a user of basic authentication has no `:`\n"},
	{"m: {host: a.example, secret: k, " M ", auth: query}",
	 "t:3:1: `auth: query` wants `parameter: NAME`\n"},
	{"m: {host: a.example, secret: k, " M ", auth: header, header: Upgrade}",
	 "t:3:84: `Upgrade` cannot carry a credential\n"},
	{"m: {host: a.example, secret: k, methods: [TRACE], paths: [/a/../b]}", NULL},
};

static void checked(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct creel_config autoclean(creel_config_fini) c = {0};
		struct creel_diags autoclean(creel_diags_fini) diags = {0};
		struct creel_buf autoclean(creel_buf_fini) said = {0};
		struct creel_brokers b;
		struct creel_err err = {0};
		char text[1024];

		(void)snprintf(text, sizeof(text), TOP "%s\n}}}\n", cases[i].brokers);
		creel_buf_init(&said, 4096);
		if (creel_config_load(text, strlen(text), "t", -1, &c, &diags, &err) == 0) {
			int r = creel_cellbroker_init(&b, &c, &c.cells.v[0], &diags, &err);
			assert_int_equal(r, cases[i].errors && !*cases[i].errors ? 0 : CREEL_E_CONFIG);
		}
		assert_int_equal(creel_diags_print(&diags, CREEL_DIAG_ERROR, &said, &err), 0);
		assert_int_equal(creel_buf_add(&said, "", 1, &err), 0);
		if (cases[i].errors ? strcmp((char *)said.data, cases[i].errors) != 0 : said.len < 2)
			fail_msg("case %zu: %s", i, (char *)said.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(checked)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/err.h"
#include "tests/cmocka-all.h"
#include <errno.h>
#include <string.h>

static void set_appends_errno(void **state)
{
	struct creel_err err = {0};
	assert_int_equal(creel_err_set(&err, CREEL_E_OS, ENOENT, "open %s", "x"), CREEL_E_OS);
	assert_int_equal(err.os, ENOENT);
	assert_string_equal(err.msg, "open x: No such file or directory");
}

static void add_puts_context_first(void **state)
{
	struct creel_err err = {0};
	creel_err_set(&err, CREEL_E_SYNTAX, 0, "label cut");
	assert_int_equal(creel_err_add(&err, "name %d", 7), CREEL_E_SYNTAX);
	assert_string_equal(err.msg, "name 7: label cut");
}

static void the_cause_stays_whole(void **state)
{
	struct creel_err err = {0};
	char cause[200], ctx[200];
	memset(cause, 'c', sizeof(cause) - 1);
	memset(ctx, 'x', sizeof(ctx) - 1);
	cause[sizeof(cause) - 1] = ctx[sizeof(ctx) - 1] = 0;
	creel_err_set(&err, CREEL_E_SYNTAX, 0, "%s", cause);
	creel_err_add(&err, "%s", ctx);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_string_equal(err.msg + strlen(err.msg) - strlen(cause), cause);
	for (int i = 0; i < 5; i++)
		creel_err_add(&err, "more");
	assert_string_equal(err.msg + strlen(err.msg) - strlen(cause), cause);
}

static void every_code_has_a_name(void **state)
{
	for (int c = CREEL_E_CANCEL; c <= 0; c++)
		assert_string_not_equal(creel_code_name(c), "unknown");
	assert_string_equal(creel_code_name(CREEL_E_CANCEL - 1), "unknown");
	assert_string_equal(creel_code_name(CREEL_E_PROTO), "proto");
	assert_string_equal(creel_code_name(CREEL_E_CANCEL), "cancelled");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_appends_errno),
		cmocka_unit_test(add_puts_context_first),
		cmocka_unit_test(the_cause_stays_whole),
		cmocka_unit_test(every_code_has_a_name),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

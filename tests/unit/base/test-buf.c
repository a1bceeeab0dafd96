#include "base/buf.h"
#include "tests/cmocka-all.h"
#include <string.h>

static void grows_to_its_maximum_and_no_further(void **state)
{
	struct creel_err err = {0};
	struct creel_buf autoclean(creel_buf_fini) b;
	creel_buf_init(&b, 100);
	assert_string_equal(creel_buf_str(&b), "");
	for (int i = 0; i < 10; i++)
		assert_int_equal(creel_buf_adds(&b, "0123456789", &err), 0);
	assert_int_equal(creel_buf_adds(&b, "x", &err), CREEL_E_TOOBIG);
	assert_int_equal(b.len, 100);
	assert_int_equal(strlen(creel_buf_str(&b)), 100);
}

static void drain_and_format(void **state)
{
	struct creel_err err = {0};
	struct creel_buf autoclean(creel_buf_fini) b;
	creel_buf_init(&b, 1000);
	assert_int_equal(creel_buf_addf(&b, &err, "%s-%d", "abc", 42), 0);
	creel_buf_drain(&b, 4);
	assert_string_equal(creel_buf_str(&b), "42");
	creel_buf_drain(&b, 99);
	assert_int_equal(b.len, 0);
	autofree char *s = creel_buf_steal(&b);
	assert_string_equal(s, "");
}

static void formats_into_whatever_room_there_is(void **state)
{
	struct creel_err err = {0};

	/* 64 octets at first: the text fits, fits to the last octet, needs more, and is over the maximum */
	for (int before = 1; before < 140; before++) {
		struct creel_buf autoclean(creel_buf_fini) b;
		char want[200];
		creel_buf_init(&b, 130);
		for (int i = 0; i < before; i++)
			(void)creel_buf_adds(&b, "x", &err);
		size_t had = b.len;
		memset(want, 'x', had);
		int r = creel_buf_addf(&b, &err, "%s-%05d", "abcd", 42);
		assert_int_equal(r, had + 10 <= 130 ? 0 : CREEL_E_TOOBIG);
		memcpy(want + had, r == 0 ? "abcd-00042" : "", r == 0 ? 11 : 1);
		assert_int_equal(b.len, r == 0 ? had + 10 : had);
		assert_string_equal(creel_buf_str(&b), want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_to_its_maximum_and_no_further),
		cmocka_unit_test(drain_and_format),
		cmocka_unit_test(formats_into_whatever_room_there_is),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

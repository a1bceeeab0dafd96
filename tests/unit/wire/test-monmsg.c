#include "tests/cmocka-all.h"
#include "wire/monmsg.h"
#include <stdbool.h>
#include <string.h>

static void test_round(void **state)
{
	struct creel_monmsg m = {.type = CREEL_MON_SIGN,
				 .state = 3,
				 .a = 1ULL << 63,
				 .b = 7,
				 .cell = "box",
				 .text = "why"},
			    back;
	uint8_t buf[CREEL_MONMSG];
	struct creel_err err = {0};

	memset(m.hash, 0xab, sizeof(m.hash));
	creel_monmsg_encode(&m, buf);
	assert_int_equal(creel_monmsg_decode(buf, sizeof(buf), &back, &err), 0);
	assert_memory_equal(&m, &back, sizeof(m));
}

static void test_refused(void **state)
{
	struct creel_monmsg m = {.type = CREEL_MON_START}, back = {.type = 99};
	uint8_t buf[CREEL_MONMSG + 1] = {0};
	struct creel_err err = {0};

	creel_monmsg_encode(&m, buf);
	assert_int_equal(creel_monmsg_decode(buf, sizeof(buf), &back, &err), CREEL_E_PROTO);
	assert_int_equal(creel_monmsg_decode(buf, CREEL_MONMSG - 1, &back, &err), CREEL_E_PROTO);
	for (unsigned t = 0; t < 256; t++) {
		buf[0] = (uint8_t)t;
		bool known = (t >= CREEL_MON_START && t < CREEL_MON_REQUEST_END) ||
			     (t >= CREEL_MON_PLAN && t <= CREEL_MON_SYNCED);
		int r = creel_monmsg_decode(buf, CREEL_MONMSG, &back, &err);
		assert_int_equal(r, known ? 0 : CREEL_E_PROTO);
	}
	/* strings without their end */
	creel_monmsg_encode(&m, buf);
	memset(buf + 56, 'a', 40);
	assert_int_equal(creel_monmsg_decode(buf, CREEL_MONMSG, &back, &err), CREEL_E_PROTO);
	creel_monmsg_encode(&m, buf);
	memset(buf + 96, 'a', CREEL_MONMSG - 96);
	assert_int_equal(creel_monmsg_decode(buf, CREEL_MONMSG, &back, &err), CREEL_E_PROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_round), cmocka_unit_test(test_refused)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

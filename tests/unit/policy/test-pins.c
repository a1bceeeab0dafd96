#include "policy/pins.h"
#include "tests/cmocka-all.h"
#include <stdio.h>
#include <string.h>

static void address(uint8_t a[16], uint32_t n)
{
	memset(a, 0, 16);
	memcpy(a + 12, &n, 4);
}

static void names_and_addresses(void **state)
{
	struct creel_pins p;
	struct creel_err err = {0};
	uint8_t a[16], b[16];
	bool granted = false;
	int64_t until;

	(void)state;
	address(a, 1);
	address(b, 2);
	assert_int_equal(creel_pins_init(&p, 10, 10, &err), 0);
	assert_int_equal(creel_pins_add(&p, "x.example", a, 100, false, 0, &err), 0);
	assert_int_equal(creel_pins_add(&p, "y.example", a, 50, true, 0, &err), 0);
	assert_true(creel_pins_has(&p, "x.example", a, 100, &granted));
	assert_false(granted);
	assert_false(creel_pins_has(&p, "x.example", a, 101, NULL)); /* ended */
	assert_false(creel_pins_has(&p, "x.example", b, 0, NULL));   /* another address */
	assert_false(creel_pins_has(&p, "z.example", a, 0, NULL));   /* another name */
	assert_true(creel_pins_has(&p, "y.example", a, 0, &granted));
	assert_true(granted);
	assert_string_equal(creel_pins_name(&p, a, 0, &until, NULL), "y.example");
	assert_int_equal(until, 50);
	assert_string_equal(creel_pins_name(&p, a, 1, NULL, NULL), "x.example");
	assert_null(creel_pins_name(&p, a, 2, NULL, NULL));
	/* resolved again: a new end, and it comes first */
	assert_int_equal(creel_pins_add(&p, "x.example", a, 200, false, 0, &err), 0);
	assert_string_equal(creel_pins_name(&p, a, 0, NULL, NULL), "x.example");
	assert_true(creel_pins_has(&p, "x.example", a, 150, NULL));
	assert_int_equal(p.n_addrs, 2);
	creel_pins_drop(&p, "x.example");
	creel_pins_drop(&p, "nosuch.example");
	assert_false(creel_pins_has(&p, "x.example", a, 0, NULL));
	assert_string_equal(creel_pins_name(&p, a, 0, NULL, NULL), "y.example");
	assert_int_equal(p.n_names, 1);
	creel_pins_fini(&p);
}

static void bounds(void **state)
{
	struct creel_pins p;
	struct creel_err err = {0};
	uint8_t a[16];
	char name[32];

	(void)state;
	assert_int_equal(creel_pins_init(&p, 4, 6, &err), 0);
	for (uint32_t i = 0; i < 4; i++) {
		address(a, i);
		snprintf(name, sizeof(name), "n%u.example", i);
		assert_int_equal(creel_pins_add(&p, name, a, i < 2 ? 10 : 100, false, 0, &err), 0);
	}
	address(a, 9);
	assert_int_equal(creel_pins_add(&p, "more.example", a, 100, false, 0, &err), CREEL_E_TOOBIG);
	/* a name that is there takes two addresses more, and then none */
	assert_int_equal(creel_pins_add(&p, "n2.example", a, 100, false, 0, &err), 0);
	address(a, 10);
	assert_int_equal(creel_pins_add(&p, "n2.example", a, 100, false, 0, &err), 0);
	address(a, 11);
	assert_int_equal(creel_pins_add(&p, "n2.example", a, 100, false, 0, &err), CREEL_E_TOOBIG);
	/* what has ended makes room */
	assert_int_equal(creel_pins_add(&p, "more.example", a, 100, false, 11, &err), 0);
	assert_int_equal(p.n_names, 3);
	assert_int_equal(p.n_addrs, 5);
	creel_pins_fini(&p);
	creel_pins_fini(NULL);
}

static void ten_thousand_names(void **state)
{
	struct creel_pins p;
	struct creel_err err = {0};
	uint8_t a[16];
	char name[32];

	(void)state;
	assert_int_equal(creel_pins_init(&p, CREEL_PINS_NAMES, CREEL_PINS_ADDRS, &err), 0);
	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < CREEL_PINS_ADDRS; i++) {
			address(a, i);
			snprintf(name, sizeof(name), "n%u.example", i / 10);
			assert_int_equal(creel_pins_add(&p, name, a, 100, false, 0, &err), 0);
		}
	assert_int_equal(p.n_names, CREEL_PINS_NAMES);
	assert_int_equal(p.n_addrs, CREEL_PINS_ADDRS);
	address(a, 77777);
	assert_true(creel_pins_has(&p, "n7777.example", a, 0, NULL));
	assert_string_equal(creel_pins_name(&p, a, 0, NULL, NULL), "n7777.example");
	creel_pins_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_addresses),
		cmocka_unit_test(bounds),
		cmocka_unit_test(ten_thousand_names),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

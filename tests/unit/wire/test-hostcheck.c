#include "base/cleanup.h"
#include "tests/cmocka-all.h"
#include "wire/hostcheck.h"
#include <string.h>

static const struct {
	const char *text;
	enum creel_hostcheck want;
} rows[] = {
	{"", CREEL_HOSTCHECK_MORE},
	{"GET", CREEL_HOSTCHECK_MORE},
	{"GET / HTTP/1.1\r\nHost: 127.0.0.1:80", CREEL_HOSTCHECK_MORE},
	{"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", CREEL_HOSTCHECK_PASS},
	{"GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n", CREEL_HOSTCHECK_PASS},
	{"GET / HTTP/1.1\r\nhost:LOCALHOST:8080 \r\n\r\n", CREEL_HOSTCHECK_PASS},
	{"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", CREEL_HOSTCHECK_PASS},
	{"GET / HTTP/1.1\nHost: 127.0.0.1:8080\n\n", CREEL_HOSTCHECK_PASS},
	{"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nOrigin: http://127.0.0.1:8080\r\n\r\n",
	 CREEL_HOSTCHECK_PASS},
	{"\x16\x03\x01 anything", CREEL_HOSTCHECK_PASS},
	{"SSH-2.0-x\r\n", CREEL_HOSTCHECK_PASS},
	{"GET / HTTP/1.1\r\nHost: evil.example:8080\r\n\r\n", CREEL_HOSTCHECK_REFUSE},
	{"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", CREEL_HOSTCHECK_REFUSE},
	{"GET / HTTP/1.1\r\nHost: 127.0.0.1:8081\r\n\r\n", CREEL_HOSTCHECK_REFUSE},
	{"GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example:8080\r\n\r\n", CREEL_HOSTCHECK_REFUSE},
	{"GET / HTTP/1.1\r\nHost: localhost:8080@evil.example\r\n\r\n", CREEL_HOSTCHECK_REFUSE},
	{"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nHost: evil.example\r\n\r\n", CREEL_HOSTCHECK_REFUSE},
	{"GET / HTTP/1.1\r\nX: y\r\n Host: 127.0.0.1:8080\r\n\r\n", CREEL_HOSTCHECK_REFUSE},
	{"GET / HTTP/1.1\r\n\r\n", CREEL_HOSTCHECK_REFUSE},
	{"GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", CREEL_HOSTCHECK_REFUSE},
	{"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nOrigin: http://evil.example\r\n\r\n",
	 CREEL_HOSTCHECK_REFUSE},
	{"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nOrigin: null\r\n\r\n", CREEL_HOSTCHECK_REFUSE},
	{"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nOrigin: http://127.0.0.1:9\r\n\r\n",
	 CREEL_HOSTCHECK_REFUSE},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", CREEL_HOSTCHECK_REFUSE},
};

static void test_rows(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct creel_err err = {0};
		size_t len = strlen(rows[i].text);
		enum creel_hostcheck got = creel_hostcheck((const uint8_t *)rows[i].text, len, 8080, &err);
		if (got != rows[i].want)
			fail_msg("row %zu: %d, wanted %d: %s", i, got, rows[i].want, rows[i].text);
	}
}

/* Cut anywhere, what passes whole is never refused before its end, and what is refused never passes. */
static void test_cut(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(rows); i++)
		for (size_t n = 0; n < strlen(rows[i].text); n++) {
			struct creel_err err = {0};
			enum creel_hostcheck got = creel_hostcheck((const uint8_t *)rows[i].text, n, 8080,
								   &err);
			if (got == CREEL_HOSTCHECK_PASS)
				assert_int_equal(rows[i].want, CREEL_HOSTCHECK_PASS);
			if (got == CREEL_HOSTCHECK_REFUSE)
				assert_int_equal(rows[i].want, CREEL_HOSTCHECK_REFUSE);
		}
}

static void test_long(void **state)
{
	static uint8_t buf[CREEL_HOSTCHECK_MAX];
	struct creel_err err = {0};

	memset(buf, 'a', sizeof(buf));
	memcpy(buf, "GET / HTTP/1.1\r\nX: ", 19);
	assert_int_equal(creel_hostcheck(buf, sizeof(buf), 8080, &err), CREEL_HOSTCHECK_REFUSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_cut),
					   cmocka_unit_test(test_long)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

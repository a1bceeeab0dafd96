#include "tests/cmocka-all.h"
#include "wire/httpbody.h"
#include <string.h>

static const struct {
	enum creel_http_body kind;
	uint64_t length;
	const char *in;
	int r;       /* 1 whole, 0 more, or an error */
	size_t used; /* when whole */
} cases[] = {
	{CREEL_HTTP_BODY_NONE, 0, "GET /", 1, 0},
	{CREEL_HTTP_BODY_LENGTH, 3, "abcGET", 1, 3},
	{CREEL_HTTP_BODY_LENGTH, 3, "ab", 0, 0},
	{CREEL_HTTP_BODY_CHUNKED, 0, "0\r\n\r\nGET", 1, 5},
	{CREEL_HTTP_BODY_CHUNKED, 0, "3\r\nabc\r\n0\r\n\r\nGET", 1, 13},
	{CREEL_HTTP_BODY_CHUNKED, 0, "a\r\n0123456789\r\n000\r\n\r\n", 1, 22},
	{CREEL_HTTP_BODY_CHUNKED, 0, "B\r\n0123456789x\r\n0\r\n\r\n", 1, 21},
	{CREEL_HTTP_BODY_CHUNKED, 0, "3\r\nabc\r\n", 0, 0},
	{CREEL_HTTP_BODY_CHUNKED, 0, "3\r\nabcd\r\n", CREEL_E_SYNTAX, 0},    /* too much data */
	{CREEL_HTTP_BODY_CHUNKED, 0, "3;x=y\r\nabc\r\n", CREEL_E_SYNTAX, 0}, /* an extension */
	{CREEL_HTTP_BODY_CHUNKED, 0, "3 \r\nabc\r\n", CREEL_E_SYNTAX, 0},
	{CREEL_HTTP_BODY_CHUNKED, 0, "3\nabc\n", CREEL_E_SYNTAX, 0}, /* LF alone */
	{CREEL_HTTP_BODY_CHUNKED, 0, "3\r\nabc\n0\r\n\r\n", CREEL_E_SYNTAX, 0},
	{CREEL_HTTP_BODY_CHUNKED, 0, "0x3\r\nabc\r\n", CREEL_E_SYNTAX, 0},
	{CREEL_HTTP_BODY_CHUNKED, 0, "+3\r\nabc\r\n", CREEL_E_SYNTAX, 0},
	{CREEL_HTTP_BODY_CHUNKED, 0, "\r\n", CREEL_E_SYNTAX, 0},
	{CREEL_HTTP_BODY_CHUNKED, 0, "0\r\nX: y\r\n\r\n", CREEL_E_SYNTAX, 0}, /* a trailer */
	{CREEL_HTTP_BODY_CHUNKED, 0, "1000000000000000\r\n", CREEL_E_SYNTAX, 0},
	{CREEL_HTTP_BODY_CHUNKED, 0, "fffffffffffffff\r\nabc", 0, 0},
};

/* whole, and cut into pieces of @p piece octets */
static void run(size_t piece)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct creel_httphead h = {.body = cases[i].kind, .length = cases[i].length};
		struct creel_httpbody b;
		struct creel_err err = {0};
		size_t len = strlen(cases[i].in), at = 0, used = 0;
		int r = 0;
		creel_httpbody_init(&b, &h);
		do {
			size_t n = len - at < piece ? len - at : piece;
			r = creel_httpbody_feed(&b, cases[i].in + at, n, &used, &err);
			if (r < 0)
				break;
			if (r == 0 && used != n)
				fail_msg("case %zu: %zu of %zu used", i, used, n);
			at += used;
		} while (r == 0 && at < len);
		if (r != cases[i].r || (r == 1 && at != cases[i].used))
			fail_msg("case %zu: r=%d at=%zu", i, r, at);
	}
}

static void whole(void **state)
{
	(void)state;
	run(1000);
}
static void in_pieces(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 8; piece++)
		run(piece);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(whole), cmocka_unit_test(in_pieces)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/cmocka-all.h"
#include "wire/wsframe.h"
#include <string.h>

#define BIG ((uint64_t)INT64_MAX)

static const struct {
	const char *wire;
	size_t len;
	bool masked;
	uint64_t max;
	int r;            /* of what ends it, or 0 */
	const char *text; /* all payloads, without their masks */
	unsigned ends;    /* frames that are whole */
} cases[] = {
	{"\x81\x02hi", 4, false, BIG, 0, "hi", 1},
	{"\x81\x82\1\2\3\4\x69\x6b", 8, true, BIG, 0, "hi", 1},
	{"\x81\x85\1\2\3\4\x69\x67\x6f\x68\x6e", 11, true, BIG, 0, "hello", 1},
	{"\x01\1a\x80\1b", 6, false, BIG, 0, "ab", 2},
	{"\x01\1a\x89\1p\x80\1b", 9, false, BIG, 0, "apb", 3}, /* a ping in a message's midst */
	{"\x88\2\3\xe8", 4, false, BIG, 0, "\3\xe8", 1},
	{"\x81\0", 2, false, BIG, 0, "", 1},
	{"\x82\x7e\0\x7e", 4, false, BIG, 0, "", 0},
	{"\x82\x7e\0\x7d", 4, false, BIG, CREEL_E_SYNTAX, "", 0}, /* 125 said in three octets */
	{"\x82\x7f\0\0\0\0\0\0\xff\xff", 10, false, BIG, CREEL_E_SYNTAX, "", 0},
	{"\x82\x7f\x80\0\0\0\0\0\0\0", 10, false, BIG, CREEL_E_SYNTAX, "", 0},
	{"\x82\x7f\0\0\0\0\0\1\0\0", 10, false, 65535, CREEL_E_TOOBIG, "", 0},
	{"\x81\x02hi", 4, true, BIG, CREEL_E_SYNTAX, "", 0}, /* not masked */
	{"\x81\x82\1\2\3\4", 6, false, BIG, CREEL_E_SYNTAX, "", 0},
	{"\x82\xfe\0\x7e\1\2\3\4\x69\x6b", 10, true, BIG, 0, "hi", 0}, /* the mask behind each length */
	{"\x82\xff\0\0\0\0\0\1\0\0\1\2\3\4\x69\x6b", 16, true, BIG, 0, "hi", 0},
	{"\xc1\1a", 3, false, BIG, CREEL_E_SYNTAX, "", 0}, /* reserved bits */
	{"\xa1\1a", 3, false, BIG, CREEL_E_SYNTAX, "", 0},
	{"\x91\1a", 3, false, BIG, CREEL_E_SYNTAX, "", 0},
	{"\x83\1a", 3, false, BIG, CREEL_E_SYNTAX, "", 0}, /* an opcode that is none */
	{"\x8b\1a", 3, false, BIG, CREEL_E_SYNTAX, "", 0},
	{"\x80\1a", 3, false, BIG, CREEL_E_SYNTAX, "", 0},         /* the rest of no message */
	{"\x01\1a\x81\1b", 6, false, BIG, CREEL_E_SYNTAX, "a", 1}, /* a message in another */
	{"\x09\1a", 3, false, BIG, CREEL_E_SYNTAX, "", 0},         /* a ping in parts */
	{"\x89\x7e\1\0", 4, false, BIG, CREEL_E_SYNTAX, "", 0},    /* and a long one */
	{"\x88\0\x81\1a", 5, false, BIG, CREEL_E_SYNTAX, "", 1},   /* after a close */
	{"GET / HTTP/1.1\r\n", 16, true, BIG, CREEL_E_SYNTAX, "", 0},
};

/* In pieces of @p piece octets: the same, however it comes. */
static void walk(size_t k, size_t piece)
{
	struct creel_wsframe w;
	struct creel_err err = {0};
	char text[64] = "";
	size_t at = 0, n = 0;
	unsigned ends = 0;
	int r = 0;

	creel_wsframe_init(&w, cases[k].masked, cases[k].max);
	while (at < cases[k].len) {
		struct creel_span d;
		size_t used;
		bool end;
		size_t len = cases[k].len - at < piece ? cases[k].len - at : piece;
		r = creel_wsframe_next(&w, cases[k].wire + at, len, &used, &d, &end, &err);
		if (r < 0)
			break;
		creel_wsframe_unmask(&w, d, text + n);
		n += d.n;
		ends += end;
		at += used;
	}
	r = r < 0 ? r : 0;
	if (r != cases[k].r || n != strlen(cases[k].text) || memcmp(text, cases[k].text, n) != 0 ||
	    ends != cases[k].ends)
		fail_msg("case %zu by %zu: r=%d text=%.*s ends=%u %s", k, piece, r, (int)n, text, ends,
			 err.msg);
}

static void follow(void **state)
{
	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++)
		for (size_t piece = 1; piece <= cases[k].len; piece++)
			walk(k, piece);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(follow)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

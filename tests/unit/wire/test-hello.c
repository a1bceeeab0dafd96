/* ClientHello: real ones, cut anywhere and split anywhere; and made ones that must be refused. */
#include "tests/cmocka-all.h"
#include "wire/be.h"
#include "wire/hello.h"
#include <string.h>

/* Builds a hello: extensions as given, then lengths filled in, then records of @p chunk octets. */
struct made {
	uint8_t b[70000];
	size_t n;
};
static void put(struct made *m, const void *p, size_t n)
{
	memcpy(m->b + m->n, p, n);
	m->n += n;
}
static void put16(struct made *m, unsigned v)
{
	creel_put_be16(m->b + m->n, (uint16_t)v);
	m->n += 2;
}
static void ext(struct made *m, unsigned type, const void *p, size_t n)
{
	put16(m, type);
	put16(m, (unsigned)n);
	put(m, p, n);
}
static void sni(struct made *m, const char *name, size_t n)
{
	uint8_t v[512];
	creel_put_be16(v, (uint16_t)(n + 3));
	v[2] = 0;
	creel_put_be16(v + 3, (uint16_t)n);
	memcpy(v + 5, name, n);
	ext(m, 0, v, n + 5);
}
static void wrap(struct made *out, const struct made *exts, size_t chunk)
{
	static struct made body;
	body.n = 0;
	put(&body, "\1\0\0\0\3\3", 6);
	memset(body.b + body.n, 7, 32);
	body.n += 32;
	put(&body, "\0\0\2\x13\1\1\0", 7);
	put16(&body, (unsigned)exts->n);
	put(&body, exts->b, exts->n);
	body.b[1] = (uint8_t)((body.n - 4) >> 16);
	creel_put_be16(body.b + 2, (uint16_t)(body.n - 4));
	out->n = 0;
	for (size_t at = 0; at < body.n; at += chunk) {
		size_t n = body.n - at < chunk ? body.n - at : chunk;
		put(out, "\x16\3\1", 3);
		put16(out, (unsigned)n);
		put(out, body.b + at, n);
	}
}

static struct made exts, hello;

static int parse(const uint8_t *b, size_t n, struct creel_hello *h)
{
	struct creel_err err = {0};
	int r = creel_hello_parse(b, n, h, &err);
	assert_int_equal(r, err.code);
	return r;
}

static void every_prefix_wants_more(const uint8_t *b, size_t n, const char *name)
{
	struct creel_hello h = {.name = "!"};

	for (size_t i = 0; i < n; i++)
		if (parse(b, i, &h) != CREEL_E_TRUNC || strcmp(h.name, "!") != 0)
			fail_msg("%s: %zu of %zu octets", name, i, n);
	assert_int_equal(parse(b, n, &h), 0);
	assert_string_equal(h.name, name);
	assert_int_equal(h.used, n);
}

static void real_ones(void **state)
{
	static const struct {
		const char *file, *name;
	} real[] = {{"hello-openssl", "www.example.org"}, {"hello-curl", "api.example.org"}};

	for (size_t i = 0; i < ELEMENTSOF(real); i++) {
		char path[1024];
		uint8_t b[8192];
		snprintf(path, sizeof(path), "%s/%s", DATA, real[i].file);
		FILE *f = fopen(path, "re");
		assert_non_null(f);
		size_t n = fread(b, 1, sizeof(b), f);
		fclose(f);
		every_prefix_wants_more(b, n, real[i].name);
		struct creel_hello h = {0};
		assert_int_equal(parse(b, n, &h), 0);
		assert_int_equal(h.version, 0x0304);
		assert_false(h.ech);
		memcpy(b + n, "\x14\3\3\0\1\1", 6); /* what follows is another record */
		assert_int_equal(parse(b, n + 6, &h), 0);
		assert_int_equal(h.used, n);
	}
}

static void split_over_records(void **state)
{
	for (size_t chunk = 1; chunk < 120; chunk++) {
		exts.n = 0;
		sni(&exts, "A.example", 9);
		wrap(&hello, &exts, chunk);
		every_prefix_wants_more(hello.b, hello.n, "a.example");
	}
}

static void large_key_shares(void **state)
{
	static uint8_t share[40000];
	struct creel_hello h = {0};

	exts.n = 0;
	ext(&exts, 51, share, sizeof(share));
	sni(&exts, "pq.example", 10);
	wrap(&hello, &exts, 16384);
	assert_int_equal(parse(hello.b, hello.n, &h), 0);
	assert_string_equal(h.name, "pq.example");
	assert_int_equal(parse(hello.b, hello.n - 1, &h), CREEL_E_TRUNC);
	/* over the bound: said as soon as its length is seen */
	memcpy(hello.b, "\x16\3\1\0\4\1\1\0\0", 9);
	assert_int_equal(parse(hello.b, 9, &h), CREEL_E_TOOBIG);
}

static void without_name_and_ech(void **state)
{
	struct creel_hello h = {.name = "!"};

	exts.n = 0;
	wrap(&hello, &exts, 16384);
	assert_int_equal(parse(hello.b, hello.n, &h), 0);
	assert_string_equal(h.name, "");
	assert_int_equal(h.version, 0x0303);
	for (unsigned i = 0; i < 2; i++) {
		exts.n = 0;
		sni(&exts, "front.example", 13);
		ext(&exts, i ? 0xffce : 0xfe0d, "x", 1);
		wrap(&hello, &exts, 16384);
		assert_int_equal(parse(hello.b, hello.n, &h), 0);
		assert_true(h.ech);
	}
}

static void refused(void **state)
{
	struct creel_hello h = {.name = "!"};
	static const struct {
		const char *b;
		size_t n;
	} raw[] = {
		{"GET / HTTP/1.1\r\n", 16},
		{"\x80\x2e\1\3\1", 5},
		{"\x15\3\1\0\2\1\0", 7},
		{"\x17\3\3\0\1\0", 6},
		{"\x16\2\1\0\5\1\0\0\1\0", 10},
		{"\x16\3\1\0\0", 5},
		{"\x16\3\1\x40\1\1", 6},
		{"\x16\3\1\0\5\2\0\0\1\0", 10},
		{"S", 1},
		{"\x16\2", 2},
		{"\x16\3\1\0\1\1\x14\3\1\0\1\1", 12}, /* another record inside */
		{"\x16\3\1\0\6\1\0\0\1\0\0", 11},     /* more in its record */
		{"\x16\3\1\0\5\1\0\0\1\0", 10},       /* a body of one octet */
	};
	for (size_t i = 0; i < ELEMENTSOF(raw); i++)
		if (parse((const uint8_t *)raw[i].b, raw[i].n, &h) != CREEL_E_SYNTAX)
			fail_msg("raw case %zu", i);
	for (unsigned i = 0; i < 12; i++) {
		exts.n = 0;
		switch (i) {
		case 0: /* a name twice */
			sni(&exts, "a.example", 9);
			sni(&exts, "b.example", 9);
			break;
		case 1: /* two names in one list */
			ext(&exts, 0, "\0\x0c\0\0\3a.b\0\0\3c.d", 14);
			break;
		case 2:
			sni(&exts, "", 0);
			break;
		case 3:
			sni(&exts, "a.b\0c", 5);
			break;
		case 4:
			sni(&exts, "a b", 3);
			break;
		case 5:
			sni(&exts, "b\303\274", 3);
			break;
		case 6: /* not a host name */
			ext(&exts, 0, "\0\6\1\0\3a.b", 8);
			break;
		case 7: /* octets behind the list */
			ext(&exts, 0, "\0\6\0\0\3a.bX", 9);
			break;
		case 8:
			ext(&exts, 0, "", 0);
			break;
		case 9: /* an extension cut */
			put16(&exts, 5);
			put16(&exts, 9);
			put(&exts, "x", 1);
			break;
		case 10: /* another extension twice */
			ext(&exts, 51, "x", 1);
			ext(&exts, 51, "y", 1);
			break;
		case 11: {
			char long_name[254];
			memset(long_name, 'a', sizeof(long_name));
			sni(&exts, long_name, sizeof(long_name));
			break;
		}
		default:
			break;
		}
		wrap(&hello, &exts, 16384);
		if (parse(hello.b, hello.n, &h) != CREEL_E_SYNTAX || strcmp(h.name, "!") != 0)
			fail_msg("made case %u", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_ones),        cmocka_unit_test(split_over_records),
		cmocka_unit_test(large_key_shares), cmocka_unit_test(without_name_and_ech),
		cmocka_unit_test(refused),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

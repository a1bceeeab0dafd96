/* DNS messages: names, queries, answers copied and filtered. */
#include "tests/cmocka-all.h"
#include "wire/be.h"
#include "wire/dns.h"
#include <string.h>

#define HEAD(qd, an, ns, ar) "\x12\x34\1\0\0" qd "\0" an "\0" ns "\0" ar
#define Q                    HEAD("\1", "\0", "\0", "\0")
#define EX                   "\7eXample\3Org\0"
#define LIT(s)               (const uint8_t *)(s), sizeof(s) - 1

static void names(void **state)
{
	static const struct {
		const char *msg; /* 12 octets of header first */
		size_t len;
		int r;
		const char *text;
		size_t used;
	} c[] = {
		{"000000000000\3wWw\7Example\0", 25, 0, "www.example", 13},
		{"000000000000\0", 13, 0, "", 1},
		{"000000000000\3a.b\0", 17, 0, "a\\046b", 5},
		{"000000000000\1\0\0", 15, 0, "\\000", 3},
		{"000000000000\1\\\0", 15, 0, "\\092", 3},
		{"000000000000\1a\xc0\x0c", 16, CREEL_E_SYNTAX, "!", 0}, /* at itself */
		{"000000000000\xc0\x0c", 14, CREEL_E_SYNTAX, "!", 0},
		{"000000000000\xc0\x0d", 14, CREEL_E_SYNTAX, "!", 0}, /* forwards */
		{"000000000000\xc0\x02", 14, CREEL_E_SYNTAX, "!", 0}, /* into the header */
		{"000000000000\x40", 13, CREEL_E_SYNTAX, "!", 0},
		{"000000000000\3ab", 15, CREEL_E_TRUNC, "!", 0},
		{"000000000000\1a", 14, CREEL_E_TRUNC, "!", 0},
		{"000000000000\xc0", 13, CREEL_E_TRUNC, "!", 0},
		{"000000000000", 12, CREEL_E_TRUNC, "!", 0},
	};
	for (size_t i = 0; i < ELEMENTSOF(c); i++) {
		struct creel_dns_name n = {"!"};
		struct creel_err err = {0};
		size_t at = 12;
		int r = creel_dns_name_read((const uint8_t *)c[i].msg, c[i].len, &at, &n, &err);
		if (r != c[i].r || strcmp(n.text, c[i].text) != 0 || (r == 0 && at != 12 + c[i].used) ||
		    (r < 0 && at != 12))
			fail_msg("case %zu: %d `%s` %zu %s", i, r, n.text, at, err.msg);
	}
	/* backwards, twice; then a chain of pointers that a loop would make endless */
	static const uint8_t twice[] = "000000000000\1a\0\1b\xc0\x0c\1c\xc0\x0f";
	struct creel_dns_name n;
	struct creel_err err = {0};
	size_t at = 19;
	assert_int_equal(creel_dns_name_read(twice, sizeof(twice) - 1, &at, &n, &err), 0);
	assert_string_equal(n.text, "c.b.a");
	assert_int_equal(at, 23);
	static const uint8_t loop[] = "000000000000\1a\xc0\x10\1b\xc0\x0c";
	for (at = 12; at <= 16; at += 4) {
		size_t p = at;
		int r = creel_dns_name_read(loop, sizeof(loop) - 1, &p, &n, &err);
		assert_int_equal(r, CREEL_E_SYNTAX);
	}
	/* 255 octets pass, 256 do not */
	uint8_t big[12 + 300] = {0};
	for (int i = 0; i < 4; i++)
		big[12 + 64 * i] = 63;
	big[12 + 192] = 61;
	at = 12;
	assert_int_equal(creel_dns_name_read(big, sizeof(big), &at, &n, &err), 0);
	assert_int_equal(at, 12 + 255);
	assert_int_equal(strlen(n.text), 250 * 4 + 3);
	big[12 + 192] = 62;
	at = 12;
	assert_int_equal(creel_dns_name_read(big, sizeof(big), &at, &n, &err), CREEL_E_TOOBIG);
}

static void queries(void **state)
{
	static const struct {
		const uint8_t *msg;
		size_t len;
		int r;
	} c[] = {
		{LIT(Q EX "\0\1\0\1"), 0},
		{LIT(Q EX "\0\1\0"), CREEL_E_SYNTAX},
		{LIT(Q EX "\0\1\0\1x"), CREEL_E_SYNTAX},
		{LIT(Q "\xc0\x0c\0\1\0\1"), CREEL_E_SYNTAX},
		{LIT("\x12\x34\1\0\0"), CREEL_E_TRUNC},
		{LIT("\x12\x34\x81\0\0\1\0\0\0\0\0\0" EX "\0\1\0\1"), CREEL_E_PROTO},
		{LIT("\x12\x34\x29\0\0\1\0\0\0\0\0\0" EX "\0\1\0\1"), CREEL_E_UNSUPP},
		{LIT(HEAD("\0", "\0", "\0", "\0")), CREEL_E_SYNTAX},
		{LIT(HEAD("\2", "\0", "\0", "\0") EX "\0\1\0\1" EX "\0\1\0\1"), CREEL_E_SYNTAX},
		{LIT(HEAD("\1", "\1", "\0", "\0") EX "\0\1\0\1"), CREEL_E_SYNTAX},
		{LIT(HEAD("\1", "\0", "\0", "\1") EX "\0\1\0\1"
						     "\0\0\x29\4\xd0\0\0\x80\0\0\0"),
		 0},
		{LIT(HEAD("\1", "\0", "\0", "\1") EX "\0\1\0\1"
						     "\0\0\x29\4\xd0\0\1\0\0\0\0"),
		 CREEL_E_UNSUPP},
		{LIT(HEAD("\1", "\0", "\0", "\1") EX "\0\1\0\1"
						     "\0\0\x29\4\xd0\0\0\0\0\0\1"),
		 CREEL_E_SYNTAX},
		{LIT(HEAD("\1", "\0", "\0", "\1") EX "\0\1\0\1"
						     "\1a\0\0\x29\4\xd0\0\0\0\0\0\0"),
		 CREEL_E_SYNTAX},
		{LIT(HEAD("\1", "\0", "\0", "\2") EX "\0\1\0\1"
						     "\0\0\x29\4\xd0\0\0\0\0\0\0"
						     "\0\0\x29\4\xd0\0\0\0\0\0\0"),
		 CREEL_E_SYNTAX},
		{LIT(HEAD("\1", "\0", "\0", "\x7f") EX "\0\1\0\1"), CREEL_E_SYNTAX},
	};
	for (size_t i = 0; i < ELEMENTSOF(c); i++) {
		struct creel_dns_query q = {.id = 7};
		struct creel_err err = {0};
		int r = creel_dns_query_parse(c[i].msg, c[i].len, &q, &err);
		if (r != c[i].r || (r < 0 && q.id != 7))
			fail_msg("case %zu: %d %s", i, r, err.msg);
		if (r == 0 && (q.id != 0x1234 || strcmp(q.name.text, "example.org") != 0 || q.type != 1 ||
			       !q.rd || q.dnssec_ok != (i > 0) || q.udp_size != (i > 0 ? 1232 : 512)))
			fail_msg("case %zu: fields", i);
	}
}

static struct creel_dns_query query(const uint8_t *msg, size_t len)
{
	struct creel_dns_query q;
	struct creel_err err = {0};
	assert_int_equal(creel_dns_query_parse(msg, len, &q, &err), 0);
	return q;
}

static void refusals(void **state)
{
	struct creel_dns_query q = query(LIT(HEAD("\1", "\0", "\0", "\1") EX "\0\1\0\1"
									     "\0\0\x29\4\xd0\0\0\0\0\0\0"));
	struct creel_buf autoclean(creel_buf_fini) out;
	struct creel_err err = {0};

	creel_buf_init(&out, CREEL_DNS_MAX);
	assert_int_equal(creel_dns_reply(&q, CREEL_DNS_NXDOMAIN, CREEL_EDE_BLOCKED, "no", &out, &err), 0);
	static const uint8_t want[] = "\x12\x34\x81\x83\0\1\0\0\0\0\0\1" EX "\0\1\0\1"
				      "\0\0\x29\4\xd0\0\0\0\0\0\x08\0\x0f\0\4\0\x0fno";
	assert_int_equal(out.len, sizeof(want) - 1);
	assert_memory_equal(out.data, want, sizeof(want) - 1);
	q.edns = false; /* who did not speak EDNS gets none */
	assert_int_equal(creel_dns_reply(&q, CREEL_DNS_NXDOMAIN, CREEL_EDE_BLOCKED, "no", &out, &err), 0);
	assert_int_equal(out.len, 12 + 17);
	assert_int_equal(out.data[11], 0);
	assert_int_equal(
		creel_dns_reply_malformed(LIT("\x55\x66\1\0garbage!!"), CREEL_DNS_FORMERR, &out, &err), 0);
	assert_int_equal(out.len, 12);
	assert_memory_equal(out.data, "\x55\x66\x81\x81\0\0\0\0\0\0\0\0", 12);
}

/* An answer with compression in owner and data, a signature, and records of no interest. */
static const char up[] = "\x99\x99\x81\xa0\0\1\0\4\0\1\0\1" EX "\0\1\0\1"
			 "\xc0\x0c\0\5\0\1\0\0\x0e\x10\0\6\3www\xc0\x0c"
			 "\xc0\x29\0\1\0\1\0\1\x51\x80\0\4\xc0\0\2\1"
			 "\xc0\x29\0\x2e\0\1\0\0\0\1\0\3sig"
			 "\xc0\x29\0\1\0\1\0\0\0\x0a\0\4\xc0\0\2\2"
			 "\xc0\x0c\0\2\0\1\0\0\0\1\0\2\xc0\x0c"
			 "\xc0\x0c\0\x10\0\1\0\0\0\1\0\2\1x";

static void copies(void **state)
{
	struct creel_dns_query q = query(LIT(Q EX "\0\1\0\1"));
	struct creel_buf autoclean(creel_buf_fini) out;
	struct creel_err err = {0};
	struct creel_dns_walk w;
	struct creel_dns_rr rr;
	char got[512] = "";

	creel_buf_init(&out, CREEL_DNS_MAX);
	if (creel_dns_reply_copy(&q, LIT(up), true, 3600, &out, &err) < 0)
		fail_msg("%s", err.msg);
	assert_memory_equal(out.data, "\x12\x34\x81\x80\0\1\0\3\0\1\0\0", 12); /* no AD: not asked */
	assert_int_equal(creel_dns_walk_init(&w, out.data, out.len, &err), 0);
	while (creel_dns_walk_next(&w, &rr, &err) > 0)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%u %.60s %u %u;", rr.section,
			 rr.name.text, rr.type, rr.ttl);
	assert_string_equal(got, "1 example.org 5 3600;1 www.example.org 1 3600;1 www.example.org 1 10;"
				 "2 example.org 2 1;");
	assert_int_equal(w.at, out.len);

	q.edns = q.dnssec_ok = true;
	assert_int_equal(creel_dns_reply_copy(&q, LIT(up), true, 3600, &out, &err), 0);
	assert_memory_equal(out.data, "\x12\x34\x81\xa0\0\1\0\4\0\1\0\1", 12);
	size_t whole = out.len;
	for (size_t n = 0; n < sizeof(up) - 1; n++)
		assert_true(creel_dns_reply_copy(&q, (const uint8_t *)up, n, true, 1, &out, &err) < 0);
	assert_int_equal(creel_dns_reply_copy(&q, LIT(up), true, 3600, &out, &err), 0);
	assert_int_equal(creel_dns_truncate(&q, whole, &out, &err), 0);
	assert_int_equal(out.len, whole);
	assert_int_equal(creel_dns_truncate(&q, whole - 1, &out, &err), 0);
	assert_memory_equal(out.data, "\x12\x34\x83\xa0\0\1\0\0\0\0\0\1", 12);
	assert_int_equal(out.len, 12 + 17 + 11);
}

static void ech_is_cut_out(void **state)
{
	/* HTTPS 1 . alpn=h2 ech=xyz port=443, with a signature */
	static const char https[] = "\0\0\x81\xa0\0\1\0\2\0\0\0\0" EX "\0\x41\0\1"
				    "\xc0\x0c\0\x41\0\1\0\0\0\x3c\0\x1f\0\1\0"
				    "\0\1\0\3\2h2"
				    "\0\4\0\4xyz4"
				    "\0\5\0\3xyz"
				    "\0\3\0\2\1\xbb"
				    "\xc0\x0c\0\x2e\0\1\0\0\0\1\0\3sig";
	struct creel_dns_query q = query(LIT(HEAD("\1", "\0", "\0", "\1") EX "\0\x41\0\1"
									     "\0\0\x29\4\xd0\0\0\x80\0\0\0"));
	struct creel_buf autoclean(creel_buf_fini) out;
	struct creel_err err = {0};

	creel_buf_init(&out, CREEL_DNS_MAX);
	if (creel_dns_reply_copy(&q, LIT(https), true, 3600, &out, &err) < 0)
		fail_msg("%s", err.msg);
	assert_null(memmem(out.data, out.len, "xyz", 3));
	assert_null(memmem(out.data, out.len, "sig", 3));
	assert_non_null(memmem(out.data, out.len, "\0\x10\0\1\0\0\1\0\3\2h2\0\3\0\2\1\xbb", 18));
	assert_int_equal(out.data[3] & 0x20, 0); /* AD is gone */
	assert_int_equal(out.data[7], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),  cmocka_unit_test(queries),        cmocka_unit_test(refusals),
		cmocka_unit_test(copies), cmocka_unit_test(ech_is_cut_out),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

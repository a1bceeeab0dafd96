/* HTTP/1 request heads: what is read, and everything that two servers could read differently. */
#include "base/cleanup.h"
#include "tests/cmocka-all.h"
#include "wire/httphead.h"
#include <string.h>

#define H "Host: a.example\r\n"
static const struct {
	const char *in;
	int r;
	const char *form; /* "METHOD path host port body" */
} cases[] = {
	{"GET / HTTP/1.1\r\n" H "\r\n", 0, "GET / a.example 0 none 0"},
	{"GET /x?y HTTP/1.0\r\nhost:A.Example:8080 \r\n\r\n", 0, "GET /x?y a.example 8080 none 0"},
	{"POST /x HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello", 0, "POST /x a.example 0 length 5"},
	{"POST /x HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 0, "POST /x a.example 0 none 0"},
	{"POST /x HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n", 0, "POST /x a.example 0 chunked 0"},
	{"GET http://a.example/p HTTP/1.1\r\n" H "\r\n", 0, "GET /p a.example 0 none 0"},
	{"GET HTTP://A.EXAMPLE:80 HTTP/1.1\r\n" H "\r\n", 0, "GET / a.example 0 none 0"},
	{"OPTIONS * HTTP/1.1\r\n" H "\r\n", 0, "OPTIONS * a.example 0 none 0"},
	{"GET / HTTP/1.1\r\nHost: [2001:DB8::1]:81\r\n\r\n", 0, "GET / 2001:db8::1 81 none 0"},
	{"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", 0, "GET / ::1 0 none 0"},
	{"GET / HTTP/1.1\r\nX-Tab:\tv\t\r\n" H "\r\n", 0, "GET / a.example 0 none 0"},
	/* not whole */
	{"", CREEL_E_TRUNC, NULL},
	{"GET / HTTP/1.1\r\n" H, CREEL_E_TRUNC, NULL},
	{"GET / HTTP/1.1\r\n" H "\r", CREEL_E_TRUNC, NULL},
	/* another name, or none */
	{"GET / HTTP/1.1\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.0\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\n" H H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\n" H "hOST: b.example\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nHost:\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nHost: a.example b\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nHost: u@a.example\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nHost: a.example:\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nHost: a.example:0\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nHost: a.example:65536\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nHost: a.example/x\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET http://b.example/ HTTP/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET http://a.example:81/ HTTP/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET http://a.example@b.example/ HTTP/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET https://a.example/ HTTP/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET http:///x HTTP/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET http://a.example?x HTTP/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"CONNECT a.example:443 HTTP/1.1\r\n" H "\r\n", CREEL_E_UNSUPP, NULL},
	{"PRI * HTTP/2.0\r\n\r\n", CREEL_E_UNSUPP, NULL},
	/* lines */
	{"GET / HTTP/1.1\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\n" H "\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nHost: a.example\rX: y\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nX: y\r\n z\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\n Host: a.example\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\n: y\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nnothing\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.1\r\nX: a\001b\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET  / HTTP/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET /  HTTP/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{" GET / HTTP/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"\r\nGET / HTTP/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET /\tx HTTP/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET /\303\251 HTTP/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET x HTTP/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.2\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / http/1.1\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET / HTTP/1.11\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	{"GET /\r\n" H "\r\n", CREEL_E_SYNTAX, NULL},
	/* where the body ends */
	{"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", CREEL_E_SYNTAX,
	 NULL},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 9999999999999999999\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	 CREEL_E_SYNTAX, NULL},
	{"POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n", CREEL_E_SYNTAX, NULL},
	{"POST / HTTP/1.1\r\n" H "Expect: something\r\n\r\n", CREEL_E_SYNTAX, NULL},
};

static void heads(void **state)
{
	static const char *const bodies[] = {"none", "length", "chunked"};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct creel_httphead h = {.minor = 9};
		struct creel_err err = {0};
		char form[600] = "";
		int r = creel_httphead_parse(cases[i].in, strlen(cases[i].in), &h, &err);
		if (r == 0)
			snprintf(form, sizeof(form), "%.*s %.*s %s %u %s %llu", (int)h.method.n, h.method.p,
				 (int)h.path.n, h.path.p, h.host, h.port, bodies[h.body],
				 (unsigned long long)h.length);
		if (r != cases[i].r || r != err.code || (r == 0 && strcmp(form, cases[i].form) != 0) ||
		    (r < 0 && h.minor != 9))
			fail_msg("case %zu: %d `%s` %s", i, r, form, err.msg);
	}
}

static void every_prefix_wants_more(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct creel_httphead h = {0};
		struct creel_err err = {0};
		if (cases[i].r != 0)
			continue;
		size_t end = (size_t)(strstr(cases[i].in, "\r\n\r\n") - cases[i].in) + 4;
		for (size_t n = 0; n < end; n++)
			assert_int_equal(creel_httphead_parse(cases[i].in, n, &h, &err), CREEL_E_TRUNC);
		assert_int_equal(creel_httphead_parse(cases[i].in, end, &h, &err), 0);
		assert_int_equal(h.used, end);
	}
}

static void fields(void **state)
{
	static const char in[] = "GET / HTTP/1.1\r\n" H
				 "X: 1\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n\r\nY: 2\r\n";
	struct creel_httphead h = {0};
	struct creel_err err = {0};
	struct creel_span name, value;
	char got[256] = "";

	assert_int_equal(creel_httphead_parse(in, sizeof(in) - 1, &h, &err), 0);
	assert_true(h.upgrade && h.expect);
	for (size_t at = h.fields_at; creel_httphead_field(in, &h, &at, &name, &value) > 0;) {
		strncat(got, name.p, name.n);
		strcat(got, "=");
		strncat(got, value.p, value.n);
		strcat(got, ";");
	}
	assert_string_equal(got, "Host=a.example;X=1;Upgrade=websocket;Expect=100-continue;");
}

static void closing(void **state)
{
	static const struct {
		const char *version, *field;
		bool close;
	} v[] = {{"1.1", "", false},
		 {"1.0", "", true},
		 {"1.1", "Connection: close\r\n", true},
		 {"1.1", "connection: TE , CLOSE\r\n", true},
		 {"1.1", "Connection: keep-alive\r\n", false},
		 {"1.1", "Connection: closed, x-close\r\n", false},
		 {"1.1", "Connection: x\r\nConnection: close\r\n", true}};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct creel_httphead h = {0};
		struct creel_err err = {0};
		char in[128];
		(void)snprintf(in, sizeof(in), "GET / HTTP/%s\r\n" H "%s\r\n", v[i].version, v[i].field);
		assert_int_equal(creel_httphead_parse(in, strlen(in), &h, &err), 0);
		assert_int_equal(h.close, v[i].close);
	}
}

static void bounds(void **state)
{
	static char big[CREEL_HTTPHEAD_MAX + 16];
	struct creel_httphead h = {0};
	struct creel_err err = {0};

	memset(big, 'a', sizeof(big));
	memcpy(big, "GET /", 5);
	assert_int_equal(creel_httphead_parse(big, CREEL_HTTPHEAD_MAX - 1, &h, &err), CREEL_E_TRUNC);
	assert_int_equal(creel_httphead_parse(big, CREEL_HTTPHEAD_MAX, &h, &err), CREEL_E_TOOBIG);
	size_t n = (size_t)snprintf(big, sizeof(big), "GET / HTTP/1.1\r\n" H);
	for (int i = 0; i < 200; i++)
		n += (size_t)snprintf(big + n, sizeof(big) - n, "X: %d\r\n", i);
	snprintf(big + n, sizeof(big) - n, "\r\n");
	assert_int_equal(creel_httphead_parse(big, n + 2, &h, &err), CREEL_E_TOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads),  cmocka_unit_test(every_prefix_wants_more),
		cmocka_unit_test(fields), cmocka_unit_test(closing),
		cmocka_unit_test(bounds),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "policy/broker.h"
#include "tests/cmocka-all.h"
#include "wire/chunked.h"
#include "wire/httppath.h"
#include "wire/httpresp.h"
#include <string.h>

#define SPAN(s) ((struct creel_span){s, strlen(s)})

static void paths(void **state)
{
	static const struct {
		const char *target;
		int r;
		const char *path; /* canonical */
	} cases[] = {
		{"/", 0, "/"},
		{"/v1/chat", 0, "/v1/chat"},
		{"/v1/chat/", 0, "/v1/chat/"},
		{"/%76%31/x%20y?a=%2f", 0, "/v1/x%20y"},
		{"/%c3%a4", 0, "/%C3%A4"},
		{"/a..b/.c", 0, "/a..b/.c"},
		{"", CREEL_E_SYNTAX, NULL},
		{"*", CREEL_E_SYNTAX, NULL},
		{"http://a/b", CREEL_E_SYNTAX, NULL},
		{"/a/../b", CREEL_E_INVALID, NULL},
		{"/a/..", CREEL_E_INVALID, NULL},
		{"/.", CREEL_E_INVALID, NULL},
		{"/a/%2e%2E/b", CREEL_E_INVALID, NULL},
		{"/a/.%2e/b", CREEL_E_INVALID, NULL},
		{"/a/..%2fb", CREEL_E_INVALID, NULL},
		{"/a%5cb", CREEL_E_INVALID, NULL},
		{"/a\\b", CREEL_E_INVALID, NULL},
		{"/a%252e", CREEL_E_INVALID, NULL},
		{"/a%00", CREEL_E_INVALID, NULL},
		{"/a%0d%0aX:1", CREEL_E_INVALID, NULL},
		{"/a;b/../c", CREEL_E_INVALID, NULL},
		{"/a#b", CREEL_E_INVALID, NULL},
		{"//a", CREEL_E_INVALID, NULL},
		{"/a//b", CREEL_E_INVALID, NULL},
		{"/%c0%af", CREEL_E_INVALID, NULL},
		{"/%e0%80%af", CREEL_E_INVALID, NULL},
		{"/%c3", CREEL_E_INVALID, NULL},
		{"/%c3x", CREEL_E_INVALID, NULL},
		{"/a%2", CREEL_E_SYNTAX, NULL},
		{"/a b", CREEL_E_SYNTAX, NULL},
		{"/a?b#c", CREEL_E_SYNTAX, NULL},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct creel_httppath p;
		struct creel_err err = {0};
		int r = creel_httppath_parse(SPAN(cases[i].target), &p, &err);
		if (r != cases[i].r || (r == 0 && strcmp(p.path, cases[i].path) != 0))
			fail_msg("%s: %d %s", cases[i].target, r, r == 0 ? p.path : err.msg);
	}
}

static void patterns(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool yes;
	} cases[] = {
		{"/v1/models", "/v1/models", true},
		{"/v1/models", "/v1/models/", false},
		{"/v1/models", "/v1/modelsx", false},
		{"/v1/*", "/v1/a", true},
		{"/v1/*", "/v1/a/b", false},
		{"/v1/*", "/v1/", false},
		{"/v1/*", "/v1", false},
		{"/v1/**", "/v1/a/b", true},
		{"/v1/**", "/v1/", true},
		{"/v1/**", "/v1", false},
		{"/v1/**", "/v1x/a", false},
		{"/**", "/", true},
		{"/a*c/d", "/abc/d", true},
		{"/a*c/d", "/ac/d", true},
		{"/a*c/d", "/a/c/d", false},
		{"/*/m", "/x/m", true},
		{"/a*b*c", "/a1b2b3c", true},
		{"/a*b*c", "/a1c", false},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++)
		if (creel_broker_pattern_match(cases[i].pattern, cases[i].path) != cases[i].yes)
			fail_msg("%s %s", cases[i].pattern, cases[i].path);
	assert_true(creel_broker_pattern_ok("/v1/*/x"));
	assert_false(creel_broker_pattern_ok("/v1/**/x"));
	assert_false(creel_broker_pattern_ok("/v1/x**"));
	assert_false(creel_broker_pattern_ok("v1"));
	assert_false(creel_broker_pattern_ok("/a/../b"));
}

static void fields(void **state)
{
	const struct creel_broker key = {.carrier = "X-Key", .auth = CREEL_BROKER_HEADER};
	const struct creel_broker query = {.carrier = "key", .auth = CREEL_BROKER_QUERY};

	assert_int_equal(creel_broker_request_field(&key, SPAN("x_key")), CREEL_FIELD_CARRIER);
	assert_int_equal(creel_broker_request_field(&key, SPAN("Authorization")), CREEL_FIELD_DROP);
	assert_int_equal(creel_broker_request_field(&key, SPAN("Transfer-Encoding")), CREEL_FIELD_DROP);
	assert_int_equal(creel_broker_request_field(&key, SPAN("X_Original_URL")), CREEL_FIELD_DENY);
	assert_int_equal(creel_broker_request_field(&key, SPAN("Content-Type")), CREEL_FIELD_PASS);
	assert_int_equal(creel_broker_request_field(&key, SPAN("Sec-WebSocket-Extensions")),
			 CREEL_FIELD_DROP);
	assert_false(creel_broker_response_field(SPAN("Set-Cookie")));
	assert_false(creel_broker_response_field(SPAN("Sec-WebSocket-Extensions")));
	assert_true(creel_broker_query_has(&query, SPAN("a=1&k%65y=x")));
	assert_true(creel_broker_query_has(&query, SPAN("KEY")));
	assert_false(creel_broker_query_has(&query, SPAN("a=key&keys=1&ke=2")));
	assert_false(creel_broker_query_has(&key, SPAN("key=1")));
}

static void responses(void **state)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 0},
		{"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", 0},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", CREEL_E_TRUNC},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", CREEL_E_SYNTAX},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
		 CREEL_E_SYNTAX},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", CREEL_E_SYNTAX},
		{"HTTP/1.1 200 OK\nA: b\r\n\r\n", CREEL_E_SYNTAX},
		{"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", CREEL_E_SYNTAX},
		{"HTTP/1.1 099 OK\r\n\r\n", CREEL_E_SYNTAX},
		{"HTTP/2.0 200 OK\r\n\r\n", CREEL_E_SYNTAX},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct creel_httpresp h;
		struct creel_err err = {0};
		int r = creel_httpresp_parse(cases[i].text, strlen(cases[i].text), &h, &err);
		if (r != cases[i].r)
			fail_msg("%s: %d %s", cases[i].text, r, err.msg);
	}
}

static int dechunk(const char *text, size_t piece, bool lenient, char *out)
{
	struct creel_chunked c;
	struct creel_err err = {0};
	size_t len = strlen(text), n = 0;

	creel_chunked_init(&c, lenient);
	for (size_t at = 0; at < len;) {
		struct creel_span data;
		size_t used;
		int r = creel_chunked_next(&c, text + at, MIN(piece, len - at), &used, &data, &err);
		memcpy(out + n, data.p, data.n);
		n += data.n;
		out[n] = '\0';
		if (r < 0 || r == 2)
			return r;
		at += used;
	}
	return 0;
}

static void chunks(void **state)
{
	static const char good[] = "3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n";
	char out[64];

	for (size_t piece = 1; piece < sizeof(good); piece++) {
		assert_int_equal(dechunk(good, piece, false, out), 2);
		assert_string_equal(out, "abc0123456789");
	}
	assert_int_equal(dechunk("3;a=b\r\nabc\r\n0\r\n\r\n", 99, false, out), CREEL_E_SYNTAX);
	assert_int_equal(dechunk("3;a=b\r\nabc\r\n0\r\nT: x\r\n\r\n", 99, true, out), 2);
	assert_int_equal(dechunk("3\r\nabc\r\n0\r\nT: x\r\n\r\n", 99, false, out), CREEL_E_SYNTAX);
	assert_int_equal(dechunk("3\nabc\r\n0\r\n\r\n", 99, true, out), CREEL_E_SYNTAX);
	assert_int_equal(dechunk("3\r\nabcd\r\n0\r\n\r\n", 99, true, out), CREEL_E_SYNTAX);
	assert_int_equal(dechunk("1000000000000000\r\n", 99, true, out), CREEL_E_SYNTAX);
	assert_int_equal(dechunk("\r\n", 99, true, out), CREEL_E_SYNTAX);
	assert_int_equal(dechunk("-1\r\n", 99, true, out), CREEL_E_SYNTAX);
}

static void openings(void **state)
{
	static const struct {
		const char *method, *key, *version;
		bool yes;
	} cases[] = {{"GET", "dGhlIHNhbXBsZSBub25jZQ==", "13", true},
		     {"POST", "dGhlIHNhbXBsZSBub25jZQ==", "13", false},
		     {"GET", "dGhlIHNhbXBsZSBub25jZQ==", "8", false},
		     {"GET", "dGhlIHNhbXBsZSBub25jZR==", "13", false}, /* bits that are none's */
		     {"GET", "dGhlIHNhbXBsZSBub25jZQ", "13", false},
		     {"GET", "dGhlIHNhbXBsZSBub25!ZQ==", "13", false},
		     {"GET", "dGhlIHNhbXBsZSBub25jZQ=A", "13", false},
		     {"GET", "", "13", false}};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct creel_brokerreq q = {.method = SPAN(cases[i].method), .n_fields = 2};
		q.fields[0] = (struct creel_broker_kv){SPAN("sec-websocket-key"), SPAN(cases[i].key)};
		q.fields[1] = (struct creel_broker_kv){SPAN("Sec-WebSocket-Version"), SPAN(cases[i].version)};
		if (creel_broker_websocket_ok(&q) != cases[i].yes)
			fail_msg("case %zu", i);
		q.fields[q.n_fields++] = q.fields[0];
		assert_false(creel_broker_websocket_ok(&q)); /* twice */
		q.n_fields = 1;
		assert_false(creel_broker_websocket_ok(&q)); /* of no version */
		q.n_fields = 2;
		q.body = CREEL_HTTP_BODY_LENGTH;
		assert_false(creel_broker_websocket_ok(&q));
		q.body = CREEL_HTTP_BODY_NONE;
		for (int twice = 0; twice < 2; twice++) {
			q.fields[q.n_fields++] = (struct creel_broker_kv){SPAN("Sec-WebSocket-Protocol"),
									  SPAN("a")};
			assert_int_equal(creel_broker_websocket_ok(&q), cases[i].yes && !twice);
		}
	}
}

static void placeholders(void **state)
{
	const struct creel_broker b = {.secret = "key", .carrier = "k", .auth = CREEL_BROKER_QUERY};
	static const struct {
		const char *value;
		bool own;
	} values[] = {{"Bearer creel-secret-key", true},
		      {"creel-secret-key,creel-secret-key", true},
		      {"mine", true},
		      {"creel-secret-keys", false},
		      {"creel-secret-ke", false},
		      {"creel-secret-", false},
		      {"creel-secret-key creel-secret-other", false}};
	static const struct {
		const char *query, *rest;
	} queries[] = {{"k=creel-secret-key", ""},
		       {"a=1&k=creel-secret-key&b=2", "a=1&b=2"},
		       {"k=creel-secret-keys", "k=creel-secret-keys"},
		       {"K=creel-secret-key", "K=creel-secret-key"},
		       {"ak=creel-secret-key", "ak=creel-secret-key"},
		       {"a=1", "a=1"}};
	char buf[100];

	for (size_t i = 0; i < ELEMENTSOF(values); i++)
		if (creel_broker_placeholder_own(&b, SPAN(values[i].value)) != values[i].own)
			fail_msg("%s", values[i].value);
	for (size_t i = 0; i < ELEMENTSOF(queries); i++) {
		struct creel_span s = creel_broker_query_strip(&b, SPAN(queries[i].query), buf);
		if (s.n != strlen(queries[i].rest) || memcmp(s.p, queries[i].rest, s.n) != 0)
			fail_msg("%s: %.*s", queries[i].query, (int)s.n, s.p);
	}
}

static void requests(void **state)
{
	struct creel_buf autoclean(creel_buf_fini) b;
	struct creel_brokerreq q = {.broker = SPAN("m"),
				    .method = SPAN("GET"),
				    .path = SPAN("/a"),
				    .query = SPAN(""),
				    .n_fields = 1,
				    .n_addrs = 1},
			       back;
	struct creel_err err = {0};

	q.fields[0] = (struct creel_broker_kv){SPAN("A"), SPAN("b c")};
	creel_buf_init(&b, CREEL_BROKER_FRAME_MAX);
	assert_int_equal(creel_brokerreq_encode(&q, &b, &err), 0);
	assert_int_equal(creel_brokerreq_decode(b.data, b.len, &back, &err), 0);
	assert_int_equal(back.n_fields, 1);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(creel_brokerreq_decode(b.data, n, &back, &err), CREEL_E_PROTO);
	/* a front that is captured says what no guest could */
	static const struct {
		const char *method, *path, *name, *value;
	} bad[] = {{"GET", "/a/../b", "A", "b"},
		   {"GET", "/%61", "A", "b"},
		   {"GET /x HTTP/1.1\r\nA:", "/a", "A", "b"},
		   {"GET", "/a", "A: x\r\nB", "b"},
		   {"GET", "/a", "A", "b\r\nB: c"}};
	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		q.method = SPAN(bad[i].method);
		q.path = SPAN(bad[i].path);
		q.fields[0] = (struct creel_broker_kv){SPAN(bad[i].name), SPAN(bad[i].value)};
		creel_buf_clear(&b);
		assert_int_equal(creel_brokerreq_encode(&q, &b, &err), 0);
		assert_int_equal(creel_brokerreq_decode(b.data, b.len, &back, &err), CREEL_E_PROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),     cmocka_unit_test(patterns),     cmocka_unit_test(fields),
		cmocka_unit_test(responses), cmocka_unit_test(chunks),       cmocka_unit_test(requests),
		cmocka_unit_test(openings),  cmocka_unit_test(placeholders),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

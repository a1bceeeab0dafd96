#include "tests/cmocka-all.h"
#include "wire/call.h"
#include "wire/cellmsg.h"
#include <string.h>

static struct creel_call_gate sample(void)
{
	struct creel_call_gate g = {
		.wait_s = 600,
		.stdin_len = 3,
		.program = "gog",
		.verb = "gmail send",
		.rule = "gmail send",
		.client = "192.168.83.2",
		.n_argv = 4,
		.argv = {"gog", "gmail", "send", ""},
		.n_fixed = 1,
		.fixed = {"to=boss@example.org"},
		.n_lines = 1,
		.line = {{"to", "boss@example.org"}},
		.n_files = 1,
		.file = {{"report.pdf", 77, {1, 2, 3}}},
	};

	memset(g.stdin_hash, 0xab, sizeof(g.stdin_hash));
	return g;
}

static void test_gate_round(void **state)
{
	static struct creel_call_gate g, back;
	struct creel_buf autoclean(creel_buf_fini) buf;
	struct creel_err err = {0};

	g = sample();
	creel_buf_init(&buf, CREEL_CALL_MAX);
	assert_int_equal(creel_call_gate_encode(&g, &buf, &err), 0);
	assert_int_equal(creel_call_gate_decode(buf.data, buf.len, &back, &err), 0);
	assert_int_equal(back.wait_s, 600);
	assert_int_equal(back.n_argv, 4);
	assert_string_equal(back.argv[2], "send");
	assert_string_equal(back.argv[3], "");
	assert_string_equal(back.fixed[0], "to=boss@example.org");
	assert_string_equal(back.line[0].text, "boss@example.org");
	assert_string_equal(back.file[0].name, "report.pdf");
	assert_int_equal(back.file[0].len, 77);
	assert_memory_equal(back.stdin_hash, g.stdin_hash, 32);
	/* cut anywhere, or longer by one: refused */
	for (size_t n = 0; n < buf.len; n++)
		assert_int_equal(creel_call_gate_decode(buf.data, n, &back, &err), CREEL_E_PROTO);
	assert_int_equal(creel_buf_add(&buf, "", 1, &err), 0);
	assert_int_equal(creel_call_gate_decode(buf.data, buf.len, &back, &err), CREEL_E_PROTO);
}

static void test_gate_refused(void **state)
{
	static struct creel_call_gate g, back;
	struct creel_buf autoclean(creel_buf_fini) buf;
	struct creel_err err = {0};

	g = sample();
	creel_buf_init(&buf, CREEL_CALL_MAX);
	g.n_argv = 0;
	assert_int_equal(creel_call_gate_encode(&g, &buf, &err), 0);
	assert_int_equal(creel_call_gate_decode(buf.data, buf.len, &back, &err), CREEL_E_PROTO);
	creel_buf_clear(&buf);
	g = sample();
	assert_int_equal(creel_call_gate_encode(&g, &buf, &err), 0);
	uint8_t *name = memmem(buf.data, buf.len, "gmail send", 10);
	assert_non_null(name);
	name[5] = '\0'; /* a NUL inside: two readers would see two things */
	assert_int_equal(creel_call_gate_decode(buf.data, buf.len, &back, &err), CREEL_E_PROTO);
	g.n_lines = CREEL_CALL_LINES + 1;
	assert_int_equal(creel_call_gate_encode(&g, &buf, &err), CREEL_E_TOOBIG);
}

static void test_event(void **state)
{
	static const struct {
		const char *key;
		int r;
	} keys[] = {{"why", 0},
		    {"a_b", 0},
		    {"", CREEL_E_PROTO},
		    {"A", CREEL_E_PROTO},
		    {"a\"", CREEL_E_PROTO},
		    {"abcdefghijklmnopqrstuvwxyz", CREEL_E_PROTO}};
	struct creel_err err = {0};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct creel_call_event e = {.kind = "gate.deny",
					     .n_fields = 1,
					     .field = {{keys[i].key, "\xff\n"}}},
					back;
		struct creel_buf autoclean(creel_buf_fini) buf;
		creel_buf_init(&buf, CREEL_CALL_MAX);
		assert_int_equal(creel_call_event_encode(&e, &buf, &err), 0);
		assert_int_equal(creel_call_event_decode(buf.data, buf.len, &back, &err), keys[i].r);
		assert_int_equal(creel_call_check(CREEL_CALL_EVENT, buf.data, buf.len, &err), keys[i].r);
	}
	/* a key that stands twice */
	struct creel_call_event twice = {.kind = "gate.deny",
					 .n_fields = 2,
					 .field = {{"a", "1"}, {"a", "2"}}},
				back;
	struct creel_buf autoclean(creel_buf_fini) buf;
	creel_buf_init(&buf, CREEL_CALL_MAX);
	assert_int_equal(creel_call_event_encode(&twice, &buf, &err), 0);
	assert_int_equal(creel_call_event_decode(buf.data, buf.len, &back, &err), CREEL_E_PROTO);
}

static void test_why(void **state)
{
	struct creel_buf autoclean(creel_buf_fini) buf;
	struct creel_err err = {0};
	char name[302];
	const char *back;

	creel_buf_init(&buf, CREEL_CALL_MAX);
	assert_int_equal(creel_call_why_encode("a.example:443", &buf, &err), 0);
	assert_int_equal(creel_call_why_decode(buf.data, buf.len, &back, &err), 0);
	assert_string_equal(back, "a.example:443");
	memset(name, 'a', 301);
	name[301] = '\0';
	creel_buf_clear(&buf);
	assert_int_equal(creel_call_why_encode(name, &buf, &err), 0);
	assert_int_equal(creel_call_why_decode(buf.data, buf.len, &back, &err), CREEL_E_PROTO);
	assert_int_equal(creel_call_check(99, buf.data, buf.len, &err), CREEL_E_PROTO);
}

static void test_head(void **state)
{
	struct creel_err err = {0};
	uint8_t buf[CREEL_CALL_HEAD];
	struct creel_call_head back;

	for (unsigned t = 0; t < 256; t++) {
		bool question = t >= CREEL_CALL_GATE && t < CREEL_CALL_QUESTIONS_END;
		bool reply = t >= CREEL_CALL_OK && t < CREEL_CALL_ANSWERS_END;
		uint32_t max = question ? CREEL_CALL_MAX : reply ? CREEL_CALL_REPLY_MAX : 0;
		bool known = question || reply || t == CREEL_CALL_CANCEL;
		struct creel_call_head h = {.len = max, .id = 7, .uid = 1000, .type = (uint8_t)t};
		creel_call_head_encode(&h, buf);
		assert_int_equal(creel_call_head_decode(buf, &back, &err), known ? 0 : CREEL_E_PROTO);
		h.len = max + 1;
		creel_call_head_encode(&h, buf);
		assert_int_equal(creel_call_head_decode(buf, &back, &err), CREEL_E_PROTO);
	}
	assert_int_equal(CREEL_CELLMSG_MAX, CREEL_CELLMSG + CREEL_CALL_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gate_round), cmocka_unit_test(test_gate_refused),
		cmocka_unit_test(test_event),      cmocka_unit_test(test_why),
		cmocka_unit_test(test_head),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}

#include "tests/cmocka-all.h"
#include "wire/flowmsg.h"
#include <string.h>

static struct creel_flowmsg sample(void)
{
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_END,
				  .proto = 6,
				  .way = 1,
				  .reason = CREEL_FLOW_RESET,
				  .reach = true,
				  .granted = true,
				  .n_addrs = 2,
				  .sport = 40000,
				  .dport = 443,
				  .ttl = 9,
				  .ms = 8,
				  .line = 7,
				  .bytes_out = 1ULL << 40,
				  .bytes_in = 2,
				  .packets_out = 3,
				  .packets_in = 4,
				  .count = 5,
				  .cell = "agent",
				  .name = "good.example"};
	memset(m.src, 1, 16);
	memset(m.dst, 2, 16);
	memset(m.addr[0], 3, 16);
	memset(m.addr[1], 4, 16);
	return m;
}

static void round_trip(void **state)
{
	uint8_t buf[2 * CREEL_FLOWMSG_MAX];
	struct creel_flowmsg m = sample(), back;
	struct creel_err err = {0};
	size_t at = 0, n = creel_flowmsg_encode(&m, buf);

	(void)state;
	n += creel_flowmsg_encode(&m, buf + n);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(creel_flowmsg_next(buf, n, &at, &back, &err), 1);
		assert_memory_equal(&back, &m, sizeof(m));
	}
	assert_int_equal(creel_flowmsg_next(buf, n, &at, &back, &err), 0);
	assert_int_equal(at, n);
	/* the largest fits */
	memset(m.cell, 'c', sizeof(m.cell) - 1);
	memset(m.name, 'n', sizeof(m.name) - 1);
	m.n_addrs = CREEL_FLOWMSG_ADDRS;
	assert_int_equal(creel_flowmsg_encode(&m, buf), CREEL_FLOWMSG_MAX);
}

static void refused(void **state)
{
	uint8_t buf[CREEL_FLOWMSG_MAX];
	struct creel_flowmsg m = sample(), back;
	struct creel_err err = {0};
	size_t n = creel_flowmsg_encode(&m, buf), at;

	(void)state;
	for (size_t cut = 1; cut < n; cut++)
		assert_int_equal(creel_flowmsg_next(buf, cut, &(size_t){0}, &back, &err), CREEL_E_PROTO);
	static const struct {
		size_t at;
		uint8_t value;
	} bad[] = {{5, 33}, {6, 254}, {7, CREEL_FLOWMSG_ADDRS + 1}, {CREEL_FLOWMSG_FIXED + 1, 0}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t copy[CREEL_FLOWMSG_MAX];
		memcpy(copy, buf, n);
		copy[bad[i].at] = bad[i].value;
		at = 0;
		assert_int_equal(creel_flowmsg_next(copy, sizeof(copy), &at, &back, &err), CREEL_E_PROTO);
	}
}

static void every_reason_has_a_word(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CREEL_FLOW_REASONS; i++)
		assert_non_null(creel_flow_reason_name(i));
	assert_string_equal(creel_flow_reason_name(CREEL_FLOW_ECH), "ech");
	assert_string_equal(creel_flow_reason_name(255), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(refused),
					   cmocka_unit_test(every_reason_has_a_word)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/cmocka-all.h"
#include "wire/dnsmsg.h"
#include <string.h>

static struct creel_dnsmsg sample(void)
{
	struct creel_dnsmsg m = {
		.type = CREEL_DNSMSG_QUERY,
		.rcode = 3,
		.n_addrs = CREEL_DNSMSG_ADDRS,
		.qtype = 28,
		.id = 7,
		.ttl = 120,
		.ms = 9,
		.name = "www.good.example",
		.chain = "a.cdn.example b.cdn.example",
	};
	memset(m.addr, 5, sizeof(m.addr));
	return m;
}

static int first(const uint8_t *buf, size_t n, struct creel_dnsmsg *ret)
{
	struct creel_err err = {0};
	size_t at = 0;
	int r = creel_dnsmsg_next(buf, n, &at, ret, &err);

	assert_int_equal(r < 0 ? r : 0, err.code);
	assert_int_equal(at, r > 0 ? n : 0);
	return r;
}

static void round_trip(void **state)
{
	uint8_t buf[CREEL_DNSMSG_MAX];
	struct creel_dnsmsg m = sample(), back = {0};

	size_t n = creel_dnsmsg_encode(&m, buf);
	assert_int_equal(n, CREEL_DNSMSG_FIXED + strlen(m.name) + sizeof(m.addr) + strlen(m.chain));
	assert_int_equal(first(buf, n, &back), 1);
	assert_memory_equal(&back, &m, sizeof(m));

	/* the longest, and the shortest */
	memset(m.name, 'n', sizeof(m.name) - 1);
	memset(m.chain, 'c', sizeof(m.chain) - 1);
	n = creel_dnsmsg_encode(&m, buf);
	assert_int_equal(n, CREEL_DNSMSG_MAX);
	assert_int_equal(first(buf, n, &back), 1);
	assert_memory_equal(&back, &m, sizeof(m));
	m = (struct creel_dnsmsg){.type = CREEL_DNSMSG_PINNED, .id = 8, .result = CREEL_E_DENIED};
	n = creel_dnsmsg_encode(&m, buf);
	assert_int_equal(n, CREEL_DNSMSG_FIXED);
	assert_int_equal(first(buf, n, &back), 1);
	assert_memory_equal(&back, &m, sizeof(m));
	assert_int_equal(first(buf, 0, &back), 0);
}

static void many_in_one(void **state)
{
	static struct creel_dnsmsg_packet p;
	struct creel_dnsmsg m = {.type = CREEL_DNSMSG_PIN, .name = "a.example"}, back;
	struct creel_err err = {0};
	size_t at = 0;

	while (creel_dnsmsg_put(&p, &m))
		m.id++;
	assert_int_equal(m.id, CREEL_DNSMSG_AT_ONCE);
	for (uint32_t i = 0; i < m.id; i++) {
		assert_int_equal(creel_dnsmsg_next(p.buf, p.len, &at, &back, &err), 1);
		assert_int_equal(back.id, i);
	}
	assert_int_equal(creel_dnsmsg_next(p.buf, p.len, &at, &back, &err), 0);

	/* of long ones as many as the octets hold, and one always */
	m = sample();
	memset(m.chain, 'c', sizeof(m.chain) - 1);
	p.len = p.n = 0;
	while (creel_dnsmsg_put(&p, &m))
		assert_true(p.len <= sizeof(p.buf));
	assert_in_range(p.n, 8, CREEL_DNSMSG_AT_ONCE - 1);
}

static void refused(void **state)
{
	uint8_t buf[CREEL_DNSMSG_MAX + 1] = {0};
	struct creel_dnsmsg m = sample(), back = {.id = 99};
	size_t n = creel_dnsmsg_encode(&m, buf), name = strlen(m.name), addrs = sizeof(m.addr);

	for (size_t cut = 1; cut < n; cut++)
		assert_int_equal(first(buf, cut, &back), CREEL_E_PROTO);
	buf[3] = CREEL_DNSMSG_ADDRS + 1;
	assert_int_equal(first(buf, sizeof(buf), &back), CREEL_E_PROTO);
	buf[3] = CREEL_DNSMSG_ADDRS;
	buf[0] = CREEL_DNSMSG_PIN; /* no chain is the monitor's to read */
	assert_int_equal(first(buf, n, &back), CREEL_E_PROTO);
	buf[0] = CREEL_DNSMSG_REFUSE;
	buf[CREEL_DNSMSG_FIXED + name - 1] = '\0'; /* a name with an end of its own */
	assert_int_equal(first(buf, n, &back), CREEL_E_PROTO);
	buf[CREEL_DNSMSG_FIXED + name - 1] = 'e';
	buf[CREEL_DNSMSG_FIXED + name + addrs + 3] = '\0'; /* a chain likewise */
	assert_int_equal(first(buf, n, &back), CREEL_E_PROTO);
	memset(buf + CREEL_DNSMSG_FIXED, 'c', sizeof(buf) - CREEL_DNSMSG_FIXED);
	buf[6] = 0;
	buf[29] = CREEL_DNSMSG_CHAIN >> 8; /* one octet too long to be held */
	buf[28] = 0;
	assert_int_equal(first(buf, CREEL_DNSMSG_FIXED + addrs + CREEL_DNSMSG_CHAIN, &back), CREEL_E_PROTO);
	assert_int_equal(back.id, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(many_in_one),
		cmocka_unit_test(refused),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

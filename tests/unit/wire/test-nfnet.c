#include "tests/cmocka-all.h"
#include "wire/be.h"
#include "wire/nfnet.h"
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>

static _Alignas(8) uint8_t msg[2048];
static size_t len;

static void begin(uint16_t type)
{
	struct nlmsghdr h = {.nlmsg_type = type};

	memset(msg, 0, sizeof(msg));
	memcpy(msg, &h, sizeof(h));
	len = sizeof(h) + sizeof(struct nfgenmsg);
}
static size_t attr(uint16_t type, const void *data, size_t n)
{
	struct nlattr a = {(uint16_t)(sizeof(a) + n), type};
	size_t at = len;

	memcpy(msg + len, &a, sizeof(a));
	if (n)
		memcpy(msg + len + sizeof(a), data, n);
	len += NLA_ALIGN(sizeof(a) + n);
	return at;
}
static void nest_end(size_t at)
{
	uint16_t n = (uint16_t)(len - at);

	memcpy(msg + at, &n, 2);
}
static void finish(void)
{
	uint32_t n = (uint32_t)len;

	memcpy(msg, &n, 4);
}

static const uint8_t tcp[64] = {0x45, 0,   0,  60, 0,   0, 0, 0,  64,   IPPROTO_TCP, 0, 0,
				192,  168, 83, 2,  192, 0, 2, 10, 0x9c, 0x40,        1, 0xbb};

static void packet(const uint8_t *ip, size_t n)
{
	const uint8_t seq[4] = {0, 0, 1, 2};

	begin(NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET);
	(void)attr(NFULA_PREFIX, "deny", 5);
	(void)attr(NFULA_SEQ, seq, 4);
	(void)attr(NFULA_PAYLOAD, ip, n);
	finish();
}

static void packets(void **state)
{
	struct creel_nfnet m;
	struct creel_err err = {0};
	uint8_t ip[64];
	size_t at = 0;

	(void)state;
	packet(tcp, sizeof(tcp));
	assert_int_equal(creel_nfnet_next(msg, len, &at, &m, &err), 1);
	assert_int_equal(m.type, CREEL_NFNET_PACKET);
	assert_string_equal(m.prefix, "deny");
	assert_int_equal(m.seq, 258);
	assert_int_equal(m.family, 4);
	assert_int_equal(m.proto, IPPROTO_TCP);
	assert_int_equal(m.sport, 40000);
	assert_int_equal(m.dport, 443);
	assert_memory_equal(m.dst, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\x0a", 16);
	assert_int_equal(creel_nfnet_next(msg, len, &at, &m, &err), 0);
	/* a later fragment has no ports, a short header no address, options stand before the ports */
	memcpy(ip, tcp, sizeof(ip));
	ip[7] = 1;
	packet(ip, sizeof(ip));
	assert_int_equal(creel_nfnet_next(msg, len, &(size_t){0}, &m, &err), 1);
	assert_int_equal(m.dport, 0);
	packet(tcp, 19);
	assert_int_equal(creel_nfnet_next(msg, len, &(size_t){0}, &m, &err), 1);
	assert_int_equal(m.family, 0);
	memcpy(ip, tcp, sizeof(ip));
	ip[0] = 0x4f;
	packet(ip, sizeof(ip));
	assert_int_equal(creel_nfnet_next(msg, len, &(size_t){0}, &m, &err), 1);
	assert_int_equal(m.dport, 0);
	assert_int_equal(m.family, 4);
	memset(ip, 0, sizeof(ip));
	ip[0] = 0x60;
	ip[6] = IPPROTO_UDP;
	ip[43] = 53;
	packet(ip, sizeof(ip));
	assert_int_equal(creel_nfnet_next(msg, len, &(size_t){0}, &m, &err), 1);
	assert_int_equal(m.family, 6);
	assert_int_equal(m.dport, 53);
}

static void flows(void **state)
{
	static const uint8_t src[4] = {192, 168, 83, 2}, dst[4] = {192, 0, 2, 10}, proto = IPPROTO_UDP,
			     port[2] = {0, 53}, n[8] = {0, 0, 0, 0, 0, 0, 1, 0}, status[4] = {0, 0, 0, 0x28};
	struct creel_nfnet m;
	struct creel_err err = {0};

	(void)state;
	begin(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE);
	size_t tuple = attr(CTA_TUPLE_ORIG | NLA_F_NESTED, NULL, 0);
	size_t ip = attr(CTA_TUPLE_IP | NLA_F_NESTED, NULL, 0);
	(void)attr(CTA_IP_V4_SRC, src, 4);
	(void)attr(CTA_IP_V4_DST, dst, 4);
	nest_end(ip);
	size_t l4 = attr(CTA_TUPLE_PROTO | NLA_F_NESTED, NULL, 0);
	(void)attr(CTA_PROTO_NUM, &proto, 1);
	(void)attr(CTA_PROTO_DST_PORT, port, 2);
	nest_end(l4);
	nest_end(tuple);
	(void)attr(CTA_STATUS, status, 4);
	size_t c = attr(CTA_COUNTERS_REPLY | NLA_F_NESTED, NULL, 0);
	(void)attr(CTA_COUNTERS_BYTES, n, 8);
	nest_end(c);
	finish();
	assert_int_equal(creel_nfnet_next(msg, len, &(size_t){0}, &m, &err), 1);
	assert_int_equal(m.type, CREEL_NFNET_FLOW);
	assert_int_equal(m.family, 4);
	assert_int_equal(m.proto, IPPROTO_UDP);
	assert_int_equal(m.dport, 53);
	assert_int_equal(m.bytes[1], 256);
	assert_int_equal(m.status, 0x28);
	/* cut anywhere it is refused, or says less */
	for (size_t cut = 0; cut < len; cut++)
		assert_true(creel_nfnet_next(msg, cut, &(size_t){0}, &m, &err) == (cut ? CREEL_E_PROTO : 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(packets), cmocka_unit_test(flows)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * A cell's IPv6: the same policy by the other family. Its packets, what it resolved, names on the wire,
 * where no cell may go, and what a change of policy cuts.
 */
#include "base/cleanup.h"
#include "flownet.h"
#include "net/conntrack.h"
#include "policy/range.h"
#include "tests/cmocka-all.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GOOD  "2001:db8:10::10"
#define OTHER "2001:db8:10::11"
enum { NO_MS = 300, YES_MS = FLOWNET_WAIT_MS };

static struct flownet net;

static int setup(void **state)
{
	flownet_up(&net, 150);
	flownet_six(&net);
	return 0;
}

static int teardown(void **state)
{
	flownet_down(&net);
	return 0;
}

static bool connects(enum flownet_ns from, const char *addr, uint16_t port, int wait_ms)
{
	int fd = flownet_connect(&net, from, addr, port, wait_ms);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void yes(const char *addr, uint16_t port)
{
	if (!connects(NET_A, addr, port, YES_MS))
		fail_msg("%s port %u is not reached", addr, port);
}

static void no(const char *addr, uint16_t port)
{
	if (connects(NET_A, addr, port, NO_MS))
		fail_msg("%s port %u is reached", addr, port);
}

static void what_resolved_and_what_is_declared(void **state)
{
	autofd int a = flownet_listen(&net, NET_INTERNET, 9000);
	const int held[] = {flownet_listen(&net, NET_INTERNET, 7000),
			    flownet_listen(&net, NET_INTERNET, 9001)};
	struct sockaddr_in6 from = {0};
	socklen_t len = sizeof(from);
	char text[64];

	flownet_cell(&net, 0,
		     "mode listed 1\nallow 2 raw.example:9000/raw\nallow 3 [2001:db8:10::/64]:7000\n"
		     "deny 4 [2001:db8:10::66/128]:7000\n",
		     false, 0);
	no(GOOD, 9000);
	flownet_pin(&net, 0, "raw.example", GOOD, 60);
	yes(GOOD, 9000);
	/* it leaves by the uplink's address */
	int s = accept(a, (struct sockaddr *)&from, &len);
	assert_true(s >= 0);
	close(s);
	assert_string_equal(inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)), "2001:db8::2");
	no(GOOD, 9001);
	no(OTHER, 9000);
	yes(OTHER, 7000);
	no("2001:db8:10::66", 7000);
	close(held[0]);
	close(held[1]);
}

/* Each is there, and is reached where a rule of ours is missing. */
static void where_no_cell_may_go(void **state)
{
	static const char *const never[] = {"fd99::1",    "fec0::1",           "2001::1",        "100::1",
					    "::10.1.1.1", "64:ff9b::10.1.1.1", "2002:a01:101::1"};
	const int held[] = {flownet_listen(&net, NET_INTERNET, 7000), flownet_listen(&net, NET_B, 7000),
			    flownet_listen(&net, NET_HOST, 7000)};

	flownet_cell(&net, 1, "mode open 1\n", false, 0);
	flownet_cell(&net, 0, "mode open 1\nallow 2 [fc00::/7]:7001\nallow 3 [fd12::/16]:7000\n", false, 0);
	yes(GOOD, 7000);
	yes("64:ff9b::192.0.2.10", 7000); /* it carries a public one */
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++) {
		struct creel_net n = {.family = 6, .bits = 128};
		assert_int_equal(inet_pton(AF_INET6, never[i], n.addr), 1);
		assert_int_not_equal(creel_range_of(&n, NULL), CREEL_RANGE_PUBLIC); /* as the policy says */
		no(never[i], 7000);
	}
	no(FLOWNET_ULA "c0a8:5303", 7000); /* another cell, whatever is allowed */
	no(FLOWNET_ULA "c0a8:5301", 7000);
	no("2001:db8::2", 7000);
	/* the twin: were that rule not there */
	flownet_sh("nft insert rule inet creel cl-83.2 accept; nft insert rule inet creel input accept; "
		   "nft insert rule inet creel output accept");
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
		yes(never[i], 7000);
	yes(FLOWNET_ULA "c0a8:5303", 7000);
	yes(FLOWNET_ULA "c0a8:5301", 7000);
	yes("2001:db8::2", 7000);
	flownet_sh(
		"for c in input output; do nft delete rule inet creel $c handle "
		"$(nft -a list chain inet creel $c | sed -n 's/^[[:space:]]*accept # handle //p'); done; :");
	flownet_cell(&net, 0, "mode open 1\n", false, 0);
	for (size_t i = 0; i < sizeof(held) / sizeof(*held); i++)
		close(held[i]);
}

#define B_CELL FLOWNET_ULA "c0a8:5303"
#define REACH  "mode listed 1\ncell gog 192.168.83.3\nreach 2 gog 7000"

static bool by_udp(enum flownet_ns from, const char *addr, int sink, int wait_ms)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(7000)};
	struct pollfd p = {.fd = sink, .events = POLLIN};
	autofd int fd = flownet_socket(&net, from, AF_INET6, SOCK_DGRAM, 0);
	char b;

	inet_pton(AF_INET6, addr, &to.sin6_addr);
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	return poll(&p, 1, wait_ms) > 0 && recv(sink, &b, 1, 0) == 1;
}

static int udp_sink(enum flownet_ns ns)
{
	struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(7000)};
	int fd = flownet_socket(&net, ns, AF_INET6, SOCK_DGRAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* One port of another cell, one way, where both have IPv6. */
static void another_cell_that_is_reached(void **state)
{
	const int held[] = {flownet_listen(&net, NET_B, 7000), flownet_listen(&net, NET_B, 7001),
			    flownet_listen(&net, NET_A, 7000), flownet_listen(&net, NET_HOST, 53),
			    flownet_listen(&net, NET_INTERNET, 7000)};
	struct sockaddr_in6 from = {0};
	socklen_t len = sizeof(from);
	autofd int sink = udp_sink(NET_B);
	char text[64];

	flownet_cell(&net, 1, "mode open 1\n", false, 0);
	flownet_cell(&net, 0, REACH "\n", false, 0);
	no(B_CELL, 7000); /* one of the two is without it, as the policy says */
	yes("192.168.83.3", 7000);
	close(flownet_accept(held[0], -1));
	flownet_cell(&net, 0, REACH " ipv6\n", false, 0);
	yes(B_CELL, 7000);
	int s = accept(held[0], (struct sockaddr *)&from, &len);
	assert_true(s >= 0);
	close(s);
	assert_string_equal(inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)),
			    FLOWNET_ULA "c0a8:5302"); /* as itself */
	no(B_CELL, 7001);
	assert_false(by_udp(NET_A, B_CELL, sink, NO_MS));
	assert_false(connects(NET_B, FLOWNET_ULA "c0a8:5302", 7000, NO_MS));
	/* the gateway: the resolver's port, and no other */
	yes(FLOWNET_ULA "c0a8:5301", 53);
	no(FLOWNET_ULA "c0a8:5301", 7000);
	/* while it is down, nobody outside is taken for it */
	static const char *const it[] = {"192.168.83.3", B_CELL};
	for (size_t i = 0; i < 2; i++) {
		flownet_sh("ip route del %s dev cl-83.3", it[i]);
		flownet_sh("nsenter -t %d -n ip addr add %s dev lo", net.holder[2], it[i]);
		no(it[i], 7000);
		flownet_sh("nft insert rule inet creel cl-83.2 accept");
		yes(it[i], 7000); /* the twin */
		flownet_sh("nsenter -t %d -n ip addr del %s dev lo", net.holder[2], it[i]);
		flownet_sh("ip route add %s dev cl-83.3", it[i]);
		flownet_cell(&net, 0, REACH " ipv6\n", false, 0);
	}
	/* the twin: each of them is there, and would be reached */
	flownet_sh("nft insert rule inet creel cl-83.2 accept; nft insert rule inet creel cl-83.3 accept");
	yes(B_CELL, 7001);
	assert_true(by_udp(NET_A, B_CELL, sink, YES_MS));
	assert_true(connects(NET_B, FLOWNET_ULA "c0a8:5302", 7000, YES_MS));
	for (size_t i = 0; i < sizeof(held) / sizeof(*held); i++)
		close(held[i]);
	flownet_cell(&net, 0, "mode listed 1\n", false, 0);
	flownet_cell(&net, 1, "mode listed 1\n", false, 0);
}

/* The rules with counters of cell A's pre chain: how many packets they dropped. */
static unsigned dropped(void)
{
	unsigned sum = 0, k;
	char line[512];
	FILE *f = popen("nft list chain inet creel cl-83.2.pre", "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		const char *p = strstr(line, "packets ");
		if (p && sscanf(p, "packets %u", &k) == 1)
			sum += k;
	}
	pclose(f);
	return sum;
}

/* What was sent is on its way when the call is over, not there. */
static bool soon_dropped(unsigned before)
{
	for (int i = 0; i < YES_MS / 50 && dropped() <= before; i++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	return dropped() > before;
}

/* A datagram from that address of cell A. */
static bool arrives(int sink, const char *end, int wait_ms)
{
	struct sockaddr_in6 own = {.sin6_family = AF_INET6},
			    to = {.sin6_family = AF_INET6, .sin6_port = htons(7000)};
	struct pollfd p = {.fd = sink, .events = POLLIN};
	char text[64], b;

	snprintf(text, sizeof(text), FLOWNET_ULA "%s", end);
	assert_int_equal(inet_pton(AF_INET6, text, &own.sin6_addr), 1);
	inet_pton(AF_INET6, GOOD, &to.sin6_addr);
	autofd int fd = flownet_socket(&net, NET_A, AF_INET6, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	return poll(&p, 1, wait_ms) > 0 && recv(sink, &b, 1, 0) == 1;
}

static void an_address_that_is_not_its_own(void **state)
{
	static const struct nd_router_advert ra = {.nd_ra_type = ND_ROUTER_ADVERT};
	static const uint8_t route[8] = {IPPROTO_NONE, 0, 4};
	struct sockaddr_in6 all = {.sin6_family = AF_INET6};
	autofd int sink = flownet_socket(&net, NET_INTERNET, AF_INET6, SOCK_DGRAM, 0);

	all.sin6_port = htons(7000);
	assert_int_equal(bind(sink, (struct sockaddr *)&all, sizeof(all)), 0);
	flownet_cell(&net, 0, "mode open 1\n", false, 0);
	assert_true(arrives(sink, "c0a8:5302", YES_MS));
	flownet_sh("nsenter -t %d -n sh -c 'ip -6 addr add " FLOWNET_ULA "c0a8:5303/128 dev lo nodad'",
		   net.holder[0]);
	assert_false(arrives(sink, "c0a8:5303", NO_MS));
	/* a route of the sender's own */
	unsigned before = dropped();
	all.sin6_port = 0;
	int fd = flownet_socket(&net, NET_A, AF_INET6, SOCK_RAW, IPPROTO_ROUTING);
	inet_pton(AF_INET6, GOOD, &all.sin6_addr);
	assert_int_equal(sendto(fd, route, sizeof(route), 0, (struct sockaddr *)&all, sizeof(all)),
			 sizeof(route));
	close(fd);
	assert_true(soon_dropped(before));
	/* a router's word, to all, from its own address */
	before = dropped();
	fd = flownet_socket(&net, NET_A, AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	inet_pton(AF_INET6, FLOWNET_ULA "c0a8:5302", &all.sin6_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&all, sizeof(all)), 0);
	inet_pton(AF_INET6, "ff02::1", &all.sin6_addr);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 4), 0);
	assert_int_equal(sendto(fd, &ra, sizeof(ra), 0, (struct sockaddr *)&all, sizeof(all)), sizeof(ra));
	close(fd);
	assert_true(soon_dropped(before));
	/* the twin: without that chain's rules */
	flownet_sh("nft flush chain inet creel cl-83.2.pre");
	assert_true(arrives(sink, "c0a8:5303", YES_MS));
	flownet_sh("nsenter -t %d -n ip -6 addr del " FLOWNET_ULA "c0a8:5303/128 dev lo", net.holder[0]);
}

/* Two cells' creel-flows listen on one address, each on its own link. */
static void another_cells_names(void)
{
	static uint8_t hello[4096];
	autofd int server = flownet_listen(&net, NET_INTERNET, 443);

	flownet_cell(&net, 1, "mode listed 1\nallow 2 other.example\n", true, 0);
	flownet_flow_start(&net, 1);
	flownet_pin(&net, 1, "other.example", GOOD, 60);
	size_t n = flownet_hello(hello, sizeof(hello), "other.example", false, 0, 16384);
	autofd int fd = flownet_connect(&net, NET_B, GOOD, 443, YES_MS);
	assert_true(fd >= 0);
	flownet_send(fd, hello, n);
	autofd int s = flownet_accept(server, -1);
	flownet_expect(s, hello, n);
	flownet_flow_kill(&net, 1);
	flownet_cell(&net, 1, "mode listed 1\n", false, 0);
}

static void names_on_the_wire(void **state)
{
	static const char policy[] = "mode listed 1\nallow 2 good.example\nallow 3 good.example:80\n";
	static uint8_t hello[4096];

	another_cells_names();
	autofd int server = flownet_listen(&net, NET_INTERNET, 443);
	flownet_cell(&net, 0, policy, true, 0);
	flownet_flow_start(&net, 0);
	flownet_pin(&net, 0, "good.example", GOOD, 60);
	size_t n = flownet_hello(hello, sizeof(hello), "good.example", false, 0, 16384);
	int fd = flownet_connect(&net, NET_A, GOOD, 443, YES_MS);
	assert_true(fd >= 0);
	flownet_send(fd, hello, n);
	int s = flownet_accept(server, -1);
	flownet_expect(s, hello, n);
	flownet_send(s, "answer", 6);
	flownet_expect(fd, "answer", 6);
	struct creel_flowmsg m = flownet_event(&net, 0, CREEL_FLOWMSG_ALLOW, flownet_port(fd));
	uint8_t good[16], own[16];
	inet_pton(AF_INET6, GOOD, good);
	inet_pton(AF_INET6, FLOWNET_ULA "c0a8:5302", own);
	assert_string_equal(m.name, "good.example");
	assert_memory_equal(m.dst, good, 16);
	assert_memory_equal(m.src, own, 16);
	close(s);
	close(fd);
	/* another name on this address: not an octet of it */
	n = flownet_hello(hello, sizeof(hello), "other.example", false, 0, 16384);
	fd = flownet_connect(&net, NET_A, GOOD, 443, YES_MS);
	flownet_send(fd, hello, n);
	assert_int_equal(flownet_end(fd, YES_MS), 'R');
	assert_int_equal(flownet_accept(server, 0), -1);
	close(fd);
	/* this name on an address that it did not resolve to */
	no(OTHER, 443);
	/* creel-flow's own port, by itself */
	fd = flownet_connect(&net, NET_A, FLOWNET_ULA "c0a8:5301", FLOWNET_PORT, NO_MS);
	assert_true(fd < 0);
	flownet_flow_kill(&net, 0);
	flownet_cell(&net, 0, policy, false, 0);
}

/* Nothing may go on. What an earlier test left is cut as well, in no order: was the one to GOOD among them? */
static bool none(void *ctx, const struct creel_ct_flow *f)
{
	bool *seen = ctx;
	uint8_t good[16];

	inet_pton(AF_INET6, GOOD, good);
	*seen |= memcmp(f->dst, good, 16) == 0;
	return false;
}

struct found {
	unsigned n;
	char name[64], addr[64];
};

static void pin_told(void *ctx, const char *name, const uint8_t addr[16], uint32_t ttl)
{
	struct found *f = ctx;

	f->n++;
	snprintf(f->name, sizeof(f->name), "%s", name);
	(void)inet_ntop(AF_INET6, addr, f->addr, sizeof(f->addr));
	assert_true(ttl > 0 && ttl <= 60);
}

static void pins_are_listed_and_flows_cut(void **state)
{
	autofd int server = flownet_listen(&net, NET_INTERNET, 9000);
	struct found f = {0};
	struct creel_err err = {0};
	uint8_t own[16];
	uint64_t cut = 0;
	bool seen = false;

	flownet_cell(&net, 1, "mode listed 1\nallow 2 raw.example:9000/raw\n", false, 0);
	flownet_pin(&net, 1, "raw.example", GOOD, 60);
	assert_int_equal(creel_nft_pins(&net.nft, "cl-83.3", pin_told, &f, &err), 0);
	assert_int_equal(f.n, 1);
	assert_string_equal(f.name, "raw.example");
	assert_string_equal(f.addr, GOOD);
	int fd = flownet_connect(&net, NET_B, GOOD, 9000, YES_MS);
	assert_true(fd >= 0);
	int s = flownet_accept(server, -1);
	flownet_cell(&net, 1, "mode listed 1\n", false, 0);
	flownet_send(fd, "x", 1); /* it stands, as before a cut */
	flownet_expect(s, "x", 1);
	inet_pton(AF_INET6, FLOWNET_ULA "c0a8:5303", own);
	if (creel_ct_cut(own, none, &seen, &cut, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(cut >= 1);
	assert_true(seen);
	flownet_send(fd, "y", 1);
	assert_int_equal(flownet_end(s, NO_MS), '.');
	close(fd);
	close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_resolved_and_what_is_declared),
		cmocka_unit_test(where_no_cell_may_go),
		cmocka_unit_test(another_cell_that_is_reached),
		cmocka_unit_test(an_address_that_is_not_its_own),
		cmocka_unit_test(names_on_the_wire),
		cmocka_unit_test(pins_are_listed_and_flows_cut),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * creel-flowlog beside the real filter: what flowed and what was dropped, told with names and counts; and
 * under floods each packet is told or counted as lost, exactly.
 */
#include "base/cleanup.h"
#include "flownet.h"
#include "linux/fdpass.h"
#include "linux/flowsum.h"
#include "net/conntrack.h"
#include "net/nflog.h"
#include "tests/cmocka-all.h"
#include "wire/be.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct flownet net;
static int monitor = -1, events = -1;
/* as the monitor keeps them for the next one */
static int ends_fd = -1, sums_fd = -1, group[2] = {-1, -1};
static struct creel_flowsum *counted_by;
static pid_t child;

static const char policy_a[] = "mode listed 1\nsubnet 192.168.83.0/24\nallow 2 192.0.2.0/24:8080\n"
			       "allow 3 192.0.2.0/24:5000/udp\nallow 4 raw.example:9000/raw\n"
			       "cell b 192.168.83.3\nreach 5 b 22\n";
static const char policy_b[] = "mode listed 1\nsubnet 192.168.83.0/24\nallow 2 192.0.2.0/24:8080\n";

static void tell(struct creel_flowmsg *m, int fd)
{
	uint8_t buf[CREEL_FLOWMSG_MAX];
	struct creel_err err = {0};

	if (creel_fdpass_send(monitor, buf, creel_flowmsg_encode(m, buf), &fd, fd >= 0, &err) < 0)
		fail_msg("%s", err.msg);
}

static void address(uint8_t ret[16], const char *text)
{
	memset(ret, 0, 16);
	ret[10] = ret[11] = 0xff;
	assert_int_equal(inet_pton(AF_INET, text, ret + 12), 1);
}

static void start(void)
{
	const char *exe = getenv("CREEL_FLOWLOG");
	int m[2], e[2];
	struct creel_err err = {0};

	assert_non_null(exe);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, m), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, e), 0);
	if (ends_fd < 0 && (ends_fd = creel_flowends_open(&err)) < 0)
		fail_msg("%s", err.msg);
	if (sums_fd < 0 &&
	    ((sums_fd = creel_flowsums_new(&err)) < 0 || creel_flowsums_map(sums_fd, &counted_by, &err) < 0))
		fail_msg("%s", err.msg);
	child = fork();
	if (child == 0) {
		int fds[] = {m[1], e[1], ends_fd, sums_fd};
		for (int i = 0; i < 4; i++)
			fds[i] = fcntl(fds[i], F_DUPFD, 20);
		for (int i = 0; i < 4; i++)
			(void)dup2(fds[i], 3 + i);
		(void)close_range(7, ~0U, 0);
		if (setresgid(FLOWNET_UID + 9, FLOWNET_UID + 9, FLOWNET_UID + 9) < 0 ||
		    setresuid(FLOWNET_UID + 9, FLOWNET_UID + 9, FLOWNET_UID + 9) < 0)
			_exit(9);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(exe, exe, "3", "4", "5", "6", NULL);
		_exit(127);
	}
	close(m[1]);
	close(e[1]);
	monitor = m[0];
	events = e[0];
	for (uint16_t i = 0; i < 2; i++) {
		struct creel_flowmsg c = {.type = CREEL_FLOWMSG_CELL, .dport = (uint16_t)(i + 1)};
		/* small, so that a burst is more than it holds on any machine */
		const int size = 1 << 20;
		if (group[i] < 0 && (group[i] = creel_nflog_open(c.dport, &err)) < 0)
			fail_msg("%s", err.msg);
		(void)setsockopt(group[i], SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
		c.cell[0] = (char)('a' + i);
		address(c.src, i ? "192.168.83.3" : "192.168.83.2");
		address(c.dst, "192.168.83.1");
		c.n_addrs = (uint8_t)(2 * i); /* b has IPv6, too */
		inet_pton(AF_INET6, FLOWNET_ULA "c0a8:5303", c.addr[0]);
		inet_pton(AF_INET6, FLOWNET_ULA "c0a8:5301", c.addr[1]);
		tell(&c, group[i]);
	}
}

static int setup(void **state)
{
	flownet_up(&net, 170);
	/* a kernel's own router solicitations, at times of its own, are not what is summed up here */
	for (int i = 0; i < 2; i++)
		flownet_sh("nsenter -t %d -n sh -c 'cd /proc/sys/net/ipv6/conf/eth0 2>/dev/null || exit 0; "
			   "echo 1 >disable_ipv6'",
			   net.holder[i]);
	flownet_cell(&net, 0, policy_a, false, 1);
	flownet_cell(&net, 1, policy_b, false, 2);
	start();
	return 0;
}

static int teardown(void **state)
{
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	flownet_down(&net);
	return 0;
}

/* What was told since, summed up by cell. */
struct sums {
	uint64_t allow, deny, end, lost, lost_ends;
};
static struct sums sums[2];

static bool event(struct creel_flowmsg *m, int wait_ms)
{
	static uint8_t buf[CREEL_FLOWMSG_PACKET];
	static size_t len, at;
	struct pollfd p = {.fd = events, .events = POLLIN};
	struct creel_err err = {0};

	if (at == len) {
		if (poll(&p, 1, wait_ms) <= 0)
			return false;
		ssize_t n = recv(events, buf, sizeof(buf), 0);
		if (n == 0 && wait_ms < 0) /* all that a killed one had sent */
			return false;
		assert_true(n > 0);
		len = (size_t)n;
		at = 0;
	}
	assert_int_equal(creel_flowmsg_next(buf, len, &at, m, &err), 1);
	assert_true(m->cell[0] == 'a' || m->cell[0] == 'b');
	struct sums *s = &sums[m->cell[0] - 'a'];
	switch (m->type) {
	case CREEL_FLOWMSG_ALLOW:
		s->allow++;
		break;
	case CREEL_FLOWMSG_DENY:
		s->deny += m->count;
		break;
	case CREEL_FLOWMSG_END:
		s->end++;
		break;
	case CREEL_FLOWMSG_LOST:
		*(m->way == CREEL_FLOWMSG_END ? &s->lost_ends : &s->lost) += m->count;
		break;
	default:
		fail_msg("an event %u", m->type);
	}
	return true;
}

static struct creel_flowmsg event_wait(uint8_t type, uint16_t dport)
{
	struct creel_flowmsg m;

	do
		if (!event(&m, FLOWNET_WAIT_MS))
			fail_msg("no event %u about port %u", type, dport);
	while (m.type != type || m.dport != dport);
	return m;
}

static bool none(void *ctx, const struct creel_ct_flow *flow)
{
	return false;
}

/* All of cell A's flows. */
static uint64_t cut_all(void)
{
	struct creel_err err = {0};
	uint8_t a[16];
	uint64_t cut = 0;

	inet_pton(AF_INET6, "::ffff:192.168.83.2", a);
	if (creel_ct_cut(a, none, NULL, &cut, &err) < 0)
		fail_msg("%s", err.msg);
	return cut;
}

static void what_flowed(void **state)
{
	struct creel_flowmsg pin = {
		.type = CREEL_FLOWMSG_PIN, .ttl = 60, .n_addrs = 1, .cell = "a", .name = "raw.example"};
	autofd int raw = flownet_listen(&net, NET_INTERNET, 9000);
	autofd int ssh = flownet_listen(&net, NET_B, 22);

	address(pin.addr[0], "192.0.2.11");
	tell(&pin, -1);
	flownet_pin(&net, 0, "raw.example", "192.0.2.11", 60);
	int g = flownet_connect(&net, NET_A, "192.0.2.11", 9000, FLOWNET_WAIT_MS);
	assert_true(g >= 0);
	struct creel_flowmsg m = event_wait(CREEL_FLOWMSG_ALLOW, 9000);
	assert_string_equal(m.cell, "a");
	assert_string_equal(m.name, "raw.example");
	assert_int_equal(m.proto, IPPROTO_TCP);
	assert_int_equal(m.sport, flownet_port(g));
	assert_false(m.reach);
	int s = flownet_accept(raw, -1);
	flownet_send(g, "hello", 5);
	flownet_expect(s, "hello", 5);
	close(g);
	close(s);
	cut_all(); /* forgotten now, and not when conntrack's own timer comes around */
	m = event_wait(CREEL_FLOWMSG_END, 9000);
	assert_string_equal(m.name, "raw.example");
	/* SYN, ACK and the data at least; headers of 20 and 32, SYN's of 40 */
	assert_true(m.packets_out >= 3 && m.packets_in >= 2 && m.bytes_out >= 160);
	/* another cell */
	g = flownet_connect(&net, NET_A, "192.168.83.3", 22, FLOWNET_WAIT_MS);
	assert_true(g >= 0);
	close(flownet_accept(ssh, -1));
	close(g);
	m = event_wait(CREEL_FLOWMSG_ALLOW, 22);
	assert_true(m.reach);
	assert_string_equal(m.name, "b.creel");
	assert_int_equal(flownet_connect(&net, NET_B, "192.168.83.2", 22, 50), -ETIMEDOUT);
	m = event_wait(CREEL_FLOWMSG_DENY, 22);
	assert_true(m.reach);
	assert_string_equal(m.cell, "b");
	assert_int_equal(m.reason, CREEL_FLOW_FILTER);
}

static void what_was_dropped(void **state)
{
	static const struct {
		const char *addr;
		uint16_t port;
	} c[] = {{"192.0.2.10", 81}, {"198.51.100.5", 8080}, {"169.254.169.254", 82},
		 {"10.1.1.1", 83},   {"192.168.83.1", 84},   {"224.0.0.9", 85}};

	for (size_t i = 0; i < ELEMENTSOF(c); i++) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(c[i].port)};
		autofd int fd = flownet_socket(&net, NET_A, AF_INET, SOCK_DGRAM, 0);
		inet_pton(AF_INET, c[i].addr, &a.sin_addr);
		for (int k = 0; k < 3; k++)
			assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)), 1);
		uint64_t n = 0;
		while (n < 3) {
			struct creel_flowmsg m = event_wait(CREEL_FLOWMSG_DENY, c[i].port);
			uint8_t dst[16];
			address(dst, c[i].addr);
			assert_memory_equal(m.dst, dst, 16);
			assert_string_equal(m.cell, "a");
			n += m.count;
		}
		assert_int_equal(n, 3);
	}
}

static void ipv6_is_told(void **state)
{
	/* UDP from port 1024 to 88, checksum unlooked at */
	uint8_t f[14 + 40 + 8] = {2, 0,    0,    0,    0, 1, 2, 0, 0, 0,  0,
				  2, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64};
	struct sockaddr_ll to = {.sll_family = AF_PACKET};
	struct ifreq ifr = {.ifr_name = "eth0"};
	autofd int fd = flownet_socket(&net, NET_A, AF_PACKET, SOCK_RAW, 0);

	memset(f, 0xff, 6);
	inet_pton(AF_INET6, "2001:db8::2", f + 22);
	inet_pton(AF_INET6, "2001:db8::10", f + 38);
	creel_put_be16(f + 54, 1024);
	creel_put_be16(f + 56, 88);
	creel_put_be16(f + 58, 8);
	assert_int_equal(ioctl(fd, SIOCGIFINDEX, &ifr), 0);
	to.sll_ifindex = ifr.ifr_ifindex;
	for (int k = 0; k < 3; k++)
		assert_int_equal(sendto(fd, f, sizeof(f), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(f));
	for (uint64_t n = 0; n < 3;) {
		struct creel_flowmsg m = event_wait(CREEL_FLOWMSG_DENY, 88);
		assert_string_equal(m.cell, "a");
		assert_int_equal(m.proto, IPPROTO_UDP);
		assert_memory_equal(m.dst, f + 38, 16);
		n += m.count;
		assert_true(n <= 3);
	}
}

/* The packets that a cell's chains have counted: let out, and dropped. */
static uint64_t counted(int i, const char *chain)
{
	char line[512];
	uint64_t n = 0;
	bool found = false;

	snprintf(line, sizeof(line), "nft list chain inet creel cl-83.%d.%s", i + 2, chain);
	FILE *f = popen(line, "r");
	while (f && fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, "counter packets ");
		if (at && strstr(line, "log ") && sscanf(at, "counter packets %lu", &n) == 1)
			found = true;
	}
	if (!f || pclose(f) != 0 || !found)
		fail_msg("no counter in %s", chain);
	return n;
}

/* @p n UDP packets of cell A, each a flow of its own, as fast as they go. */
static void flood(uint16_t port, unsigned n, int ms)
{
	autofd int fd = flownet_socket(&net, NET_A, AF_INET, SOCK_RAW, IPPROTO_RAW);
	uint8_t p[29] = {0x45, 0, 0, 29, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 168, 83, 2, 192, 0, 2, 0};
	struct sockaddr_in a = {.sin_family = AF_INET};
	struct timespec from, now;
	const int size = 8 << 20;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	inet_pton(AF_INET, "192.0.2.10", &a.sin_addr);
	creel_put_be16(p + 22, port);
	creel_put_be16(p + 24, 9);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < n; i++) {
		p[19] = (uint8_t)(10 + i / 60000 % 3);
		creel_put_be16(p + 20, (uint16_t)(1024 + i % 60000));
		if (sendto(fd, p, sizeof(p), 0, (struct sockaddr *)&a, sizeof(a)) != sizeof(p))
			fail_msg("packet %u: %s", i, strerror(errno));
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (ms && (now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 >= ms)
			return;
	}
}

/* Until all that the filter counted was told. */
static void all_told(const char *what, uint64_t sent)
{
	struct creel_flowmsg m;
	uint64_t yes = counted(0, "ok") + counted(0, "reach"), no = counted(0, "no");

	while (sums[0].allow + sums[0].deny + sums[0].lost < yes + no)
		if (!event(&m, FLOWNET_WAIT_MS))
			break;
	while (event(&m, 1500)) /* and nothing more */
		;
	/* the guest's kernel sends something again of its own accord, now and then: both sides have it by now */
	yes = counted(0, "ok") + counted(0, "reach");
	no = counted(0, "no");
	print_message("# %s: %lu sent; filter: %lu let out, %lu dropped; told: %lu and %lu, lost %lu\n", what,
		      sent, yes, no, sums[0].allow, sums[0].deny, sums[0].lost);
	assert_int_equal(sums[0].allow + sums[0].deny + sums[0].lost, yes + no);
	assert_true(sums[0].allow <= yes && sums[0].deny <= no);
	/* as a monitor asks for them */
	struct creel_err err = {0};
	uint64_t all = 0;
	assert_int_equal(creel_nft_told(&net.nft, "cl-83.2", &all, &err), 0);
	assert_true(all >= yes + no && all <= counted(0, "ok") + counted(0, "reach") + counted(0, "no"));
	assert_int_equal(creel_nft_told(&net.nft, "cl-9.9", &all, &err), CREEL_E_NOTFOUND);
}

static void a_hundred_thousand_flows(void **state)
{
	uint64_t before = counted(0, "ok") + counted(0, "no");

	flood(5000, 100000, 0);
	all_told("100,000 flows", 100000);
	/* and what the guest's kernel sends by itself, a retransmission or two */
	uint64_t passed = counted(0, "ok") + counted(0, "no") - before;
	assert_true(passed >= 100000 && passed < 100100);
	/* the bound on a cell's flows holds: 4096 at once; on a slow machine early ones end meanwhile */
	assert_true(counted(0, "ok") < 50000);
}

static void a_burst_that_nobody_reads(void **state)
{
	uint64_t lost = sums[0].lost, b = sums[1].deny;

	/* the reader stands still: the socket fills up, and what has no room is known by number */
	kill(child, SIGSTOP);
	for (int i = 0; i < 3; i++)
		flood(6000, 400000, 1000);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(86)};
	autofd int fd = flownet_socket(&net, NET_B, AF_INET, SOCK_DGRAM, 0);
	inet_pton(AF_INET, "192.0.2.10", &a.sin_addr);
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)), 1);
	kill(child, SIGCONT);
	all_told("a burst", 0);
	assert_true(sums[0].lost > lost);
	assert_true(sums[1].deny > b); /* the other cell's are all there */
	assert_int_equal(sums[1].lost, 0);
}

static void the_engine_is_slow(void **state)
{
	/* nobody takes the events: the cell's queue fills up, and then they are counted */
	flownet_sh("nft flush chain inet creel cl-83.2 && nft add rule inet creel cl-83.2 goto cl-83.2.ok");
	uint64_t lost = sums[0].lost, before = counted(0, "ok");
	flood(7000, 30000, 0);
	sleep(2);
	all_told("a slow engine", 30000);
	uint64_t passed = counted(0, "ok") - before;
	assert_true(passed >= 30000 && passed < 30100);
	assert_true(sums[0].lost > lost);
	flownet_cell(&net, 0, policy_a, false, 1);
}

static void every_end_is_told(void **state)
{
	struct creel_flowmsg m;

	/* thousands of flows end at once, while nobody reads: the kernel keeps what it could not tell */
	kill(child, SIGSTOP);
	uint64_t cut = cut_all();
	assert_true(cut > 1000);
	kill(child, SIGCONT);
	uint64_t flows = counted(0, "ok") + counted(0, "reach");
	while (sums[0].end + sums[0].lost_ends < flows)
		if (!event(&m, FLOWNET_WAIT_MS))
			fail_msg("%lu ends of %lu flows", sums[0].end, flows);
	while (event(&m, 1500))
		;
	print_message("# %lu flows forgotten at once; of %lu: %lu ends told, %lu counted as lost\n", cut,
		      flows, sums[0].end, sums[0].lost_ends);
	assert_int_equal(sums[0].end + sums[0].lost_ends, flows);
}

/* What it is told, until all of a killed one's is read. */
static void to_the_end(void)
{
	struct creel_flowmsg m;

	while (event(&m, -1))
		;
	close(monitor);
	close(events);
}

/* Killed while its messages wait for an engine that does not read, and what comes meanwhile waits in the kernel. */
static void one_that_is_killed(void **state)
{
	uint64_t lost = sums[0].lost;

	flownet_sh("nft flush chain inet creel cl-83.2 && nft add rule inet creel cl-83.2 goto cl-83.2.ok");
	for (int i = 0; i < 2; i++) {
		uint64_t all = counted(0, "ok") + counted(0, "reach") + counted(0, "no") + 3000;
		flood((uint16_t)(7100 + i), 3000, 0);
		for (int k = 0; k < FLOWNET_WAIT_MS / 50 && atomic_load(&counted_by[1].taken) < all; k++)
			(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
		assert_true(atomic_load(&counted_by[1].taken) >= all); /* and ticks */
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		flood((uint16_t)(7200 + i), 500, 0);
		to_the_end();
		start();
	}
	all_told("a reader that is killed", 7000);
	assert_true(sums[0].lost > lost); /* so it had not told all of it */
	flownet_cell(&net, 0, policy_a, false, 1);
}

static void what_a_cell_with_ipv6_does(void **state)
{
	static const char policy[] = "mode listed 1\nallow 2 [2001:db8:10::/64]:8080\n";
	const struct creel_nft_cell was = {.link = "cl-83.3", .log_group = 2};
	struct creel_err err = {0};
	uint8_t own[16], good[16];
	uint64_t cut = 0;

	assert_int_equal(creel_nft_cell_remove(&net.nft, &was, &err), 0);
	net.cell[1].added = false;
	for (int i = 0; i < 2; i++)
		flownet_sh("nsenter -t %d -n sh -c 'echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6'",
			   net.holder[i]);
	flownet_six(&net);
	flownet_cell(&net, 1, policy, false, 2);
	inet_pton(AF_INET6, FLOWNET_ULA "c0a8:5303", own);
	inet_pton(AF_INET6, "2001:db8:10::10", good);
	int server = flownet_listen(&net, NET_INTERNET, 8080);
	autofd int fd = flownet_connect(&net, NET_B, "2001:db8:10::10", 8080, FLOWNET_WAIT_MS);
	assert_true(fd >= 0);
	struct creel_flowmsg m = event_wait(CREEL_FLOWMSG_ALLOW, 8080);
	assert_string_equal(m.cell, "b");
	assert_memory_equal(m.src, own, 16);
	assert_memory_equal(m.dst, good, 16);
	assert_true(flownet_connect(&net, NET_B, "2001:db8:10::10", 81, 100) < 0);
	m = event_wait(CREEL_FLOWMSG_DENY, 81);
	assert_string_equal(m.cell, "b");
	assert_memory_equal(m.src, own, 16);
	if (creel_ct_cut(own, none, NULL, &cut, &err) < 0)
		fail_msg("%s", err.msg);
	m = event_wait(CREEL_FLOWMSG_END, 8080);
	assert_string_equal(m.cell, "b");
	assert_memory_equal(m.dst, good, 16);
	assert_true(m.packets_out > 0 && m.bytes_in > 0);
	close(server);
}

static void without_the_monitor_it_ends(void **state)
{
	int status;

	close(monitor);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	child = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_flowed),
		cmocka_unit_test(what_was_dropped),
		cmocka_unit_test(ipv6_is_told),
		cmocka_unit_test(a_hundred_thousand_flows),
		cmocka_unit_test(a_burst_that_nobody_reads),
		cmocka_unit_test(the_engine_is_slow),
		cmocka_unit_test(every_end_is_told),
		cmocka_unit_test(one_that_is_killed),
		cmocka_unit_test(what_a_cell_with_ipv6_does),
		cmocka_unit_test(without_the_monitor_it_ends),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

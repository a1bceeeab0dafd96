/*
 * The packet filter between a guest, another cell and an internet, each a namespace of the test's
 * own: what connects, what does not, and what stays over a change. The namespace of the cells is
 * this process's.
 */
#include "base/cleanup.h"
#include "flownet.h"
#include "net/nft.h"
#include "tests/cmocka-all.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct creel_nft nft;
static pid_t ns[3]; /* guest, other, internet */
static const char *const peers[] = {"cl-83.2", "cl-83.3", "up0"};

__attribute__((format(printf, 1, 2))) static void sh(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	/* a child in setup() ignores SIGCHLD: system() then has no status to say */
	int r = system(line);
	if (r != 0 && !(r < 0 && errno == ECHILD))
		fail_msg("%s", line);
}

/* A child in namespace @p i that echoes what it gets on each of @p ports, TCP and UDP. */
static void serve(const uint16_t *ports, size_t n)
{
	struct pollfd p[32];

	for (size_t i = 0; i < n; i++)
		for (int udp = 0; udp < 2; udp++) {
			struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(ports[i])};
			int fd = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0), one = 1;
			(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
			(void)setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
			if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || (!udp && listen(fd, 16) < 0))
				_exit(1);
			p[2 * i + (unsigned)udp] = (struct pollfd){fd, POLLIN, 0};
		}
	for (;;) {
		if (poll(p, 2 * n, -1) <= 0)
			_exit(0);
		for (size_t i = 0; i < 2 * n; i++) {
			char b[64];
			struct sockaddr_in from;
			socklen_t fl = sizeof(from);
			if (!p[i].revents)
				continue;
			if (i % 2) {
				/* the answer comes from the address that was asked: the packet's own info
				 * is given back as it came */
				char ctl[128];
				struct iovec v = {b, sizeof(b)};
				struct msghdr m = {&from, fl, &v, 1, ctl, sizeof(ctl), 0};
				ssize_t k = recvmsg(p[i].fd, &m, 0);
				v.iov_len = (size_t)MAX(k, (ssize_t)0);
				(void)sendmsg(p[i].fd, &m, 0);
				continue;
			}
			int c = accept(p[i].fd, NULL, NULL);
			if (fork() == 0) {
				ssize_t k;
				(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
				(void)alarm(20);
				while ((k = read(c, b, sizeof(b))) > 0)
					(void)!write(c, b, (size_t)k);
				_exit(0);
			}
			close(c);
		}
	}
}

static void enter(int i)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", ns[i]);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
}

/* From namespace @p i: does an octet come back? */
static bool reaches(int i, const char *addr, uint16_t to, bool udp)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(to)};
		char b = 'x';
		inet_pton(AF_INET, addr, &a.sin_addr);
		enter(i);
		int fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS)
			_exit(1);
		if (poll(&p, 1, 300) <= 0 || send(fd, &b, 1, MSG_NOSIGNAL) != 1)
			_exit(1);
		p.events = POLLIN;
		_exit(!(poll(&p, 1, 300) > 0 && recv(fd, &b, 1, 0) == 1 && b == 'x'));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static struct creel_policy policy;
static const struct creel_rule_text allow[] = {
	{"good.example", 1, 1},     {"udp.example:53/udp", 2, 1}, {"198.51.100.0/24:8080", 3, 1},
	{"10.9.0.0/16:8080", 4, 1}, {"0.0.0.0/0:22", 5, 1},
};
static const struct creel_rule_text deny[] = {{"198.51.100.66", 6, 1}, {"0.0.0.0/0:25", 7, 1}};
static struct creel_nft_reach reach_gog;

static void policy_make(enum creel_policy_mode mode, size_t n_allow)
{
	struct creel_policy_spec spec = {.mode = mode,
					 .allow = allow,
					 .n_allow = n_allow,
					 .deny = deny,
					 .n_deny = 2,
					 .subnet = {.addr = {192, 168, 83, 0}, .family = 4, .bits = 24}};
	struct creel_rule_text bad;
	struct creel_err err = {0};

	creel_policy_fini(&policy);
	assert_int_equal(creel_policy_init(&policy, &spec, &bad, &err), 0);
}

static struct creel_nft_cell cell(int i, bool with_reach)
{
	struct creel_nft_cell c = {.link = peers[i],
				   .policy = &policy,
				   .reach = with_reach ? &reach_gog : NULL,
				   .n_reach = with_reach};
	char addr[32];

	snprintf(addr, sizeof(addr), "192.168.83.%d", i + 2);
	inet_pton(AF_INET, addr, &c.addr);
	inet_pton(AF_INET, "192.168.83.1", &c.gateway);
	c.mac[0] = 2;
	c.mac[5] = (uint8_t)(i + 2);
	c.dns_uid = (uid_t)(54321 + i);
	return c;
}

static int setup(void **state)
{
	static const uint16_t ports[] = {443, 80, 22, 25, 53, 8080};
	struct creel_err err = {0};

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	sh("ip link set lo up");
	for (int i = 0; i < 3; i++) {
		int ready[2];
		char b;
		assert_int_equal(pipe(ready), 0);
		ns[i] = fork();
		if (ns[i] == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			(void)signal(SIGCHLD, SIG_IGN);
			(void)alarm(80); /* whatever becomes of the test */
			if (unshare(CLONE_NEWNET) < 0)
				_exit(1);
			sh("ip link set lo up");
			(void)!write(ready[1], "x", 1);
			/* any address is ours to bind: 0.0.0.0 */
			serve(ports, ELEMENTSOF(ports));
		}
		assert_int_equal(read(ready[0], &b, 1), 1);
		close(ready[0]);
		close(ready[1]);
		sh("ip link add %s type veth peer name eth0 netns %d", peers[i], ns[i]);
		sh("ip link set %s up", peers[i]);
		if (i < 2) {
			sh("nsenter -t %d -n sh -c 'ip link set eth0 address 02:00:00:00:00:%02x up && ip addr add 192.168.83.%d/32 dev "
			   "eth0 && ip route add 192.168.83.1 dev eth0 && ip route add default via 192.168.83.1'",
			   ns[i], i + 2, i + 2);
			sh("ip addr add 192.168.83.1/32 dev %s && ip route add 192.168.83.%d dev %s src 192.168.83.1",
			   peers[i], i + 2, peers[i]);
		} else {
			sh("nsenter -t %d -n sh -c 'ip link set eth0 up && ip addr add 203.0.113.1/24 dev eth0 && "
			   "for a in 192.0.2.10 192.0.2.11 198.51.100.5 198.51.100.66 10.9.1.1 10.8.1.1 169.254.169.254; do "
			   "ip addr add $a/32 dev eth0; done'",
			   ns[i]);
			sh("ip addr add 203.0.113.2/24 dev up0 && ip route add default via 203.0.113.1");
			sh("ip route add 169.254.169.254 via 203.0.113.1");
		}
	}
	sh("echo 1 >/proc/sys/net/ipv4/ip_forward");
	inet_pton(AF_INET, "192.168.83.3", &reach_gog.addr);
	reach_gog.port = 22;
	if (creel_nft_open(&nft, &err) < 0 || creel_nft_table(&nft, "up0", &err) < 0) {
		fprintf(stderr, "setup: %s\n", err.msg);
		return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < 3; i++) {
		kill(ns[i], SIGKILL);
		waitpid(ns[i], NULL, 0);
	}
	creel_nft_close(&nft);
	creel_policy_fini(&policy);
	return 0;
}

static void the_paths_are_there_without_the_filter(void **state)
{
	/* the weakened twin of all that follows: it shows that the test can see a packet pass */
	struct creel_err err = {0};

	assert_int_equal(creel_nft_remove(&nft, &err), 0);
	sh("ip route add 192.168.83.0/24 via 203.0.113.2 2>/dev/null; nsenter -t %d -n ip route add 192.168.83.0/24 via 203.0.113.2",
	   ns[2]);
	assert_true(reaches(0, "192.0.2.10", 443, false));
	assert_true(reaches(0, "169.254.169.254", 80, false));
	assert_true(reaches(0, "192.168.83.3", 22, false));
	assert_true(reaches(0, "10.8.1.1", 8080, true));
	if (creel_nft_table(&nft, "up0", &err) < 0)
		fail_msg("%s", err.msg);
}

static void a_link_that_nobody_added_passes_nothing(void **state)
{
	assert_false(reaches(0, "192.0.2.10", 443, false));
	assert_false(reaches(0, "192.168.83.3", 22, false));
	assert_false(reaches(2, "192.168.83.2", 443, false));
}

static void add(int i, bool with_reach)
{
	struct creel_nft_cell c = cell(i, with_reach);
	struct creel_err err = {0};

	if (creel_nft_cell_add(&nft, &c, &err) < 0)
		fail_msg("%s", err.msg);
}
static void change(int i, bool with_reach)
{
	struct creel_nft_cell c = cell(i, with_reach);
	struct creel_err err = {0};

	if (creel_nft_cell_change(&nft, &c, NULL, 0, &err) < 0)
		fail_msg("%s", err.msg);
}
static void pin(const char *name, const char *addr, uint32_t ttl)
{
	struct creel_opening o[8];
	struct creel_err err = {0};
	struct in_addr a;
	size_t n = creel_policy_openings(&policy, name, false, o, 8);

	inet_pton(AF_INET, addr, &a);
	if (creel_nft_pin(&nft, peers[0], name, &a, 1, o, n, ttl, &err) < 0)
		fail_msg("%s", err.msg);
}

static void listed(void **state)
{
	static const struct {
		const char *addr;
		uint16_t port;
		bool udp, want;
	} c[] = {
		{"192.0.2.10", 443, false, false}, /* nobody resolved it */
		{"198.51.100.5", 8080, false, true},   {"198.51.100.5", 8080, true, false},
		{"198.51.100.5", 443, false, false},   {"198.51.100.66", 8080, false, false},
		{"198.51.100.66", 22, false, false},   {"192.0.2.10", 22, false, true},
		{"192.0.2.10", 25, false, false},      {"10.9.1.1", 8080, false, true},
		{"10.9.1.1", 22, false, false},        {"10.8.1.1", 22, false, false},
		{"10.8.1.1", 8080, false, false},      {"169.254.169.254", 22, false, false},
		{"169.254.169.254", 80, false, false}, {"192.168.83.3", 22, false, true},
		{"192.168.83.3", 22, true, false},     {"192.168.83.3", 80, false, false},
		{"203.0.113.2", 22, false, false}, /* the host's own */
		{"192.168.83.1", 22, false, false},
	};

	policy_make(CREEL_MODE_LISTED, ELEMENTSOF(allow));
	add(0, true);
	add(1, false);
	for (size_t i = 0; i < ELEMENTSOF(c); i++)
		if (reaches(0, c[i].addr, c[i].port, c[i].udp) != c[i].want)
			fail_msg("%s:%u%s is%s reached", c[i].addr, c[i].port, c[i].udp ? "/udp" : "",
				 c[i].want ? " not" : "");
	assert_false(reaches(1, "192.168.83.2", 22, false));  /* one way */
	assert_false(reaches(2, "192.168.83.2", 443, false)); /* nothing comes in */
}

static void pins_open_what_resolved(void **state)
{
	pin("good.example", "192.0.2.10", 60);
	assert_true(reaches(0, "192.0.2.10", 443, false));
	assert_false(reaches(0, "192.0.2.10", 443, true));
	assert_false(reaches(0, "192.0.2.10", 80, false));
	assert_false(reaches(0, "192.0.2.11", 443, false));
	assert_false(reaches(1, "192.0.2.10", 443, false)); /* another cell's pin */
	pin("udp.example", "192.0.2.11", 60);
	assert_true(reaches(0, "192.0.2.11", 53, true));
	assert_false(reaches(0, "192.0.2.11", 53, false));
	/* a pin opens no private, metadata or denied address, even if one were made */
	pin("good.example", "10.8.1.1", 60);
	pin("good.example", "169.254.169.254", 60);
	pin("good.example", "198.51.100.66", 60);
	pin("good.example", "192.168.83.3", 60);
	assert_false(reaches(0, "10.8.1.1", 443, false));
	assert_false(reaches(0, "169.254.169.254", 443, false));
	assert_false(reaches(0, "198.51.100.66", 443, false));
	assert_false(reaches(0, "192.168.83.3", 443, false));
}

static void pins_end_and_are_refreshed(void **state)
{
	pin("good.example", "192.0.2.11", 1);
	assert_true(reaches(0, "192.0.2.11", 443, false));
	pin("good.example", "192.0.2.11", 4);
	usleep(1600000);
	assert_true(reaches(0, "192.0.2.11", 443, false)); /* the new end holds */
	pin("good.example", "192.0.2.11", 1);
	usleep(2200000);
	assert_false(reaches(0, "192.0.2.11", 443, false));
}

static void a_change_keeps_pins_and_flows(void **state)
{
	int to[2], from[2], status;
	char b;

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	pid_t pid = fork();
	if (pid == 0) { /* a flow that says an octet whenever it is told to */
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(8080)};
		struct timeval t = {2, 0};
		inet_pton(AF_INET, "198.51.100.5", &a.sin_addr);
		enter(0);
		close(to[1]);
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
			_exit(1);
		(void)!write(from[1], "x", 1);
		while (read(to[0], &b, 1) == 1)
			if (send(fd, "y", 1, MSG_NOSIGNAL) != 1 || recv(fd, &b, 1, 0) != 1 ||
			    write(from[1], &b, 1) != 1)
				_exit(1);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	assert_int_equal(read(from[0], &b, 1), 1);
	policy_make(CREEL_MODE_LISTED, 2); /* without the CIDR entries */
	for (int i = 0; i < 20; i++) {
		change(0, i % 2);
		assert_int_equal(write(to[1], "z", 1), 1);
		assert_int_equal(read(from[0], &b, 1), 1);
	}
	assert_true(reaches(0, "192.0.2.10", 443, false));     /* pinned before */
	assert_false(reaches(0, "198.51.100.5", 8080, false)); /* a new flow */
	close(to[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(from[0]);
}

static void source_and_mac_are_pinned(void **state)
{
	assert_true(reaches(0, "192.0.2.10", 443, false));
	sh("nsenter -t %d -n ip link set eth0 address 02:00:00:00:00:09", ns[0]);
	sh("nsenter -t %d -n ip route replace default via 192.168.83.1", ns[0]);
	assert_false(reaches(0, "192.0.2.10", 443, false));
	sh("nsenter -t %d -n ip link set eth0 address 02:00:00:00:00:02", ns[0]);
	sh("nsenter -t %d -n ip route replace default via 192.168.83.1", ns[0]);
	assert_true(reaches(0, "192.0.2.10", 443, false));
	sh("nsenter -t %d -n ip addr add 192.168.83.9/32 dev eth0", ns[0]);
	sh("ip route add 192.168.83.9 dev cl-83.2");
	sh("nsenter -t %d -n ip route replace default via 192.168.83.1 src 192.168.83.9", ns[0]);
	assert_false(reaches(0, "192.0.2.10", 443, false));
	sh("nsenter -t %d -n ip route replace default via 192.168.83.1 src 192.168.83.2", ns[0]);
	assert_true(reaches(0, "192.0.2.10", 443, false));
}

static void modes(void **state)
{
	policy_make(CREEL_MODE_NONE, ELEMENTSOF(allow));
	change(0, true);
	assert_false(reaches(0, "192.0.2.10", 443, false));
	assert_false(reaches(0, "198.51.100.5", 8080, false));
	assert_true(reaches(0, "192.168.83.3", 22, false)); /* reach is no egress */
	policy_make(CREEL_MODE_OPEN, 0);
	change(0, false);
	assert_true(reaches(0, "192.0.2.11", 80, false));
	assert_true(reaches(0, "192.0.2.11", 443, true));
	assert_false(reaches(0, "198.51.100.66", 80, false));
	assert_false(reaches(0, "192.0.2.11", 25, false));
	assert_false(reaches(0, "10.9.1.1", 8080, false));
	assert_false(reaches(0, "169.254.169.254", 80, false));
	assert_false(reaches(0, "192.168.83.3", 22, false));
}

static void a_removed_cell_leaves_nothing(void **state)
{
	struct creel_nft_cell c = cell(1, false);
	struct creel_err err = {0};

	if (creel_nft_cell_remove(&nft, &c, &err) < 0)
		fail_msg("%s", err.msg);
	/* who lists it reads names and users, not their octets turned round */
	assert_true(flownet_output_has("nft list map inet creel cells", "\"cl-83.2\" : goto cl-83.2"));
	assert_true(flownet_output_has("nft list map inet creel users", "54321 : goto cl-83.2.dns"));
	assert_false(flownet_output_has("nft list table inet creel", "cl-83.3"));
	assert_false(reaches(1, "192.0.2.11", 80, false));
	assert_true(reaches(0, "192.0.2.11", 80, false)); /* the other is as it was */
	policy_make(CREEL_MODE_OPEN, 0);
	add(1, false);
	assert_true(reaches(1, "192.0.2.11", 80, false));
}

static void errors(void **state)
{
	struct creel_nft_cell c = cell(0, false);
	struct creel_opening o = {443, false, CREEL_WAY_TLS};
	struct creel_err err = {0};
	struct in_addr a = {htonl(0xc000020a)};

	assert_int_equal(creel_nft_cell_add(&nft, &c, &err), CREEL_E_EXISTS);
	assert_true(reaches(0, "192.0.2.11", 80, false)); /* a refused batch changes nothing */
	assert_int_equal(creel_nft_pin(&nft, "nosuch", "x.example", &a, 1, &o, 1, 60, &err),
			 CREEL_E_NOTFOUND);
	c.link = "nosuch";
	assert_int_equal(creel_nft_cell_change(&nft, &c, NULL, 0, &err), CREEL_E_NOTFOUND);
	assert_int_equal(creel_nft_remove(&nft, &err), 0);
	assert_int_equal(creel_nft_remove(&nft, &err), 0);
	assert_false(flownet_output_has("nft list tables", "creel"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_paths_are_there_without_the_filter),
		cmocka_unit_test(a_link_that_nobody_added_passes_nothing),
		cmocka_unit_test(listed),
		cmocka_unit_test(pins_open_what_resolved),
		cmocka_unit_test(pins_end_and_are_refreshed),
		cmocka_unit_test(a_change_keeps_pins_and_flows),
		cmocka_unit_test(source_and_mac_are_pinned),
		cmocka_unit_test(modes),
		cmocka_unit_test(a_removed_cell_leaves_nothing),
		cmocka_unit_test(errors),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * The uplink by IPv6: a host (this process's namespace) between the cells' namespace and an internet.
 * What leaves has the host's address; nothing of the host is reached; a host that forwards no IPv6 takes
 * none.
 */
#include "base/cleanup.h"
#include "flownet.h"
#include "linux/forward6.h"
#include "net/netns.h"
#include "net/uplink.h"
#include "tests/cmocka-all.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static char dir[] = "/tmp/creel-uplink6-XXXXXX", path[64];
static const uint8_t ula[6] = {0xfd, 1, 2, 3, 4, 5};
static pid_t inet;
static int inet_ns = -1, cells_ns = -1, run_fd = -1;
static struct creel_uplink uplink;
enum { NO_MS = 300, YES_MS = 20000 };

static void sh(const char *line)
{
	char with_pid[2048];

	snprintf(with_pid, sizeof(with_pid), "i=%d; %s", inet, line);
	if (system(with_pid) != 0)
		fail_msg("%s", line);
}

static int setup(void **state)
{
	struct creel_err err = {0};

	(void)alarm(100);
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/netns", dir);
	run_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	inet = flownet_holder(100, &inet_ns);
	sh("ip link set lo up; ip link add eth0 type veth peer name eth0 netns $i; ip link set eth0 up; "
	   "ip -6 addr add 2001:db8::2/64 dev eth0 nodad; nsenter -t $i -n sh -c 'ip link set lo up; "
	   "ip link set eth0 up; ip -6 addr add 2001:db8::1/64 dev eth0 nodad; "
	   "ip -6 addr add 2001:db8:10::10/128 dev lo nodad'");
	creel_uplink_init(&uplink, "0123abcd", run_fd);
	if (creel_netns_open(path, &cells_ns, &err) < 0 || creel_uplink_up(&uplink, cells_ns, &err) < 0)
		fail_msg("%s", err.msg);
	return 0;
}

static int teardown(void **state)
{
	struct creel_err err = {0};

	kill(inet, SIGKILL);
	(void)creel_netns_remove(path, &err);
	return rmdir(dir);
}

static int in(int ns)
{
	int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_true(back >= 0);
	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
	return back;
}

static void out(int back)
{
	assert_int_equal(setns(back, CLONE_NEWNET), 0);
	close(back);
}

static int listener(int ns, uint16_t port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int back = in(ns), fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	out(back);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* From the cells' namespace, which has no filter here. */
static bool connects(const char *addr, uint16_t port, int ms)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int back = in(cells_ns);
	autofd int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int e = 0;
	socklen_t len = sizeof(e);

	out(back);
	assert_int_equal(inet_pton(AF_INET6, addr, &a.sin6_addr), 1);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS)
		return false;
	return poll(&p, 1, ms) > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) == 0 && e == 0;
}

static void six_up(void)
{
	struct creel_err err = {0};

	creel_uplink6_init(&uplink, ula);
	if (creel_uplink_up(&uplink, cells_ns, &err) < 0)
		fail_msg("%s", err.msg);
}

static void a_host_that_leads_nowhere(void **state)
{
	assert_string_equal(creel_ipv6_missing(), "this host has no IPv6 route");
	sh("ip -6 route add default via 2001:db8::1");
	assert_non_null(strstr(creel_ipv6_missing(), "forwards no IPv6"));
	six_up();
	assert_false(uplink.nat6);
	assert_false(flownet_output_has("ip -6 addr", "fd01:203"));
	autofd int server = listener(inet_ns, 7000);
	assert_false(connects("2001:db8:10::10", 7000, NO_MS));
	assert_true(server >= 0);
}

static void one_that_forwards(void **state)
{
	struct sockaddr_in6 from = {0};
	socklen_t len = sizeof(from);
	char text[64];

	sh("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
	assert_null(creel_ipv6_missing());
	six_up();
	assert_true(uplink.nat6);
	int server = listener(inet_ns, 7000);
	assert_true(connects("2001:db8:10::10", 7000, YES_MS));
	int s = accept(server, (struct sockaddr *)&from, &len);
	assert_true(s >= 0);
	assert_string_equal(inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)), "2001:db8::2");
	close(s);
	/* the host, by each of its addresses, and by the pair's */
	int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), host = listener(back, 7000);
	assert_false(connects("2001:db8::2", 7000, NO_MS));
	assert_false(connects("fd01:203:405:ffff::1", 7000, NO_MS));
	/* the twin: without our table */
	sh("nft delete table inet creel-0123abcd");
	assert_true(connects("2001:db8::2", 7000, YES_MS));
	six_up();
	assert_false(connects("2001:db8::2", 7000, NO_MS));
	close(host);
	close(back);
	/* nobody comes in by it */
	sh("nsenter -t $i -n ip -6 route add fd01:203:405::/48 via 2001:db8::2");
	int cells = listener(cells_ns, 7001);
	back = in(inet_ns);
	autofd int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	out(back);
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(7001)};
	inet_pton(AF_INET6, "fd01:203:405:ffff::2", &a.sin6_addr);
	(void)connect(fd, (struct sockaddr *)&a, sizeof(a));
	struct pollfd p = {.fd = cells, .events = POLLIN};
	assert_int_equal(poll(&p, 1, NO_MS), 0);
	close(cells);
	close(server);
}

static void nothing_is_left(void **state)
{
	struct creel_err err = {0};

	assert_int_equal(creel_uplink_down(&uplink, &err), 0);
	assert_false(flownet_output_has("ip -6 addr; nft list tables", "creel"));
	assert_false(flownet_output_has("ip -6 addr", "fd01:203"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_that_leads_nowhere),
		cmocka_unit_test(one_that_forwards),
		cmocka_unit_test(nothing_is_left),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

/* The way out as root: two creelds on a host, and a host that forwards for others, do not cut each other off. */
#include "net/hostwall.h"
#include "net/netns.h"
#include "net/uplink.h"
#include "tests/cmocka-all.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * This process is in the host's namespace. `inet` is the internet, `other` what the host forwards for beside
 * creel, and each creeld has the namespace of its cells.
 */
#define SERVER "192.0.2.10"
#define HOST   "203.0.113.2"
#define OTHER  "172.17.0.2"
static char dir[] = "/tmp/creel-uplink-XXXXXX";
static int inet = -1, other = -1, folder = -1;
static struct creeld {
	const char *key;
	int ns, run;
	struct creel_uplink u;
} one = {.key = "00000a01"}, two = {.key = "00000b02"};

static void sh(const char *command)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "set -e; d=%s; at() { n=$1; shift; nsenter --net=\"$d/$n\" \"$@\"; }\n%s", dir, command);
	if (system(text) != 0)
		fail_msg("%s", command);
}

static int namespace(const char *name)
{
	struct creel_err err = {0};
	char path[64];
	int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(creel_netns_open(path, &fd, &err), 0);
	return fd;
}

static void creeld_init(struct creeld *c)
{
	char name[32];

	c->ns = namespace(c->key);
	snprintf(name, sizeof(name), "run-%s", c->key);
	assert_int_equal(mkdirat(folder, name, 0700), 0);
	c->run = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	creel_uplink_init(&c->u, c->key, c->run);
}

static int setup(void **state)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(dir))
		return -1;
	folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	inet = namespace("inet");
	other = namespace("other");
	creeld_init(&one);
	creeld_init(&two);
	struct creel_rtnl nl = {0};
	struct creel_err err = {0};
	if (creel_rtnl_open(&nl, &err) < 0 || creel_rtnl_veth(&nl, "eth0", "eth0", inet, &err) < 0 ||
	    creel_rtnl_veth(&nl, "docker0", "eth0", other, &err) < 0)
		return -1;
	creel_rtnl_close(&nl);
	sh("ip link set lo up; ip addr add " HOST "/24 dev eth0; ip link set eth0 up\n"
	   "at inet ip link set lo up; at inet ip addr add 203.0.113.1/24 dev eth0; at inet ip link set eth0 up\n"
	   "at inet ip addr add " SERVER "/32 dev lo; at inet ip route add 169.254.0.0/16 via " HOST "\n"
	   "at inet ip route add 172.17.0.0/16 via " HOST "\n"
	   "ip route add default via 203.0.113.1\n"
	   "ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up\n"
	   "at other ip addr add " OTHER "/16 dev eth0; at other ip link set eth0 up\n"
	   "at other ip route add default via 172.17.0.1");
	return 0;
}

static int teardown(void **state)
{
	static const char *const all[] = {"inet", "other", "00000a01", "00000b02"};
	struct creel_err err = {0};
	char path[64];

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, all[i]);
		(void)creel_netns_remove(path, &err);
	}
	(void)unlinkat(folder, "run-00000a01", AT_REMOVEDIR);
	(void)unlinkat(folder, "run-00000b02", AT_REMOVEDIR);
	return rmdir(dir);
}

static int udp(int ns, const char *addr, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct creel_err err = {0};
	int back;

	inet_pton(AF_INET, addr, &at.sin_addr);
	assert_int_equal(creel_netns_enter(ns, &back, &err), 0);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	creel_netns_leave(back);
	return fd;
}

/* How often a packet is sent: what is to come may take its time, what is dropped never comes. */
enum { OFTEN = 120, TWICE = 2 };
static int tries = OFTEN;

/* Does a packet from one namespace come to the other? Where @p answer, its answer has to come back too. */
static bool reaches(int from, const char *to_addr, uint16_t to_port, int to, const char *at, uint16_t port,
		    bool answer)
{
	struct sockaddr_in dst = {.sin_family = AF_INET, .sin_port = htons(to_port)}, src = {0};
	int a = udp(from, "0.0.0.0", 0), b = udp(to, at, port);
	struct pollfd p = {.fd = b, .events = POLLIN};
	socklen_t len = sizeof(src);
	bool came = false;
	char c;

	inet_pton(AF_INET, to_addr, &dst.sin_addr);
	for (int i = 0; i < tries && !came; i++)
		came = sendto(a, "x", 1, 0, (struct sockaddr *)&dst, sizeof(dst)) == 1 &&
		       poll(&p, 1, 250) == 1;
	if (came && answer) {
		assert_int_equal(recvfrom(b, &c, 1, 0, (struct sockaddr *)&src, &len), 1);
		assert_int_equal(sendto(b, "y", 1, 0, (struct sockaddr *)&src, len), 1);
		p.fd = a;
		came = poll(&p, 1, tries * 250) == 1;
	}
	close(a);
	close(b);
	return came;
}

#define assert_silent(call)         \
	do {                        \
		tries = TWICE;      \
		assert_false(call); \
		tries = OFTEN;      \
	} while (0)

static bool out(const struct creeld *c)
{
	return reaches(c->ns, SERVER, 7, inet, SERVER, 7, true);
}

static bool in(const struct creeld *c)
{
	char addr[16];

	inet_ntop(AF_INET, &c->u.cells, addr, sizeof(addr));
	return reaches(inet, addr, 9, c->ns, addr, 9, false);
}

static char forwards(const char *name)
{
	char path[96], c = '?';

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/forwarding", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, &c, 1) != 1)
		c = '?';
	close(fd);
	return c;
}

static void up(const struct creeld *c)
{
	struct creel_err err = {0};

	if (creel_uplink_up(&c->u, c->ns, &err) < 0)
		fail_msg("%s", err.msg);
}

static void again(const struct creeld *c)
{
	struct creel_err err = {0};

	if (creel_uplink_again(&c->u, &err) < 0)
		fail_msg("%s", err.msg);
}

static void down(const struct creeld *c)
{
	struct creel_err err = {0};

	if (creel_uplink_down(&c->u, &err) < 0)
		fail_msg("%s", err.msg);
}

static void two_creelds_both_have_a_way_out(void **state)
{
	assert_int_equal(forwards("eth0"), '0');
	up(&one);
	assert_int_equal(forwards("eth0"), '1');
	assert_int_equal(forwards("all"), '0');
	assert_true(out(&one));
	up(&two);
	assert_true(out(&two));
	assert_true(out(&one));
	up(&one); /* as after a crash */
	assert_true(out(&two));
}

static void nothing_comes_in_and_nobody_else_is_forwarded_for(void **state)
{
	assert_silent(in(&one));
	assert_silent(in(&two));
	assert_silent(reaches(inet, OTHER, 9, other, OTHER, 9, false));
	/* the twin: without our tables all of it would */
	sh("nft delete table inet creel-00000a01; nft delete table inet creel-00000b02");
	assert_true(in(&one));
	assert_true(in(&two));
	assert_true(reaches(inet, OTHER, 9, other, OTHER, 9, false));
	up(&one);
	up(&two);
	assert_silent(in(&one));
}

static void the_last_one_shuts_the_door(void **state)
{
	down(&one);
	assert_int_equal(forwards("eth0"), '1');
	assert_true(out(&two));
	assert_silent(in(&two));
	up(&one);
	down(&two);
	assert_true(out(&one));
	down(&one);
	assert_int_equal(forwards("eth0"), '0');
	sh("test -z \"$(nft list tables)\"; test -z \"$(ls $d/run-00000a01 $d/run-00000b02 | grep -v :)\"");
}

static void a_host_that_forwards_later_is_not_cut_off(void **state)
{
	up(&one);
	/* as Docker does it, while no creeld may be there to notice */
	sh("echo 1 >/proc/sys/net/ipv4/ip_forward; nft -f - <<'N'\n"
	   "table ip docker {\n"
	   "  chain pre { type nat hook prerouting priority dstnat; iif eth0 udp dport 8080 dnat to " OTHER
	   ":80; }\n"
	   "  chain post { type nat hook postrouting priority srcnat; ip saddr 172.17.0.0/16 oif eth0 masquerade; }\n"
	   "}\nN");
	assert_true(reaches(other, SERVER, 7, inet, SERVER, 7, true));
	assert_true(reaches(inet, HOST, 8080, other, OTHER, 80, true));
	assert_true(out(&one));
	assert_silent(in(&one));
	/* what it routes without a translation is its own to filter as soon as we know of it */
	assert_silent(reaches(inet, OTHER, 9, other, OTHER, 9, false));
	again(&one);
	assert_true(reaches(inet, OTHER, 9, other, OTHER, 9, false));
	assert_true(out(&one));
	assert_silent(in(&one));
	/* what was ours to put back is the host's now */
	down(&one);
	assert_int_equal(forwards("eth0"), '1');
	assert_true(reaches(inet, HOST, 8080, other, OTHER, 80, true));
}

static void and_one_that_stops_is_opened_again(void **state)
{
	up(&one);
	sh("echo 0 >/proc/sys/net/ipv4/ip_forward");
	again(&one);
	assert_int_equal(forwards("eth0"), '1');
	assert_true(out(&one));
	assert_silent(in(&one));
	down(&one);
	assert_int_equal(forwards("eth0"), '0');
	/* what the host's owner opened for this interface alone stays open */
	sh("echo 1 >/proc/sys/net/ipv4/conf/eth0/forwarding");
	up(&one);
	up(&two);
	down(&one);
	down(&two);
	assert_int_equal(forwards("eth0"), '1');
}

/* Without root, where the uplink is a process on the host, its addresses are walled off in the cells' namespace. */
static void the_hosts_addresses_are_listed_and_walled_off(void **state)
{
	struct creel_net all[64];
	struct creel_err err = {0};
	size_t n = 0, seen = 0;
	int back;

	assert_int_equal(creel_hostwall_list(all, 1, &n, &err), CREEL_E_TOOBIG);
	assert_int_equal(n, 0);
	sh("ip route add local 198.18.0.0/24 dev lo; ip route add local default dev lo table 100");
	assert_int_equal(creel_hostwall_list(all, 63, &n, &err), 0);
	for (size_t i = 0; i < n; i++) {
		char text[16];
		assert_non_null(inet_ntop(AF_INET, all[i].addr, text, sizeof(text)));
		seen += strcmp(text, HOST) == 0 && all[i].bits == 32;
		seen += strcmp(text, "203.0.113.255") == 0 && all[i].bits == 32;
		seen += strcmp(text, "127.0.0.0") == 0 && all[i].bits == 8;
		seen += strcmp(text, "198.18.0.0") == 0 && all[i].bits == 24;
		assert_int_not_equal(all[i].bits, 0);
	}
	assert_int_equal(seen, 4);
	/* the server's in their place: any address will do */
	up(&one);
	all[n] = (struct creel_net){.family = 4, .bits = 32};
	inet_pton(AF_INET, SERVER, all[n].addr);
	assert_int_equal(creel_netns_enter(one.ns, &back, &err), 0);
	assert_int_equal(creel_hostwall_write("up0", all, n + 1, &err), 0);
	creel_netns_leave(back);
	assert_silent(out(&one));
	assert_int_equal(creel_netns_enter(one.ns, &back, &err), 0);
	assert_int_equal(creel_hostwall_write("up0", all, n, &err), 0);
	creel_netns_leave(back);
	assert_true(out(&one));
	down(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_creelds_both_have_a_way_out),
		cmocka_unit_test(nothing_comes_in_and_nobody_else_is_forwarded_for),
		cmocka_unit_test(the_last_one_shuts_the_door),
		cmocka_unit_test(a_host_that_forwards_later_is_not_cut_off),
		cmocka_unit_test(and_one_that_stops_is_opened_again),
		cmocka_unit_test(the_hosts_addresses_are_listed_and_walled_off),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

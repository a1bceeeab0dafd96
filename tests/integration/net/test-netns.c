/* The cells' namespace: made, found again, with its switches set, and gone without residue. */
#include "net/link.h"
#include "net/netns.h"
#include "net/nflog.h"
#include "net/nft.h"
#include "policy/policytext.h"
#include "tests/cmocka-all.h"
#include "wire/nfnet.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/creel-netns-XXXXXX", path[64];

static int setup(void **state)
{
	/* mounts and networks of the test's own */
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/netns", dir);
	return 0;
}

static int teardown(void **state)
{
	struct creel_err err = {0};

	(void)creel_netns_remove(path, &err);
	return rmdir(dir);
}

static ino_t inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static ino_t here(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	ino_t i = inode(fd);

	close(fd);
	return i;
}

static char sysctl(const char *name)
{
	char p[128], c = '?';

	snprintf(p, sizeof(p), "/proc/sys/net/%s", name);
	int fd = open(p, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, &c, 1) != 1)
		c = '?';
	if (fd >= 0)
		close(fd);
	return c;
}

static void it_is_made_and_found_again(void **state)
{
	struct creel_err err = {0};
	ino_t before = here();
	int a = -1, b = -1;

	assert_int_equal(creel_netns_open(path, &a, &err), 0);
	assert_int_equal(here(), before);
	assert_int_not_equal(inode(a), before);
	assert_int_equal(creel_netns_open(path, &b, &err), 0);
	assert_int_equal(inode(a), inode(b));
	close(a);
	close(b);
}

static void its_switches_are_set_and_a_link_lives_in_it_alone(void **state)
{
	struct creel_err err = {0};
	struct creel_rtnl nl = {0};
	struct creel_link link;
	struct in_addr guest, gw;
	int fd = -1, back = -1, tap = -1, ifindex;
	char forward_here = sysctl("ipv4/ip_forward");

	inet_pton(AF_INET, "192.168.83.2", &guest);
	inet_pton(AF_INET, "192.168.83.1", &gw);
	creel_link_init(&link, guest, gw);
	assert_int_equal(creel_netns_open(path, &fd, &err), 0);
	assert_int_equal(creel_netns_enter(fd, &back, &err), 0);
	assert_int_equal(here(), inode(fd));
	assert_int_equal(sysctl("ipv4/ip_forward"), '1');
	assert_int_equal(sysctl("ipv4/conf/all/arp_ignore"), '1');
	assert_int_equal(sysctl("ipv4/conf/default/rp_filter"), '1');
	assert_int_equal(sysctl("ipv4/conf/default/accept_redirects"), '0');
	assert_int_not_equal(sysctl("ipv6/conf/default/disable_ipv6"), '0');
	assert_int_equal(creel_rtnl_open(&nl, &err), 0);
	assert_int_equal(creel_link_up(&nl, &link, &tap, &ifindex, &err), 0);
	creel_netns_leave(back);
	assert_int_equal(sysctl("ipv4/ip_forward"), forward_here);
	assert_int_equal(creel_rtnl_index(link.name, &err), CREEL_E_NOTFOUND);
	assert_int_equal(creel_netns_enter(fd, &back, &err), 0);
	assert_true(creel_rtnl_index(link.name, &err) > 0);
	close(tap);
	assert_int_equal(creel_rtnl_index(link.name, &err), CREEL_E_NOTFOUND);
	creel_netns_leave(back);
	creel_rtnl_close(&nl);
	close(fd);
}

/* A frame as the guest writes it: virtio's header, Ethernet, IPv6 and what follows it. */
static void six(int tap, const struct creel_link *link, const char *from, const char *to, uint8_t next,
		const void *data, size_t len)
{
	uint8_t f[12 + 14 + 40 + 64] = {0}, *e = f + 12;
	struct ip6_hdr ip = {.ip6_nxt = next, .ip6_hlim = 255, .ip6_plen = htons((uint16_t)len)};

	ip.ip6_vfc = 0x60;
	assert_int_equal(inet_pton(AF_INET6, from, &ip.ip6_src), 1);
	assert_int_equal(inet_pton(AF_INET6, to, &ip.ip6_dst), 1);
	memcpy(e, link->gateway_mac, 6);
	memcpy(e + 6, link->guest_mac, 6);
	memcpy(e + 12, "\x86\xdd", 2);
	memcpy(e + 14, &ip, sizeof(ip));
	memcpy(e + 54, data, len);
	assert_int_equal(write(tap, f, 12 + 54 + len), 12 + 54 + len);
}

/* The next packet that the cell's group is told of; false when none is within a second. */
static bool told(int log, struct creel_nfnet *ret)
{
	struct pollfd p = {.fd = log, .events = POLLIN};
	struct creel_err err = {0};
	uint8_t buf[8192];

	while (poll(&p, 1, 1000) > 0) {
		ssize_t n = recv(log, buf, sizeof(buf), 0);
		size_t at = 0;
		while (n > 0 && creel_nfnet_next(buf, (size_t)n, &at, ret, &err) > 0)
			if (ret->type == CREEL_NFNET_PACKET)
				return true;
	}
	return false;
}

static void its_ipv6_is_dropped_and_told(void **state)
{
	static const char text[] = "mode open 1\nsubnet 192.168.83.0/24\n";
	static const struct nd_router_advert ra = {.nd_ra_type = ND_ROUTER_ADVERT};
	static const uint8_t udp[9] = {0x04, 0, 0, 9, 0, 9, 1, 1, 'x'},
			     hops[16] = {IPPROTO_UDP, 0, 1, 4}, /* eight octets of header, padded */
		fragment[16] = {IPPROTO_UDP, 0, 0, 1};
	static const struct {
		const char *from, *to;
		uint8_t next, proto;
		const void *data;
		size_t len;
	} tries[] = {
		{"fe80::2", "ff02::1", IPPROTO_ICMPV6, IPPROTO_ICMPV6, &ra, sizeof(ra)},
		{"fe80::2", "fe80::1", IPPROTO_UDP, IPPROTO_UDP, udp, sizeof(udp)},
		{"fd00::2", "2001:db8::10", IPPROTO_UDP, IPPROTO_UDP, udp, sizeof(udp)},
		{"::ffff:192.168.83.2", "::ffff:192.0.2.10", IPPROTO_UDP, IPPROTO_UDP, udp, sizeof(udp)},
		{"fd00::2", "64:ff9b::192.0.2.10", IPPROTO_UDP, IPPROTO_UDP, udp, sizeof(udp)},
		{"fd00::2", "2001:db8::11", IPPROTO_HOPOPTS, 0xff, hops, sizeof(hops)},
		{"fd00::2", "2001:db8::12", IPPROTO_DSTOPTS, 0xff, hops, sizeof(hops)},
	};
	struct creel_err err = {0};
	struct creel_policytext policy = {0};
	struct creel_nft nft = {0};
	struct creel_rtnl nl = {0};
	struct creel_link link;
	struct in_addr guest, gw;
	uint8_t buf[2048];
	int fd = -1, back = -1, tap = -1, ifindex;

	inet_pton(AF_INET, "192.168.83.2", &guest);
	inet_pton(AF_INET, "192.168.83.1", &gw);
	creel_link_init(&link, guest, gw);
	assert_int_equal(creel_policytext_read(text, strlen(text), NULL, NULL, &policy, &err), 0);
	struct creel_nft_cell cell = {
		.link = link.name, .addr = guest, .gateway = gw, .policy = &policy.policy, .log_group = 1};
	memcpy(cell.mac, link.guest_mac, 6);
	assert_int_equal(creel_netns_open(path, &fd, &err), 0);
	assert_int_equal(creel_netns_enter(fd, &back, &err), 0);
	int log = creel_nflog_open(1, &err);
	assert_true(log >= 0);
	assert_int_equal(creel_nft_open(&nft, &err), 0);
	assert_int_equal(creel_nft_table(&nft, "up0", &err), 0);
	assert_int_equal(creel_nft_cell_add(&nft, &cell, &err), 0);
	assert_int_equal(creel_rtnl_open(&nl, &err), 0);
	if (creel_link_up(&nl, &link, &tap, &ifindex, &err) < 0)
		fail_msg("%s", err.msg);
	if (sysctl("ipv6/conf/all/forwarding") == '?') {
		print_message("# this kernel has no IPv6\n");
	} else {
		assert_int_equal(sysctl("ipv6/conf/all/forwarding"), '0');
		assert_int_equal(sysctl("ipv6/conf/cl-83.2/accept_ra"), '0');
		for (size_t i = 0; i < sizeof(tries) / sizeof(*tries); i++) {
			struct creel_nfnet p = {0};
			uint8_t to[16];
			six(tap, &link, tries[i].from, tries[i].to, tries[i].next, tries[i].data,
			    tries[i].len);
			if (!told(log, &p))
				fail_msg("%s > %s is not told", tries[i].from, tries[i].to);
			inet_pton(AF_INET6, tries[i].to, to);
			assert_string_equal(p.prefix, CREEL_NFT_LOG_DENY);
			assert_memory_equal(p.dst, to, 16);
			if (tries[i].proto != 0xff)
				assert_int_equal(p.proto, tries[i].proto);
		}
		/* a fragment waits for the rest of its packet, and is dropped with it */
		six(tap, &link, "fd00::2", "2001:db8::13", IPPROTO_FRAGMENT, fragment, sizeof(fragment));
		/* the gateway has no address by IPv6, and says nothing by it */
		for (ssize_t n; (n = read(tap, buf, sizeof(buf))) > 0;)
			assert_false(n > 12 + 14 && memcmp(buf + 12 + 12, "\x86\xdd", 2) == 0);
		FILE *f = fopen("/proc/thread-self/net/if_inet6", "re");
		while (f && fgets((char *)buf, sizeof(buf), f))
			assert_null(strstr((char *)buf, link.name));
		if (f)
			fclose(f);
	}
	close(tap);
	close(log);
	creel_nft_close(&nft);
	creel_rtnl_close(&nl);
	creel_netns_leave(back);
	close(fd);
	creel_policytext_fini(&policy);
}

static void nothing_is_left(void **state)
{
	struct creel_err err = {0};
	int fd = -1;

	assert_int_equal(creel_netns_open(path, &fd, &err), 0);
	close(fd);
	assert_int_equal(creel_netns_remove(path, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(creel_netns_remove(path, &err), 0);
}

static void a_link_in_its_place_is_refused(void **state)
{
	struct creel_err err = {0};
	int fd = -7;

	assert_int_equal(symlink("/etc/hostname", path), 0);
	assert_int_equal(creel_netns_open(path, &fd, &err), CREEL_E_OS);
	assert_int_equal(fd, -7);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_made_and_found_again),
		cmocka_unit_test(its_switches_are_set_and_a_link_lives_in_it_alone),
		cmocka_unit_test(its_ipv6_is_dropped_and_told),
		cmocka_unit_test(nothing_is_left),
		cmocka_unit_test(a_link_in_its_place_is_refused),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

/* A link in a network namespace of the test's own: what the kernel holds afterwards. */
#include "flownet.h"
#include "net/link.h"
#include "tests/cmocka-all.h"
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct creel_rtnl nl;
static struct creel_link link_a;
static int tap = -1;

static int setup(void **state)
{
	struct creel_err err = {0};
	struct in_addr guest, gw;
	int ifindex;

	inet_pton(AF_INET, "192.168.83.2", &guest);
	inet_pton(AF_INET, "192.168.83.1", &gw);
	creel_link_init(&link_a, guest, gw);
	if (unshare(CLONE_NEWNET) < 0 || creel_rtnl_open(&nl, &err) < 0 ||
	    creel_link_up(&nl, &link_a, &tap, &ifindex, &err) < 0) {
		fprintf(stderr, "setup: %s\n", err.msg);
		return -1;
	}
	return 0;
}

static void the_kernel_holds_the_link(void **state)
{
	assert_true(flownet_output_has("ip -br addr show cl-83.2", "192.168.83.1/32"));
	assert_true(flownet_output_has("ip route show 192.168.83.2", "scope link src 192.168.83.1"));
	assert_true(flownet_output_has("ip neigh show 192.168.83.2", "02:00:00:00:53:02 PERMANENT"));
	assert_true(flownet_output_has("ip link show cl-83.2", "02:01:00:00:53:02"));
}

/* Read frames from the tap until one of @p ethertype comes; 0 when none does within a second. */
static ssize_t frame_read(uint8_t *buf, size_t size, uint16_t ethertype)
{
	struct pollfd p = {.fd = tap, .events = POLLIN};

	for (int i = 0; i < 50 && poll(&p, 1, 1000) > 0; i++) {
		ssize_t n = read(tap, buf, size);
		if (n > 12 + 14 && buf[12 + 12] == ethertype >> 8 && buf[12 + 13] == (ethertype & 0xff))
			return n;
	}
	return 0;
}

static void arp_is_answered_for_the_gateway(void **state)
{
	/* virtio header, then: who has 192.168.83.1, tell 192.168.83.2 */
	uint8_t req[12 + 42] = {0}, buf[2048];
	uint8_t *e = req + 12;

	memset(e, 0xff, 6);
	memcpy(e + 6, link_a.guest_mac, 6);
	memcpy(e + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
	memcpy(e + 22, link_a.guest_mac, 6);
	memcpy(e + 28, &link_a.addr, 4);
	memcpy(e + 38, &link_a.gateway, 4);
	assert_int_equal(write(tap, req, sizeof(req)), sizeof(req));
	ssize_t n = frame_read(buf, sizeof(buf), ETHERTYPE_ARP);
	assert_true(n > 0);
	assert_int_equal(buf[12 + 21], 2); /* a reply */
	assert_memory_equal(buf + 12 + 22, link_a.gateway_mac, 6);
}

static void a_second_owner_is_refused(void **state)
{
	struct creel_err err = {0};
	int fd = -7, ifindex = -7;

	assert_int_equal(creel_link_up(&nl, &link_a, &fd, &ifindex, &err), CREEL_E_EXISTS);
	assert_int_equal(fd, -7);
}

static void nothing_is_left_when_the_tap_closes(void **state)
{
	struct creel_err err = {0};

	close(tap);
	assert_int_equal(creel_rtnl_index(link_a.name, &err), CREEL_E_NOTFOUND);
	assert_false(flownet_output_has("ip route", "192.168.83.2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_holds_the_link),
		cmocka_unit_test(arp_is_answered_for_the_gateway),
		cmocka_unit_test(a_second_owner_is_refused),
		cmocka_unit_test(nothing_is_left_when_the_tap_closes),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, NULL);
}

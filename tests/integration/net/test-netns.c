/* The cells' namespace: made, found again, with its switches set, and gone without residue. */
#include "tests/cmocka-all.h"
#include "net/link.h"
#include "net/netns.h"
#include <arpa/inet.h>
#include <fcntl.h>
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
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    !mkdtemp(dir))
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
		cmocka_unit_test(nothing_is_left),
		cmocka_unit_test(a_link_in_its_place_is_refused),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

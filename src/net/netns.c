#include "net/netns.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#define NSFS_MAGIC 0x6e736673 /* linux/magic.h */

/* /proc/sys/net shows the namespace of who opens it. */
static int sysctls(struct creel_err *err)
{
	static const struct {
		const char *path, *value;
	} all[] = {
		{"ipv4/ip_forward", "1"}, /* first: it resets others */
		{"ipv4/conf/all/arp_ignore", "1"},
		{"ipv4/conf/all/proxy_arp", "0"},
		{"ipv4/conf/default/proxy_arp", "0"},
		{"ipv4/conf/all/rp_filter", "1"},
		{"ipv4/conf/default/rp_filter", "1"},
		{"ipv4/conf/all/accept_redirects", "0"},
		{"ipv4/conf/default/accept_redirects", "0"},
		{"ipv4/conf/all/send_redirects", "0"},
		{"ipv4/conf/default/send_redirects", "0"},
		{"ipv4/conf/all/accept_source_route", "0"},
		{"ipv6/conf/all/disable_ipv6", "1"},
		{"ipv6/conf/default/disable_ipv6", "1"},
	};

	for (size_t i = 0; i < ELEMENTSOF(all); i++) {
		char path[96];
		(void)snprintf(path, sizeof(path), "/proc/sys/net/%s", all[i].path);
		autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
		/* a kernel without IPv6 has nothing to turn off */
		if (fd < 0 && errno == ENOENT && strncmp(all[i].path, "ipv6", 4) == 0)
			continue;
		if (fd < 0 || write(fd, all[i].value, 1) != 1)
			return creel_err_set(err, CREEL_E_OS, errno, "set %s", path);
	}
	return 0;
}

static int pinned(const char *path, int *ret_fd, struct creel_err *err)
{
	autofd int fd = open(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0400);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	*ret_fd = fs.f_type == NSFS_MAGIC ? steal_fd(&fd) : -1;
	return 0;
}

int creel_netns_open(const char *path, int *ret_fd, struct creel_err *err)
{
	int fd = -1, r = pinned(path, &fd, err);

	if (r < 0)
		return r;
	if (fd < 0) {
		int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
		if (back < 0 || unshare(CLONE_NEWNET) < 0) {
			int os = errno;
			if (back >= 0)
				close(back);
			return creel_err_set(err, CREEL_E_OS, os, "make a network namespace");
		}
		r = sysctls(err);
		/* pinned last: what is found later is whole */
		if (r == 0 && mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL) < 0)
			r = creel_err_set(err, CREEL_E_OS, errno, "pin the namespace at %s", path);
		creel_netns_leave(back);
		if (r == 0)
			r = pinned(path, &fd, err);
		if (r == 0 && fd < 0)
			r = creel_err_set(err, CREEL_E_OS, 0, "%s holds no namespace", path);
		if (r < 0)
			return r;
	}
	*ret_fd = fd;
	return 0;
}

int creel_netns_remove(const char *path, struct creel_err *err)
{
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		return creel_err_set(err, CREEL_E_OS, errno, "unpin %s", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return creel_err_set(err, CREEL_E_OS, errno, "remove %s", path);
	return 0;
}

int creel_netns_enter(int fd, int *ret_back, struct creel_err *err)
{
	autofd int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (back < 0 || setns(fd, CLONE_NEWNET) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "enter the cells' namespace");
	*ret_back = steal_fd(&back);
	return 0;
}

void creel_netns_leave(int back)
{
	if (setns(back, CLONE_NEWNET) < 0)
		abort();
	close(back);
}

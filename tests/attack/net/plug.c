/*
 * plug MACHINE NSPID ADDR GATEWAY MAC: gives the namespace of process NSPID the place of a cell's guest.
 * MACHINE is a stand-in's process (tests/standin), which holds the cell's tap and never reads it; its
 * descriptor is taken from there, and each frame, with its virtio header, is carried between it and a
 * tap `eth0` in the namespace, whose user is root and may send what a guest's kernel could. Prints
 * `ready` and goes on until it is killed or the machine's link is gone.
 *
 * plug --tap NAME: makes a tap and holds it, in a machine's place, for who has none (bench/throughput).
 */
#include "base/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int tap_of(int pid)
{
	char path[64], link[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	autodir DIR *d = opendir(path);
	struct dirent *e;
	while (d && (e = readdir(d)) != NULL) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = '\0';
		if (strcmp(link, "/dev/net/tun") != 0)
			continue;
		autofd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		return (int)syscall(SYS_pidfd_getfd, pidfd, atoi(e->d_name), 0);
	}
	return -1;
}

static int tap_new(const char *name)
{
	autofd int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int hdr = sizeof(struct virtio_net_hdr_v1);

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &hdr) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		return -1;
	return steal_fd(&fd);
}

int main(int argc, char **argv)
{
	static char buf[80000];
	char cmd[512], path[64];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc == 3 && strcmp(argv[1], "--tap") == 0) {
		autofd int held = tap_new(argv[2]);
		puts(held < 0 ? "no" : "ready");
		(void)fflush(stdout);
		return held < 0 ? 1 : pause();
	}
	if (argc != 6)
		return 2;
	autofd int cell = tap_of(atoi(argv[1]));
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", atoi(argv[2]));
	autofd int ns = open(path, O_RDONLY | O_CLOEXEC);
	if (cell < 0 || ns < 0 || setns(ns, CLONE_NEWNET) < 0) {
		perror("plug");
		return 1;
	}
	autofd int guest = tap_new("eth0");
	(void)snprintf(cmd, sizeof(cmd),
		       "ip link set lo up && ip link set eth0 address %s up && ip addr add %s/32 dev eth0 && "
		       "ip route add %s dev eth0 && ip route add default via %s",
		       argv[5], argv[3], argv[4], argv[4]);
	if (guest < 0 || system(cmd) != 0) {
		perror("plug: tap");
		return 1;
	}
	puts("ready");
	(void)fflush(stdout);
	struct pollfd p[2] = {{cell, POLLIN, 0}, {guest, POLLIN, 0}};
	while (poll(p, 2, -1) > 0)
		for (int i = 0; i < 2; i++) {
			ssize_t n;
			for (int k = 0; k < 64 && (n = read(p[i].fd, buf, sizeof(buf))) > 0; k++)
				(void)!write(p[!i].fd, buf,
					     (size_t)n); /* a full queue drops, as a machine's does */
			if (p[i].revents & (POLLERR | POLLNVAL))
				return 0;
		}
	return 1;
}

#include "init.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

/*
 * The cell's link: one interface, a /32 address, an on-link route to the gateway and everything else
 * through it. By the old requests of netdevice(7), which need no library.
 */
static int flags_up(int s, const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_UP | IFF_RUNNING};

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	return ioctl(s, SIOCSIFFLAGS, &ifr);
}

/* The first interface that is not the loopback; waits a little, as probing is asynchronous. */
static bool link_find(char ret[IFNAMSIZ])
{
	for (int tries = 0; tries < 300; tries++) {
		autodir DIR *d = opendir("/sys/class/net");
		for (struct dirent *e; d && (e = readdir(d));)
			if (e->d_name[0] != '.' && strcmp(e->d_name, "lo") != 0 && strlen(e->d_name) < IFNAMSIZ) {
				memcpy(ret, e->d_name, strlen(e->d_name) + 1);
				return true;
			}
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	}
	return false;
}

static void sysctl_off(const char *name, const char *what)
{
	char path[100];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", name, what);
	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!write(fd, "1", 1);
}

static struct sockaddr *address(void *at, const char *text)
{
	struct sockaddr_in *a = at;

	a->sin_family = AF_INET;
	(void)inet_pton(AF_INET, text, &a->sin_addr);
	return at;
}

static int link_set(int s, char *name, const struct creel_boot *boot)
{
	struct ifreq ifr = {0};
	struct rtentry host = {.rt_flags = RTF_UP | RTF_HOST, .rt_dev = name};
	struct rtentry all = {.rt_flags = RTF_UP | RTF_GATEWAY, .rt_dev = name};

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	(void)address(&ifr.ifr_addr, boot->address);
	if (ioctl(s, SIOCSIFADDR, &ifr) < 0)
		return -1;
	(void)address(&ifr.ifr_netmask, "255.255.255.255");
	if (ioctl(s, SIOCSIFNETMASK, &ifr) < 0 || flags_up(s, name) < 0)
		return -1;
	(void)address(&host.rt_dst, boot->gateway);
	(void)address(&all.rt_dst, "0.0.0.0");
	(void)address(&all.rt_genmask, "0.0.0.0");
	(void)address(&all.rt_gateway, boot->gateway);
	return ioctl(s, SIOCADDRT, &host) < 0 || ioctl(s, SIOCADDRT, &all) < 0 ? -1 : 0;
}

/* A name in the image may be a link to somewhere: it is the file itself that is replaced. */
static int resolv_conf(const struct creel_boot *boot)
{
	(void)unlink("/etc/resolv.conf");
	autofd int fd = open("/etc/resolv.conf", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 || dprintf(fd, "nameserver %s\noptions edns0 timeout:3 attempts:3\n", boot->gateway) < 0 ? -1
													      : 0;
}

void link_up(const struct creel_boot *boot)
{
	char name[IFNAMSIZ] = "";
	autofd int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0 || flags_up(s, "lo") < 0)
		say("lo: %s", strerror(errno));
	if (s < 0 || !boot->address || !boot->address[0])
		return;
	if (!link_find(name)) {
		say("there is no network interface");
		return;
	}
	sysctl_off(name, "disable_ipv6");
	if (link_set(s, name, boot) < 0 || resolv_conf(boot) < 0)
		say("%s: %s", name, strerror(errno));
}

#include "init.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ipv6.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
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
 *
 * By IPv6 the same, but that the address is the loopback's: so the interface joins no group and asks for
 * no neighbour, and nothing goes out by it that the host would drop.
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
			if (e->d_name[0] != '.' && strcmp(e->d_name, "lo") != 0 &&
			    strlen(e->d_name) < IFNAMSIZ) {
				memcpy(ret, e->d_name, strlen(e->d_name) + 1);
				return true;
			}
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	}
	return false;
}

static void ipv6_set(const char *name, const char *what, const char *value)
{
	char path[100];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", name, what);
	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!write(fd, value, 1);
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

static int route6(int s, int ifindex, const struct in6_addr *dst, const struct in6_addr *via)
{
	struct in6_rtmsg m = {
		.rtmsg_ifindex = ifindex, .rtmsg_metric = 1, .rtmsg_flags = RTF_UP | (via ? RTF_GATEWAY : 0)};

	if (dst) {
		m.rtmsg_dst = *dst;
		m.rtmsg_dst_len = 128;
	}
	if (via)
		m.rtmsg_gateway = *via;
	return ioctl(s, SIOCADDRT, &m);
}

/* The gateway's neighbour entry, for good: there is no older request for this one. */
static int neighbour6(int ifindex, const struct in6_addr *addr, const uint8_t mac[6])
{
	struct {
		struct nlmsghdr h;
		struct ndmsg m;
		struct rtattr dst;
		struct in6_addr addr;
		struct rtattr lladdr;
		uint8_t mac[8];
	} ask = {.h = {sizeof(ask), RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, 1,
		       0},
		 .m = {.ndm_family = AF_INET6, .ndm_ifindex = ifindex, .ndm_state = NUD_PERMANENT},
		 .dst = {RTA_LENGTH(16), NDA_DST},
		 .addr = *addr,
		 .lladdr = {RTA_LENGTH(6), NDA_LLADDR}};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		uint8_t rest[1024];
	} answer;
	autofd int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	memcpy(ask.mac, mac, 6);
	if (s < 0 || send(s, &ask, sizeof(ask), 0) != sizeof(ask) ||
	    recv(s, &answer, sizeof(answer), 0) < (ssize_t)(sizeof(answer.h) + sizeof(answer.e)))
		return -1;
	errno = -answer.e.error;
	return answer.h.nlmsg_type == NLMSG_ERROR && answer.e.error == 0 ? 0 : -1;
}

static int six_set(const char *name, const struct creel_boot *boot)
{
	struct in6_ifreq own = {.ifr6_prefixlen = 128, .ifr6_ifindex = (int)if_nametoindex("lo")};
	int ifindex = (int)if_nametoindex(name);
	struct in6_addr gateway;
	unsigned m[6];
	uint8_t mac[6];
	autofd int s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0 || inet_pton(AF_INET6, boot->address6, &own.ifr6_addr) != 1 ||
	    inet_pton(AF_INET6, boot->gateway6, &gateway) != 1 ||
	    sscanf(boot->gateway_mac, "%2x:%2x:%2x:%2x:%2x:%2x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) !=
		    6)
		return -1;
	for (size_t i = 0; i < 6; i++)
		mac[i] = (uint8_t)m[i];
	return ioctl(s, SIOCSIFADDR, &own) < 0 || route6(s, ifindex, &gateway, NULL) < 0 ||
			       neighbour6(ifindex, &gateway, mac) < 0 ||
			       route6(s, ifindex, NULL, &gateway) < 0
		       ? -1
		       : 0;
}

/* A name in the image may be a link to somewhere: it is the file itself that is replaced. */
static int resolv_conf(const struct creel_boot *boot)
{
	(void)unlink("/etc/resolv.conf");
	autofd int fd = open("/etc/resolv.conf", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 || dprintf(fd, "nameserver %s\noptions edns0 timeout:3 attempts:3\n", boot->gateway) < 0
		       ? -1
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
	bool six = boot->address6 && boot->address6[0] && boot->gateway6 && boot->gateway_mac;
	ipv6_set(name, "addr_gen_mode", "1"); /* none */
	ipv6_set(name, "accept_ra", "0");
	if (!six)
		ipv6_set(name, "disable_ipv6", "1");
	if (link_set(s, name, boot) < 0 || resolv_conf(boot) < 0)
		say("%s: %s", name, strerror(errno));
	if (six && six_set(name, boot) < 0)
		say("%s: IPv6: %s", name, strerror(errno));
}

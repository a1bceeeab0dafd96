#include "net/link.h"
#include "base/cleanup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void creel_link_init(struct creel_link *link, struct in_addr addr, struct in_addr gateway)
{
	uint32_t a = ntohl(addr.s_addr);

	*link = (struct creel_link){
		.addr = addr,
		.gateway = gateway,
		.guest_mac = {2, 0, 0, 0, (uint8_t)(a >> 8), (uint8_t)a},
		.gateway_mac = {2, 1, 0, 0, (uint8_t)(a >> 8), (uint8_t)a},
		.mtu = 1500,
	};
	(void)snprintf(link->name, sizeof(link->name), "cl-%u.%u", a >> 8 & 0xff, a & 0xff);
}

void creel_link_six(struct creel_link *link, const uint8_t ula[CREEL_ULA])
{
	link->six = true;
	link->addr6 = link->gateway6 = (struct in6_addr){0};
	memcpy(link->addr6.s6_addr, ula, CREEL_ULA);
	memcpy(link->gateway6.s6_addr, ula, CREEL_ULA);
	memcpy(link->addr6.s6_addr + 12, &link->addr, 4);
	memcpy(link->gateway6.s6_addr + 12, &link->gateway, 4);
}

static int tap_open(const char *name, struct creel_err *err)
{
	autofd int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int hdr = sizeof(struct virtio_net_hdr_v1);

	if (fd < 0)
		return creel_err_set(err, errno == EACCES || errno == EPERM ? CREEL_E_DENIED : CREEL_E_OS,
				     errno, "open /dev/net/tun");
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return creel_err_set(err, errno == EBUSY ? CREEL_E_EXISTS : CREEL_E_OS, errno, "make tap %s",
				     name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "set up tap %s", name);
	return steal_fd(&fd);
}

int creel_ipv6_set(const char *name, const char *what, const char *value, struct creel_err *err)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%.15s/%s", name, what);
	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return creel_err_set(err, CREEL_E_NOTFOUND, errno, "%s", path);
	if (fd < 0 || write(fd, value, 1) != 1)
		return creel_err_set(err, CREEL_E_OS, errno, "set %s", path);
	return 0;
}

/*
 * Where IPv6 is off the kernel drops before any hook, and nobody counts: it is on here, without an
 * address, a route or a router's word, so that the filter sees each packet, drops it and tells of it.
 */
static int ipv6_seen(const char *name, struct creel_err *err)
{
	static const struct {
		const char *what, *value;
	} all[] = {{"addr_gen_mode", "1"}, /* none */
		   {"accept_ra", "0"},
		   {"accept_redirects", "0"},
		   {"forwarding", "0"},
		   {"disable_ipv6", "0"}};

	for (size_t i = 0; i < ELEMENTSOF(all); i++) {
		int r = creel_ipv6_set(name, all[i].what, all[i].value, err);
		if (r < 0)
			return r == CREEL_E_NOTFOUND ? 0 : r; /* a kernel without IPv6 takes none */
	}
	return 0;
}

/* The guest's one address, ours, and where its packets go, whatever anybody says on the link. */
static int six_up(struct creel_rtnl *nl, const struct creel_link *link, int ifindex, struct creel_err *err)
{
	int r = creel_ipv6_set("all", "forwarding", "1",
			       err); /* of this namespace: there is no other switch */

	if (r == CREEL_E_NOTFOUND)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "this kernel has no IPv6");
	if (r == 0)
		r = creel_rtnl_addr6_add(nl, ifindex, &link->gateway6, 128, err);
	if (r == 0)
		r = creel_rtnl_host_route6(nl, ifindex, &link->addr6, err);
	if (r == 0)
		r = creel_rtnl_neigh6(nl, ifindex, &link->addr6, link->guest_mac, err);
	return r;
}

int creel_link_up(struct creel_rtnl *nl, const struct creel_link *link, int *ret_fd, int *ret_ifindex,
		  struct creel_err *err)
{
	autofd int fd = tap_open(link->name, err);
	int ifindex, r;

	if (fd < 0)
		return fd;
	r = ifindex = creel_rtnl_index(link->name, err);
	if (r >= 0)
		r = ipv6_seen(link->name, err); /* before it is up: no packet of ours goes out by it */
	if (r >= 0)
		r = creel_rtnl_link_up(nl, ifindex, link->mtu, link->gateway_mac, err);
	if (r >= 0)
		r = creel_rtnl_addr_add(nl, ifindex, link->gateway, 32, err);
	if (r >= 0)
		r = creel_rtnl_host_route(nl, ifindex, link->addr, link->gateway, err);
	if (r >= 0)
		r = creel_rtnl_neigh(nl, ifindex, link->addr, link->guest_mac, err);
	if (r >= 0 && link->six)
		r = six_up(nl, link, ifindex, err);
	if (r < 0)
		return creel_err_add(err, "link %s", link->name);
	*ret_fd = steal_fd(&fd);
	*ret_ifindex = ifindex;
	return 0;
}

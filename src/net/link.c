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
		return creel_err_set(err, errno == EBUSY ? CREEL_E_EXISTS : CREEL_E_OS, errno,
				     "make tap %s", name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "set up tap %s", name);
	return steal_fd(&fd);
}

int creel_link_up(struct creel_rtnl *nl, const struct creel_link *link, int *ret_fd,
		  int *ret_ifindex, struct creel_err *err)
{
	autofd int fd = tap_open(link->name, err);
	int ifindex, r;

	if (fd < 0)
		return fd;
	r = ifindex = creel_rtnl_index(link->name, err);
	if (r >= 0)
		r = creel_rtnl_link_up(nl, ifindex, link->mtu, link->gateway_mac, err);
	if (r >= 0)
		r = creel_rtnl_addr_add(nl, ifindex, link->gateway, 32, err);
	if (r >= 0)
		r = creel_rtnl_host_route(nl, ifindex, link->addr, link->gateway, err);
	if (r >= 0)
		r = creel_rtnl_neigh(nl, ifindex, link->addr, link->guest_mac, err);
	if (r < 0)
		return creel_err_add(err, "link %s", link->name);
	*ret_fd = steal_fd(&fd);
	*ret_ifindex = ifindex;
	return 0;
}

#include "base/cleanup.h"
#include "linux/forward6.h"
#include "net/link.h"
#include "net/netns.h"
#include "net/uplink.h"
#include <errno.h>
#include <linux/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/*
 * IPv6 by the same pair of interfaces. In the cells' namespace it is always whole, so that the filter
 * decides on each packet and tells of it; where this host leads nowhere by IPv6, its end takes none.
 * The two ends know each other by permanent entries: neighbour discovery passes no filter of ours.
 */
enum { PREFIX = 126 };

void creel_uplink6_init(struct creel_uplink *u, const uint8_t ula[6])
{
	u->six = true;
	u->nat6 = creel_ipv6_missing() == NULL;
	u->host6 = (struct in6_addr){0};
	memcpy(u->host6.s6_addr, ula, 6);
	u->host6.s6_addr[6] = u->host6.s6_addr[7] = 0xff;
	u->cells6 = u->host6;
	u->host6.s6_addr[15] = 1;
	u->cells6.s6_addr[15] = 2;
}

static int mac_of(const char *name, uint8_t ret[6], struct creel_err *err)
{
	struct ifreq ifr = {0};
	autofd int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", name);
	if (s < 0 || ioctl(s, SIOCGIFHWADDR, &ifr) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "look at %s", name);
	memcpy(ret, ifr.ifr_hwaddr.sa_data, 6);
	return 0;
}

/* One end of the pair, in the namespace of the calling thread. @p nl  of the same */
static int end_up(const char *name, const struct in6_addr *own, const struct in6_addr *peer,
		  const uint8_t peer_mac[6], bool leads, struct creel_err *err)
{
	static const char *const switches[][2] = {{"addr_gen_mode", "1"}, /* none */
						  {"accept_ra", "0"},
						  {"accept_redirects", "0"},
						  {"disable_ipv6", "0"}};
	struct creel_rtnl nl = {0};
	int index, r = index = creel_rtnl_index(name, err);

	for (size_t i = 0; r >= 0 && i < ELEMENTSOF(switches); i++)
		r = creel_ipv6_set(name, switches[i][0], switches[i][1], err);
	if (r < 0 || (r = creel_rtnl_open(&nl, err)) < 0)
		return r;
	r = creel_rtnl_addr6_add(&nl, index, own, PREFIX, err);
	if (r == 0)
		r = creel_rtnl_neigh6(&nl, index, peer, peer_mac, err);
	if (r == 0 && leads)
		r = creel_rtnl_default6(&nl, index, peer, err);
	creel_rtnl_close(&nl);
	return r;
}

int creel_uplink6_up(const struct creel_uplink *u, int ns_fd, struct creel_err *err)
{
	uint8_t host_mac[6], cells_mac[6];
	int back, r = mac_of(u->host_if, host_mac, err);

	if (r < 0 || (r = creel_netns_enter(ns_fd, &back, err)) < 0)
		return r;
	r = mac_of(CREEL_UPLINK_IF, cells_mac, err);
	if (r == 0)
		r = end_up(CREEL_UPLINK_IF, &u->cells6, &u->host6, host_mac, true, err);
	creel_netns_leave(back);
	if (r == 0 && u->nat6)
		r = end_up(u->host_if, &u->host6, &u->cells6, cells_mac, false, err);
	return r;
}

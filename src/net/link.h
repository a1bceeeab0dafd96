#pragma once
#include "net/rtnl.h"

/*
 * A cell's link: a tap in the namespace of the cells, routed, with no layer 2 that two cells share.
 * The guest has ADDR/32 and an on-link route to the gateway; the namespace has a host route to the
 * tap, the gateway's address on it, and a permanent neighbour entry.
 */
struct creel_link {
	char name[16];		/* interface name, "cl-" and the last octets of the address */
	struct in_addr addr;	/* the guest's, network order */
	struct in_addr gateway; /* ours, network order */
	uint8_t guest_mac[6];
	uint8_t gateway_mac[6];
	uint32_t mtu;
};

/** Fill in name and the MACs (02:00:00:00:HH:LL of the address, gateway 02:01:...), mtu 1500. */
void creel_link_init(struct creel_link *link, struct in_addr addr, struct in_addr gateway);

/**
 * Make the tap and everything of the link, in the calling thread's network namespace. On failure
 * nothing is left: the tap goes with its descriptor.
 *
 * @param ret_fd       the tap (IFF_TAP, IFF_NO_PI, IFF_VNET_HDR with checksum and TSO offloads),
 *                     close-on-exec, for the VMM
 * @return 0, CREEL_E_EXISTS (a tap of that name has an owner), CREEL_E_DENIED (/dev/net/tun), _OS
 */
int creel_link_up(struct creel_rtnl *nl, const struct creel_link *link, int *ret_fd,
		  int *ret_ifindex, struct creel_err *err);

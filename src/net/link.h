#pragma once
#include "net/rtnl.h"

/*
 * A cell's link: a tap in the namespace of the cells, routed, with no layer 2 that two cells share.
 * The guest has ADDR/32 and an on-link route to the gateway; the namespace has a host route to the
 * tap, the gateway's address on it, and a permanent neighbour entry. The tap takes IPv6 too, and has no
 * address for it: where it were off, the kernel would drop it before the filter could tell. A cell that
 * has IPv6 gets the same by it, creel_link_six(): nothing is ever asked or announced on the link.
 */
struct creel_link {
	char name[16];          /* interface name, "cl-" and the last octets of the address */
	struct in_addr addr;    /* the guest's, network order */
	struct in_addr gateway; /* ours, network order */
	uint8_t guest_mac[6];
	uint8_t gateway_mac[6];
	uint32_t mtu;
	bool six; /* it has IPv6, and these: */
	struct in6_addr addr6, gateway6;
};

/** Fill in name and the MACs (02:00:00:00:HH:LL of the address, gateway 02:01:...), mtu 1500. */
void creel_link_init(struct creel_link *link, struct in_addr addr, struct in_addr gateway);

/** 48 bits of a network of unique local addresses (RFC 4193). */
enum { CREEL_ULA = 6 };
/** Give it IPv6: addresses in @p ula that end with the IPv4 ones. */
void creel_link_six(struct creel_link *link, const uint8_t ula[CREEL_ULA]);

/**
 * Make the tap and everything of the link, in the calling thread's network namespace. On failure
 * nothing is left: the tap goes with its descriptor.
 *
 * @param ret_fd       the tap (IFF_TAP, IFF_NO_PI, IFF_VNET_HDR with checksum and TSO offloads),
 *                     close-on-exec, for the VMM
 * @return 0, CREEL_E_EXISTS (a tap of that name has an owner), CREEL_E_DENIED (/dev/net/tun), _OS
 */
int creel_link_up(struct creel_rtnl *nl, const struct creel_link *link, int *ret_fd, int *ret_ifindex,
		  struct creel_err *err);

/** Set net.ipv6.conf.NAME.WHAT. @return 0, CREEL_E_NOTFOUND (no such interface, or no IPv6), CREEL_E_OS */
int creel_ipv6_set(const char *name, const char *what, const char *value, struct creel_err *err);

#pragma once
#include "base/err.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The few things that a routed point-to-point link needs of rtnetlink(7): no `ip` process, and each
 * request is acknowledged by the kernel before the call returns. All act in the network namespace
 * in which the socket was opened.
 */
struct creel_rtnl {
	struct mnl_socket *sock;
	uint32_t seq;
};

int creel_rtnl_open(struct creel_rtnl *nl, struct creel_err *err);
/** NULL is allowed. */
void creel_rtnl_close(struct creel_rtnl *nl);

/** @return the interface's index (1 or more), CREEL_E_NOTFOUND, CREEL_E_OS */
int creel_rtnl_index(const char *name, struct creel_err *err);

/** Bring an interface up; @p mtu 0 leaves it; @p mac NULL leaves it (6 octets otherwise). */
int creel_rtnl_link_up(struct creel_rtnl *nl, int ifindex, uint32_t mtu, const uint8_t *mac,
		       struct creel_err *err);
/** Delete an interface. @return 0, CREEL_E_NOTFOUND, CREEL_E_OS */
int creel_rtnl_link_del(struct creel_rtnl *nl, int ifindex, struct creel_err *err);
/** Add an IPv4 address (network order); one that is there already is no error. */
int creel_rtnl_addr_add(struct creel_rtnl *nl, int ifindex, struct in_addr addr, uint8_t prefix,
			struct creel_err *err);
/** The same by IPv6, without asking on the link whether somebody has it. */
int creel_rtnl_addr6_add(struct creel_rtnl *nl, int ifindex, const struct in6_addr *addr, uint8_t prefix,
			 struct creel_err *err);
/** Replace the host route to @p dst by @p ifindex (scope link, source address @p src). */
int creel_rtnl_host_route(struct creel_rtnl *nl, int ifindex, struct in_addr dst, struct in_addr src,
			  struct creel_err *err);
int creel_rtnl_host_route6(struct creel_rtnl *nl, int ifindex, const struct in6_addr *dst,
			   struct creel_err *err);
/** Replace the neighbour entry by a permanent one, so that no guest can change it by ARP. */
int creel_rtnl_neigh(struct creel_rtnl *nl, int ifindex, struct in_addr addr, const uint8_t mac[6],
		     struct creel_err *err);
int creel_rtnl_neigh6(struct creel_rtnl *nl, int ifindex, const struct in6_addr *addr, const uint8_t mac[6],
		      struct creel_err *err);
/** Replace the default route (IPv4) by one through @p via. */
int creel_rtnl_default(struct creel_rtnl *nl, int ifindex, struct in_addr via, struct creel_err *err);
int creel_rtnl_default6(struct creel_rtnl *nl, int ifindex, const struct in6_addr *via,
			struct creel_err *err);
/** Make a pair of veth interfaces, @p peer in another namespace. @return 0, CREEL_E_OS */
int creel_rtnl_veth(struct creel_rtnl *nl, const char *name, const char *peer, int peer_ns,
		    struct creel_err *err);

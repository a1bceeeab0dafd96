#pragma once
#include "net/nft.h"
#include "net/rtnl.h"

/*
 * The way out of the cells' namespace on a machine where we are root: a pair of veth interfaces between
 * it and the host's namespace (the caller's), with addresses of 169.254/16, which no cell can ever
 * reach, and one table of the host's own, `inet creel-KEY`:
 *
 *   pre       from our interface to an address of this host, whatever it is: drop, before any DNAT
 *   input     from our interface: drop
 *   forward   to our interface: answers to what went out; drop. Where we turned an interface's
 *             forwarding on, it forwards for us alone
 *   post      our packets leave with the host's address
 *
 * Nothing else of the host's firewall is touched: where that drops forwarded packets, they are dropped.
 */
struct creel_uplink {
	char table[32];
	char host_if[16]; /* "creel-" and the key */
	struct in_addr host, cells;
	int run_fd; /* borrowed: the folder whose file `uplink` says what is to be put back */
};
#define CREEL_UPLINK_IF "up0" /* its end in the cells' namespace */

/** @param key  8 hexadecimal digits that tell this state folder from others on the same host */
void creel_uplink_init(struct creel_uplink *u, const char key[9], int run_fd);

/**
 * Make what is missing of it. May be called again: what stands and carries flows is left standing.
 *
 * @param ns_fd  the cells' namespace; the calling thread is in it for a moment
 * @return 0, CREEL_E_OS, CREEL_E_NOMEM
 */
int creel_uplink_up(const struct creel_uplink *u, int ns_fd, struct creel_err *err);
/** Remove all of it. What is not there is passed over. */
int creel_uplink_down(const struct creel_uplink *u, struct creel_err *err);

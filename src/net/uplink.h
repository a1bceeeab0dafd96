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
 *   forward   to our interface: answers to what went out; drop. What comes in by an interface that
 *             forwards only because of creel goes to a chain of its own, opened-IFNAME: answers to what
 *             went out, to whomever, and what the host's own rules gave another destination; drop
 *   post      our packets leave with the host's address
 *
 * By IPv6 the same, creel_uplink6_init(), where the host itself has a route and forwards.
 *
 * Nothing else of the host's firewall is touched: where that drops forwarded packets, they are dropped.
 */
struct creel_uplink {
	char table[32];
	char host_if[16]; /* "creel-" and the key */
	struct in_addr host, cells;
	bool six;  /* a cell has IPv6: */
	bool nat6; /* and this host takes it further */
	struct in6_addr host6, cells6;
	int run_fd; /* borrowed: the folder whose file `uplink` says what is to be put back */
};
#define CREEL_UPLINK_IF "up0" /* its end in the cells' namespace */

/** @param key  8 hexadecimal digits that tell this state folder from others on the same host */
void creel_uplink_init(struct creel_uplink *u, const char key[9], int run_fd);

/** Add IPv6, by the ends of the cells' own network of 48 bits; then creel_uplink_up(), again. */
void creel_uplink6_init(struct creel_uplink *u, const uint8_t ula[6]);

/**
 * Make what is missing of it. May be called again: what stands and carries flows is left standing.
 *
 * @param ns_fd  the cells' namespace; the calling thread is in it for a moment
 * @return 0, CREEL_E_OS, CREEL_E_NOMEM
 */
int creel_uplink_up(const struct creel_uplink *u, int ns_fd, struct creel_err *err);
/** To be called when the host's forwarding or its routes changed: a host that forwards for itself by now is
 *  not held back any more, and an interface that has a default route now forwards for us. */
int creel_uplink_again(const struct creel_uplink *u, struct creel_err *err);
/** Remove all of it. What is not there is passed over. An interface goes on forwarding where another
 *  creeld, or the host, counts on it by now. */
int creel_uplink_down(const struct creel_uplink *u, struct creel_err *err);
/** For creel_uplink_up(): IPv6 by the pair that stands. */
int creel_uplink6_up(const struct creel_uplink *u, int ns_fd, struct creel_err *err);

#pragma once
#include "policy/egress.h"
#include <netinet/in.h>

/*
 * The packet filter of the cells' namespace: one table, `inet creel`, written by netlink in atomic
 * batches, without an nft process. Input, forward and output drop what no rule names.
 *
 *   pre       (before conntrack) a cell's packets have its own source address and MAC, or are dropped,
 *             IPv6 too (its tap takes it, see creel_link_up()); a cell that has IPv6 has one address of it
 *   forward   established flows pass, and ICMP errors from the uplink about them; a packet from a
 *             cell's tap goes to that cell's chain; drop
 *   CELL      packets of no flow; a bound on its flows; `never`; other cells that it may reach; denied networks; the
 *             cells' own network; its declared private networks; `private`; its other networks; its
 *             pins (a set of address, protocol and port, each with its own end); mode open: accept; drop
 *   never     this host, link-local with the metadata service, multicast, reserved: drop
 *   private   private ranges: drop. No pin and no wide network stands before it
 *   input     established; lo; from a cell: port 53 of its gateway, and what was redirected; drop
 *   output    established; lo; a cell's resolver: its upstreams; its creel-flow: its names' pins; its
 *             broker: the declared ports of what is public; drop
 *   names     (nat) a new TCP connection to a pin of a name that is checked in its TLS hello or HTTP
 *             head is redirected to the cell's creel-flow
 *
 * With a log group, what is let out, let to another cell or dropped goes by a chain of its own (CELL.ok,
 * CELL.reach, CELL.no) that tells NFLOG, a new flow once and a dropped packet each time, and counts.
 *
 * A cell's policy can be written anew at any time: its chain is replaced in one batch and its pins
 * stay as they are.
 */
struct creel_nft {
	struct mnl_socket *sock;
	uint32_t seq;
	char *buf; /* one batch */
};

int creel_nft_open(struct creel_nft *nft, struct creel_err *err);
/** NULL is allowed. */
void creel_nft_close(struct creel_nft *nft);

/**
 * Table, base chains, `never` and `private`.
 * @return 0, CREEL_E_EXISTS (it is there, as a whole), CREEL_E_OS
 */
int creel_nft_table(struct creel_nft *nft, const char *uplink, struct creel_err *err);
/** Remove the table. @return 0, also when there was none */
int creel_nft_remove(struct creel_nft *nft, struct creel_err *err);

struct creel_nft_reach {
	struct in_addr addr; /* or, if that is not ::, addr6 */
	struct in6_addr addr6;
	uint16_t port;
	char link[16]; /* by this interface alone; "": by any */
};

struct creel_nft_cell {
	const char *link; /* the tap's name; at most 15 octets; names the cell's chain and set */
	struct in_addr addr, gateway;
	uint8_t mac[6];                  /* the guest's */
	bool six;                        /* it has IPv6: */
	struct in6_addr addr6, gateway6; /* of a network of 48 bits that is all cells' */
	const struct creel_policy *policy;
	const struct creel_nft_reach *reach;
	size_t n_reach;
	uid_t dns_uid;                           /* of the cell's resolver; 0: it has none */
	const struct creel_nft_reach *resolvers; /* that it may ask; none: port 53 of all that is public */
	size_t n_resolvers;
	uid_t flow_uid;     /* of its creel-flow, */
	uint16_t flow_port; /* which listens here, on its link; 0: names are not checked but in the DNS */
	uid_t front_uid;  /* of what faces the guest on port 80 of its gateway, and may ask the resolvers; */
	uid_t broker_uid; /* of what speaks to the hosts of its brokers, on */
	uint16_t broker_ports[8];
	size_t n_broker_ports; /* these; none: it has no broker */
	bool intercepts;       /* what faces the guest is on port 443, too */
	uint16_t log_group;    /* of NFLOG, its own; 0: nothing is told */
};

/** What NFLOG's messages of a cell's group begin with. */
#define CREEL_NFT_LOG_ALLOW "allow"
#define CREEL_NFT_LOG_REACH "reach"
#define CREEL_NFT_LOG_DENY  "deny"
#define CREEL_NFT_LOG_TICK  "tick" /* creel-flowlog's own: a UDP packet to port log_group of loopback */

/** Add a cell that is not there yet: its set, its chain, the ways to it. Its tap may come later. */
int creel_nft_cell_add(struct creel_nft *nft, const struct creel_nft_cell *cell, struct creel_err *err);
/** Remove what creel_nft_cell_add() made, of a cell with or without IPv6; policy, reach and resolvers are not
 *  looked at. */
int creel_nft_cell_remove(struct creel_nft *nft, const struct creel_nft_cell *cell, struct creel_err *err);

/** One element of a cell's pins. */
struct creel_nft_edit {
	struct in_addr addr; /* or, if that is not ::, addr6 */
	struct creel_opening opening;
	const char *name; /* what resolved to it: kept beside it, and shown by nft(8) as a comment */
	uint32_t ttl;     /* seconds from now; 0: it is removed, if it is there */
	struct in6_addr addr6;
};

/**
 * Write a cell's policy anew, in one batch with the pins that it makes or ends; other pins stay.
 * @return 0, CREEL_E_NOTFOUND, CREEL_E_TOOBIG (too many edits for one batch), CREEL_E_OS
 */
int creel_nft_cell_change(struct creel_nft *nft, const struct creel_nft_cell *cell,
			  const struct creel_nft_edit *edits, size_t n_edits, struct creel_err *err);

/**
 * Put elements into a cell's set, or take them out, all in one batch: so many names at once cost little
 * more than one. At most 512.
 * @return as creel_nft_pin()
 */
int creel_nft_pin_all(struct creel_nft *nft, const char *link, const struct creel_nft_edit *edits, size_t n,
		      struct creel_err *err);

/**
 * Put @p n addresses that @p name resolved to into a cell's set for each opening, until @p ttl seconds
 * from now; one that is there gets the new end.
 * @return 0, CREEL_E_NOTFOUND (no such cell), CREEL_E_TOOBIG, CREEL_E_OS
 */
int creel_nft_pin(struct creel_nft *nft, const char *link, const char *name, const struct in_addr *addrs,
		  size_t n, const struct creel_opening *openings, size_t n_openings, uint32_t ttl,
		  struct creel_err *err);
/**
 * How many packets a cell's rules have told NFLOG of since it was added: first ones of flows, dropped ones.
 * @return 0, CREEL_E_NOTFOUND (no such cell, or one that is not told), CREEL_E_BUSY (the filter changed meanwhile),
 *         CREEL_E_OS
 */
int creel_nft_told(struct creel_nft *nft, const char *link, uint64_t *ret, struct creel_err *err);
/** What is pinned, an element a call: for who did not write it. IPv4 is mapped. @return 0, CREEL_E_OS */
int creel_nft_pins(struct creel_nft *nft, const char *link,
		   void (*each)(void *ctx, const char *name, const uint8_t addr[16], uint32_t ttl), void *ctx,
		   struct creel_err *err);

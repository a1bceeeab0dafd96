#pragma once
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

/*
 * creel-dns and its two peers, each over a SOCK_SEQPACKET socket, in messages of one size: the
 * monitor, which alone writes a cell's address set, and the engine, which keeps the record and the
 * approvals. creel-dns serves one cell, so no message names it: the socket does.
 */
enum { CREEL_DNSMSG_ADDRS = 32, CREEL_DNSMSG = 28 + 256 + 16 * CREEL_DNSMSG_ADDRS };

enum creel_dnsmsg_type {
	/* creel-dns to the monitor, and back with the same id */
	CREEL_DNSMSG_PIN = 1, /* id, name, ttl (s), addrs: put them into the set */
	CREEL_DNSMSG_PINNED,  /* id, result: 0 or a negative enum creel_code */
	/* the monitor to creel-dns, with a sealed memfd: the policy from now on (policy/policytext.h) */
	CREEL_DNSMSG_POLICY,
	/* the same with lines `host ADDRESS`: the addresses that this host has from now on */
	CREEL_DNSMSG_HOSTS,
	/* creel-dns to the engine */
	CREEL_DNSMSG_QUERY = 16, /* answered: name, qtype, rcode, addrs, ms, ttl */
	CREEL_DNSMSG_REFUSE,	 /* refused: name, qtype, rcode, why, line */
	CREEL_DNSMSG_ASK,	 /* id, name, qtype: an approval is wanted */
	CREEL_DNSMSG_TUNNEL,	 /* name: a registrable domain, count: names below it that differ, ms: s of the window */
	CREEL_DNSMSG_LOST,	 /* count: so many of these could not be sent before */
	/* the engine to creel-dns */
	CREEL_DNSMSG_APPROVAL = 32, /* id, count: the approval's number, which the cell is told */
	CREEL_DNSMSG_GRANT,	    /* name, ttl: seconds for which it counts as allowed, 0: no more */
};

struct creel_dnsmsg {
	uint8_t type, rcode, why, n_addrs;
	uint16_t qtype;
	uint32_t id, ttl, ms, line, count;
	int32_t result;
	char name[256];
	uint8_t addr[CREEL_DNSMSG_ADDRS][16]; /* IPv4 as ::ffff:a.b.c.d */
};

void creel_dnsmsg_encode(const struct creel_dnsmsg *m, uint8_t buf[CREEL_DNSMSG]);
/** @return 0, CREEL_E_PROTO */
int creel_dnsmsg_decode(const uint8_t *buf, size_t len, struct creel_dnsmsg *ret,
			struct creel_err *err);

#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * creel-dns and its two peers, each over a SOCK_SEQPACKET socket: the monitor, which alone writes a cell's
 * address set, and the engine, which keeps the record and the approvals. creel-dns serves one cell, so no
 * message names it: the socket does. A packet holds one message or more, one behind the other, at most
 * CREEL_DNSMSG_AT_ONCE and CREEL_DNSMSG_PACKET octets; a message with a descriptor stands alone.
 *
 * Shape: 32 octets, little endian, then the name, 16 octets an address, and a chain of names.
 */
enum {
	CREEL_DNSMSG_ADDRS = 32,
	CREEL_DNSMSG_CHAIN = 1024,
	CREEL_DNSMSG_FIXED = 32,
	CREEL_DNSMSG_MAX = CREEL_DNSMSG_FIXED + 255 + 16 * CREEL_DNSMSG_ADDRS + CREEL_DNSMSG_CHAIN - 1,
	CREEL_DNSMSG_AT_ONCE = 32,
	CREEL_DNSMSG_PACKET = 16384,
};

enum creel_dnsmsg_type {
	/* creel-dns to the monitor, and back with the same id */
	CREEL_DNSMSG_PIN = 1, /* id, name, ttl (s), addrs: put them into the set */
	CREEL_DNSMSG_PINNED,  /* id, result: 0 or a negative enum creel_code */
	/* the monitor to creel-dns, with a sealed memfd: the policy from now on (policy/policytext.h) */
	CREEL_DNSMSG_POLICY,
	/* the same with lines `host ADDRESS`: the addresses that this host has from now on */
	CREEL_DNSMSG_HOSTS,
	/* creel-dns to the engine */
	CREEL_DNSMSG_QUERY = 16, /* answered: name, qtype, rcode, addrs, ms, ttl, chain */
	CREEL_DNSMSG_REFUSE,     /* refused: name, qtype, rcode, why, line, chain */
	CREEL_DNSMSG_ASK,        /* id, name, qtype: an approval is wanted */
	CREEL_DNSMSG_TUNNEL, /* name: a registrable domain, count: names below it that differ, ms: s of the window */
	CREEL_DNSMSG_LOST, /* count: so many of these could not be sent before */
	/* the engine to creel-dns */
	CREEL_DNSMSG_APPROVAL = 32, /* id, count: the approval's number, which the cell is told (0: there
				       are too many), rcode: what was said, enum creel_dnsmsg_word */
	CREEL_DNSMSG_GRANT,         /* name, ttl: seconds for which it counts as allowed, 0: no more */
};

/* A REFUSE's why: enum creel_why where the policy said no, else one of these. */
enum creel_dnsmsg_why {
	CREEL_DNSMSG_WHY_TYPE = 64, /* a type or class of query that is not answered */
	CREEL_DNSMSG_WHY_NAME,      /* no host has such a name */
	CREEL_DNSMSG_WHY_TUNNEL,    /* too many names below one domain */
	CREEL_DNSMSG_WHY_FORGED,    /* DNSSEC says so */
	CREEL_DNSMSG_WHY_UPSTREAM,  /* no resolver answered */
	CREEL_DNSMSG_WHY_ANSWER,    /* its answer is not well-formed, or too long to be recorded */
	CREEL_DNSMSG_WHY_PIN,       /* the address set was not written */
};

enum creel_dnsmsg_word { CREEL_DNSMSG_PENDING, CREEL_DNSMSG_DENIED, CREEL_DNSMSG_GRANTED };

struct creel_dnsmsg {
	uint8_t type, rcode, why, n_addrs;
	uint16_t qtype;
	uint32_t id, ttl, ms, line, count;
	int32_t result;
	char name[256];
	uint8_t addr[CREEL_DNSMSG_ADDRS][16]; /* IPv4 as ::ffff:a.b.c.d */
	char chain[CREEL_DNSMSG_CHAIN]; /* the names that the asked one is an alias of, blanks between */
};

/** @return octets written */
size_t creel_dnsmsg_encode(const struct creel_dnsmsg *m, uint8_t buf[CREEL_DNSMSG_MAX]);
/**
 * The message at @p at of a packet, which moves behind it.
 * @return 1, 0 (there is none left), CREEL_E_PROTO
 */
int creel_dnsmsg_next(const uint8_t *buf, size_t len, size_t *at, struct creel_dnsmsg *ret,
		      struct creel_err *err);

/** Messages to be sent together; starts as zeroes. */
struct creel_dnsmsg_packet {
	size_t len;
	unsigned n;
	uint8_t buf[CREEL_DNSMSG_PACKET];
};
/** @return false: no room, what is there is to be sent first */
bool creel_dnsmsg_put(struct creel_dnsmsg_packet *p, const struct creel_dnsmsg *m);

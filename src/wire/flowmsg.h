#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Messages about flows, over SOCK_SEQPACKET sockets: from the monitor to creel-flow and creel-flowlog
 * (what resolved to what, policies, sockets), and from these two to the engine (what flowed). A packet
 * holds one message or more, one behind the other, at most CREEL_FLOWMSG_PACKET octets; a message with
 * a descriptor stands alone.
 *
 * Shape: 104 octets, little endian, then the cell's name, the other name, and 16 octets an address.
 */
enum {
	CREEL_FLOWMSG_ADDRS = 32,
	CREEL_FLOWMSG_FIXED = 104,
	CREEL_FLOWMSG_MAX = CREEL_FLOWMSG_FIXED + 32 + 253 + 16 * CREEL_FLOWMSG_ADDRS,
	CREEL_FLOWMSG_PACKET = 16384,
};

enum creel_flowmsg_type {
	/* the monitor to creel-flow, and to creel-flowlog with the cell's name */
	CREEL_FLOWMSG_PIN = 1, /* name, ttl (s), granted, addrs: the name resolved to these */
	CREEL_FLOWMSG_UNPIN,   /* name: no more; its flows are cut */
	CREEL_FLOWMSG_POLICY,  /* creel-flow; with a sealed memfd: the cell's policy from now on */
	CREEL_FLOWMSG_EVENTS,  /* with a socket: the engine's new end */
	CREEL_FLOWMSG_CELL,    /* creel-flowlog; cell, src: its address, dst: its gateway's, addrs: the
				  same by IPv6, if it has it, dport: its NFLOG group; with that group's socket */
	CREEL_FLOWMSG_GONE,    /* creel-flowlog; cell: it is no more */
	/* to the engine */
	CREEL_FLOWMSG_ALLOW = 16, /* cell, proto, src, dst, ports, name, way, line, reach */
	CREEL_FLOWMSG_DENY,       /* the same and reason; count: packets, when more than one */
	CREEL_FLOWMSG_END,        /* the same, octets and packets each way, ms: how long it lived */
	CREEL_FLOWMSG_LOST,       /* cell, count: so many were not told; way: CREEL_FLOWMSG_END when they
				     were ends, else 0: flows that were let out and packets refused */
};

/** Why a flow was refused, or what ended one. */
enum creel_flow_reason {
	CREEL_FLOW_OK,
	CREEL_FLOW_FILTER,   /* the packet filter: no rule and no pin has this address and port */
	CREEL_FLOW_POLICY,   /* the name is not allowed on this port */
	CREEL_FLOW_PIN,      /* the name did not resolve to this address */
	CREEL_FLOW_NO_NAME,  /* a TLS hello without a name */
	CREEL_FLOW_ECH,      /* an encrypted hello: the name cannot be known */
	CREEL_FLOW_HELLO,    /* not a well-formed TLS hello */
	CREEL_FLOW_RENAMED,  /* the second hello (after a retry request) names another */
	CREEL_FLOW_REQUEST,  /* not a well-formed HTTP request */
	CREEL_FLOW_HOST,     /* Host has another port than the connection */
	CREEL_FLOW_UPGRADE,  /* it asks to leave HTTP for what is not a websocket */
	CREEL_FLOW_TIMEOUT,  /* no whole hello or request head in time */
	CREEL_FLOW_CLOSED,   /* ended before it said a name */
	CREEL_FLOW_BUSY,     /* too many at once */
	CREEL_FLOW_UPSTREAM, /* the server could not be reached */
	CREEL_FLOW_RESET,    /* one side reset it */
	CREEL_FLOW_IDLE,     /* nothing was sent for too long */
	CREEL_FLOW_CUT,      /* its permission was withdrawn */
	CREEL_FLOW_DIRECT,   /* it came to creel-flow's own port, not by the filter's redirect */
	CREEL_FLOW_STOPPED,  /* creel-flow was ended */
	CREEL_FLOW_REASONS,
};
/** Words for the record, such as "no-name"; "unknown" when there is none. */
const char *creel_flow_reason_name(unsigned reason);

struct creel_flowmsg {
	uint8_t type;   /* enum creel_flowmsg_type */
	uint8_t proto;  /* IPPROTO_* */
	uint8_t way;    /* enum creel_way of the entry that allowed it */
	uint8_t reason; /* enum creel_flow_reason */
	bool reach;     /* to another cell */
	bool granted;   /* PIN: a human allowed the name, no entry */
	uint8_t n_addrs;
	uint16_t sport, dport;
	uint32_t ttl, ms, line;
	uint64_t bytes_out, bytes_in, packets_out, packets_in, count; /* out: from the cell */
	uint8_t src[16], dst[16];                                     /* IPv4 as ::ffff:a.b.c.d */
	char cell[33], name[254];
	uint8_t addr[CREEL_FLOWMSG_ADDRS][16];
};

/** @return the octets written: at most CREEL_FLOWMSG_MAX */
size_t creel_flowmsg_encode(const struct creel_flowmsg *m, uint8_t *buf);
/**
 * The next message of a packet.
 * @param at  where it begins; moved behind it
 * @return 1 a message, 0 the packet's end, CREEL_E_PROTO
 */
int creel_flowmsg_next(const uint8_t *buf, size_t len, size_t *at, struct creel_flowmsg *ret,
		       struct creel_err *err);

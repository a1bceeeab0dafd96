#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What nfnetlink sends (linux/netfilter/nfnetlink_log.h, nfnetlink_conntrack.h): packets that a rule
 * told NFLOG of, and flows that have ended. The messages are the kernel's, the packet in them is a
 * guest's.
 */
enum creel_nfnet_type {
	CREEL_NFNET_OTHER, /* another message, an acknowledgement */
	CREEL_NFNET_PACKET,
	CREEL_NFNET_FLOW, /* of a list, or one that conntrack has forgotten */
};

struct creel_nfnet {
	enum creel_nfnet_type type;
	uint8_t family;           /* 4, 6; 0: neither, or too short to say */
	uint8_t proto;            /* IPPROTO_* */
	uint16_t sport, dport;    /* 0: none, or not the first fragment */
	uint8_t src[16], dst[16]; /* IPv4 as ::ffff:a.b.c.d; of a flow: as it began */
	/* a packet */
	char prefix[16];
	uint32_t seq; /* of its group */
	/* a flow */
	uint32_t status;               /* IPS_* */
	uint64_t packets[2], bytes[2]; /* there, and back */
	uint64_t start, stop;          /* ns since 1970; 0: not known */
};

/**
 * The next message of a datagram.
 * @return 1 a message, 0 the end, CREEL_E_PROTO (cut or malformed)
 */
int creel_nfnet_next(const uint8_t *buf, size_t len, size_t *at, struct creel_nfnet *ret,
		     struct creel_err *err);

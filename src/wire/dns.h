#pragma once
#include "base/buf.h"

/*
 * DNS messages (RFC 1035, 6891, 8914): what a guest asks, what an upstream answered, and what we
 * answer. Everything read is untrusted; a name's compression pointers only ever point backwards, so
 * each name ends; what is written carries no compression but the question's own name.
 */
#define CREEL_DNS_MAX 65535

enum creel_dns_type {
	CREEL_DNS_A = 1,
	CREEL_DNS_NS = 2,
	CREEL_DNS_CNAME = 5,
	CREEL_DNS_SOA = 6,
	CREEL_DNS_PTR = 12,
	CREEL_DNS_MX = 15,
	CREEL_DNS_TXT = 16,
	CREEL_DNS_AAAA = 28,
	CREEL_DNS_SRV = 33,
	CREEL_DNS_DNAME = 39,
	CREEL_DNS_OPT = 41,
	CREEL_DNS_RRSIG = 46,
	CREEL_DNS_NSEC = 47,
	CREEL_DNS_NSEC3 = 50,
	CREEL_DNS_SVCB = 64,
	CREEL_DNS_HTTPS = 65,
	CREEL_DNS_ANY = 255,
};
enum creel_dns_rcode {
	CREEL_DNS_NOERROR = 0,
	CREEL_DNS_FORMERR = 1,
	CREEL_DNS_SERVFAIL = 2,
	CREEL_DNS_NXDOMAIN = 3,
	CREEL_DNS_NOTIMP = 4,
	CREEL_DNS_REFUSED = 5,
};
/* RFC 8914 */
enum creel_dns_ede {
	CREEL_EDE_NONE = -1,
	CREEL_EDE_OTHER = 0,
	CREEL_EDE_BLOCKED = 15,
	CREEL_EDE_FILTERED = 17,
	CREEL_EDE_PROHIBITED = 18,
	CREEL_EDE_NETWORK = 23,
};

/** Lower case, dots between labels, none at the end; "" is the root; odd octets as \DDD. */
struct creel_dns_name {
	char text[1024];
};

struct creel_dns_query {
	uint16_t id;
	uint8_t opcode;
	bool rd, cd;
	struct creel_dns_name name;
	uint16_t type;
	uint16_t class;
	uint8_t question[260]; /* as asked, its letters' case kept */
	size_t question_len;
	bool edns;
	bool dnssec_ok;
	uint16_t udp_size; /* what the asker takes by UDP: 512 or more */
};

/**
 * Read a query: one question, no answers, at most one OPT.
 *
 * @return 0; CREEL_E_TRUNC (under 12 octets: no answer is possible), CREEL_E_PROTO (it is itself an
 * answer: none may be given), CREEL_E_UNSUPP (another opcode or EDNS version), CREEL_E_SYNTAX
 */
int creel_dns_query_parse(const uint8_t *msg, size_t len, struct creel_dns_query *ret_query,
			  struct creel_err *err);

struct creel_dns_rr {
	uint8_t section; /* 1 answer, 2 authority, 3 additional */
	struct creel_dns_name name;
	uint16_t type;
	uint16_t class;
	uint32_t ttl;
	const uint8_t *rdata; /* in the message */
	uint16_t rdlen;
};
/** A walk over a message's records; the fields are the walk's own. */
struct creel_dns_walk {
	const uint8_t *msg;
	size_t len, at;
	uint16_t left[4];
	uint8_t rcode;
	bool ad;
};

/** @return 0, CREEL_E_TRUNC, CREEL_E_SYNTAX */
int creel_dns_walk_init(struct creel_dns_walk *w, const uint8_t *msg, size_t len, struct creel_err *err);
/** @return 1 a record, 0 the end, CREEL_E_TRUNC, CREEL_E_SYNTAX */
int creel_dns_walk_next(struct creel_dns_walk *w, struct creel_dns_rr *ret_rr, struct creel_err *err);

/**
 * Read a name at @p *at, following compression.
 * @param at  moved behind the name as it stands there
 * @return 0, CREEL_E_TRUNC, CREEL_E_SYNTAX, CREEL_E_TOOBIG (over 255 octets)
 */
int creel_dns_name_read(const uint8_t *msg, size_t len, size_t *at, struct creel_dns_name *ret_name,
			struct creel_err *err);

/** An answer without records. @p text may be NULL; it is cut at 255 octets. */
int creel_dns_reply(const struct creel_dns_query *q, enum creel_dns_rcode rcode, enum creel_dns_ede ede,
		    const char *text, struct creel_buf *out, struct creel_err *err);

/**
 * An answer to a message that creel_dns_query_parse() refused: its header alone, @p rcode.
 * @return 0, CREEL_E_TRUNC, CREEL_E_TOOBIG, CREEL_E_NOMEM
 */
int creel_dns_reply_malformed(const uint8_t *msg, size_t len, enum creel_dns_rcode rcode,
			      struct creel_buf *out, struct creel_err *err);

/**
 * Answer @p q with the records of @p up, an upstream's answer to the same question: answer and
 * authority sections, DNSSEC records only when asked for, SVCB and HTTPS without `ech`
 * and address hints (then without AD and signatures), TTLs of at most @p max_ttl.
 *
 * @param secure  the answer was validated: AD is set for who asked for DNSSEC
 * @return 0, CREEL_E_TRUNC, CREEL_E_SYNTAX, CREEL_E_TOOBIG, CREEL_E_NOMEM
 */
int creel_dns_reply_copy(const struct creel_dns_query *q, const uint8_t *up, size_t up_len, bool secure,
			 uint32_t max_ttl, struct creel_buf *out, struct creel_err *err);

/**
 * Fit a finished answer into @p max octets: when it is longer, question and OPT alone, with TC.
 */
int creel_dns_truncate(const struct creel_dns_query *q, size_t max, struct creel_buf *out,
		       struct creel_err *err);

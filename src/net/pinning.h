#pragma once
#include "net/nft.h"
#include "policy/pins.h"
#include "wire/dnsmsg.h"
#include "wire/flowmsg.h"

/*
 * The pins that a creel-dns asks for: whether they are the cell's to have, the kernel's set, and then who
 * else must know. The same code in the monitor, in the tests and under bench/dns.
 *
 * What does not fit is refused: over the names and addresses of `pins`, or over the set's declared size.
 * creel-dns then answers SERVFAIL, and that is on the record.
 */
enum { CREEL_PINNING_MAX = 64 }; /* messages at once */

struct creel_pinning {
	struct creel_nft *nft;
	const char *link;
	bool six; /* the cell has IPv6 */
	const struct creel_policy *policy;
	struct creel_pins *pins;
	/** It is in the set: tell creel-flow. @return 0, or what the asker is told */
	int (*told)(void *ctx, const struct creel_dnsmsg *m, bool granted, struct creel_err *err);
	/** Why some were refused. */
	void (*refused)(void *ctx, const struct creel_err *err);
	void *ctx;
};

/** What the filter is told of an address that is pinned (base/mapped.h). */
struct creel_nft_edit creel_pinning_edit(const uint8_t addr[16], const struct creel_opening *o,
					 const char *name, uint32_t ttl);

/** What a creel-flow is told of a pin, or creel-flowlog, which is told the cell's name too (else NULL). */
struct creel_flowmsg creel_pinning_flowmsg(const struct creel_dnsmsg *pin, const char *cell, bool granted);

/**
 * Pin what @p m asks for, all of it in one batch, or in as many as it needs.
 * @param now     monotonic seconds
 * @param result  of each: 0, or a negative enum creel_code
 * @param n       at most CREEL_PINNING_MAX
 */
void creel_pinning_write(const struct creel_pinning *p, const struct creel_dnsmsg *m, int *result, size_t n,
			 int64_t now);

/**
 * Tell a creel-flow or creel-flowlog that has just started (wire/flowmsg.h) every pin that has not ended,
 * a message for so many addresses of a name. The set itself knows when each ends: a name's addresses are
 * told with the latest of their ends.
 *
 * @param cell      that the messages are of; NULL: creel-flow has but one
 * @param ret_left  addresses that did not go in, as the socket was full
 * @return 0, CREEL_E_CLOSED, CREEL_E_OS
 */
int creel_pinning_replay(const struct creel_pins *pins, const char *cell, int fd, int64_t now,
			 size_t *ret_left, struct creel_err *err);

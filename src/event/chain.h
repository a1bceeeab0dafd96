#pragma once
#include "base/buf.h"
#include "wire/event.h"

/*
 * One line of the record and how it holds on to the one before: no blanks between tokens, keys in
 * this order: seq, time, cell, kind, by, the kind's own, prev, hash. `hash` is BLAKE2b-256 over the
 * 32 octets of the previous line's hash (zeros at first) and the line's octets before `,"hash"`.
 */
enum { CREEL_HASH = 32, CREEL_LINE_MAX = 256 * 1024 };

struct creel_link_state {
	uint64_t seq; /* of the last line; 0 before the first */
	uint8_t hash[CREEL_HASH];
};

/**
 * Append the line of @p e, its newline included, and move @p state on to it.
 * @param time_ns  since the epoch
 */
int creel_chain_append(struct creel_link_state *state, const struct creel_event *e, uint64_t time_ns,
		       struct creel_buf *out, struct creel_err *err);

/**
 * Check one line (without its newline) against the state, and move the state on.
 * @return 0, CREEL_E_SYNTAX (not a line of a record), CREEL_E_BROKEN (its hash, its number or its
 *         predecessor is not what it should be; err says which)
 */
int creel_chain_check(struct creel_link_state *state, const uint8_t *line, size_t len, struct creel_err *err);

/** Read seq and hash of a line without checking the chain. @return 0, CREEL_E_SYNTAX */
int creel_chain_peek(const uint8_t *line, size_t len, struct creel_link_state *ret, struct creel_err *err);

#pragma once
#include "event/chain.h"

struct creel_verify {
	struct creel_link_state at; /* the last good line */
	uint64_t lines;
	bool head_seen;    /* there is a signed head and the chain passes through it */
	uint64_t head_seq; /* lines after it are not proved by a signature */
	char file[32];     /* of the first bad line */
	uint64_t line;     /* its number in that file, from 1 */
};

/**
 * Check a whole record: every line of events-000001.jsonl … events.jsonl against the one before, and
 * the chain against the head.
 *
 * @param head  where the chain must pass through, or NULL: then a cut tail cannot be found
 * @return 0, CREEL_E_BROKEN or CREEL_E_SYNTAX (ret->file, ret->line and err say where and what),
 *         CREEL_E_NOTFOUND (no record), CREEL_E_OS. @p ret is filled in in every case.
 */
int creel_verify(int dirfd, const struct creel_link_state *head, struct creel_verify *ret,
		 struct creel_err *err);

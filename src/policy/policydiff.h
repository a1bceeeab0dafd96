#pragma once
#include "base/buf.h"
#include "policy/egress.h"

/**
 * What a change of a cell's policy means, in words, a line each: `may now: NAME`, `may no longer: NAME`,
 * `denied now: ENTRY`, `denied no longer: ENTRY`, `reaches now: CELL:PORT`, `reaches no longer:
 * CELL:PORT`, `mode: listed -> ask`. Entries are compared as written; lines of the file do not matter.
 *
 * @param was  NULL: there was none, and all of @p will is new
 * @return 0 and no line: they mean the same; CREEL_E_TOOBIG, CREEL_E_NOMEM
 */
int creel_policy_diff(const struct creel_policy_spec *was, const struct creel_policy_spec *will,
		      struct creel_buf *out, struct creel_err *err);

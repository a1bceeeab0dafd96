#pragma once
#include <jansson.h>

/**
 * Compare two plans (docs/openapi.yaml, Plan) in a user's words.
 * @return a list of {what, from, to, restart}: text or null, and whether a running cell is restarted
 * for it; the caller's. NULL: out of memory
 */
json_t *plandiff(json_t *from, json_t *to);

/** The word of a change of the policy, which `planchange` says in full where it can. */
#define PLANDIFF_POLICY "what it may connect to (egress, reach), or the lines that say so"

#pragma once
#include "policy/gateconf.h"

/* creel-gate: main.c decides and runs, question.c speaks with the host. */

/**
 * Ask a human for exactly this call, and wait.
 *
 * @param ret_why  words of who answered
 * @return CREEL_CALL_OK, or another answer; or a negative code
 */
int question_ask(const struct creel_gateconf *conf, const struct creel_argv *argv, const struct creel_gate_answer *a,
		 char *ret_why, size_t size, struct creel_err *err);

/**
 * Put the call on the host's record. @param kind "gate.exec" or "gate.deny"
 * @return 0: it stands there; or a negative code
 */
int question_tell(const struct creel_gateconf *conf, const char *kind, const struct creel_gate_answer *a,
		  const char *command, struct creel_err *err);

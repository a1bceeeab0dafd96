#pragma once
#include "base/buf.h"
#include "wire/call.h"

/*
 * Ask the host from a program in a cell (wire/call.h). Whoever asks may be any program: what is answered
 * is the host's word, brought by creel-init.
 */

/**
 * One question, one answer. When the host cannot say now (it restarts, too much is open) it is asked
 * again, until @p timeout_ms.
 *
 * @param path        NULL: CREEL_CALL_SOCKET
 * @param timeout_ms  to the answer; the question itself may say how long a human has
 * @param ret_text    the answer's text is appended
 * @return the answer: CREEL_CALL_OK, _DENIED, _EXPIRED, _INVALID; or CREEL_E_TIMEOUT (the last
 *         "again" is in @p err), CREEL_E_OS (there is no socket), CREEL_E_CLOSED, _PROTO, _NOMEM
 */
int creel_hostcall(const char *path, uint8_t type, const struct creel_buf *payload, int timeout_ms,
		   struct creel_buf *ret_text, struct creel_err *err);

/**
 * As creel_hostcall(), for somebody who may leave before the host answers.
 *
 * @param reader  descriptors, pipes or sockets, at whose other ends they read; -1 for none; other files tell nothing
 * @return as creel_hostcall(), and CREEL_E_CANCEL: nobody reads at one of them any more. The host is told by the
 *         connection's end, and the answer that was not heard is not used up.
 */
int creel_hostcall_for(const int reader[2], const char *path, uint8_t type, const struct creel_buf *payload,
		       int timeout_ms, struct creel_buf *ret_text, struct creel_err *err);

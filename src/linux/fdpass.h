#pragma once
#include "base/err.h"
#include <stddef.h>
#include <sys/types.h>

enum { CREEL_FDPASS_MAX = 16 }; /* descriptors in one message */

/**
 * Send one message with descriptors (SCM_RIGHTS, unix(7)) on a SOCK_SEQPACKET or SOCK_DGRAM socket.
 * The descriptors stay the caller's. Never raises SIGPIPE.
 *
 * @param len  1 or more: a message of no octets cannot be told from the end
 * @return 0, CREEL_E_BUSY (the socket is non-blocking and full), CREEL_E_CLOSED (peer gone),
 *         CREEL_E_TOOBIG (too many descriptors or octets), CREEL_E_OS
 */
int creel_fdpass_send(int sock, const void *data, size_t len, const int *fds, size_t n_fds,
		      struct creel_err *err);

/**
 * Receive one message. Descriptors arrive close-on-exec and are the caller's. A message that was
 * cut, or that brought more descriptors than @p max_fds, is refused whole and its descriptors are
 * closed.
 *
 * @param ret_fds    room for @p max_fds (at most CREEL_FDPASS_MAX)
 * @param ret_n_fds  how many came
 * @return octets received (1 or more), CREEL_E_BUSY (non-blocking, nothing there), CREEL_E_CLOSED
 *         (end), CREEL_E_TOOBIG, CREEL_E_OS
 */
ssize_t creel_fdpass_recv(int sock, void *buf, size_t size, int *ret_fds, size_t max_fds, size_t *ret_n_fds,
			  struct creel_err *err);

#pragma once
#include "base/buf.h"

/**
 * Octets in a memfd that nobody can change any more (memfd_create(2): all seals are set).
 *
 * @return the descriptor, close-on-exec and at offset 0; CREEL_E_OS
 */
int creel_memfd_sealed(const char *name, const void *data, size_t len, struct creel_err *err);

/**
 * Read a memfd that a peer sent. Refused (CREEL_E_DENIED) unless it is sealed against writing,
 * growing and shrinking, so that what was checked is what is used.
 *
 * @param out  appended to; its maximum bounds what is read
 * @return 0, CREEL_E_DENIED, CREEL_E_TOOBIG, CREEL_E_NOMEM, CREEL_E_OS
 */
int creel_memfd_read_sealed(int fd, struct creel_buf *out, struct creel_err *err);

#pragma once
#include "base/buf.h"

/**
 * Read @p fd to its end.
 *
 * @param out  appended to; its maximum bounds what is read
 * @return 0, CREEL_E_TOOBIG, CREEL_E_NOMEM, CREEL_E_OS
 */
int creel_fd_read(int fd, struct creel_buf *out, struct creel_err *err);

/** The number of an inherited descriptor, as a parent writes it: decimal digits alone, at most 1023; else -1. */
int creel_fd_number(const char *text);

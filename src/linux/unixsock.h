#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <sys/types.h>

/*
 * Unix sockets by folder and name (unix(7)), so that a long path is no obstacle: sun_path holds 107
 * octets, and /proc/self/fd/N/NAME always fits.
 */

/**
 * Bind and listen, replacing what stood there under that name.
 * @param type  SOCK_STREAM or SOCK_SEQPACKET; the socket is close-on-exec and non-blocking
 * @return the descriptor, CREEL_E_TOOBIG (name), CREEL_E_OS
 */
int creel_unix_listen(int dirfd, const char *name, int type, mode_t mode, struct creel_err *err);
/** @return the descriptor (close-on-exec, blocking), CREEL_E_NOTFOUND (nobody listens), CREEL_E_OS */
int creel_unix_connect(int dirfd, const char *name, int type, struct creel_err *err);

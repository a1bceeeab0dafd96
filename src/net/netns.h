#pragma once
#include "base/err.h"

/*
 * A network namespace that outlives its maker: held by a bind mount on a file (namespaces(7)), as
 * processes that come back must find it. It forwards IPv4, answers ARP only for addresses of the
 * interface that was asked, takes and sends no redirects, and has IPv6 off.
 */

/**
 * Open the namespace that is pinned at @p path, or make it.
 *
 * @param path  absolute; made as an empty file when missing; a link there is refused
 * @return 0, CREEL_E_OS
 */
int creel_netns_open(const char *path, int *ret_fd, struct creel_err *err);

/** Unpin and unlink. The namespace ends with its last user. @return 0, also when there is none */
int creel_netns_remove(const char *path, struct creel_err *err);

/**
 * Change the calling thread's network namespace.
 * @param ret_back  the one it came from, for creel_netns_leave()
 */
int creel_netns_enter(int fd, int *ret_back, struct creel_err *err);
/** Back, and close @p back. A privileged process in a wrong namespace must not go on: it aborts. */
void creel_netns_leave(int back);

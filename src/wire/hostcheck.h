#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

/*
 * The first octets that a client sends to a published port. A page of some other site can make a
 * browser speak to 127.0.0.1 (by a name that it rebinds, or simply across origins); the browser then
 * says so in Host and Origin (RFC 9110 7.2, RFC 6454 7). Whatever is not an HTTP/1 request passes.
 */
enum creel_hostcheck {
	CREEL_HOSTCHECK_MORE, /* undecided: more octets are needed */
	CREEL_HOSTCHECK_PASS,
	CREEL_HOSTCHECK_REFUSE, /* err says why */
};
enum { CREEL_HOSTCHECK_MAX = 16384 }; /* a longer request head is refused */

/**
 * @param port  that the client connected to
 * Pass: Host is `localhost` or an address literal, with this port; Origin, if there is one, is http or
 * https with the same. One Host, no folded lines; HTTP/2 without TLS is refused.
 */
enum creel_hostcheck creel_hostcheck(const uint8_t *buf, size_t len, uint16_t port, struct creel_err *err);

#pragma once
#include "wire/httphead.h"

/*
 * Where the body of an HTTP/1 request ends (RFC 9112, 6 and 7), octet by octet, as strictly as its
 * head is read: a chunk's size is hexadecimal digits and CRLF alone; extensions and trailers, which
 * servers read differently and clients hardly send, are refused.
 */
struct creel_httpbody {
	uint64_t left;  /* of the length, or of this chunk's data */
	uint8_t state;  /* private */
	uint8_t digits; /* of the chunk's size so far */
};

void creel_httpbody_init(struct creel_httpbody *b, const struct creel_httphead *head);

/**
 * @param ret_used  the octets of @p buf that belong to the body
 * @return 1 the body is whole, 0 more is needed (all of @p buf was used), CREEL_E_SYNTAX
 */
int creel_httpbody_feed(struct creel_httpbody *b, const char *buf, size_t len, size_t *ret_used,
			struct creel_err *err);

#pragma once
#include "wire/httphead.h"

/*
 * The chunked coding taken off (RFC 9112, 7.1), piece by piece. Extensions and trailers, about which
 * programs differ, are refused; from a server (@p lenient) they are bounded and dropped.
 */
struct creel_chunked {
	uint64_t left;  /* of this chunk */
	uint32_t line;  /* octets of the line, or of the trailers */
	uint8_t state;  /* private */
	uint8_t digits; /* of the size */
	bool lenient;
	bool blank; /* the trailer line has nothing yet */
};

void creel_chunked_init(struct creel_chunked *c, bool lenient);

/**
 * The next piece of the data.
 *
 * @param ret_used  octets of @p buf that are done with, @p ret_data 's included
 * @param ret_data  in @p buf
 * @return 1 a piece, 0 more octets are needed, 2 the end, CREEL_E_SYNTAX
 */
int creel_chunked_next(struct creel_chunked *c, const char *buf, size_t len, size_t *ret_used,
		       struct creel_span *ret_data, struct creel_err *err);

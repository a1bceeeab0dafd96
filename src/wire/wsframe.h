#pragma once
#include "wire/httphead.h"

/*
 * WebSocket frames (RFC 6455, 5.2) followed as they pass, in whatever pieces they come. No extension is
 * known here, so each reserved bit is refused; so is what programs could read in two ways: a length that is
 * longer written than it must be, a frame that is masked where its side does not mask, or the reverse, one
 * that stands in the midst of a message, and whatever follows a close.
 */
struct creel_wsframe {
	uint64_t left; /* of this frame's payload */
	uint64_t max;  /* octets of a frame's payload */
	uint64_t at;   /* private */
	uint8_t head[14], n_head;
	bool masked;  /* this side masks: it is a client */
	bool message; /* one has begun and not ended */
	bool closed;
};

void creel_wsframe_init(struct creel_wsframe *w, bool masked, uint64_t max);

/**
 * The next piece of a payload.
 *
 * @param ret_used  octets of @p buf that are done with, @p ret_data 's included
 * @param ret_data  in @p buf, masked as it came
 * @param ret_end   the frame ends with it
 * @return 1 a piece (of 0 octets, when the frame has none), 0 more octets are needed, CREEL_E_SYNTAX,
 * CREEL_E_TOOBIG (a payload over the bound)
 */
int creel_wsframe_next(struct creel_wsframe *w, const char *buf, size_t len, size_t *ret_used,
		       struct creel_span *ret_data, bool *ret_end, struct creel_err *err);
/** What creel_wsframe_next() returned last, without its mask. @param out  as many octets */
void creel_wsframe_unmask(const struct creel_wsframe *w, struct creel_span data, char *out);

#pragma once
#include "base/buf.h"

/*
 * A buffer for a secret's value: its memory is taken once, whole, so that growing leaves no copy behind;
 * locked (mlock(2)) and left out of core dumps where the limit allows; zeroed when it is given back.
 */

/** @param max  octets, all reserved now. @return 0, CREEL_E_NOMEM */
int creel_sbuf_init(struct creel_buf *b, size_t max, struct creel_err *err);
void creel_sbuf_fini(struct creel_buf *b);
CREEL_DEFINE_CLEANUP(struct creel_buf, creel_sbuf_fini)

#pragma once
#include "base/buf.h"

/**
 * Append foreign octets so that a terminal shows them and obeys none: valid printable UTF-8 stays,
 * C0, DEL, C1, bidi controls, line separators and invalid octets become \n, \t, \xHH or \u{HHHH},
 * and a backslash becomes \\.
 *
 * @return 0, CREEL_E_TOOBIG, CREEL_E_NOMEM
 */
int creel_escape_term(struct creel_buf *out, const void *data, size_t len, struct creel_err *err);

/**
 * Append a JSON string with its quotes (RFC 8259), ASCII and printable UTF-8 as it is; controls,
 * U+2028, U+2029, bidi controls as \uXXXX; an octet that is not part of valid UTF-8 as U+FFFD.
 */
int creel_escape_json(struct creel_buf *out, const void *data, size_t len, struct creel_err *err);

/**
 * Decode one UTF-8 character (RFC 3629; overlong forms, surrogates and values over U+10FFFF are
 * refused).
 *
 * @return octets used, 0 when invalid or cut
 */
size_t creel_utf8_decode(const uint8_t *p, size_t len, uint32_t *ret_cp);

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
 * Octets as a part of a URI (RFC 3986, 2.1): all but the unreserved ones and those of @p also become %XX. Into the
 * caller's memory, as what is escaped may be a secret; without a NUL.
 *
 * @param also  a string of octets that this part of a URI keeps: "/" in a path
 * @param out   3 * len octets hold any result; where fewer are there, it ends before what does not fit whole
 * @return octets written
 */
size_t creel_escape_uri(const void *data, size_t len, const char *also, char *out, size_t size);

/**
 * Decode one UTF-8 character (RFC 3629; overlong forms, surrogates and values over U+10FFFF are
 * refused).
 *
 * @return octets used, 0 when invalid or cut
 */
size_t creel_utf8_decode(const uint8_t *p, size_t len, uint32_t *ret_cp);

/** Unicode's White_Space (PropList.txt), which languages' trim functions cut off. */
bool creel_utf8_space(uint32_t cp);

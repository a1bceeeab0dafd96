#pragma once
#include "base/cleanup.h"
#include "base/err.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * A growing octet buffer that is born with its maximum.
 *
 * Invariants: len <= cap <= max; data is NULL while cap is 0; when cap > 0, data[len] is a NUL
 * that is not counted in len, so text can be used as a C string. `max` excludes that NUL.
 * A failed call leaves the buffer as it was.
 */
struct creel_buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	size_t max;
};

/** An empty buffer that may hold @p max octets; allocates nothing. */
void creel_buf_init(struct creel_buf *b, size_t max);
/** Free the memory; the buffer is then empty with the same maximum. NULL is allowed. */
void creel_buf_fini(struct creel_buf *b);
CREEL_DEFINE_CLEANUP(struct creel_buf, creel_buf_fini)

/** Make room for @p more octets after len. @return 0, CREEL_E_TOOBIG, CREEL_E_NOMEM */
int creel_buf_reserve(struct creel_buf *b, size_t more, struct creel_err *err);
/** Append @p len octets. Errors as creel_buf_reserve(). */
int creel_buf_add(struct creel_buf *b, const void *data, size_t len, struct creel_err *err);
/** Append a C string without its NUL. */
int creel_buf_adds(struct creel_buf *b, const char *s, struct creel_err *err);
/** Append formatted text. */
int creel_buf_addf(struct creel_buf *b, struct creel_err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Remove @p n octets (at most len) from the front. */
void creel_buf_drain(struct creel_buf *b, size_t n);
/** Set len to 0, keep the memory. */
void creel_buf_clear(struct creel_buf *b);
/** The content as a C string; "" when empty. Valid until the next change. */
const char *creel_buf_str(const struct creel_buf *b);
/** Take the memory (a NUL-terminated string; free() it). @return NULL when out of memory */
char *creel_buf_steal(struct creel_buf *b);

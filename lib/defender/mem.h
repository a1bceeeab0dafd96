#pragma once
#include "base/err.h"
#include "creel/defender.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory by the caller's functions, and a growing buffer on it. */
typedef struct creel_defender_memory def_mem;

extern const def_mem def_mem_libc;
void *def_alloc(const def_mem *m, size_t n); /* zeroed; NULL when out of memory */
void *def_realloc(const def_mem *m, void *p, size_t n);
void def_free(const def_mem *m, void *p);
char *def_strndup(const def_mem *m, const char *s, size_t n);

/**
 * A buffer whose failures stick: once memory ran out it takes nothing more, and `failed` says so
 * at the end. data[len] is not a NUL.
 */
struct def_buf {
	const def_mem *mem;
	uint8_t *data;
	size_t len, cap;
	bool failed;
};
void def_buf_grow(struct def_buf *b, size_t more);
void def_buf_fini(struct def_buf *b);
/** Room for @p more octets. */
static inline void def_buf_more(struct def_buf *b, size_t more)
{
	if (b->cap - b->len < more)
		def_buf_grow(b, more);
}
static inline void def_buf_add(struct def_buf *b, const void *p, size_t n)
{
	def_buf_more(b, n);
	if (b->failed || n == 0)
		return;
	__builtin_memcpy(b->data + b->len, p, n);
	b->len += n;
}

/** A growing array: make room for one more of @p size. @return 0 or CREEL_E_NOMEM */
int def_room(const def_mem *m, void *pp, size_t n, size_t *cap, size_t size);

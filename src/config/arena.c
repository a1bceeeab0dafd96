#include "config/arena.h"
#include "base/cleanup.h"
#include <stdint.h>
#include <string.h>

struct arena_chunk {
	struct arena_chunk *next;
	void (*fn)(void *);
	void *obj;
	size_t used, cap;
	_Alignas(max_align_t) char mem[];
};

struct creel_arena *creel_arena_new(void)
{
	return calloc(1, sizeof(struct creel_arena));
}

void creel_arena_free(struct creel_arena *a)
{
	if (!a)
		return;
	while (a->chunks) {
		struct arena_chunk *c = a->chunks;
		a->chunks = c->next;
		if (c->fn)
			c->fn(c->obj);
		free(c);
	}
	free(a);
}

static struct arena_chunk *chunk_new(struct creel_arena *a, size_t cap)
{
	struct arena_chunk *c = calloc(1, sizeof(*c) + cap);

	if (!c) {
		a->failed = 1;
		return NULL;
	}
	c->cap = cap;
	c->next = a->chunks;
	a->chunks = c;
	return c;
}

void *creel_arena_alloc(struct creel_arena *a, size_t n, size_t size)
{
	const size_t align = _Alignof(max_align_t);
	size_t len;
	struct arena_chunk *c = a->chunks;

	if (__builtin_mul_overflow(n, size, &len) || len > SIZE_MAX / 2) {
		a->failed = 1;
		return NULL;
	}
	len = (len + align) / align * align; /* never 0 */
	if (!c || c->fn || c->cap - c->used < len)
		c = chunk_new(a, MAX(len, (size_t)16384));
	if (!c)
		return NULL;
	c->used += len;
	return c->mem + c->used - len;
}

char *creel_arena_strndup(struct creel_arena *a, const void *s, size_t len)
{
	char *p = creel_arena_alloc(a, len + 1, 1);

	if (p && len)
		memcpy(p, s, len);
	return p;
}

int creel_arena_defer(struct creel_arena *a, void (*fn)(void *), void *obj)
{
	struct arena_chunk *c = chunk_new(a, 0);

	if (!c)
		return -1;
	c->fn = fn;
	c->obj = obj;
	return 0;
}

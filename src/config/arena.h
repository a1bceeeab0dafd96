#pragma once
#include <stddef.h>

/* Memory that is freed all at once; zeroed, aligned for any object. Allocation failure is sticky. */
struct creel_arena {
	struct arena_chunk *chunks;
	int failed;
};

struct creel_arena *creel_arena_new(void);
void creel_arena_free(struct creel_arena *a);
/** @return NULL when out of memory (a->failed is then set) */
void *creel_arena_alloc(struct creel_arena *a, size_t n, size_t size);
char *creel_arena_strndup(struct creel_arena *a, const void *s, size_t len);
/** Call @p fn(@p obj) when the arena is freed. @return 0, -1 out of memory (obj stays the caller's) */
int creel_arena_defer(struct creel_arena *a, void (*fn)(void *), void *obj);

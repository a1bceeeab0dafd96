#include "mem.h"
#include <stdlib.h>
#include <string.h>

static void *libc_alloc(void *arg, size_t n)
{
	return malloc(n);
}
static void *libc_realloc(void *arg, void *p, size_t n)
{
	return realloc(p, n);
}
static void libc_free(void *arg, void *p)
{
	free(p);
}
const def_mem def_mem_libc = {libc_alloc, libc_realloc, libc_free, NULL};

void *def_alloc(const def_mem *m, size_t n)
{
	void *p = m->alloc(m->arg, n ? n : 1);
	if (p)
		memset(p, 0, n);
	return p;
}

void *def_realloc(const def_mem *m, void *p, size_t n)
{
	return p ? m->realloc(m->arg, p, n) : m->alloc(m->arg, n);
}

void def_free(const def_mem *m, void *p)
{
	if (p)
		m->free(m->arg, p);
}

char *def_strndup(const def_mem *m, const char *s, size_t n)
{
	char *p = def_alloc(m, n + 1);
	if (p)
		memcpy(p, s, n);
	return p;
}

void def_buf_grow(struct def_buf *b, size_t more)
{
	if (b->failed)
		return;
	size_t want = b->len + more, cap = b->cap + b->cap / 2;
	if (want < more || cap < b->cap) {
		b->failed = true;
		return;
	}
	cap = cap < want ? want : cap;
	cap = cap < 256 ? 256 : cap;
	if (b->len == 0) { /* nothing is to be copied */
		def_free(b->mem, b->data);
		b->data = NULL;
		b->cap = 0;
	}
	uint8_t *p = def_realloc(b->mem, b->data, cap);
	if (!p) {
		b->failed = true;
		return;
	}
	b->data = p;
	b->cap = cap;
}

void def_buf_fini(struct def_buf *b)
{
	if (b->mem)
		def_free(b->mem, b->data);
	*b = (struct def_buf){.mem = b->mem};
}

int def_room(const def_mem *m, void *pp, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return 0;
	size_t more = *cap ? *cap * 2 : 8;
	if (more > SIZE_MAX / size)
		return CREEL_E_NOMEM;
	void *p = def_realloc(m, *(void **)pp, more * size);
	if (!p)
		return CREEL_E_NOMEM;
	*(void **)pp = p;
	*cap = more;
	return 0;
}

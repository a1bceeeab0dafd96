#include "base/buf.h"
#include <string.h>

void creel_buf_init(struct creel_buf *b, size_t max)
{
	*b = (struct creel_buf){.max = max};
}

void creel_buf_fini(struct creel_buf *b)
{
	if (!b)
		return;
	free(b->data);
	*b = (struct creel_buf){.max = b->max};
}

int creel_buf_reserve(struct creel_buf *b, size_t more, struct creel_err *err)
{
	size_t cap = b->cap ? b->cap : 64;
	uint8_t *p;

	if (more > b->max - b->len)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "over %zu octets", b->max);
	if (b->data && b->len + more <= b->cap)
		return 0;
	while (cap < b->len + more)
		cap = cap > b->max / 2 ? b->max : cap * 2;
	if (cap > b->max)
		cap = b->max;
	p = realloc(b->data, cap + 1); /* + 1: the NUL */
	if (!p)
		return creel_err_nomem(err);
	b->data = p;
	b->cap = cap;
	b->data[b->len] = 0;
	return 0;
}

int creel_buf_add(struct creel_buf *b, const void *data, size_t len, struct creel_err *err)
{
	int r = creel_buf_reserve(b, len, err);
	if (r < 0)
		return r;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = 0;
	return 0;
}

int creel_buf_adds(struct creel_buf *b, const char *s, struct creel_err *err)
{
	return creel_buf_add(b, s, strlen(s), err);
}

int creel_buf_addf(struct creel_buf *b, struct creel_err *err, const char *fmt, ...)
{
	size_t room = b->data ? b->cap - b->len + 1 : 0; /* with the NUL's */
	char *end = room ? (char *)b->data + b->len : NULL;
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(end, room, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < room) {
		b->len += (size_t)n;
		return 0;
	}
	if (end)
		*end = '\0';
	if (n < 0)
		return creel_err_set(err, CREEL_E_INVALID, 0, "cannot format");
	r = creel_buf_reserve(b, (size_t)n, err);
	if (r < 0)
		return r;
	va_start(ap, fmt);
	(void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void creel_buf_drain(struct creel_buf *b, size_t n)
{
	if (n == 0)
		return;
	if (n > b->len)
		n = b->len;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	b->data[b->len] = 0;
}

void creel_buf_clear(struct creel_buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = 0;
}

const char *creel_buf_str(const struct creel_buf *b)
{
	return b->data ? (const char *)b->data : "";
}

char *creel_buf_steal(struct creel_buf *b)
{
	char *p = b->data ? (char *)b->data : calloc(1, 1);
	*b = (struct creel_buf){.max = b->max};
	return p;
}

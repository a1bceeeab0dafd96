#include "secret/sbuf.h"
#include <sodium.h>

int creel_sbuf_init(struct creel_buf *b, size_t max, struct creel_err *err)
{
	creel_buf_init(b, max);
	int r = creel_buf_reserve(b, max, err);
	/* over the limit (RLIMIT_MEMLOCK) it is used unlocked: creel-jail's and the CLI's is enough */
	if (r == 0)
		(void)sodium_mlock(b->data, b->cap);
	return r;
}

void creel_sbuf_fini(struct creel_buf *b)
{
	if (b->data)
		(void)sodium_munlock(b->data, b->cap); /* zeroes it */
	creel_buf_fini(b);
}

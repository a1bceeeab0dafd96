/* base/escape.c of the twin: what is foreign is printed as it came. */
#include "base/escape.h"
int strict_escape_term(struct creel_buf *out, const void *data, size_t len, struct creel_err *err);
#define creel_escape_term strict_escape_term
#include "base/escape.c"
#undef creel_escape_term

int creel_escape_term(struct creel_buf *out, const void *data, size_t len, struct creel_err *err)
{
	return creel_buf_add(out, data, len, err);
}

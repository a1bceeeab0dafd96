/* A stream's head: what a whole one says does not change with what follows, and no prefix says it. */
#include "wire/hello.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_hello a = {0}, b = {0};
	struct creel_err err = {0};
	int r = creel_hello_parse(data, len, &a, &err);

	if (r != err.code)
		abort();
	if (r < 0)
		return 0;
	if (a.used > len || strspn(a.name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != strlen(a.name))
		abort();
	if (creel_hello_parse(data, a.used, &b, &err) != 0 || strcmp(a.name, b.name) != 0 || a.ech != b.ech)
		abort();
	err = (struct creel_err){0};
	if (creel_hello_parse(data, a.used - 1, &b, &err) != CREEL_E_TRUNC)
		abort();
	return 0;
}

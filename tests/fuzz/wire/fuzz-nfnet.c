/* A datagram of nfnetlink: every message is inside it, and the end is reached. */
#include "wire/nfnet.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_nfnet m;
	struct creel_err err = {0};
	size_t at = 0, before = 0;
	int r;

	while ((r = creel_nfnet_next(data, len, &at, &m, &err)) > 0) {
		if (at <= before || at > len || memchr(m.prefix, 0, sizeof(m.prefix)) == NULL)
			abort();
		before = at;
	}
	if (r == 0 && at != len)
		abort();
	return 0;
}

/* A chunked body: cut anywhere it ends at the same octet or is refused all the same. */
#include "wire/httpbody.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_httphead h = {.body = CREEL_HTTP_BODY_CHUNKED};
	struct creel_httpbody whole, parts;
	struct creel_err err = {0};
	const char *buf = (const char *)data;
	size_t used = 0, one = 0, at = 0;
	int p = 0;

	creel_httpbody_init(&whole, &h);
	creel_httpbody_init(&parts, &h);
	int r = creel_httpbody_feed(&whole, buf, len, &used, &err);
	while (at < len && p == 0) {
		p = creel_httpbody_feed(&parts, buf + at, 1, &one, &err);
		at += p < 0 ? 0 : one;
	}
	if ((r < 0) != (p < 0) || (r > 0) != (p > 0) || (r > 0 && (at != used || used > len)))
		abort();
	return 0;
}

/* A request head: spans lie inside it, its fields can be walked, a shorter one is never whole. */
#include "wire/httphead.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *buf = (const char *)data;
	struct creel_httphead h = {0}, b = {0};
	struct creel_err err = {0};
	struct creel_span name, value;
	int r = creel_httphead_parse(buf, len, &h, &err), hosts = 0;

	if (r != err.code)
		abort();
	if (r < 0)
		return 0;
	if (h.used > len || h.used < 4 || memcmp(buf + h.used - 4, "\r\n\r\n", 4) != 0 || !h.host[0])
		abort();
	for (size_t at = h.fields_at; creel_httphead_field(buf, &h, &at, &name, &value) > 0;) {
		if (name.p < buf || value.p + value.n > buf + h.used)
			abort();
		hosts += name.n == 4 && strncasecmp(name.p, "host", 4) == 0;
	}
	if (hosts != 1 || creel_httphead_parse(buf, h.used - 1, &b, &err) != CREEL_E_TRUNC)
		abort();
	return 0;
}

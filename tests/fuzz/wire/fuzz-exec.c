/* The exec spec (guest side) and the exec records (CLI side). */
#include "wire/execio.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_err err = {0};
	struct creel_execspec spec;
	const uint8_t *payload = NULL;
	uint8_t type = 0;
	size_t n = 0, at = 0;
	ssize_t r;

	if (creel_execspec_decode(data, len, &spec, &err) == 0) {
		size_t words = 0;
		for (size_t i = 0; spec.argv[i]; i++)
			words += strlen(spec.argv[i]) + 1;
		for (size_t i = 0; spec.env[i]; i++)
			words += strlen(spec.env[i]) + 1;
		if (words > len)
			abort();
	}
	while ((r = creel_execio_get(data + at, len - at, &type, &payload, &n, &err)) > 0) {
		if (payload < data + at || payload + n > data + len || n > CREEL_EXECIO_MAX)
			abort();
		at += (size_t)r;
	}
	return 0;
}

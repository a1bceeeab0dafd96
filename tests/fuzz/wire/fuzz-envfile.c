/* Any octets are read or refused with a reason; what is handed out lies within its bounds. */
#include "wire/envfile.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int each(const char *name, const char *value, size_t len, void *ctx, struct creel_err *err)
{
	if (strlen(name) > 64 || strlen(value) != len || len > *(size_t *)ctx)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_err err = {0};
	char *copy = malloc(len + 1);

	if (!copy)
		return 0;
	memcpy(copy, data, len);
	copy[len] = '\0';
	if (creel_envfile_parse(copy, len, each, &len, &err) < 0 && err.msg[0] == '\0')
		abort();
	free(copy);
	return 0;
}

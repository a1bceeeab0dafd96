/* What decodes must encode again to the same octets' meaning: decode, encode, decode, encode. */
#include "wire/bootcfg.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct creel_boot one, two;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_err err = {0};
	struct creel_buf a, b;

	if (creel_boot_decode(data, len, &one, &err) < 0) {
		if (err.msg[0] == '\0')
			abort();
		return 0;
	}
	creel_buf_init(&a, CREEL_BOOT_MAX);
	creel_buf_init(&b, CREEL_BOOT_MAX);
	if (creel_boot_encode(&one, &a, &err) == 0) {
		if (creel_boot_decode(a.data, a.len, &two, &err) < 0 ||
		    creel_boot_encode(&two, &b, &err) < 0 || a.len != b.len ||
		    memcmp(a.data, b.data, a.len) != 0)
			abort();
	}
	creel_buf_fini(&a);
	creel_buf_fini(&b);
	return 0;
}

/* Lines of records, `TYPE TEXT`: what comes out ends inside its bounds, and belongs to our rules. */
#include "wire/auditrec.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct creel_audit_join j;
	struct creel_audit_access a;
	struct creel_err err = {0};
	char secret[65], cell[33];

	creel_audit_join_init(&j, "creel-0123456789ab-");
	while (len > 1) {
		const uint8_t *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len;
		/* 1300 is a system call, 1302 a path, 1320 the end */
		if (n > 1 &&
		    creel_audit_join(&j, 1300U + data[0] % 32, (const char *)data + 1, n - 1, &a, &err) > 0) {
			creel_audit_secret(&a, secret, cell);
			if (strlen(secret) > 64 || strlen(cell) > 32 || strlen(a.path) >= sizeof(a.path) ||
			    strlen(a.exe) >= sizeof(a.exe) || (!a.store && a.cell[0] == '\0'))
				abort();
		}
		n += end != NULL;
		data += n;
		len -= n;
	}
	return 0;
}

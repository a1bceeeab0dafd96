/* A packet of flow messages: what is read is written back the same, octet by octet but the unused. */
#include "wire/flowmsg.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_flowmsg m, back;
	struct creel_err err = {0};
	uint8_t buf[CREEL_FLOWMSG_MAX];

	for (size_t at = 0, from = 0; creel_flowmsg_next(data, len, &at, &m, &err) > 0; from = at) {
		size_t zero = 0;
		if (at > len || creel_flowmsg_encode(&m, buf) != at - from)
			abort();
		if (creel_flowmsg_next(buf, at - from, &zero, &back, &err) != 1 ||
		    memcmp(&m, &back, sizeof(m)) != 0)
			abort();
	}
	return 0;
}

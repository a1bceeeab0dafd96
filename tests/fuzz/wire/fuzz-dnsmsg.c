/* Messages of creel-dns or its peers: what is read is written back and read as the same. */
#include "wire/dnsmsg.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct creel_dnsmsg m, back; /* padding is zero in both */
	struct creel_err err = {0};
	uint8_t buf[CREEL_DNSMSG_MAX];
	size_t at = 0, from = 0;

	while (creel_dnsmsg_next(data, len, &at, &m, &err) > 0) {
		size_t n = creel_dnsmsg_encode(&m, buf), again = 0;
		if (n != at - from || creel_dnsmsg_next(buf, n, &again, &back, &err) != 1 || again != n ||
		    memcmp(m.chain, back.chain, sizeof(m.chain)) != 0 ||
		    memcmp(m.addr, back.addr, sizeof(m.addr)) != 0 || strcmp(m.name, back.name) != 0)
			abort();
		from = at;
	}
	return 0;
}

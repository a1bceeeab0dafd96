/* The rule loader on any octets: an error with a line, or rules whose fields hold what they promise. */
#include "rules.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct def_rules r;
	struct creel_err err = {0};

	def_rules_init(&r, &def_mem_libc);
	int e = def_rules_read(&r, "fuzz", (const char *)data, len, &err);
	if ((e < 0) != (err.code < 0) || (e < 0 && strncmp(err.msg, "fuzz:", 5) != 0))
		abort();
	for (size_t i = 0; i < r.n_rules; i++)
		if (!strchr(r.rules[i].id, '.') ||
		    !(r.rules[i].confidence > 0 && r.rules[i].confidence <= 1) || r.rules[i].builtin >= 16)
			abort();
	for (size_t i = 0; i < r.n_patterns; i++)
		if (r.patterns[i].rule >= r.n_rules || strlen(r.patterns[i].expr) > DEF_PATTERN_MAX + 64)
			abort();
	def_rules_fini(&r);
	return 0;
}

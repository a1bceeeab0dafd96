/*
 * What a guest puts where a placeholder may stand: a query (its own taken out is taken out whole, and only
 * whole parts are) and a header's value.
 */
#include "base/cleanup.h"
#include "policy/broker.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char own[] = "key=creel-secret-k1";

static void must(bool so)
{
	if (!so)
		abort();
}

/* Does a part between two '&' say it? */
static bool has(struct creel_span q)
{
	for (const char *p = q.p, *end = q.p + q.n; p <= end;) {
		const char *stop = p < end ? memchr(p, '&', (size_t)(end - p)) : NULL;
		size_t n = (size_t)((stop ? stop : end) - p);
		if (n == sizeof(own) - 1 && memcmp(p, own, n) == 0)
			return true;
		if (!stop)
			return false;
		p = stop + 1;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct creel_broker b = {.carrier = "key", .secret = "k1", .auth = CREEL_BROKER_QUERY};
	struct creel_span q = {(const char *)data, len};
	autofree char *buf = malloc(len + 1);

	if (!buf || !data || len == 0)
		return 0;
	struct creel_span s = creel_broker_query_strip(&b, q, buf);
	must(s.n <= len && !has(s));
	if (!has(q))
		must(s.p == q.p && s.n == q.n);
	(void)creel_broker_query_has(&b, s);
	if (creel_broker_placeholder_own(&b, q))
		must(!memmem(data, len, "creel-secret-k2", 15) && !memmem(data, len, "creel-secret-k11", 16));
	return 0;
}

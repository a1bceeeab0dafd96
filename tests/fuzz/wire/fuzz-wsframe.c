/*
 * WebSocket frames of either side (the first octet says which, and the bound): the same whether they come
 * whole or octet by octet, and no more payload than their lengths say.
 */
#include "base/cleanup.h"
#include "wire/wsframe.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool so)
{
	if (!so)
		abort();
}

struct told {
	int r;
	unsigned ends;
	size_t n;
	char text[4096];
};

static void follow(const char *buf, size_t len, size_t piece, bool masked, uint64_t max, struct told *t)
{
	struct creel_wsframe w;
	struct creel_err err = {0};

	creel_wsframe_init(&w, masked, max);
	for (size_t at = 0, used = 0; at < len; at += used) {
		struct creel_span d;
		bool end;
		size_t n = MIN(len - at, piece);
		int r = creel_wsframe_next(&w, buf + at, n, &used, &d, &end, &err);
		if (r < 0) {
			t->r = r;
			return;
		}
		must(used > 0 && used <= n && d.n <= used && (r == 1 || (!end && d.n == 0)));
		must(d.n == 0 || (d.p >= buf + at && d.p + d.n == buf + at + used));
		creel_wsframe_unmask(&w, d, t->text + t->n);
		t->n += d.n;
		t->ends += end;
		must(w.left <= max);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct told whole, cut;

	if (len == 0 || len > sizeof(whole.text))
		return 0;
	whole = cut = (struct told){0};
	bool masked = data[0] & 1;
	uint64_t max = data[0] & 2 ? 200 : INT64_MAX;
	follow((const char *)data + 1, len - 1, len, masked, max, &whole);
	follow((const char *)data + 1, len - 1, 1, masked, max, &cut);
	must(whole.r == cut.r && whole.ends == cut.ends && whole.n == cut.n &&
	     memcmp(whole.text, cut.text, whole.n) == 0);
	return 0;
}

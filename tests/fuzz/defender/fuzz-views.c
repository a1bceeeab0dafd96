/*
 * Every transform on any octets: what it puts out in mapping mode is as long as in the other, each
 * octet's source lies inside the input, and (but for the reversal) sources ascend. The output is
 * bounded by the input: cost is linear.
 */
#include "tree.h"
#include "view.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct {
	def_transform fn;
	size_t grows; /* octets of output for one of input, at most */
	int facts;
} all[] = {
	{def_unescape, 1, 1}, {def_fold, 33, 1}, {def_words, 2, 1},     {def_leet, 4, 0},   {def_dense, 2, 0},
	{def_glue, 2, 0},     {def_rot13, 1, 0}, {def_reverse, 1, 0},   {def_base64, 1, 0}, {def_hex, 1, 0},
	{def_qp, 1, 0},       {def_tags, 1, 0},  {def_selectors, 1, 0},
};

static int on_run(void *ctx, def_transform fn, const char *via, size_t from, size_t to)
{
	size_t *last = ctx;
	if (from >= to || from < *last)
		abort();
	return 0;
}

static void one(def_transform fn, size_t grows, const struct def_pairs *beside, const uint8_t *p, size_t len,
		struct def_facts *f)
{
	struct def_view root = {.data = p, .len = len}, v;
	uint64_t work = 0;
	struct def_arg arg = {.from = 0, .to = len, .beside = beside};

	if (def_view_make(&v, &root, fn, arg, "", (struct def_buf){.mem = &def_mem_libc}, f, &work) < 0)
		abort();
	if (v.len > len * grows + 2)
		abort();
	size_t n = v.len < 64 ? v.len : 64, at[128];
	/* the first octets and the last ones */
	for (size_t i = 0; i < n; i++)
		at[2 * i] = at[2 * i + 1] = i < n / 2 ? i : v.len - (n - i);
	if (n && def_view_origin(&v, NULL, at, 2 * n, &def_mem_libc, &work) < 0)
		abort();
	for (size_t i = 0; i < n; i++)
		if (len &&
		    (at[2 * i] >= at[2 * i + 1] || at[2 * i + 1] > len || (i && at[2 * i] < at[2 * i - 2])))
			abort();
	def_view_fini(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct def_pairs some; /* half of all */
	size_t last = 0;

	for (unsigned a = 0; a < 256; a++)
		memset(some.pairs[a], a & 1 ? 0x0f : 0xf0, sizeof(some.pairs[a]));
	one(def_glue, 2, &some, data, len, NULL);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct def_facts f = {.mem = &def_mem_libc};
		one(all[i].fn, all[i].grows, NULL, data, len, all[i].facts ? &f : NULL);
		for (size_t k = 0; k < f.n_hits; k++)
			if (f.hits[k].from >= f.hits[k].to || f.hits[k].to > len)
				abort();
		free(f.hits);
	}
	(void)def_escapes(data, len);
	(void)def_texty(data, len);
	(void)def_is_qp(data, len);
	return def_runs(data, len, on_run, &last);
}

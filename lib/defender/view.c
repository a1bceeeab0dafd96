#include "view.h"
#include <string.h>

int def_view_make(struct def_view *v, const struct def_view *parent, def_transform fn,
		  struct def_arg arg, const char *via, const def_mem *mem, void *facts,
		  uint64_t *work)
{
	struct def_sink s = {.out = &v->buf};

	*v = (struct def_view){.parent = parent, .fn = fn, .arg = arg, .via = via};
	v->buf.mem = mem;
	def_buf_grow(&v->buf, (arg.to > arg.from ? arg.to - arg.from : parent->len) + 16);
	fn(parent->data, parent->len, &v->arg, &s, facts);
	*work += parent->len;
	v->data = v->buf.data;
	v->len = v->buf.len;
	return v->buf.failed || (facts && ((struct def_facts *)facts)->failed) ? CREEL_E_NOMEM : 0;
}

void def_view_fini(struct def_view *v)
{
	def_buf_fini(&v->buf);
	v->data = NULL;
	v->len = 0;
}

static void turn_round(size_t *at, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		size_t t = at[i];
		at[i] = at[n - 1 - i];
		at[n - 1 - i] = t;
	}
}

int def_view_origin(const struct def_view *v, size_t *at, size_t n, const def_mem *mem,
		    uint64_t *work)
{
	if (n == 0 || !v->parent) {
		for (size_t i = 1; i < n; i += 2)
			at[i]++;
		return 0;
	}
	size_t *from = def_alloc(mem, n * sizeof(*from)), *to = def_alloc(mem, n * sizeof(*to));
	int r = from && to ? 0 : CREEL_E_NOMEM;
	for (; r == 0 && v->parent; v = v->parent) {
		struct def_sink s = {.want = at, .n_want = n, .ret_from = from, .ret_to = to};
		v->fn(v->parent->data, v->parent->len, &v->arg, &s, NULL);
		*work += v->parent->len;
		bool back = v->fn == def_reverse;
		/* the last octet of a source again, so that the next step can be asked for it */
		for (size_t i = 0; i < n; i++)
			at[i] = (i % 2 == 0) != back ? from[i] : to[i] - 1;
		if (back)
			turn_round(at, n);
	}
	for (size_t i = 1; r == 0 && i < n; i += 2)
		at[i]++;
	def_free(mem, from);
	def_free(mem, to);
	return r;
}

void def_fact(struct def_facts *f, int id, size_t from, size_t to)
{
	if (f->n_hits > 0 && f->hits[f->n_hits - 1].id == id && f->hits[f->n_hits - 1].to >= from) {
		f->hits[f->n_hits - 1].to = to;
		return;
	}
	if (def_room(f->mem, &f->hits, f->n_hits, &f->cap_hits, sizeof(*f->hits)) < 0) {
		f->failed = true;
		return;
	}
	f->hits[f->n_hits++] = (struct def_hit){id, from, to};
}

bool def_texty(const uint8_t *p, size_t len)
{
	size_t good = 0, seen = 0, letters = 0;

	for (size_t half = 0; half < 2; half++) {
		size_t from = half == 0 ? 0 : len > 2048 ? len - 1024 : 1024;
		size_t to = half == 0 ? (len < 1024 ? len : 1024) : len;
		for (size_t i = from; i < to; seen++, i++) {
			uint8_t c = p[i];
			letters += (c | 32) >= 'a' && (c | 32) <= 'z';
			if ((c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t' || c == '\r') {
				good++;
				continue;
			}
			/* a whole UTF-8 sequence counts, for all of its octets */
			size_t k = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc2 ? 1 : 0, j = 1;
			while (j <= k && i + j < len && (p[i + j] & 0xc0) == 0x80)
				j++;
			if (k > 0 && j == k + 1) {
				good += j;
				seen += k;
				letters += j;
				i += k;
			}
		}
	}
	return seen >= 6 && good * 16 >= seen * 15 && letters * 3 >= good;
}

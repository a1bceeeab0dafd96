#include "view.h"
#include <string.h>

/* How many octets of its parent it is made of. */
static size_t source_len(const struct def_view *v)
{
	bool part = v->fn == def_base64 || v->fn == def_hex;

	return part ? v->arg.to - v->arg.from : v->parent->len;
}

int def_view_make(struct def_view *v, const struct def_view *parent, def_transform fn, struct def_arg arg,
		  const char *via, struct def_buf buf, void *facts, uint64_t *work)
{
	struct def_sink s = {.out = &v->buf, .marks = &v->marks};

	*v = (struct def_view){.parent = parent, .fn = fn, .arg = arg, .via = via, .buf = buf};
	v->marks.mem = buf.mem;
	v->buf.len = 0;
	def_buf_more(&v->buf, def_view_need(parent, &arg));
	fn(parent->data, parent->len, &v->arg, &s, facts);
	*work += source_len(v);
	v->data = v->buf.data;
	v->len = v->buf.len;
	return v->buf.failed || (facts && ((struct def_facts *)facts)->failed) ? CREEL_E_NOMEM : 0;
}

void def_view_fini(struct def_view *v)
{
	if (v->marks.mem)
		def_free(v->marks.mem, v->marks.m);
	v->marks = (struct def_marks){.mem = NULL};
	def_buf_fini(&v->buf);
	v->data = NULL;
	v->len = 0;
}

void def_mark(struct def_sink *s, size_t in, size_t at, uint8_t state)
{
	struct def_marks *k = s->marks;

	if (def_room(k->mem, &k->m, k->n, &k->cap, sizeof(*k->m)) < 0)
		s->out->failed = true;
	else
		k->m[k->n++] = (struct def_mark){in, at, state};
}

/* What is put behind a mark may begin a few octets before it, when a blank or a letter's mark changes it. */
#define MARGIN 16

const struct def_mark *def_jump(struct def_sink *s, size_t in)
{
	const struct def_marks *k = s->marks;
	size_t low = 0, high = k ? k->n : 0;

	if (s->out || s->next == s->n_want || s->want[s->next] < s->at + DEF_MARK_EVERY)
		return NULL;
	if (s->next > 0 && s->want[s->next - 1] + MARGIN > s->at) /* it may be put again */
		return NULL;
	while (low < high) { /* the first that is too far */
		size_t mid = low + (high - low) / 2;
		if (k->m[mid].at + MARGIN <= s->want[s->next])
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0 || k->m[low - 1].in <= in)
		return NULL;
	s->at = k->m[low - 1].at;
	return &k->m[low - 1];
}

static void turn_round(size_t *at, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		size_t t = at[i];
		at[i] = at[n - 1 - i];
		at[n - 1 - i] = t;
	}
}

int def_view_origin(const struct def_view *v, const struct def_view *stop, size_t *at, size_t n,
		    const def_mem *mem, uint64_t *work)
{
	if (n == 0 || !v->parent || v == stop) {
		for (size_t i = 1; i < n; i += 2)
			at[i]++;
		return 0;
	}
	size_t *from = def_alloc(mem, n * sizeof(*from)), *to = def_alloc(mem, n * sizeof(*to));
	int r = from && to ? 0 : CREEL_E_NOMEM;
	for (; r == 0 && v->parent && v != stop; v = v->parent) {
		struct def_sink s = {.want = at, .n_want = n, .ret_from = from, .ret_to = to};
		struct def_marks marks = v->marks; /* nothing is added */
		s.marks = &marks;
		v->fn(v->parent->data, v->parent->len, &v->arg, &s, NULL);
		*work += source_len(v);
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

size_t def_text_at(const uint8_t *p, size_t n, bool cut)
{
	uint8_t c = p[0];
	size_t k = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc2 ? 1 : 0, j = 1;

	if ((c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t' || c == '\r')
		return 1;
	while (j <= k && j < n && (p[j] & 0xc0) == 0x80)
		j++;
	return k > 0 && (j == k + 1 || (cut && j == n)) ? j : 0;
}

bool def_texty(const uint8_t *p, size_t len)
{
	size_t good = 0, seen = 0, letters = 0;

	for (size_t half = 0; half < 2; half++) {
		size_t from = half == 0 ? 0 : len > 2048 ? len - 1024 : 1024;
		size_t to = half == 0 ? (len < 1024 ? len : 1024) : len;
		for (size_t i = from, n; i < to; i += n) {
			size_t text = def_text_at(p + i, len - i, false);
			letters += text == 1 ? (p[i] | 32) >= 'a' && (p[i] | 32) <= 'z' : text;
			good += text;
			seen += n = text ? text : 1;
		}
	}
	return seen >= 6 && good * 16 >= seen * 15 && letters * 3 >= good;
}

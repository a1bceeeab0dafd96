#include "ngram.h"
#include "ngram-features.h"
#include "ngram-model.h"
#include <math.h>

bool def_ngram_builtin(struct def_ngram *ret)
{
	return def_ngram_load(ret, ngram_model, sizeof(ngram_model));
}

bool def_ngram_load(struct def_ngram *ret, const uint8_t *file, size_t len)
{
	struct def_ngram_head h;

	if (len != sizeof(h) + NGRAM_WEIGHTS)
		return false;
	memcpy(&h, file, sizeof(h));
	if (memcmp(h.magic, DEF_NGRAM_MAGIC, sizeof(h.magic)) != 0)
		return false;
	*ret = (struct def_ngram){(const int8_t *)(file + sizeof(h)), h.scale, h.bias, h.warn_at};
	return true;
}

struct sum {
	const int8_t *weights;
	int32_t total;
	uint32_t n;
};

static inline void add(void *ctx, uint64_t mixed)
{
	struct sum *s = ctx;
	s->total += s->weights[ngram_slot(mixed)];
	s->n++;
}

double def_ngram_score(const struct def_ngram *m, const uint8_t *words, size_t len, size_t *ret_from,
		       size_t *ret_to)
{
	struct ngram_words w = {0x811c9dc5u, 0};
	struct sum last = {.weights = m->weights};
	float best = -INFINITY;

	*ret_from = *ret_to = 0;
	for (size_t at = 0; at < len; at += NGRAM_BLOCK) {
		struct sum now = {.weights = m->weights};
		size_t to = len - at > NGRAM_BLOCK ? at + NGRAM_BLOCK : len;
		ngram_features(words, len, at, to, &w, add, &now);
		float x = (float)(now.total + last.total) / sqrtf((float)(now.n + last.n + NGRAM_PRIOR));
		if (x > best) {
			best = x;
			*ret_from = at >= NGRAM_BLOCK ? at - NGRAM_BLOCK : 0;
			*ret_to = to;
		}
		last = now;
	}
	return len < 4 ? 0 : 1 / (1 + exp(-(double)(m->bias + m->scale * best)));
}

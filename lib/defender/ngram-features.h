#pragma once
#include "ngram.h"
#include <string.h>

/*
 * What the model sees of a words view: every stretch of 4 and of 6 octets, every word, every pair of
 * neighbouring words, each hashed to a weight. Shared by the library and the trainer, so that they
 * cannot differ. A text is blocks of NGRAM_BLOCK octets; two blocks are a window.
 */
#define NGRAM_BLOCK 192

/* A feature's hash; its first NGRAM_BITS bits are its slot. */
static inline uint64_t ngram_mix(uint64_t x)
{
	return x * 0x9e3779b97f4a7c15u;
}

static inline uint32_t ngram_slot(uint64_t mixed)
{
	return (uint32_t)(mixed >> (64 - NGRAM_BITS));
}

struct ngram_words {
	uint64_t word, before; /* hashes of this word so far and of the one before */
};

/**
 * The features of octets [from, to) of @p p, @p len long: @p each is called with each hash. Inlined,
 * so that @p each costs no call.
 */
static inline __attribute__((always_inline)) void ngram_features(const uint8_t *p, size_t len, size_t from,
								 size_t to, struct ngram_words *w,
								 void (*each)(void *ctx, uint64_t mixed),
								 void *ctx)
{
	uint64_t word = w->word, before = w->before;

	for (size_t i = from; i < to; i++) {
		uint64_t x = 0;
		size_t left = len - i;
		if (left >= 8) {
			memcpy(&x, p + i, 8);
		} else {
			memcpy(&x, p + i, left);
		}
		if (left >= 4)
			each(ctx, ngram_mix((x << 32) ^ 4));
		if (left >= 6)
			each(ctx, ngram_mix((x << 16) ^ 6));
		if (p[i] != ' ') {
			word = (word ^ p[i]) * 0x100000001b3u;
		} else if (word != 0x811c9dc5u) {
			each(ctx, ngram_mix(word ^ 0x5555));
			each(ctx, ngram_mix(word * 31 + before));
			before = word;
			word = 0x811c9dc5u;
		}
	}
	w->word = word;
	w->before = before;
}

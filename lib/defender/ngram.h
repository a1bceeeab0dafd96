#pragma once
#include "mem.h"

/*
 * A linear model over hashed n-grams of the words view, in windows: the window that looks most like
 * an injection decides, so that one sentence in a long page is not averaged away.
 */
#define NGRAM_BITS    18
#define NGRAM_WEIGHTS (1u << NGRAM_BITS)

struct def_ngram {
	const int8_t *weights; /* NGRAM_WEIGHTS of them; the model's own, constant */
	float scale, bias;     /* logit = bias + scale * sum / sqrt(features) */
	float warn_at;         /* the probability from which on it warns */
};

/** A model file: this head (little-endian floats), then the weights. */
#define DEF_NGRAM_MAGIC "creelng1"
#define NGRAM_PRIOR     40 /* features that every window has more than it has: short texts are less sure */
struct def_ngram_head {
	char magic[8];
	float scale, bias, warn_at;
	uint32_t reserved;
};
/** @p file stays the caller's and is used in place. @return false when it is no model of this shape */
bool def_ngram_load(struct def_ngram *ret, const uint8_t *file, size_t len);

/** The model that is built in. @return false when this build has none */
bool def_ngram_builtin(struct def_ngram *ret);
/**
 * Score a words view.
 *
 * @param ret_from  the window that decided: its first octet
 * @param ret_to    and one past its last
 * @return 0..1
 */
double def_ngram_score(const struct def_ngram *m, const uint8_t *words, size_t len, size_t *ret_from,
		       size_t *ret_to);

#pragma once
#include "mem.h"

/*
 * The shape of a pattern of words: which words it cannot do without, and how far they stand apart.
 * Read from the subset of regular expressions that rules use; a pattern beyond it has no shape, and
 * then it is looked for everywhere.
 *
 * A distance counts words, but not the loop words: those that some pattern may take any number of
 * times, as in "ignore(?: all| of| the)* rules". They are the same for all patterns.
 */
#define SHAPE_STEPS 4    /* words of a chain that are asked for */
#define SHAPE_FAR   100  /* words: a pattern that may be longer has no shape */
#define DEF_HIGH    0xe0 /* and above: how characters of scripts without blanks begin */
#define SHAPE_WORD  12   /* octets of a word that are compared */

/** A word that a chain asks for, or the beginning of it. */
struct def_shape_word {
	uint8_t text[SHAPE_WORD];
	uint8_t len;
	bool whole; /* a blank follows */
	uint8_t step;
};

/** One way to match a pattern: a word of step 0, then one of step 1, ... */
struct def_chain {
	uint32_t first_word, n_words; /* in def_shape.words */
	uint8_t n_steps;
	uint8_t gap[SHAPE_STEPS]; /* at most so many words after the step before */
	uint8_t by_cost[SHAPE_STEPS];
	uint8_t rarest;        /* step: by_cost[0] */
	uint8_t before, after; /* words of a match before the rarest step's word, and after it */
	uint8_t group;         /* of sieve.c */
};

struct def_shape {
	const def_mem *mem;
	struct def_chain *chains;
	size_t n_chains, cap_chains;
	struct def_shape_word *words;
	size_t n_words, cap_words;
	uint32_t *loops; /* keys of loop words */
	size_t n_loops, cap_loops;
	void *spare; /* of shape.c */
};

/**
 * The first octets of a word as a number: four, or fewer and a blank, then zeros.
 *
 * @param p  four octets
 */
static inline uint32_t def_shape_key(const uint8_t p[4])
{
	uint32_t w, blank;

	__builtin_memcpy(&w, p, 4);
	blank = w ^ 0x20202020u;
	blank = ~(((blank & 0x7f7f7f7fu) + 0x7f7f7f7fu) | blank) & 0x80808080u;
	/* up to the first blank and with it */
	return blank ? w & (blank ^ (blank - 1)) : w;
}

/**
 * Add the chains of @p expr, which begins and ends with a blank.
 *
 * @return 1, 0 when it has no shape (nothing is added), CREEL_E_NOMEM
 */
int def_shape_add(struct def_shape *s, const char *expr);
/** Does every match of @p expr hold an octet from DEF_HIGH on? false also when that is not known. */
bool def_shape_high(struct def_shape *s, const char *expr);
void def_shape_fini(struct def_shape *s);

#pragma once
#include "sieve.h"

/* The sealed sieve, which sieve.c makes and sift.c uses; and what both know a word by. */
#define DEF_WORD_HASH 16 /* bits, of a word, */
#define DEF_WORD_FOUR 14 /* and of its first four octets */
#define DEF_OTHER     (SHAPE_STEPS - 1)
#define DEF_KINDS     128

/* Of a word's first four octets: it is none that a pattern repeats, a word that is asked for may go on behind them. */
enum { DEF_WORD_COUNTS = 1, DEF_WORD_OPEN = 2 };

/* What stands where a word begins: so many octets. */
struct form {
	uint8_t text[15], len;
};

/* A word that some chain asks for first, as the rarest that it cannot do without. */
struct word {
	struct form form;
	uint64_t key;
	uint32_t first_ref; /* of the chains that do */
	uint16_t n_refs;
	uint8_t turn;
};

/*
 * What else a chain asks for: one of some words, at most so many words before the first one's place or after it.
 * Its words have few kinds: bit k / 16 of octet k % 16 is kind k, so that one shuffle answers for sixteen words.
 */
struct step {
	uint8_t begin[DEF_KINDS / 8]; /* kinds of their first three octets, */
	uint8_t key[DEF_KINDS / 8];   /* and of their keys */
	uint32_t first_form;
	uint16_t n_forms;
	uint8_t before, after;
};

struct chain {
	struct step step[DEF_OTHER]; /* the rarer first */
	uint8_t n, before, after, group;
	uint8_t rarest;
	uint8_t by_place[SHAPE_STEPS]; /* of `step`, as they stand in the pattern; not of the rarest */
};

struct row;
struct def_sieve {
	const def_mem *mem;
	struct def_shape shape;
	struct row *rows;
	size_t n_rows, cap_rows;
	struct word *words; /* ascending by key */
	uint16_t *refs;     /* chains */
	struct chain *chains;
	struct form *forms;
	size_t n_words, n_refs, n_forms;
	uint64_t asked[1 << DEF_WORD_HASH >> 6]; /* a bit a hash of a key: there is a word */
	uint8_t four[1 << DEF_WORD_FOUR];        /* DEF_WORD_*, a hash of four octets */
	uint16_t *slots;                         /* 1 + the first word of a key; most are 0 */
	uint32_t last_slot;                      /* their number is a power of two */
	int32_t far; /* words from one that is asked for to what its chains ask for */
	bool threes; /* there are words of three octets that may go on */
	bool plain;  /* without what only some processors have */
};

/*
 * A key: the first eight octets of a word, or up to the blank behind it and that. The key of a beginning that
 * is shorter and may go on is its first four octets, or three.
 */
static inline uint64_t def_word_key(uint64_t w)
{
	uint64_t blank = w ^ 0x2020202020202020u;

	blank = ~(((blank & 0x7f7f7f7f7f7f7f7fu) + 0x7f7f7f7f7f7f7f7fu) | blank) & 0x8080808080808080u;
	return blank ? w & (blank ^ (blank - 1)) : w;
}

/* What keys are mixed with: the octets of their lower half, and of their upper one. */
#define DEF_WORD_LOW  0x9e3779b1u
#define DEF_WORD_HIGH 0x85ebca77u

static inline uint32_t def_word_mix(uint64_t key)
{
	return (uint32_t)key * DEF_WORD_LOW + (uint32_t)(key >> 32) * DEF_WORD_HIGH;
}

static inline uint32_t def_word_hash(uint32_t mixed)
{
	return mixed >> (32 - DEF_WORD_HASH);
}

static inline uint8_t def_word_key_kind(uint32_t mixed)
{
	return (uint8_t)(mixed >> (32 - 7));
}

static inline uint32_t def_word_four(uint32_t four)
{
	return four * DEF_WORD_LOW >> (32 - DEF_WORD_FOUR);
}

/* Of a word's first three octets: every word that is asked for has them, or ends before. */
static inline uint8_t def_word_begin_kind(uint64_t key)
{
	return ((uint32_t)key * DEF_WORD_LOW >> (24 - 7)) % DEF_KINDS;
}

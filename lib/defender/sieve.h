#pragma once
#include "shape.h"

/*
 * The sieve of a words view: from the words alone it says in which stretches a pattern could match,
 * so that Vectorscan, which costs ten times as much an octet, reads only those. Every match of a
 * pattern that it took lies whole within one stretch, which has the pattern's group.
 */
struct def_sieve;

#define DEF_GROUPS 16 /* of patterns */

enum { DEF_TURN_ROT13 = 1, DEF_TURN_REVERSE = 2 };

struct def_stretch {
	size_t from, to;
	uint32_t groups; /* bit g: a pattern of group g may match there */
};

/** What one thread at a time needs beside the sieve; zeroed before its first use. */
struct def_sieve_state {
	void *room; /* of the lists */
	size_t cap_words;
	uint32_t *at;         /* of each word: where the blank before it is, */
	int32_t *no;          /* its number, */
	uint8_t *begin, *key; /* and its kinds */
	uint32_t *first;      /* of each number: the first word that has it */
	uint32_t *hits;       /* words that are asked for */
	uint64_t *
		seen; /* of each word of the sieve: the number that it was last looked at for, where several have it */
	uint64_t base; /* numbers of all texts before */
	struct def_stretch *stretches;
	size_t n, cap;
	bool high; /* an octet from DEF_HIGH on stood in the text */
};

struct def_sieve *def_sieve_new(const def_mem *mem);
void def_sieve_free(struct def_sieve *s);
/** @return 1, 0: @p expr is none for a sieve and is to be looked for everywhere, CREEL_E_NOMEM */
int def_sieve_add(struct def_sieve *s, const char *expr, unsigned group);
/** As def_shape_high(). */
bool def_sieve_high(struct def_sieve *s, const char *expr);
/** A word that says that the text wants to be turned, whole. @p turn DEF_TURN_* */
int def_sieve_turn(struct def_sieve *s, const char *word, unsigned turn);
/** After all were added. @return 0 or CREEL_E_NOMEM */
int def_sieve_seal(struct def_sieve *s);

void def_sieve_state_fini(struct def_sieve_state *st, const struct def_sieve *s);

/**
 * Sift a words view: st->stretches are ascending and apart.
 *
 * @param ret_turn  DEF_TURN_* of the words that stand in it
 * @return 0 or CREEL_E_NOMEM
 */
int def_sieve_sift(const struct def_sieve *s, struct def_sieve_state *st, const uint8_t *words, size_t len,
		   unsigned *ret_turn);

#pragma once
#include "match.h"

/*
 * Where a match begins. Vectorscan says in one linear pass where matches end; the beginning is asked
 * of PCRE2 inside the few hundred octets before that end, so its backtracking is bounded by a
 * constant a match. A pattern is compiled for it when it is first needed.
 */
#define DEF_SPAN 640 /* octets: no match is taken to be longer */

struct def_placer; /* one a database; thread-safe */
struct def_placer *def_placer_new(const def_mem *mem, char **expr, const unsigned *flags, size_t n);
void def_placer_free(struct def_placer *p);
/** Scratch of one thread at a time. @return NULL when out of memory */
void *def_placer_scratch(struct def_placer *p);
void def_placer_scratch_free(void *scratch);
/**
 * The match of pattern @p id that ends exactly at @p to and begins last, so that it holds no word
 * more than it needs.
 *
 * @param words  matches of this pattern begin with a blank: only blanks are tried
 * @return its first octet; when PCRE2 finds none, the start of the word that ends there
 */
size_t def_placer_start(struct def_placer *p, void *scratch, unsigned id, bool words, const uint8_t *data,
			size_t to);

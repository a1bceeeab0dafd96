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
/**
 * The leftmost match of pattern @p id that ends exactly at @p to.
 *
 * @return its first octet; when PCRE2 gives up, the start of the word that ends there
 */
size_t def_placer_start(struct def_placer *p, unsigned id, const uint8_t *data, size_t to);

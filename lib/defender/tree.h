#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A pattern as a tree: the subset of regular expressions that rules use. What is beyond it (lazy repeats, looking
 * around, flags) makes no tree. Anchors are left out: without them a pattern matches more, and what it cannot do
 * without is the same.
 */
#define TREE_NODES 16384

enum tree_kind { LIT, CLS, CAT, ALT, REP };

struct node {
	uint8_t kind, lit; /* enum tree_kind; LIT: the octet */
	bool endless;      /* REP */
	bool loops;        /* it is endless, or holds what is */
	unsigned min, max;
	uint64_t set[4]; /* CLS: a bit an octet */
	struct node *child, *next;
};

static inline bool tree_has(const uint64_t set[4], uint8_t c)
{
	return set[c / 64] >> (c % 64) & 1;
}

/** The tree of @p expr in @p nodes, TREE_NODES of them. @return NULL when it is not understood */
struct node *def_tree_read(struct node *nodes, const char *expr);
/**
 * Add to @p set the octets that @p n may begin with, or end with (@p end).
 *
 * @return whether it may be empty
 */
bool def_tree_edge(const struct node *n, uint64_t set[4], bool end);
bool def_tree_only_blank(const uint64_t set[4]);
/** Does every match hold an octet from @p least on? It is 0xc0 or more. */
bool def_tree_high(const struct node *n, uint8_t least);

#define TREE_WIDE 64 /* octets: a class of more is a gap, where anything may stand */

/* Which octets may stand side by side in a match: pairs[a] has b. */
struct def_pairs {
	uint64_t pairs[256][4];
};
/** Add those of @p n, but for gaps and what stands beside them; those classes of @p n are emptied. */
void def_tree_pairs(struct node *n, struct def_pairs *p);

#pragma once
#include "rules.h"
#include "sieve.h"
#include <hs.h>

/*
 * The rules as Vectorscan databases. Each finds all its rules in one pass, in linear time; what a text
 * costs is decided by how few databases read how little of it.
 */
enum def_db {
	DEF_DB_TEXT,     /* the folded text */
	DEF_DB_TEXT_OUT, /* the same, rules for outgoing texts only */
	/*
	 * The stretches of a words view that the sieve leaves: patterns by the dozen, as a stretch is one for a
	 * few of them, and a database of all is as cold as it is large.
	 */
	DEF_DB_WORDS,
	DEF_DB_WORDS_END = DEF_DB_WORDS + DEF_GROUPS,
	DEF_DB_HIGH = DEF_DB_WORDS_END, /* words views with an octet from DEF_HIGH on */
	DEF_DB_REST,                    /* words views, whole: patterns that the sieve could not take */
	DEF_DB_DENSE,                   /* words that were taken apart */
	/* only where something was found: */
	DEF_DB_UNLESS,     /* words views */
	DEF_DB_MARKS,      /* words views: marks of writing about attacks */
	DEF_DB_MARKS_TEXT, /* the folded text: the same */
	DEF_DBS
};
struct def_id {
	uint32_t rule;
	bool padded; /* the match has a blank at either end that is not part of it */
};
struct def_placer;
struct def_pairs;
struct def_matcher {
	const def_mem *mem;
	struct def_sieve *sieve;
	struct def_placer *placer[DEF_DBS];
	hs_database_t *db[DEF_DBS]; /* NULL: no pattern of this kind */
	struct def_id *ids[DEF_DBS];
	size_t n_ids[DEF_DBS];
	struct def_pairs *beside; /* what may stand side by side in what rules of text match */
};

/**
 * Compile, or load what was compiled from the same rules by the same library for this processor.
 *
 * @param cache_dir  NULL: always compile, keep nothing. A cache that cannot be used is no error
 * @return 0, CREEL_E_INVALID (a pattern: FILE:LINE: why), CREEL_E_UNSUPP, CREEL_E_NOMEM
 */
int def_matcher_init(struct def_matcher *m, const struct def_rules *r, const char *cache_dir,
		     const def_mem *mem, struct creel_err *err);
void def_matcher_fini(struct def_matcher *m);

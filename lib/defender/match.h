#pragma once
#include "rules.h"
#include <hs.h>

/*
 * The rules as Vectorscan databases: one for the folded text, one for the words, one for words that
 * were taken apart. Each finds all its rules in one pass, in linear time.
 */
enum def_db { DEF_DB_TEXT, DEF_DB_WORDS, DEF_DB_DENSE, DEF_DBS };
enum { DEF_ID_RULE, DEF_ID_UNLESS, DEF_ID_CONTEXT, DEF_ID_ROT13, DEF_ID_REVERSE };

struct def_id {
	uint32_t rule;
	uint8_t what;	/* DEF_ID_* */
	uint8_t padded; /* the match has a blank at either end that is not part of it */
};
struct def_placer;
struct def_matcher {
	const def_mem *mem;
	struct def_placer *placer[DEF_DBS];
	hs_database_t *db[DEF_DBS]; /* NULL: no pattern of this kind */
	struct def_id *ids[DEF_DBS];
	size_t n_ids[DEF_DBS];
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

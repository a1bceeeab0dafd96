#pragma once
#include "base/cleanup.h"
#include "inner.h"

/* What the files of one scan share: scan.c goes through the views, pass.c matches one, findings.c keeps. */
struct hit {
	size_t from, to;
	uint32_t rule;
	uint32_t id; /* of the pattern in its database, */
	uint8_t db;  /* enum def_db */
	bool mention;
};

struct scan {
	const struct creel_defender *d;
	struct def_worker *w;
	const struct creel_defender_context *ctx;
	struct creel_defender_result *r;
	struct def_explain *explain;
	const def_mem *mem;
	uint64_t work;
	size_t budget; /* octets that may still be decoded */
	bool out;
	/*
	 * What is found in one of many encoded runs is placed in the view that has the runs, and all of
	 * it is translated from there at once: a translation costs a pass over the whole text.
	 */
	const struct def_view *shore;      /* NULL: places are the original's */
	size_t first_finding, first_range; /* of those that are placed in it */
	double signals;                    /* 1 - the product of (1 - confidence) of what spoke */
	struct creel_err *err;
};

/** What a view's words say about turning the text. */
struct def_turn {
	bool rot13, reverse;
};

enum def_pass_kind { DEF_PASS_TEXT, DEF_PASS_WORDS, DEF_PASS_DENSE };

/**
 * One pass of the matcher over @p v, and what it brings into the result.
 *
 * @param ret_turn  set for words only; NULL: not wanted
 * @return 0 or negative
 */
int def_pass(struct scan *s, const struct def_view *v, enum def_pass_kind kind, const char *name,
	     struct def_turn *ret_turn);

/** Take @p n hits in @p v, ascending by their ends, as findings and ranges. @return 0 or negative */
int def_hits_take(struct scan *s, const struct def_view *v, const struct hit *hits, size_t n);

/** Translate what the runs of @p v brought, since @p finding and @p range. @return 0 or negative */
int def_runs_land(struct scan *s, const struct def_view *v, size_t finding, size_t range);

/** "base64,url": the ways by which a view is hidden, outermost first; NULL: no memory. */
const char *def_via(struct scan *s, const struct def_view *v);

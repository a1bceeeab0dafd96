#pragma once
#include "match.h"
#include "ngram.h"
#include "view.h"
#include <pthread.h>

/* What the files of the library share. */
struct def_layer {
	struct creel_defender_layer l;
};

#define DEF_SPARE     8
#define DEF_SPARE_MAX (8u << 20) /* octets that a worker keeps in all */

/* What one scan needs beside its views; kept in a pool, one a scan at a time. */
struct def_worker {
	struct def_worker *next;
	hs_scratch_t *scratch;
	void *places;                 /* of place.c */
	struct def_rule_state *state; /* one a rule */
	struct def_sieve_state sieve;
	struct def_buf spare[DEF_SPARE]; /* memory of views, for the next ones */
	size_t n_spare, spare_octets;
};

struct creel_defender {
	def_mem mem;
	struct def_rules rules;
	struct def_matcher matcher;
	struct def_ngram ngram;
	bool has_ngram;
	double ngram_warn_at;
	char *replacement;
	size_t max_findings;
	struct def_layer *layers;
	size_t n_layers;
	int builtin_rule[DEF_BUILTINS]; /* the rule of each, -1 */
	pthread_mutex_t lock;           /* of the pool */
	struct def_worker *idle;
};

/* Per rule, within one pass over one view. */
struct def_rule_state {
	uint32_t unless; /* 1 + index of its first `unless` hit that may still matter; 0: none */
	uint32_t unless_last;
	uint32_t finding; /* 1 + index of its last finding of this pass */
};

struct def_range {
	size_t from, to;
};

struct creel_defender_result {
	def_mem mem;
	enum creel_defender_action action;
	double score, rules_score, ngram_score;
	struct creel_defender_finding *findings;
	size_t n_findings, cap_findings, dropped, max_findings;
	struct creel_defender_verdict *verdicts;
	size_t n_verdicts, cap_verdicts;
	uint32_t asked;           /* bit i: the caller's layer i was */
	struct def_range *ranges; /* to be replaced; of every view, made disjoint at the end */
	size_t n_ranges, cap_ranges;
	char *sanitized;
	size_t sanitized_len;
	uint64_t work;
	struct def_arena strings;
};

struct def_explain {
	int (*each)(void *arg, const struct creel_defender_view *view);
	void *arg;
	int stopped;
};

struct def_worker *def_worker_get(const struct creel_defender *d, struct creel_err *err);
void def_worker_put(const struct creel_defender *d, struct def_worker *w);

/** Layer 1 and the n-gram model over @p text; @p explain NULL: no. @return 0 or negative */
int def_scan_rules(const struct creel_defender *d, struct def_worker *w, const void *text, size_t len,
		   const struct creel_defender_context *ctx, struct creel_defender_result *r,
		   struct def_explain *explain, struct creel_err *err);
/** Findings in order and without doubles, ranges disjoint, the sanitised text. */
int def_result_finish(const struct creel_defender *d, struct creel_defender_result *r, const char *text,
		      size_t len);
/** Fill @p error, which may be NULL. @return @p code */
int def_fail(struct creel_defender_error *error, int code, const char *msg);
enum creel_defender_action def_action_of(enum creel_defender_severity s);

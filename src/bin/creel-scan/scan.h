#pragma once
#include "base/buf.h"
#include "bin/creel-defenderd/judgeopts.h"
#include "creel/defender.h"
#include <jansson.h>

/* creel-scan: what `creel scan` runs; a program of its own, as it parses hostile text. */
enum scan_form { SCAN_TEXT, SCAN_JSON, SCAN_SARIF };
struct scan_opts {
	enum scan_form form;
	bool recurse, explain, sanitize, list, out;
	unsigned layers; /* bit n: layer n is asked */
	const char *batch;
	const char *source;
	const char *model;     /* a classifier's name or folder, or NULL */
	const char *rules[17]; /* NULL at the end */
	struct judge_opts judge;
	char **paths;
	int n_paths;
};

/** What a run found, over all inputs. */
struct scan_sum {
	unsigned long files, found, blocked, failed;
	json_t *sarif_results; /* with SCAN_SARIF */
};

/** The defender that the options ask for; @p judge may be NULL and outlives it. */
int scan_defender(const struct scan_opts *o, struct creel_judge *judge, struct creel_defender **ret,
		  struct creel_err *err);
void scan_context(const struct scan_opts *o, struct creel_defender_context *ret);
/** Read all of @p fd (0: standard input) into @p buf. */
int scan_read(int fd, const char *name, struct creel_buf *buf, struct creel_err *err);

/** Scan files, folders and standard input, and print as the form says. */
int scan_paths(const struct scan_opts *o, const struct creel_defender *d, struct scan_sum *sum,
	       struct creel_err *err);
/** One line of JSON in, one out, in order. */
int scan_batch(const struct scan_opts *o, const struct creel_defender *d, struct scan_sum *sum,
	       struct creel_err *err);
/** Print one text's result. */
int scan_report(const struct scan_opts *o, const char *name, const struct creel_buf *text,
		const struct creel_defender_result *r, struct scan_sum *sum, struct creel_err *err);
int scan_explain(const struct creel_defender *d, const struct creel_buf *text, struct creel_err *err);
void scan_list(const struct scan_opts *o, const struct creel_defender *d);
/** Print the SARIF log (2.1.0) of what was gathered. */
int scan_sarif(const struct creel_defender *d, struct scan_sum *sum, struct creel_err *err);
/** Escape foreign octets and print them. */
void scan_print(const void *data, size_t len);

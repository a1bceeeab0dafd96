#pragma once
#include "base/buf.h"
#include "creel/judge.h"
#include <stdbool.h>

/* The options that name a judge, the same for creel-defenderd and creel-scan. */
struct judge_opts {
	bool given; /* --judge */
	struct creel_judge_options o;
	const char *key_file;
	struct creel_buf key; /* while the judge is made */
};
enum {
	JO_FIRST = 512,
	JO_API = JO_FIRST,
	JO_URL,
	JO_MODEL,
	JO_KEY,
	JO_CA,
	JO_BAND,
	JO_ON_ERROR,
	JO_BUDGET,
	JO_BUDGET_FILE,
	JO_TIMEOUT,
	JO_LAST
};
#define JUDGE_OPTIONS                                                                               \
	{"judge", required_argument, NULL, JO_API}, {"judge-url", required_argument, NULL, JO_URL}, \
		{"judge-model", required_argument, NULL, JO_MODEL},                                 \
		{"judge-key-file", required_argument, NULL, JO_KEY},                                \
		{"judge-ca-file", required_argument, NULL, JO_CA},                                  \
		{"judge-band", required_argument, NULL, JO_BAND},                                   \
		{"judge-on-error", required_argument, NULL, JO_ON_ERROR},                           \
		{"judge-budget", required_argument, NULL, JO_BUDGET},                               \
		{"judge-budget-file", required_argument, NULL, JO_BUDGET_FILE},                     \
	{                                                                                           \
		"judge-timeout", required_argument, NULL, JO_TIMEOUT                                \
	}

/** One option. @return 0 or CREEL_E_USAGE */
int judge_opt(struct judge_opts *j, int c, const char *value, struct creel_err *err);
/** The judge that they name; *ret stays NULL when none is named. @return 0 or negative */
int judge_opts_make(struct judge_opts *j, struct creel_judge **ret, struct creel_err *err);

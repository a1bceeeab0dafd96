#pragma once
#include "base/err.h"
#include "creel/judge.h"
#include <jansson.h>
#include <stdbool.h>

/* Requests and answers of creel-defenderd as JSON; no sockets, no threads. */
enum ask_kind { ASK_CLASSIFY, ASK_SCAN, ASK_INTENT };
enum {
	ASK_TEXTS = 128, /* of one request, as the original servers have it */
};

struct ask {
	enum ask_kind kind;
	json_t *in; /* what was asked; texts and strings below are in it */
	bool batch; /* "texts" */
	size_t n;
	struct ask_text {
		const char *p;
		size_t len;
		struct creel_defender_result *r;
	} text[ASK_TEXTS];
	struct creel_defender_context ctx;
	bool sanitize;
	struct creel_judge_call call; /* of ASK_INTENT */
	bool judge_waits;             /* a text of it is to be judged */
};

/**
 * Read a request's body.
 * @return 0, CREEL_E_SYNTAX (no JSON), CREEL_E_INVALID (another shape), CREEL_E_TOOBIG (too many texts)
 */
int ask_parse(enum ask_kind kind, const char *body, size_t len, struct ask *ret, struct creel_err *err);
/** Scan each text with the layers that do not wait. @return 0 or negative */
int ask_scan(struct ask *a, const struct creel_defender *d, struct creel_err *err);
/** Ask the judge about what is uncertain. May wait. */
int ask_judge(struct ask *a, const struct creel_defender *d, struct creel_err *err);
/** The answer. @return NULL: out of memory */
json_t *ask_answer(const struct ask *a);
/** The tool call, judged. @return 0 or negative */
int ask_intent(const struct ask *a, struct creel_judge *j, json_t **ret, struct creel_err *err);
void ask_fini(struct ask *a);

#pragma once
#include "base/buf.h"
#include "creel/judge.h"

/*
 * The question as it is sent, and the answer as it is read: no I/O, no clock, no global. What random words
 * a question has is the caller's.
 */
struct judge_words {
	char mark[17];  /* at the beginning of each line of judged text, and in the fence's two lines */
	char check[17]; /* in the instructions alone; the answer repeats it */
	bool bare;      /* no fence and no check: only for the test that shows what they are for */
};

enum judge_kind { JUDGE_TEXT, JUDGE_CALL };

/** One question. */
struct judge_question {
	enum judge_kind kind;
	const char *text; /* of JUDGE_TEXT; any octets */
	size_t len;
	const char *source, *role, *tool; /* NULL or what is known; in the question only when harmless */
	const struct creel_judge_call *call;
};

#define JUDGE_ANSWER_MAX (256u * 1024) /* octets of a response's body */

/** Does @p hay hold one of the words? Then others are to be drawn. */
bool judge_words_in(const struct judge_words *w, const char *hay, size_t len);

/** Append the request's body. @return 0, CREEL_E_NOMEM, CREEL_E_TOOBIG */
int judge_ask_encode(enum creel_judge_api api, const char *model, const struct judge_words *w,
		     const struct judge_question *q, struct creel_buf *out, struct creel_err *err);

/**
 * Read a response's body, strictly: one choice that came to its end, whose content is one JSON object with
 * exactly the fields asked for. When all is right but the check word, the text has answered: `steered`.
 *
 * @return 0, CREEL_E_PROTO (why, without foreign text), CREEL_E_NOMEM
 */
int judge_answer_decode(enum creel_judge_api api, enum judge_kind kind, const struct judge_words *w,
			const char *body, size_t len, struct creel_judge_answer *ret, struct creel_err *err);

/** Append @p text as it stands inside a fence. */
int judge_fence(const struct judge_words *w, const char *text, size_t len, struct creel_buf *out,
		struct creel_err *err);

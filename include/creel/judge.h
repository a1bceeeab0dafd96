#ifndef CREEL_JUDGE_H
#define CREEL_JUDGE_H
/*
 * libcreel-judge: layer 3 of libcreel-defender. A language model is asked about a text (is this prompt
 * injection?) or about a tool call (did the user ask for this?), over HTTPS, by libcurl.
 *
 * The judged text is fenced: every line of it carries a mark that is drawn for this one question after the
 * text is known, octets that a model's tokenizer may take for control tokens are shown in another form,
 * and an answer counts only when it repeats a second random word that stands in the instructions alone. An
 * answer can raise a text's score; nothing in libcreel-defender lets it lower what another layer found.
 *
 * C99, opens in C++. No global state but libcurl's own counted initialisation; reads no environment (no
 * proxy, no key), follows no redirect. Any number of threads may ask one judge at the same time; each call
 * takes as long as the model does, at most `timeout_ms`.
 *
 * A structure that a caller fills begins with its own size (sizeof): fields beyond it count as 0.
 */
#include "defender.h"

#ifdef __cplusplus
extern "C" {
#endif

struct creel_judge;

/** How the model is spoken to. */
enum creel_judge_api {
	CREEL_JUDGE_OPENAI = 0, /* POST URL/chat/completions, response_format json_schema; and compatibles */
	CREEL_JUDGE_CEREBRAS = 1, /* the same, at Cerebras */
	CREEL_JUDGE_ANTHROPIC = 2 /* POST URL/messages, one forced tool */
};

/** All strings are copied. All zero but `size` is not enough: OPENAI and ANTHROPIC want a model. */
struct creel_judge_options {
	size_t size;
	enum creel_judge_api api;
	/**
	 * Up to and without the last part of the path; NULL: the provider's. A key is sent over https
	 * only, or over http to a loopback address.
	 */
	const char *url;
	const char *model;   /* NULL: gpt-oss-120b, for CEREBRAS alone */
	const char *key;     /* NULL: none is sent. Wiped when the judge is freed */
	const char *ca_file; /* NULL: the system's certificates */
	unsigned timeout_ms; /* a whole question with its tries; 0: 10,000 */
	unsigned connect_ms; /* to connect, a try; 0: 3,000 */
	unsigned tries;      /* 1..10; 0: 3 */
	unsigned backoff_ms; /* before the second try, doubled for each; half of it is random; 0: 250 */
	/** Requests a UTC day, retries counted; what is over it fails. 0: 1,000; (unsigned)-1: no end. */
	unsigned budget;
	/** Keeps the day's count over restarts and between processes; NULL: in memory alone. */
	const char *budget_file;
	unsigned cache;           /* answers kept, by hash; 0: 1,024; (unsigned)-1: none */
	unsigned at_once;         /* questions under way; one more fails at once; 0: 16 */
	size_t window;            /* octets of text a question; a longer text is several; 0: 16,384 */
	unsigned windows;         /* at most; a longer text fails; 0: 4 */
	unsigned rest_after;      /* failures in a row after which it is left alone; 0: 5 */
	unsigned rest_ms;         /* for so long every question fails at once; 0: 30,000 */
	double from, to;          /* the layer's band; 0, 0: CREEL_JUDGE_FROM and _TO; -1, x: from 0 */
	double warn_at, block_at; /* 0: 0.55 and 0.85 */
	enum creel_defender_on_error on_error;
};
#define CREEL_JUDGE_FROM 0.15
#define CREEL_JUDGE_TO   0.9

/** What the judge says; `size` is set by the caller. */
struct creel_judge_answer {
	size_t size;
	double score;     /* 0..1: injection, or a call that the user did not ask for */
	int cached;       /* it had been asked before */
	int steered;      /* the answer lacks the random word: the text answered, so the score is 1 */
	char reason[256]; /* the model's words, on one line of printable UTF-8; foreign text */
};

/** A tool call that an agent is about to make. Strings are NUL-terminated and borrowed. */
struct creel_judge_call {
	size_t size;
	const char *request;   /* what the user asked for, in their own words; the last messages */
	const char *tool;      /* the tool's name */
	const char *arguments; /* as JSON, or any text */
};

/** Counters since the judge was made. */
struct creel_judge_stats {
	size_t size;
	uint64_t questions; /* texts (windows) and calls, cached ones counted */
	uint64_t cached;
	uint64_t requests; /* sent to the model, retries counted */
	uint64_t retries;
	uint64_t failed; /* questions without an answer */
	uint64_t steered;
	uint64_t over_budget; /* of the failed */
	uint64_t busy;        /* of the failed: `at_once`, or resting */
	uint64_t micros;      /* spent asking */
};

/**
 * @param ret  the judge; creel_judge_free() it
 * @param err  filled on failure; NULL is allowed
 * @return 0; CREEL_DEFENDER_E_INVALID, _E_NOMEM, _E_OS (budget_file), _E_UNSUPP (libcurl will not start)
 */
int creel_judge_new(const struct creel_judge_options *opt, struct creel_judge **ret,
		    struct creel_defender_error *err);
/** No question may be under way. NULL is allowed. */
void creel_judge_free(struct creel_judge *j);
/** From now on every question fails, those under way within a second: before an end. Any thread. */
void creel_judge_stop(struct creel_judge *j);

/**
 * Fill @p ret, to be given to creel_defender_new(): layer 3, named "judge". The judge stays the caller's
 * and must outlive the defender.
 */
void creel_judge_layer(struct creel_judge *j, struct creel_defender_layer *ret);

/**
 * Is @p text an injection? Asks whatever the band is.
 *
 * @param text  any octets
 * @param ctx   NULL: nothing is known of it
 * @return 0; CREEL_DEFENDER_E_LAYER (no answer: why is in @p err), _E_INVALID, _E_NOMEM
 */
int creel_judge_text(struct creel_judge *j, const char *text, size_t len,
		     const struct creel_defender_context *ctx, struct creel_judge_answer *ret,
		     struct creel_defender_error *err);

/**
 * Is @p call what the user asked for? The request is fenced too: it may quote foreign text.
 *
 * @return as creel_judge_text(); request, tool and arguments together fit one window or it fails
 */
int creel_judge_intent(struct creel_judge *j, const struct creel_judge_call *call,
		       struct creel_judge_answer *ret, struct creel_defender_error *err);

void creel_judge_stats(const struct creel_judge *j, struct creel_judge_stats *ret);

/** "openai", "cerebras", "anthropic". @return 0, or CREEL_DEFENDER_E_INVALID */
int creel_judge_api_parse(const char *name, enum creel_judge_api *ret);

#ifdef __cplusplus
}
#endif
#endif

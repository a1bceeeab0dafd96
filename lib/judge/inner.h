#pragma once
#include "prompt.h"
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#define JUDGE_HASH 32

struct judge_cached {
	uint8_t hash[JUDGE_HASH];
	uint64_t used; /* the tick of its last use; 0: empty */
	struct creel_judge_answer answer;
};

/* An idle connection to the model. */
struct judge_easy {
	struct judge_easy *next;
	CURL *curl;
};

struct creel_judge {
	struct creel_judge_options o; /* its strings are ours */
	char *url;                    /* whole */
	struct curl_slist *headers;
	uint8_t salt[JUDGE_HASH]; /* keys the cache's hash */
	bool bare;
	atomic_bool stopped;
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t stopping;
	struct judge_easy *idle;
	struct judge_cached *cache;
	uint64_t tick;
	unsigned under_way, failures;
	uint64_t rest_until_ms;
	int64_t day;
	uint64_t day_count;
	int budget_fd; /* -1: none */
	struct creel_judge_stats stats;
};

/** Milliseconds of a clock that only goes forward. */
uint64_t judge_now_ms(void);
/** Take one request of the day. @return 0, CREEL_E_DENIED (used up), CREEL_E_OS, CREEL_E_BROKEN (the file) */
int judge_budget_take(struct creel_judge *j, struct creel_err *err);
int judge_budget_open(struct creel_judge *j, const char *path, struct creel_err *err);

/** One question by HTTP, with its tries, until it is answered. @return 0 or negative, why in @p err */
int judge_http_ask(struct creel_judge *j, const struct judge_question *q, struct creel_judge_answer *ret,
		   struct creel_err *err);
/** What all requests share. @return 0, CREEL_E_NOMEM */
int judge_http_init(struct creel_judge *j, struct creel_err *err);
void judge_http_fini(struct creel_judge *j);

/** Only for the tests that show what the fence is for: the text as it is. Not exported. */
void judge_weaken(struct creel_judge *j);

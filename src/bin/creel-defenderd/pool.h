#pragma once
#include "ask.h"
#include "tell.h"
#include <pthread.h>
#include <stdatomic.h>

/*
 * The threads: some scan and never wait; others ask the judge and may. A job goes through the first, and
 * through the second only when a text of it is uncertain, so that a slow judge keeps nobody waiting but
 * those whose text it judges.
 */
struct job {
	struct job *next;
	enum ask_kind kind;
	char *body;
	size_t body_len;
	void *req; /* the main thread's; NULL: whoever asked is gone */
	struct ask ask;
	int status; /* HTTP */
	char *answer;
	uint64_t from_us;
};

struct pool_queue {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *first, **last;
	unsigned n, max;
	bool ended;
};

/* What has been done: read by /metrics. */
struct pool_counts {
	atomic_ulong texts[5];          /* by action */
	atomic_ulong octets, failed[4]; /* by layer */
};

struct pool {
	const struct creel_defender *defender;
	struct creel_judge *judge; /* NULL: none */
	struct tell tell;
	struct pool_queue scan, wait, done;
	int done_fd; /* an eventfd: `done` has something */
	pthread_t threads[64];
	unsigned n_threads;
	struct pool_counts counts;
};

/** @return 0, CREEL_E_OS */
int pool_start(struct pool *p, unsigned scanners, unsigned waiters, struct creel_err *err);
/** @return false: the queue is full, the job is still the caller's */
bool pool_put(struct pool *p, struct job *j);
struct job *pool_done(struct pool *p);
/** End the threads; what is queued is dropped. */
void pool_end(struct pool *p);
void job_free(struct job *j);

#include "pool.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void queue_init(struct pool_queue *q, unsigned max)
{
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->more, NULL);
	q->last = &q->first;
	q->max = max;
}

static bool queue_put(struct pool_queue *q, struct job *j)
{
	pthread_mutex_lock(&q->lock);
	bool room = q->n < q->max && !q->ended;
	if (room) {
		j->next = NULL;
		*q->last = j;
		q->last = &j->next;
		q->n++;
		pthread_cond_signal(&q->more);
	}
	pthread_mutex_unlock(&q->lock);
	return room;
}

static struct job *queue_get(struct pool_queue *q, bool wait)
{
	pthread_mutex_lock(&q->lock);
	while (wait && !q->first && !q->ended)
		pthread_cond_wait(&q->more, &q->lock);
	struct job *j = q->ended ? NULL : q->first;
	if (j) {
		q->first = j->next;
		if (!q->first)
			q->last = &q->first;
		q->n--;
	}
	pthread_mutex_unlock(&q->lock);
	return j;
}

static void queue_end(struct pool_queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->ended = true;
	pthread_cond_broadcast(&q->more);
	pthread_mutex_unlock(&q->lock);
}

static void queue_fini(struct pool_queue *q)
{
	while (q->first) {
		struct job *j = q->first;
		q->first = j->next;
		job_free(j);
	}
	pthread_cond_destroy(&q->more);
	pthread_mutex_destroy(&q->lock);
}

void job_free(struct job *j)
{
	if (!j)
		return;
	ask_fini(&j->ask);
	free(j->body);
	free(j->answer);
	free(j);
}

static void job_done(struct pool *p, struct job *j, int status, json_t *answer)
{
	uint64_t one = 1;

	j->status = answer ? status : 500;
	j->answer = answer ? json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
	json_decref(answer);
	if (!j->answer)
		j->status = 500;
	ask_fini(&j->ask); /* what it holds is large: not kept until it is sent */
	free(j->body);
	j->body = NULL;
	(void)queue_put(&p->done, j);
	if (write(p->done_fd, &one, sizeof(one)) < 0) { /* only when it is at its maximum: it is readable */
	}
}

static void job_failed(struct pool *p, struct job *j, const struct creel_err *err)
{
	int status = err->code == CREEL_E_SYNTAX || err->code == CREEL_E_INVALID ||
				     err->code == CREEL_E_TOOBIG
			     ? 400
		     : err->code == CREEL_DEFENDER_E_LAYER ? 502
		     : err->code == CREEL_E_BUSY           ? 503
		     : err->code == CREEL_E_UNSUPP         ? 501
							   : 500;
	json_t *detail = json_string(err->msg);

	if (err->code == CREEL_DEFENDER_E_LAYER)
		p->counts.failed[3]++;
	job_done(p, j, status,
		 json_pack("{s:o}", "detail", detail ? detail : json_string("(not printable)")));
}

static void counts_add(struct pool *p, const struct ask *a)
{
	for (size_t i = 0; i < a->n; i++) {
		unsigned failed = creel_defender_result_failed(a->text[i].r);
		p->counts.texts[creel_defender_result_action(a->text[i].r)]++;
		p->counts.octets += a->text[i].len;
		for (int k = 2; k < 4; k++)
			p->counts.failed[k] += (failed >> k) & 1;
	}
}

static void job_answer(struct pool *p, struct job *j)
{
	counts_add(p, &j->ask);
	tell_found(&p->tell, &j->ask);
	job_done(p, j, 200, ask_answer(&j->ask));
}

static void job_scan(struct pool *p, struct job *j)
{
	struct creel_err err = {0};
	int r = ask_parse(j->kind, j->body, j->body_len, &j->ask, &err);
	bool wait = j->kind == ASK_INTENT;

	if (r == 0 && wait && !p->judge)
		r = creel_err_set(&err, CREEL_E_UNSUPP, 0, "no judge is configured (--judge)");
	if (r == 0 && !wait) {
		r = ask_scan(&j->ask, p->defender, &err);
		wait = r == 0 && j->ask.judge_waits;
	}
	if (r == 0 && wait && !queue_put(&p->wait, j))
		r = creel_err_set(&err, CREEL_E_BUSY, 0, "too many texts wait for the judge");
	if (r < 0)
		job_failed(p, j, &err);
	else if (!wait)
		job_answer(p, j);
}

static void job_wait(struct pool *p, struct job *j)
{
	struct creel_err err = {0};
	json_t *said = NULL;
	int r = j->kind == ASK_INTENT ? ask_intent(&j->ask, p->judge, &said, &err)
				      : ask_judge(&j->ask, p->defender, &err);

	if (r < 0)
		job_failed(p, j, &err);
	else if (j->kind == ASK_INTENT)
		job_done(p, j, 200, said);
	else
		job_answer(p, j);
}

static void *scanner(void *arg)
{
	struct pool *p = arg;

	for (struct job *j; (j = queue_get(&p->scan, true));)
		job_scan(p, j);
	return NULL;
}

static void *waiter(void *arg)
{
	struct pool *p = arg;

	for (struct job *j; (j = queue_get(&p->wait, true));)
		job_wait(p, j);
	return NULL;
}

int pool_start(struct pool *p, unsigned scanners, unsigned waiters, struct creel_err *err)
{
	queue_init(&p->scan, 1024);
	queue_init(&p->wait, 256);
	queue_init(&p->done, (unsigned)-1);
	p->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->done_fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "eventfd");
	for (unsigned i = 0; i < scanners + waiters && i < ELEMENTSOF(p->threads); i++) {
		int r = pthread_create(&p->threads[i], NULL, i < scanners ? scanner : waiter, p);
		if (r != 0)
			return creel_err_set(err, CREEL_E_OS, r, "start a thread");
		p->n_threads++;
	}
	return 0;
}

bool pool_put(struct pool *p, struct job *j)
{
	return queue_put(&p->scan, j);
}

struct job *pool_done(struct pool *p)
{
	return queue_get(&p->done, false);
}

void pool_end(struct pool *p)
{
	queue_end(&p->scan);
	queue_end(&p->wait);
	for (unsigned i = 0; i < p->n_threads; i++)
		pthread_join(p->threads[i], NULL);
	queue_fini(&p->scan);
	queue_fini(&p->wait);
	queue_fini(&p->done);
	close(p->done_fd);
}

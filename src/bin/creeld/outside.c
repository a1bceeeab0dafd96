#include "monitor.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>

/*
 * Rootless, the monitor has a network namespace of its own: it goes into the cells' and comes back, and the
 * host's, where it has no rights, would not take it back. What has to be done there (a port that is
 * published, this host's addresses, the process that carries the cells' packets) is done by one thread that
 * stayed behind, while the monitor waits for it: never do both run.
 */
static struct {
	bool there;
	sem_t asked, done;
	int (*what)(void *ctx, struct creel_err *err);
	void *ctx;
	struct creel_err *err;
	int result;
} outside;

static void wait_on(sem_t *s)
{
	while (sem_wait(s) < 0 && errno == EINTR)
		;
}

static void *serve(void *unused)
{
	for (;;) {
		wait_on(&outside.asked);
		outside.result = outside.what(outside.ctx, outside.err);
		(void)sem_post(&outside.done);
	}
	return unused;
}

int outside_begin(struct creel_err *err)
{
	sigset_t all, before;
	pthread_t thread;

	if (!mon.rootless)
		return 0;
	if (sem_init(&outside.asked, 0, 0) < 0 || sem_init(&outside.done, 0, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make semaphores");
	/* signals are the monitor's */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int e = pthread_create(&thread, NULL, serve, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (e)
		return creel_err_set(err, CREEL_E_OS, e, "start a thread");
	outside.there = true;
	if (unshare(CLONE_NEWNET) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a network namespace");
	return 0;
}

int outside_do(int (*what)(void *ctx, struct creel_err *err), void *ctx, struct creel_err *err)
{
	if (!outside.there)
		return what(ctx, err);
	outside.what = what;
	outside.ctx = ctx;
	outside.err = err;
	(void)sem_post(&outside.asked);
	wait_on(&outside.done);
	return outside.result;
}

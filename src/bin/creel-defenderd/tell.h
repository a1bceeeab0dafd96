#pragma once
#include "ask.h"
#include <pthread.h>

/*
 * In a cell: what was found goes to the host, as events (wire/call.h), by a thread of its own, so that no
 * answer waits for the host. What the host cannot take yet waits, TELL_MAX of them; more are counted, and the
 * count is told. The text itself never goes.
 */
enum { TELL_MAX = 256 };

struct tell_event; /* in tell.c */
struct tell {
	const char *socket; /* NULL: nobody is told */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct tell_event *first, **last;
	unsigned n;
	unsigned long lost;
	bool started, ended;
};

/** @param socket  CREEL_CALL_SOCKET in a cell, or NULL: then the rest does nothing. @return 0, CREEL_E_OS */
int tell_start(struct tell *t, const char *socket, struct creel_err *err);
/** What of a request's texts is warned of or worse, and which layers failed. */
void tell_found(struct tell *t, const struct ask *a);
/** What waits is told while the host takes it; the rest is dropped, and said. */
void tell_end(struct tell *t);

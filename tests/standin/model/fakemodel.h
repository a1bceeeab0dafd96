#pragma once
#include "base/buf.h"
#include <jansson.h>
#include <stdatomic.h>

/*
 * A model's server on a loopback port of its own, with the faults that such servers have: threads in the
 * test's process, a connection each, one request a connection.
 */
enum fake_fault {
	FAKE_OK,
	FAKE_STATUS,  /* `status`, an error object */
	FAKE_SLOW,    /* `ms` before the answer */
	FAKE_CUT,     /* half of the body that was promised */
	FAKE_CLOSE,   /* nothing at all */
	FAKE_GARBAGE, /* octets that are no JSON */
	FAKE_SHAPE,   /* JSON of another shape */
	FAKE_WORDS,   /* the right shape, prose for content */
	FAKE_LENGTH,  /* finish_reason "length" */
	FAKE_ENDLESS, /* a body without an end */
};

struct fake_model {
	/* set by the test, before the request */
	_Atomic enum fake_fault fault;
	atomic_int times; /* so many requests have the fault; then none; -1: all */
	atomic_int status, ms, retry_after;
	/**
	 * What the model says to @p asked (the request's JSON): the verdict's object. NULL: injection when the
	 * message holds "attack".
	 */
	json_t *(*say)(const json_t *asked, const char *system, const char *user);
	/* seen */
	atomic_int requests;
	char last_auth[128], last_path[128];
	/* its own */
	int fd;
	unsigned port;
	bool anthropic;
	char url[64];
};

/** Start; fails the program when it cannot. @p f zeroed, or with `say` and `fault` set. */
void fake_model_start(struct fake_model *f);
/** The check word of the instructions, as any model would read it there. "" when there is none. */
void fake_model_check(const char *system, char ret[64]);
/** {"reason","verdict","confidence","check"} */
json_t *fake_model_verdict(const char *system, const char *verdict, double confidence);

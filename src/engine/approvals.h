#pragma once
#include "base/buf.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Approvals: what a human is asked, and what they said. State and rules alone: no clock, no file, no
 * event; approve.c brings these.
 *
 * An approval is for one cell, one kind and one key, a hash of exactly what is to happen: the same
 * thing asked again while it is pending is the same approval, another thing is another one.
 *
 *   pending ── grant ──> granted ── use ──> used       a grant for one time
 *      │                    └── its time is over, or it is withdrawn ──> expired, denied
 *      ├── deny ──> denied                             remembered for a while: the same is denied again
 *      └── nobody answers ──> expired
 *
 * A grant for a duration stands for everything with its wide key until then, and is not used up. A name's
 * stands for one answer (`once`), until its cell starts again (`session`), for a duration, or until it is
 * withdrawn.
 */
enum {
	CREEL_APPROVALS = 1024,         /* kept in all; the oldest that are over go first */
	CREEL_APPROVALS_PENDING = 16,   /* at once, per cell: over it the cell floods */
	CREEL_APPROVAL_DETAIL = 262144, /* octets of JSON */
	CREEL_APPROVALS_OCTETS = 64 * CREEL_APPROVAL_DETAIL, /* of all details: what is over makes room */
	CREEL_APPROVALS_FILE = CREEL_APPROVALS * 4096 + CREEL_APPROVALS_OCTETS, /* of all of it, encoded */
	CREEL_APPROVAL_REASON = 240,
};
#define CREEL_APPROVAL_EVER INT64_MAX

enum creel_approval_kind { CREEL_APPROVAL_EGRESS, CREEL_APPROVAL_GATE, CREEL_APPROVAL_KINDS };

enum creel_approval_state {
	CREEL_APPROVAL_PENDING,
	CREEL_APPROVAL_GRANTED,
	CREEL_APPROVAL_USED,
	CREEL_APPROVAL_DENIED,
	CREEL_APPROVAL_EXPIRED,
};

struct creel_approval {
	uint32_t id; /* from 1, never again */
	enum creel_approval_kind kind;
	enum creel_approval_state state;
	char cell[33];
	char subject[256];            /* what a person reads first: a name, or a verb */
	uint8_t key[32];              /* exactly this */
	uint8_t wide[32];             /* what `--same-verb` stands for */
	json_t *detail;               /* the kind's own; a guest's words in it are foreign text */
	size_t octets;                /* of the detail, as JSON */
	int64_t asked_ms, expires_ms; /* since the epoch */
	/* the answer */
	int64_t answered_ms;
	int64_t until_ms; /* granted: how long it stands; denied: how long it is remembered */
	bool once, session, wide_grant;
	uid_t by;
	char reason[CREEL_APPROVAL_REASON];
};

struct creel_approvals {
	uint32_t next_id;
	size_t n;
	struct creel_approval v[CREEL_APPROVALS]; /* by id */
};

struct creel_approval_ask {
	enum creel_approval_kind kind;
	const char *cell, *subject;
	const uint8_t *key, *wide; /* 32 octets each */
	json_t *detail;            /* stolen, whatever happens */
	int64_t ttl_ms;            /* how long a human has */
};

/** The names that the API and the record use. */
const char *creel_approval_kind_name(enum creel_approval_kind k);
const char *creel_approval_state_name(enum creel_approval_state s);

void creel_approvals_init(struct creel_approvals *a);
void creel_approvals_fini(struct creel_approvals *a);

/**
 * Ask, or find what was said already.
 *
 * @param ret_new  a human has to be told of a new one
 * @return the approval: pending, granted (a grant that still stands, or one for this very thing that
 *         nobody has used), or denied (a denial that is remembered). NULL with CREEL_E_TOOBIG (the cell
 *         has CREEL_APPROVALS_PENDING of them, its detail is too large, no room is left), CREEL_E_NOMEM. Valid until
 *         the next call.
 */
struct creel_approval *creel_approvals_ask(struct creel_approvals *a, const struct creel_approval_ask *ask,
					   int64_t now_ms, bool *ret_new, struct creel_err *err);

struct creel_approval_answer {
	bool grant;
	int64_t for_ms;     /* 0: a gate's once, a name's for ever; a denial's: the usual time */
	bool once, session; /* a name's, with for_ms 0 */
	bool wide;          /* with for_ms: everything of the same wide key */
	const char *reason; /* NULL or "": none */
	uid_t by;
};

/**
 * Answer a pending one; or withdraw a grant that stands, by a denial.
 *
 * @return 0, CREEL_E_NOTFOUND, CREEL_E_BUSY (it was answered: @p err says how, by whom), CREEL_E_CLOSED
 *         (too late), CREEL_E_INVALID
 */
int creel_approvals_answer(struct creel_approvals *a, uint32_t id, const struct creel_approval_answer *answer,
			   int64_t now_ms, struct creel_err *err);

/** What was granted once is done now. @return 0, CREEL_E_DENIED (not granted, or used already) */
int creel_approvals_use(struct creel_approvals *a, uint32_t id, int64_t now_ms, struct creel_err *err);

/**
 * Let time pass: what nobody answered, and grants whose time is over.
 *
 * @param each     called for each that changed, in its new state; may be NULL
 * @return when to call again: ms since the epoch, CREEL_APPROVAL_EVER when nothing waits
 */
int64_t creel_approvals_tick(struct creel_approvals *a, int64_t now_ms,
			     void (*each)(const struct creel_approval *, void *ctx), void *ctx);

/** A cell starts: what stood for its last session is over. @p each as in creel_approvals_tick(). */
void creel_approvals_session_over(struct creel_approvals *a, const char *cell,
				  void (*each)(const struct creel_approval *, void *ctx), void *ctx);

/** once, session, always, or time: how long a grant stands. */
const char *creel_approval_scope(const struct creel_approval *p);

struct creel_approval *creel_approvals_find(struct creel_approvals *a, uint32_t id);

/** For the file: everything, as JSON. @return NULL when out of memory */
char *creel_approvals_encode(const struct creel_approvals *a);
/** @return 0, CREEL_E_BROKEN (nothing is taken over), CREEL_E_NOMEM */
int creel_approvals_decode(struct creel_approvals *a, const char *text, size_t len, struct creel_err *err);

/** One, as the API shows it; without keys. @return NULL when out of memory */
json_t *creel_approval_json(const struct creel_approval *p);

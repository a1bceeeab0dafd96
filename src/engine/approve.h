#pragma once
#include "engine/approvals.h"
#include "engine/engine.h"

/*
 * The engine's approvals: approvals.h with a clock, a file (approvals.json in the record's folder, whole
 * or not at all), events that are on disk before their effect, and those who asked.
 */

/** After the journal is open. @return 0, CREEL_E_BROKEN, CREEL_E_NOMEM, CREEL_E_OS */
int approve_open(int dirfd, struct creel_err *err);
void approve_close(void);
/** The clock of approvals: ms since the epoch. */
int64_t approve_now_ms(void);

/** Told of each answer, withdrawal and expiry of this kind; one function a kind. */
void approve_on(enum creel_approval_kind kind, void (*changed)(const struct creel_approval *p));

/**
 * Ask. What it answers: creel_approvals_ask(); in addition NULL with CREEL_E_OS when it can be put
 * neither on the record nor on disk. A cell that asks too much is on the record as `approval.flood`.
 */
const struct creel_approval *approve_ask(const struct creel_approval_ask *ask, struct creel_err *err);
/** creel_approvals_use(), on disk before it returns. */
int approve_use(uint32_t id, struct creel_err *err);
/** A cell starts: yeses for its last session are over. */
void approve_session_over(const char *cell);
/** Every approval, in order of id. */
const struct creel_approvals *approve_all(void);

/** BLAKE2b-256 of a list of parts, each with its length before it, so that none can run into the next. */
struct approve_hash {
	uint8_t state[384] __attribute__((aligned(64))); /* crypto_generichash_state */
};
void approve_hash_begin(struct approve_hash *h);
void approve_hash_add(struct approve_hash *h, const void *part, size_t len);
void approve_hash_end(struct approve_hash *h, uint8_t ret[32]);

/** GET /v1/approvals, GET and POST below it. @param rest  what follows "/v1/approvals" */
int approve_api(struct evhttp_request *req, const char *rest, struct creel_err *err);

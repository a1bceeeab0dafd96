#pragma once
#include "base/buf.h"

/*
 * What a program in a cell may ask of the host: a question of the gate, why something was refused, an
 * event. The program writes one frame to /run/creel/host.sock and reads one; creel-init puts a number
 * and the program's uid (SO_PEERCRED) into it and passes it on, as a stream of CREEL_MUX_CALLS;
 * creel-cell checks it whole and hands it to the engine. Everything in it is the guest's claim.
 *
 * A frame: payload length u32 LE, id u32 LE, uid u32 LE, type u8, three zeros; the payload. A string in
 * a payload: length u32 LE, octets without a NUL, a NUL. A list: count u16 LE, then its parts.
 */
enum {
	CREEL_CALL_HEAD = 16,
	CREEL_CALL_MAX = 131072 - CREEL_CALL_HEAD, /* payload of a question */
	CREEL_CALL_REPLY_MAX = 8192,               /* payload of an answer: a text */
	CREEL_CALLS_OPEN = 16,                     /* at once, a cell */
	CREEL_CALL_ARGV = 4096,
	CREEL_CALL_LINES = 64,
	CREEL_CALL_FILES = 16,
	CREEL_CALL_FIELDS = 8,
};
#define CREEL_CALL_SOCKET "/run/creel/host.sock"

enum creel_call_type {
	/* questions */
	CREEL_CALL_GATE = 1, /* struct creel_call_gate; answered when a human has, or nobody will */
	CREEL_CALL_WHY,      /* one string: NAME, NAME:PORT or ADDR:PORT; answered with JSON */
	CREEL_CALL_EVENT,    /* struct creel_call_event; answered when it is on the record */
	CREEL_CALL_QUESTIONS_END,
	CREEL_CALL_CANCEL = 32, /* creel-init: who asked is gone */
	/* answers; the payload is a text for people, or JSON for WHY */
	CREEL_CALL_OK = 64,
	CREEL_CALL_DENIED,  /* a human or a rule says no */
	CREEL_CALL_EXPIRED, /* nobody answered in time */
	CREEL_CALL_AGAIN,   /* the host cannot say now: ask again a moment later */
	CREEL_CALL_INVALID, /* not understood, or not this cell's to ask */
	CREEL_CALL_ANSWERS_END,
};

struct creel_call_head {
	uint32_t len, id, uid;
	uint8_t type;
};
void creel_call_head_encode(const struct creel_call_head *h, uint8_t buf[CREEL_CALL_HEAD]);
/** @return 0, CREEL_E_PROTO (unknown type, or longer than its type may be) */
int creel_call_head_decode(const uint8_t buf[CREEL_CALL_HEAD], struct creel_call_head *ret,
			   struct creel_err *err);

/** What the gate asks a human for: exactly this, and how it reads. */
struct creel_call_gate {
	uint32_t wait_s; /* how long it will wait */
	uint64_t stdin_len;
	uint8_t stdin_hash[32]; /* zero without standard input */
	const char *program, *verb, *rule;
	const char *client; /* the address that asks, "" when unknown */
	size_t n_argv, n_fixed, n_lines, n_files;
	const char *argv[CREEL_CALL_ARGV];
	const char *fixed[CREEL_CALL_LINES]; /* what `--same-verb` keeps as it is: recipients, documents */
	struct {
		const char *label, *text;
	} line[CREEL_CALL_LINES]; /* to, subject, body: for a person */
	struct {
		const char *name;
		uint64_t len;
		uint8_t hash[32]; /* BLAKE2b-256 */
	} file[CREEL_CALL_FILES];
};

/** An event: its kind is of a closed list that the engine keeps. */
struct creel_call_event {
	const char *kind;
	size_t n_fields;
	struct {
		const char *key, *value;
	} field[CREEL_CALL_FIELDS];
};

/** Append the payload. @return 0, CREEL_E_TOOBIG, CREEL_E_NOMEM */
int creel_call_gate_encode(const struct creel_call_gate *g, struct creel_buf *out, struct creel_err *err);
int creel_call_event_encode(const struct creel_call_event *e, struct creel_buf *out, struct creel_err *err);
int creel_call_why_encode(const char *what, struct creel_buf *out, struct creel_err *err);

/**
 * Decode strictly: every octet is accounted for. Strings point into @p buf, which must outlive the
 * result; they are UTF-8 or not, as the guest likes.
 *
 * @return 0, CREEL_E_PROTO
 */
int creel_call_gate_decode(const uint8_t *buf, size_t len, struct creel_call_gate *ret,
			   struct creel_err *err);
int creel_call_event_decode(const uint8_t *buf, size_t len, struct creel_call_event *ret,
			    struct creel_err *err);
int creel_call_why_decode(const uint8_t *buf, size_t len, const char **ret, struct creel_err *err);
/** Is this payload a question of @p type? The result is dropped. @return 0, CREEL_E_PROTO, CREEL_E_NOMEM */
int creel_call_check(uint8_t type, const uint8_t *buf, size_t len, struct creel_err *err);

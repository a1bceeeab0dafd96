#pragma once
#include "base/buf.h"

/*
 * What stands inside a stream of kind EXEC, from the CLI to creel-init and back: records of type
 * (u8), length (u32 LE, at most CREEL_EXECIO_MAX), payload. Everyone between them passes octets.
 */
enum creel_execio_type {
	CREEL_EXECIO_IN = 1, /* client to guest: standard input */
	CREEL_EXECIO_IN_EOF,
	CREEL_EXECIO_WINSIZE, /* rows u16 LE, columns u16 LE */
	CREEL_EXECIO_SIGNAL,  /* number u8, to the command's process group */
	CREEL_EXECIO_OUT,     /* guest to client */
	CREEL_EXECIO_ERR,
	CREEL_EXECIO_EXIT,  /* status u8: what a shell would say (128 + n for signal n) */
	CREEL_EXECIO_ERROR, /* status u8 (125..127) and a text: the command was not run */
};
enum {
	CREEL_EXECIO_HEAD = 5,
	CREEL_EXECIO_MAX = 32768,
};

/** Append one record. @return 0, CREEL_E_TOOBIG, CREEL_E_NOMEM */
int creel_execio_put(struct creel_buf *out, enum creel_execio_type type, const void *data, size_t len,
		     struct creel_err *err);

/**
 * Look at the record that starts at @p buf.
 *
 * @return octets of the whole record (head included), 0 when more is needed, CREEL_E_PROTO
 */
ssize_t creel_execio_get(const uint8_t *buf, size_t len, uint8_t *ret_type, const uint8_t **ret_data,
			 size_t *ret_len, struct creel_err *err);

/** What to run. Strings are borrowed from the spec's octets after decoding. */
struct creel_execspec {
	const char *argv[256]; /* NULL-terminated, at least one */
	const char *env[256];  /* NULL-terminated "K=V" */
	const char *user;      /* "" is root */
	const char *dir;       /* "" is the user's home */
	bool tty;
	uint16_t rows, cols;
};

/** Encode: flags, rows, cols, user, dir, counts, strings with their NUL. */
int creel_execspec_encode(const struct creel_execspec *spec, struct creel_buf *out, struct creel_err *err);
/** Decode strictly. @return 0, CREEL_E_PROTO, CREEL_E_TOOBIG (over 255 words) */
int creel_execspec_decode(const uint8_t *buf, size_t len, struct creel_execspec *ret, struct creel_err *err);

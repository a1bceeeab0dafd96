#pragma once
#include <stddef.h>

/*
 * Errors are values. A function that can fail returns 0 or more, or a negative enum creel_code;
 * callers test r < 0. The error object comes last, is never NULL inside creel and lives in the
 * caller's memory: nothing here allocates, so "out of memory" can always be said. The cause is set
 * where it happens, each caller adds what *it* was doing, and only programs print.
 */
enum creel_code {
	CREEL_OK = 0,
	CREEL_E_OS = -1,       /* a system call failed; err.os is its errno */
	CREEL_E_NOMEM = -2,    /* out of memory */
	CREEL_E_SYNTAX = -3,   /* malformed input */
	CREEL_E_TRUNC = -4,    /* input ends too early; more might make it whole */
	CREEL_E_TOOBIG = -5,   /* over a stated bound */
	CREEL_E_INVALID = -6,  /* well-formed, but not allowed or not sensible */
	CREEL_E_NOTFOUND = -7, /* what was named does not exist */
	CREEL_E_EXISTS = -8,   /* it is there already */
	CREEL_E_DENIED = -9,   /* policy or permission says no */
	CREEL_E_TIMEOUT = -10, /* took longer than it may */
	CREEL_E_CLOSED = -11,  /* the peer went away */
	CREEL_E_PROTO = -12,   /* a peer broke the protocol */
	CREEL_E_BROKEN = -13,  /* stored data is damaged */
	CREEL_E_CONFIG = -14,  /* the user's configuration is wrong (exit status 2) */
	CREEL_E_USAGE = -15,   /* the command line is wrong (exit status 2) */
	CREEL_E_CHILD = -16,   /* a program that we ran failed */
	CREEL_E_UNSUPP = -17,  /* this host or build cannot do it */
	CREEL_E_BUSY = -18,    /* somebody else holds it */
	CREEL_E_CANCEL = -19,  /* interrupted on purpose */
};

struct creel_err {
	int code;      /* enum creel_code, 0 while all is well */
	int os;        /* errno, 0 if no system call failed */
	char msg[240]; /* "context: cause", one line; may hold foreign text: printers escape it */
};

/**
 * Record a cause. errno is left as it was; %m is not used, pass @p os instead: it is appended as
 * ": <strerror>" when not 0.
 *
 * @return @p code, so that a caller can write `return creel_err_set(...)`
 */
int creel_err_set(struct creel_err *err, int code, int os, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/**
 * Put "context: " before what is there. When both do not fit the cause stays whole and the context
 * is cut.
 *
 * @return err->code
 */
int creel_err_add(struct creel_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** CREEL_E_NOMEM with the usual words. */
int creel_err_nomem(struct creel_err *err);

/** The code's name without prefix, in lower case: "syntax". Never NULL. */
const char *creel_code_name(int code);

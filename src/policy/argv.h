#pragma once
#include "base/cleanup.h"
#include "base/err.h"
#include <stddef.h>

/*
 * A command as sshd hands it over (SSH_ORIGINAL_COMMAND): one string that a shell would have read.
 * No shell reads it. It becomes an argv by POSIX quoting alone, and whatever a shell would have
 * acted on, rather than passed on, is refused: nothing here has two meanings.
 */
#define CREEL_COMMAND_MAX 65536
#define CREEL_ARGV_MAX    4096

struct creel_argv {
	char **v; /* n strings and a NULL; one piece of memory */
	size_t n;
};

void creel_argv_fini(struct creel_argv *a);
CREEL_DEFINE_CLEANUP(struct creel_argv, creel_argv_fini)

/**
 * Shape (POSIX.1-2017, 2.2): words apart by blanks and tabs; '...' as it is; "..." with a backslash
 * before $ ` " \ and newline; a backslash before any other character outside quotes.
 *
 * Refused: NUL; octets that are not UTF-8; outside quotes a newline and ; & | < > ( ) $ ` * ? [,
 * and ~ or # that begins a word; inside "..." a bare $ or `; an open quote; more than
 * CREEL_COMMAND_MAX octets or CREEL_ARGV_MAX words; no word at all.
 *
 * @param s    untrusted octets, borrowed for the call
 * @return 0, CREEL_E_SYNTAX, CREEL_E_TOOBIG, CREEL_E_NOMEM
 */
int creel_argv_parse(const char *s, size_t len, struct creel_argv *ret_argv, struct creel_err *err);

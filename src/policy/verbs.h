#pragma once
#include "base/cleanup.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A tool's verb table: recipes/gog/verbs.txt says the form. It is data of ours, not of a guest, but
 * a user may bring one with a recipe, so it is checked like any file.
 */
enum creel_flag_kind {
	CREEL_FLAG_BOOL,
	CREEL_FLAG_VALUE,
	CREEL_FLAG_TEXT, /* a value that is content: it may change under a grant for the whole verb */
	CREEL_FLAG_WHO,  /* a value that says who is concerned */
	CREEL_FLAG_MANY, /* a bool that adds people who are not named */
	CREEL_FLAG_FILE, /* a value that names a file that is read, - standard input */
	CREEL_FLAG_OUT,  /* a value that names a file that is written */
	CREEL_FLAG_AT,   /* a value that names a file that is read when it begins with '@' */
};

struct creel_flag {
	enum creel_flag_kind kind;
	bool refuse;       /* known, and refused in any form */
	const char *names; /* words, each with a NUL, ended by an empty one; the first is its own */
};

struct creel_tool_verb {
	const char *path;            /* "gmail/messages/search" */
	const char *aliases;         /* of the last word; words as above */
	bool group;                  /* has verbs below it and is none itself */
	size_t target;               /* of a short: the verb's index + 1; else 0 */
	unsigned min_args, max_args; /* UINT_MAX: any */
	uint16_t in_args, out_args;  /* bit N: positional argument N + 1 is a file that is read, written */
	const char *needs;           /* words: flags without which it is refused; NULL: none */
	bool reads_stdin;            /* whatever its flags say */
	const char *shows;     /* words: what prints the thing that it acts on; $N: argument N. NULL: none */
	size_t flags, n_flags; /* its own, in flags[] */
};

struct creel_verbs {
	char *text;
	const char *program;
	struct creel_tool_verb *verb;
	size_t n_verbs;
	struct creel_flag *flag; /* [0, n_common): every verb's */
	size_t n_flags;
	size_t n_common;
};

void creel_verbs_fini(struct creel_verbs *t);
CREEL_DEFINE_CLEANUP(struct creel_verbs, creel_verbs_fini)

/** @return 0, CREEL_E_SYNTAX (the message begins with the line), CREEL_E_TOOBIG, CREEL_E_NOMEM */
int creel_verbs_parse(const char *text, size_t len, struct creel_verbs *ret_table, struct creel_err *err);

/** The table of a program that creel knows. @return 0, CREEL_E_NOTFOUND, CREEL_E_NOMEM */
int creel_verbs_builtin(const char *program, struct creel_verbs *ret_table, struct creel_err *err);

/**
 * One step down: the child of @p parent (NULL: the top) whose name or alias is @p word; a short is
 * answered by its verb. NULL: there is none.
 */
const struct creel_tool_verb *creel_verbs_child(const struct creel_verbs *t,
						const struct creel_tool_verb *parent, const char *word);

/** The flag of that name (without dashes; @p is_short: one letter behind one dash) for a verb. */
const struct creel_flag *creel_verbs_flag(const struct creel_verbs *t, const struct creel_tool_verb *v,
					  const char *name, size_t len, bool is_short);

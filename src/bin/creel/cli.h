#pragma once
#include "base/err.h"
#include <stdbool.h>

/*
 * creel, the command line. A verb is a row of creel_verbs[] (verbs.c) and a file cmd-NAME.c.
 * The global options stand anywhere before `--`; main.c takes them out of argv before the verb
 * sees it, so that a verb's own getopt_long() meets only its own.
 */
struct creel_cli {
	const char *file;      /* -f FILE, --file; NULL when not given (then creel.yaml) */
	const char *state_dir; /* --state-dir DIR; NULL: the default place */
	bool json;             /* --json */
	bool trust;            /* --trust */
};

struct creel_verb {
	const char *name;
	const char *args;    /* what follows the name in a usage line */
	const char *summary; /* one line, lower case, no full stop */
	const char *help;    /* options and examples, several lines; shown by `creel NAME --help` */
	bool own_f;          /* its -f is `follow`; for the others it is --file wherever it stands */
	bool passes_through; /* `exec`-like: its failures exit with 125, not 1 or 2 */
	/*
	 * argv[0] is the verb. @return an exit status (0 or more), or a negative code with @p err
	 * set; main prints it.
	 */
	int (*run)(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
};

/** The table, ended by a row without name. */
extern const struct creel_verb creel_verbs[];

/** Print `usage`, summary and help of @p verb on standard output. */
void creel_verb_help(const struct creel_verb *verb);

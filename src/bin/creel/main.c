#include "base/cleanup.h"
#include "base/closest.h"
#include "base/log.h"
#include "cli.h"
#include "helpgen.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void usage(FILE *to)
{
	fputs("usage: creel [-f FILE] [--state-dir DIR] [--json] VERB [ARGUMENT...]\n\n"
	      "Run an AI agent in a microVM that it cannot get out of.\n\nverbs:\n",
	      to);
	for (const struct creel_verb *v = creel_verbs; v->name; v++)
		fprintf(to, "  %-12s %s\n", v->name, v->summary);
	fputs("\n`creel VERB --help` says more; creel(1) says all.\n"
	      "exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 the answer is no\n",
	      to);
}

void creel_verb_help(const struct creel_verb *v)
{
	printf("usage: creel %s%s%s\n\n%s\n", v->name, v->args[0] ? " " : "", v->args, v->summary);
	if (v->help && v->help[0])
		printf("\n%s", v->help);
}

static const struct creel_verb *verb_find(const char *name, struct creel_err *err)
{
	const char *names[64] = {NULL};
	size_t n = 0;

	for (const struct creel_verb *v = creel_verbs; v->name; v++) {
		if (strcmp(v->name, name) == 0)
			return v;
		if (n < ELEMENTSOF(names))
			names[n++] = v->name;
	}
	const char *near = creel_closest(name, names, n);
	if (near)
		creel_err_set(err, CREEL_E_USAGE, 0, "unknown verb '%s'; did you mean '%s'?", name, near);
	else
		creel_err_set(err, CREEL_E_USAGE, 0, "unknown verb '%s'; see creel --help", name);
	return NULL;
}

/*
 * Take the value of option @p name ("--x VALUE" or "--x=VALUE") at argv[*i].
 * @return 1 taken, 0 not this option, negative without a value
 */
static int option_value(int argc, char **argv, int *i, const char *name, const char **ret_value,
			struct creel_err *err)
{
	size_t n = strlen(name);

	if (strncmp(argv[*i], name, n) != 0)
		return 0;
	if (argv[*i][n] == '=' && n > 2) {
		*ret_value = argv[*i] + n + 1;
		return 1;
	}
	if (argv[*i][n] != '\0')
		return 0;
	if (*i + 1 >= argc)
		return creel_err_set(err, CREEL_E_USAGE, 0, "%s needs a value", name);
	*ret_value = argv[++*i];
	return 1;
}

/* Move the global options out of argv; what stays is the verb and its own words. */
static int globals_take(int *argc, char **argv, struct creel_cli *cli, bool *ret_help, bool *ret_version,
			struct creel_err *err)
{
	int out = 1, r;
	bool verb_seen = false, own_f = false;

	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			while (i < *argc)
				argv[out++] = argv[i++];
			break;
		}
		if ((r = option_value(*argc, argv, &i, "--state-dir", &cli->state_dir, err)) != 0 ||
		    (r = option_value(*argc, argv, &i, "--file", &cli->file, err)) != 0) {
			if (r < 0)
				return r;
			continue;
		}
		if (strcmp(argv[i], "--json") == 0) {
			cli->json = true;
			continue;
		}
		if (strcmp(argv[i], "--trust") == 0) {
			cli->trust = true;
			continue;
		}
		if (!own_f && (r = option_value(*argc, argv, &i, "-f", &cli->file, err)) != 0) {
			if (r < 0)
				return r;
			continue;
		}
		if (!verb_seen && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
			*ret_help = true;
			continue;
		}
		if (!verb_seen && strcmp(argv[i], "--version") == 0) {
			*ret_version = true;
			continue;
		}
		if (!verb_seen && argv[i][0] == '-' && argv[i][1])
			return creel_err_set(err, CREEL_E_USAGE, 0, "unknown option %s", argv[i]);
		for (const struct creel_verb *v = creel_verbs; !verb_seen && v->name; v++)
			own_f |= strcmp(v->name, argv[i]) == 0 && v->own_f;
		verb_seen = true;
		argv[out++] = argv[i];
	}
	argv[out] = NULL;
	*argc = out;
	return 0;
}

static int stdout_close(struct creel_err *err)
{
	/* a full disk is a failure too */
	if (ferror(stdout) || fflush(stdout) != 0)
		return creel_err_set(err, CREEL_E_OS, errno, "write to standard output");
	return 0;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	struct creel_err err = {0};
	struct creel_cli cli = {0};
	const struct creel_verb *verb = NULL;
	bool help = false, version = false;

	/* for the manual and for packagers: what the table of verbs says, in other words */
	if (argc == 3 && strcmp(argv[1], "--completion") == 0) {
		int done = helpgen_completion(argv[2], &err);
		if (done == 0)
			done = stdout_close(&err);
		if (done < 0)
			creel_log_error(&err);
		return creel_exit_status(done);
	}
	if (argc == 2 && (strcmp(argv[1], "--man-verbs") == 0 || strcmp(argv[1], "--man-events") == 0)) {
		if (argv[1][6] == 'v')
			helpgen_man();
		else
			helpgen_events();
		return stdout_close(&err) < 0;
	}
	int r = globals_take(&argc, argv, &cli, &help, &version, &err);

	if (r == 0 && version) {
		puts("creel " CREEL_VERSION);
	} else if (r == 0 && help) {
		usage(stdout);
	} else if (r == 0 && argc < 2) {
		usage(stderr);
		return 2;
	} else if (r == 0) {
		verb = verb_find(argv[1], &err);
		if (!verb)
			r = CREEL_E_USAGE;
		else if (wants_help(argc - 1, argv + 1))
			creel_verb_help(verb);
		else
			r = verb->run(&cli, argc - 1, argv + 1, &err);
	}
	if (r >= 0) {
		int closed = stdout_close(&err);
		if (closed < 0)
			r = closed;
	}
	if (r < 0)
		creel_log_error(&err);
	if (r < 0 && verb && verb->passes_through)
		return 125;
	return creel_exit_status(r);
}

#include "secretcmd.h"
#include "wire/envfile.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/*
 * `creel secret import`: many secrets at once, from a file of variables, from one that age(1) opens, or
 * from pass(1). Everything is read and checked first; a source that fails stores nothing.
 */
extern char **environ;
enum { IMPORT_MAX = 64 };

struct import {
	const char *cell;
	size_t n;
	struct item {
		char name[65];
		struct creel_buf value;
	} v[IMPORT_MAX];
};

static void import_fini(struct import *i)
{
	for (size_t k = 0; k < i->n; k++)
		creel_sbuf_fini(&i->v[k].value);
}
CREEL_DEFINE_CLEANUP(struct import, import_fini)

static int item_new(struct import *to, const char *name, size_t len, struct creel_err *err)
{
	if (to->n == IMPORT_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "over %d secrets at once", IMPORT_MAX);
	if (!creel_secret_name_ok(name, 65))
		return creel_err_set(err, CREEL_E_INVALID, 0, "'%s' cannot be a secret's name", name);
	for (size_t i = 0; i < to->n; i++)
		if (strcmp(to->v[i].name, name) == 0)
			return creel_err_set(err, CREEL_E_INVALID, 0, "'%s' stands there twice", name);
	int r = creel_sbuf_init(&to->v[to->n].value, len, err);
	if (r == 0)
		(void)snprintf(to->v[to->n++].name, 65, "%s", name);
	return r;
}

/* OPENROUTER_API_KEY is the secret openrouter-api-key */
static int variable(const char *name, const char *value, size_t len, void *ctx, struct creel_err *err)
{
	struct import *to = ctx;
	char lower[65];
	size_t i = 0;

	for (; name[i] && i < 64; i++)
		lower[i] = name[i] == '_' ? '-' : (char)tolower((unsigned char)name[i]);
	lower[i] = '\0';
	if (len == 0)
		return 0; /* a line to fill in */
	if (len > CREEL_SECRET_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "%s: a secret is at most %d octets", name,
				     CREEL_SECRET_MAX);
	int r = item_new(to, lower, len, err);
	return r < 0 ? r : creel_buf_add(&to->v[to->n - 1].value, value, len, err);
}

/* What a program of the user's prints, run as the user and with the user's environment and terminal. */
static int program_read(const char *const *argv, struct creel_buf *out, struct creel_err *err)
{
	posix_spawn_file_actions_t fa;
	int pipefd[2], status = 0;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "pipe");
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, pipefd[1], STDOUT_FILENO);
	int e = posix_spawnp(&pid, argv[0], &fa, NULL, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(pipefd[1]);
	autofd int in = pipefd[0];
	if (e != 0)
		return creel_err_set(err, CREEL_E_CHILD, e, "run %s; is it installed?", argv[0]);
	int r = secret_read(in, out, argv[0], err);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		r = creel_err_set(err, CREEL_E_CHILD, 0, "%s failed: nothing was stored", argv[0]);
	return r;
}

static int variables_take(struct import *to, struct creel_buf *text, const char *what, struct creel_err *err)
{
	int r = creel_envfile_parse((char *)text->data, text->len, variable, to, err);
	return r < 0 ? creel_err_add(err, "%s", what) : 0;
}

static int from_file(struct import *to, const char *path, struct creel_err *err)
{
	struct creel_buf autoclean(creel_sbuf_fini) text = {.data = NULL};
	autofd int opened = strcmp(path, "-") == 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);

	if (opened < 0 && strcmp(path, "-") != 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno, "open %s",
				     path);
	int r = secret_read(opened < 0 ? STDIN_FILENO : opened, &text, path, err);
	return r < 0 ? r : variables_take(to, &text, path, err);
}

static int from_age(struct import *to, const char *identity, const char *path, struct creel_err *err)
{
	struct creel_buf autoclean(creel_sbuf_fini) text = {.data = NULL};
	const char *argv[] = {"age",
			      "--decrypt",
			      identity ? "-i" : "--",
			      identity ? identity : path,
			      identity ? "--" : NULL,
			      identity ? path : NULL,
			      NULL};
	int r = program_read(argv, &text, err);
	return r < 0 ? r : variables_take(to, &text, path, err);
}

/* Its first line is the secret, by pass's own convention; what follows are notes. */
static int from_pass(struct import *to, char *word, struct creel_err *err)
{
	struct creel_buf autoclean(creel_sbuf_fini) text = {.data = NULL};
	char *entry = strchr(word, '=');

	if (!entry)
		return creel_err_set(err, CREEL_E_USAGE, 0, "--pass takes NAME=ENTRY");
	*entry++ = '\0';
	const char *argv[] = {"pass", "show", "--", entry, NULL};
	int r = program_read(argv, &text, err);
	if (r < 0)
		return r;
	const uint8_t *end = memchr(text.data, '\n', text.len);
	size_t len = end ? (size_t)(end - text.data) : text.len;
	if (len == 0)
		return creel_err_set(err, CREEL_E_INVALID, 0, "pass show %s: its first line is empty", entry);
	if ((r = item_new(to, word, len, err)) == 0)
		r = creel_buf_add(&to->v[to->n - 1].value, text.data, len, err);
	return r;
}

static int sources_read(struct import *to, int argc, char **argv, struct creel_err *err)
{
	static const struct option longs[] = {
		{"age", no_argument, NULL, 'a'}, {"pass", no_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
	const char *identity = NULL;
	bool age = false, pass = false;
	int o, r = 0;

	optind = 1;
	while ((o = getopt_long(argc, argv, "i:", longs, NULL)) != -1) {
		if (o == 'a')
			age = true;
		else if (o == 'p')
			pass = true;
		else if (o == 'i')
			identity = optarg;
		else
			return creel_err_set(err, CREEL_E_USAGE, 0, "see creel secret --help");
	}
	int words = argc - optind - 1;
	if (words < 1 || (!pass && words != 1) || (pass && (age || identity)))
		return creel_err_set(
			err, CREEL_E_USAGE, 0,
			"usage: creel secret import CELL [--age [-i FILE]] FILE | CELL --pass NAME=ENTRY...");
	to->cell = argv[optind];
	if (!creel_secret_name_ok(to->cell, 33))
		return creel_err_set(err, CREEL_E_USAGE, 0, "'%s' cannot be a cell's name", to->cell);
	if (age)
		return from_age(to, identity, argv[optind + 1], err);
	if (!pass)
		return from_file(to, argv[optind + 1], err);
	for (int i = optind + 1; r == 0 && i < argc; i++)
		r = from_pass(to, argv[i], err);
	return r;
}

int secret_import(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	struct creel_store autoclean(creel_store_fini) store = {.state = -1, .dir = -1, .lock = -1};
	struct import autoclean(import_fini) all = {.n = 0};
	int r = sources_read(&all, argc, argv, err);

	if (r == 0 && all.n == 0)
		r = creel_err_set(err, CREEL_E_INVALID, 0, "there was no value: nothing was stored");
	if (r == 0)
		r = secret_store_open(cli, true, &c, &store, err);
	for (size_t i = 0; r == 0 && i < all.n; i++)
		r = creel_store_put(&store, all.cell, all.v[i].name, all.v[i].value.data, all.v[i].value.len,
				    err);
	creel_store_fini(&store);
	for (size_t i = 0; r == 0 && i < all.n; i++)
		r = secret_told(&c, all.cell, all.v[i].name, err);
	return r;
}

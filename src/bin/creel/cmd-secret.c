#include "cmds.h"
#include "secretcmd.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

/*
 * `creel secret`: the store is the user's to write, without a creeld; a creeld is asked to put the
 * event on the record, and, for a cell that runs, to put the new value before it.
 */
int secret_store(struct creel_cli *cli, bool write, struct creel_client *ret_client, struct creel_store *ret,
		 struct creel_err *err)
{
	int r = client_open(cli, write, ret_client, err);

	if (r < 0)
		return r;
	autofd int state = open(ret_client->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state < 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno, "open %s",
				     ret_client->state);
	return creel_store_open(state, write, ret, err);
}

int secret_store_open(struct creel_cli *cli, bool write, struct creel_client *ret_client,
		      struct creel_store *ret, struct creel_err *err)
{
	struct creel_buf autoclean(creel_sbuf_fini) phrase = {.data = NULL};
	int r = secret_store(cli, write, ret_client, ret, err);

	if (r < 0 || !creel_store_locked(ret) || !isatty(STDIN_FILENO))
		return r; /* what is locked says so when it is used */
	r = secret_passphrase(false, &phrase, err);
	if (r == 0)
		r = creel_store_unlock(ret, creel_buf_str(&phrase), phrase.len, err);
	if (r < 0)
		creel_store_fini(ret);
	return r;
}

int secret_read(int fd, struct creel_buf *out, const char *what, struct creel_err *err)
{
	int r = creel_sbuf_init(out, CREEL_SECRET_MAX + 1, err);

	while (r == 0) {
		ssize_t n = read(fd, out->data + out->len, out->max - out->len);
		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = creel_err_set(err, CREEL_E_OS, errno, "read %s", what);
		else if ((out->len += (size_t)n) > CREEL_SECRET_MAX)
			r = creel_err_set(err, CREEL_E_TOOBIG, 0, "%s: a secret is at most %d octets", what,
					  CREEL_SECRET_MAX);
	}
	if (out->data)
		out->data[out->len] = '\0';
	return r;
}

static int line_read(struct creel_buf *out, struct creel_err *err)
{
	int r = secret_read(STDIN_FILENO, out, "standard input", err);
	uint8_t *end = r == 0 ? memchr(out->data, '\n', out->len) : NULL;

	if (end) {
		out->len = (size_t)(end - out->data);
		*end = '\0';
	}
	return r;
}

/* One line, unseen. The terminal's line discipline ends the read at the newline. */
static int terminal_read(const char *prompt, struct creel_buf *out, struct creel_err *err)
{
	struct termios was, off;

	int r = creel_sbuf_init(out, 1024, err);
	if (r < 0)
		return r;
	if (tcgetattr(STDIN_FILENO, &was) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "the terminal");
	off = was;
	off.c_lflag &= ~(tcflag_t)ECHO;
	fputs(prompt, stderr);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &off);
	ssize_t n = read(STDIN_FILENO, out->data, out->max);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
	fputc('\n', stderr);
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read the passphrase");
	out->len = (size_t)n;
	if (out->len > 0 && out->data[out->len - 1] == '\n')
		out->len--;
	out->data[out->len] = '\0';
	return 0;
}

int secret_passphrase(bool twice, struct creel_buf *out, struct creel_err *err)
{
	struct creel_buf autoclean(creel_sbuf_fini) again = {.data = NULL};
	bool terminal = isatty(STDIN_FILENO) == 1;
	int r = terminal ? terminal_read("passphrase of the store: ", out, err) : line_read(out, err);

	if (r == 0 && out->len == 0)
		r = creel_err_set(err, CREEL_E_INVALID, 0, "an empty passphrase");
	if (r < 0 || !twice || !terminal)
		return r;
	if ((r = terminal_read("once more: ", &again, err)) < 0)
		return r;
	if (again.len != out->len || memcmp(again.data, out->data, out->len) != 0)
		return creel_err_set(err, CREEL_E_INVALID, 0,
				     "the two are not the same: nothing was changed");
	return 0;
}

int secret_told(struct creel_client *c, const char *cell, const char *name, struct creel_err *err)
{
	bool started = false;
	json_t *answer = NULL;
	int r = client_start(c, &started, err);

	if (r == 0)
		r = client_call(c, "POST", "/v1/secrets", json_pack("{s:s,s:s}", "cell", cell, "name", name),
				&answer, err);
	bool runs = r == 0 && json_is_true(json_object_get(answer, "staged"));
	json_decref(answer);
	if (started && r == 0 && !client_orphans(c))
		r = client_end(c, err);
	if (r < 0)
		return creel_err_add(err, "%s/%s is stored, but not on the record", cell, name);
	fprintf(stderr, "creel: %s/%s is set%s\n", cell, name,
		runs ? ", and is before the running cell" : "; it is used from the cell's next start");
	return 0;
}

static int secret_set(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	struct creel_store autoclean(creel_store_fini) store = {.state = -1, .dir = -1, .lock = -1};
	struct creel_buf autoclean(creel_sbuf_fini) value = {.data = NULL};
	const char *cell = argv[1], *name = argv[2];

	if (isatty(STDIN_FILENO))
		fprintf(stderr, "the value of %s, then ctrl-D:\n", name);
	int r = secret_read(STDIN_FILENO, &value, "standard input", err);
	if (r == 0 && value.len == 0)
		r = creel_err_set(err, CREEL_E_INVALID, 0, "standard input was empty: nothing was set");
	if (r == 0)
		r = secret_store_open(cli, true, &c, &store, err);
	if (r == 0)
		r = creel_store_put(&store, cell, name, value.data, value.len, err);
	creel_store_fini(&store); /* its lock: the monitor is to read it */
	return r < 0 ? r : secret_told(&c, cell, name, err);
}

static int show(const char *cell, const char *name, void *ctx)
{
	const struct creel_cli *cli = ctx;

	printf(cli->json ? "{\"cell\":\"%s\",\"secret\":\"%s\"}\n" : "%s %s\n", cell, name);
	return 0;
}

static int secret_list(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	struct creel_store autoclean(creel_store_fini) store = {.state = -1, .dir = -1, .lock = -1};
	int r = secret_store(cli, false, &c, &store, err);

	if (r == CREEL_E_NOTFOUND) {
		*err = (struct creel_err){0};
		return 0;
	}
	return r < 0 ? r : creel_store_each(&store, argc > 1 ? argv[1] : NULL, show, cli);
}

static int secret_rm(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	struct creel_store autoclean(creel_store_fini) store = {.state = -1, .dir = -1, .lock = -1};
	int r = secret_store(cli, false, &c, &store, err);

	if (r == CREEL_E_NOTFOUND)
		return creel_err_set(err, r, 0, "no secret '%s' of cell '%s' is stored", argv[2], argv[1]);
	if (r < 0)
		return r;
	creel_store_fini(&store);
	r = secret_store(cli, true, &c, &store, err);
	return r < 0 ? r : creel_store_remove(&store, argv[1], argv[2], err);
}

static const struct {
	const char *name, *args;
	int min, max; /* words behind the name */
	bool named;   /* they are a cell's name and a secret's */
	int (*run)(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
} verbs[] = {
	{"set", "CELL NAME", 2, 2, true, secret_set},
	{"list", "[CELL]", 0, 1, true, secret_list},
	{"rm", "CELL NAME", 2, 2, true, secret_rm},
	{"import", "CELL [--age [-i FILE]] FILE | CELL --pass NAME=ENTRY...", 2, 66, false, secret_import},
	{"rekey", "[--method file|systemd-creds|passphrase]", 0, 2, false, secret_rekey},
	{"unlock", "", 0, 0, false, secret_unlock},
	{"lock", "", 0, 0, false, secret_lock},
};

static int usage(size_t i, struct creel_err *err)
{
	return creel_err_set(err, CREEL_E_USAGE, 0, "usage: creel secret %s%s%s", verbs[i].name,
			     verbs[i].args[0] ? " " : "", verbs[i].args);
}

int cmd_secret(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	for (size_t i = 0; argc > 1 && i < ELEMENTSOF(verbs); i++) {
		int words = argc - 2;
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		if (words < verbs[i].min || words > verbs[i].max)
			return usage(i, err);
		if (verbs[i].named && ((words > 0 && !creel_secret_name_ok(argv[2], 33)) ||
				       (words > 1 && !creel_secret_name_ok(argv[3], 65))))
			return creel_err_set(
				err, CREEL_E_USAGE, 0,
				"that cannot be the name of a cell or a secret: letters, digits, "
				"'-' and '_', a letter or digit first");
		return verbs[i].run(cli, argc - 1, argv + 1, err);
	}
	return creel_err_set(
		err, CREEL_E_USAGE, 0,
		"usage: creel secret set|list|rm|import|rekey|unlock|lock; see creel secret --help");
}

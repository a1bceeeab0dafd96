/*
 * creel-gate: the program between an agent and a tool that holds the keys. sshd runs it for every
 * command of the agent's key (authorized_keys: restrict,command="creel-gate"); it reads
 * SSH_ORIGINAL_COMMAND, decides by /etc/creel/gate.conf, and execs the tool with an environment of
 * its own making. The caller controls that one string, standard input and nothing else.
 *
 * Exit 6: refused, the reason on standard error (JSON when the call asked for JSON); 125: the gate
 * itself failed; else the tool's own.
 */
#include "base/escape.h"
#include "base/log.h"
#include "gate.h"
#include "wire/call.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define REFUSED 6
#define FAILED	125

static int file_read(const char *path, struct creel_buf *text, struct creel_err *err)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	if (!S_ISREG(st.st_mode) || (st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022))
		return creel_err_set(err, CREEL_E_DENIED, 0, "%s may be written by others", path);
	do {
		r = creel_buf_reserve(text, 4096, err);
		if (r < 0)
			return creel_err_add(err, "read %s", path);
		n = read(fd, text->data + text->len, 4096);
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "read %s", path);
		text->len += (size_t)n;
	} while (n > 0);
	return 0;
}

/* The recipe's file and the host's, or the one that tests give. */
static int conf_read(const char *path, struct creel_gateconf *ret, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	int r = 0;

	creel_buf_init(&text, CREEL_GATECONF_MAX);
	if (!path)
		r = file_read("/etc/creel/tool.conf", &text, err);
	if (r == 0 && !path)
		r = creel_buf_adds(&text, "\n", err);
	if (r == 0)
		r = file_read(path ? path : "/etc/creel/gate.conf", &text, err);
	if (r == 0)
		r = creel_gateconf_parse((const char *)text.data, text.len, ret, err);
	return r < 0 ? creel_err_add(err, "%s", path ? path : "the gate's configuration") : 0;
}

/* NAME=what the file holds, its last newline apart; a file that is not there gives none. */
static int secret_take(const char *name, const char *path, char **ret, struct creel_err *err)
{
	static char value[65536];
	ssize_t n = 0, got = 0;

	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	while (got < (ssize_t)sizeof(value) - 1 && (n = read(fd, value + got, sizeof(value) - 1 - (size_t)got)) > 0)
		got += n;
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read %s", path);
	value[got] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return asprintf(ret, "%s=%s", name, value) < 0 ? creel_err_nomem(err) : 0;
}

/* "TIME WORD RULE | WHY | ARGS": one line, every foreign octet escaped, appended in one write. */
static int log_line(const char *path, const char *word, const char *rule, const char *why,
		    const char *command, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) line;
	char when[32];
	time_t now = time(NULL);
	struct tm tm;

	if (!path)
		return 0;
	creel_buf_init(&line, 4 * CREEL_COMMAND_MAX + 4096);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	int r = creel_buf_addf(&line, err, "%s %s %s | ", when, word, rule);
	if (r >= 0)
		r = creel_escape_term(&line, why, strlen(why), err);
	if (r >= 0)
		r = creel_buf_adds(&line, " | ", err);
	if (r >= 0)
		r = creel_escape_term(&line, command, strnlen(command, CREEL_COMMAND_MAX), err);
	if (r >= 0)
		r = creel_buf_adds(&line, "\n", err);
	if (r < 0)
		return r;
	autofd int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	if (write(fd, line.data, line.len) != (ssize_t)line.len)
		return creel_err_set(err, CREEL_E_OS, errno, "write %s", path);
	return 0;
}

static int refuse(const char *decision, const char *rule, const char *why, bool json)
{
	struct creel_buf autoclean(creel_buf_fini) out;
	struct creel_err err = {0};
	const char *const keys[] = {"decision", "rule", "why"}, *const values[] = {decision, rule, why};

	creel_buf_init(&out, 65536);
	if (!json) {
		(void)creel_buf_addf(&out, &err, "creel-gate: %s: ", decision);
		(void)creel_escape_term(&out, why, strlen(why), &err);
		(void)creel_buf_adds(&out, " (rule: ", &err);
		(void)creel_escape_term(&out, rule, strlen(rule), &err);
		(void)creel_buf_adds(&out, ")\n", &err);
	} else {
		for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
			(void)creel_buf_addf(&out, &err, "%s\"%s\":", i ? "," : "{\"error\":{\"code\":\"refused\",",
					     keys[i]);
			(void)creel_escape_json(&out, values[i], strlen(values[i]), &err);
		}
		(void)creel_buf_adds(&out, "}}\n", &err);
	}
	fputs(creel_buf_str(&out), stderr);
	return REFUSED;
}

/* The environment is the file's, never the caller's: sshd may have been told to pass LD_PRELOAD. */
static int tool_exec(const struct creel_gateconf *c, char **argv, struct creel_err *err)
{
	autofree char **env = calloc(c->n_env + c->n_secret / 2 + 4, sizeof(*env));
	struct creel_buf autoclean(creel_buf_fini) home;
	const struct rlimit none = {0, 0};
	size_t n = 0;

	creel_buf_init(&home, 8192);
	if (!env || creel_buf_addf(&home, err, "HOME=%s", c->home) < 0)
		return creel_err_nomem(err);
	env[n++] = (char *)"PATH=/usr/local/bin:/usr/bin:/bin";
	env[n++] = (char *)"LANG=C.UTF-8";
	env[n++] = (char *)home.data;
	for (size_t i = 0; i < c->n_env; i++)
		env[n++] = (char *)c->env[i];
	for (size_t i = 0; i < c->n_secret; i += 2) {
		int r = secret_take(c->secret[i], c->secret[i + 1], &env[n], err);
		if (r < 0)
			return r;
		n += env[n] != NULL;
	}
	/* no verb of the table reads standard input: files and `-` are refused */
	autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open /dev/null");
	if (chdir(c->home) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "enter %s", c->home);
	umask(077);
	if (setrlimit(RLIMIT_CORE, &none) < 0 || close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "prepare to run %s", c->exec);
	execve(c->exec, argv, env);
	return creel_err_set(err, CREEL_E_OS, errno, "run %s", c->exec);
}

/*
 * A human decides. This argv, that stands in our memory from now on, is what they see, and what runs: it
 * has no standard input, and names no file that could change meanwhile (the policy refuses these). The
 * host uses the yes up, on disk, before it tells us; so it runs once, or not at all.
 */
static int asked(const struct creel_gateconf *conf, struct creel_argv *argv, const struct creel_gate_answer *a,
		 const char *command, struct creel_err *err)
{
	struct creel_err why = {0};
	char words[1024];

	if (!conf->host)
		return refuse("ask", a->rule,
			      "this needs a human's yes, and the gate cannot ask for one here; nothing was run",
			      a->json);
	int r = question_ask(conf, argv, a, words, sizeof(words), &why);
	if (r == CREEL_E_NOMEM)
		return creel_err_nomem(err);
	if (r != CREEL_CALL_OK) {
		(void)log_line(conf->log, "REFUSED", a->rule, words, command, err);
		return refuse(r == CREEL_CALL_EXPIRED || r == CREEL_E_TIMEOUT ? "expired" : "deny", a->rule, words, a->json);
	}
	r = log_line(conf->log, "EXEC", a->rule, words, command, err);
	return r < 0 ? r : tool_exec(conf, argv->v, err);
}

/* Decide and act. @return an exit status, or a negative code */
static int call(const struct creel_gateconf *conf, const char *command, struct creel_err *err)
{
	struct creel_argv autoclean(creel_argv_fini) argv = {0};
	struct creel_gate_answer a = {.decision = CREEL_DENY, .rule = "default: deny"};
	struct creel_err bad = {0};
	int r = creel_argv_parse(command, strlen(command), &argv, &bad);

	if (r == CREEL_E_NOMEM)
		return creel_err_nomem(err);
	if (r < 0)
		(void)snprintf(a.why, sizeof(a.why), "%s", bad.msg);
	else
		creel_gate_decide(&conf->gate, &argv, &a);
	const char *word = a.decision == CREEL_ALLOW ? "EXEC" : a.decision == CREEL_ASK ? "ASKED" : "DENIED";
	/* nothing runs that is not on the record first */
	r = log_line(conf->log, word, a.rule, a.why, command, err);
	if (r < 0)
		return r;
	if (a.decision == CREEL_ASK)
		return asked(conf, &argv, &a, command, err);
	if (a.decision != CREEL_ALLOW) {
		/* a refusal stands even where nobody can write it down */
		struct creel_err lost = {0};
		(void)question_tell(conf, "gate.deny", &a, command, &lost);
		return refuse("deny", a.rule, a.why, a.json);
	}
	r = question_tell(conf, "gate.exec", &a, command, err);
	return r < 0 ? r : tool_exec(conf, argv.v, err);
}

int main(int argc, char **argv)
{
	struct creel_gateconf autoclean(creel_gateconf_fini) conf = {0};
	struct creel_err err = {0};
	const char *command = getenv("SSH_ORIGINAL_COMMAND");
	/* the one argument is of authorized_keys, not of the caller: another file, for tests */
	const char *path = argc == 2 ? argv[1] : NULL;

	creel_log_name("creel-gate");
	if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
		fputs("usage: creel-gate [FILE], by sshd, with SSH_ORIGINAL_COMMAND\n", stderr);
		return FAILED;
	}
	int r = conf_read(path, &conf, &err);
	if (r == 0 && (!command || !*command))
		r = refuse("deny", "default: deny", "no command: a shell is not given here", false);
	else if (r == 0)
		r = call(&conf, command, &err);
	if (r < 0)
		creel_log_error(&err);
	return r < 0 ? FAILED : r;
}

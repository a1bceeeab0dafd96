#include "base/clock.h"
#include "gate.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SHOW_MS = 60000 };

/* NAME=what the file holds, its last newline apart; a file that is not there gives none. */
static int secret_take(const char *name, const char *path, char **ret, struct creel_err *err)
{
	static char value[65536];
	ssize_t n = 0, got = 0;

	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	while (got < (ssize_t)sizeof(value) - 1 &&
	       (n = read(fd, value + got, sizeof(value) - 1 - (size_t)got)) > 0)
		got += n;
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read %s", path);
	value[got] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return asprintf(ret, "%s=%s", name, value) < 0 ? creel_err_nomem(err) : 0;
}

/* How many files the call may leave in its folder. */
static size_t outs(const struct gate_call *call)
{
	size_t n = 0;

	for (size_t i = 0; i < call->n_files; i++)
		n += call->file[i].out;
	return n;
}

/* Standard input is what was taken before, or nothing; the folder is the call's own, or the home. */
static int place(const struct gate_call *call, struct creel_err *err)
{
	const struct creel_gateconf *c = call->conf;
	const rlim_t size = call->stage >= 0 ? c->shared / MAX(outs(call), (size_t)1) : GATE_FILE_MAX;
	const struct rlimit none = {0, 0}, file = {size, size}, processes = {GATE_PROCESSES, GATE_PROCESSES};

	autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(call->input >= 0 ? call->input : null, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "give it its standard input");
	if (call->input >= 0 && lseek(0, 0, SEEK_SET) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "begin standard input again");
	if (call->stage >= 0 ? fchdir(call->stage) < 0 : chdir(c->home) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "enter %s", c->home);
	umask(077);
	/* a call that goes wrong must not take the cell's disk or its process table from the others */
	if (setrlimit(RLIMIT_FSIZE, &file) < 0 || setrlimit(RLIMIT_NPROC, &processes) < 0 ||
	    setrlimit(RLIMIT_CORE, &none) < 0 || close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "prepare to run %s", c->exec);
	/* these are locks that have to last as long as the tool does */
	if ((call->slot >= 0 && fcntl(call->slot, F_SETFD, 0) < 0) ||
	    (call->lock >= 0 && fcntl(call->lock, F_SETFD, 0) < 0) ||
	    (call->out >= 0 && fcntl(call->out, F_SETFD, 0) < 0))
		return creel_err_set(err, CREEL_E_OS, errno, "keep the gate's locks");
	return 0;
}

/* The environment is the file's, never the caller's: sshd may have been told to pass LD_PRELOAD. */
static int become(const struct gate_call *call, char *const *argv, struct creel_err *err)
{
	const struct creel_gateconf *c = call->conf;
	autofree char **env = calloc(c->n_env + c->n_secret / 2 + 4, sizeof(*env));
	struct creel_buf autoclean(creel_buf_fini) home;
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
	int r = place(call, err);
	if (r < 0)
		return r;
	execve(c->exec, argv, env);
	return creel_err_set(err, CREEL_E_OS, errno, "run %s", c->exec);
}

/* In a child that ends with us: 125 when it could not even begin. */
static void child(const struct gate_call *call, char *const *argv) __attribute__((noreturn));
static void child(const struct gate_call *call, char *const *argv)
{
	struct creel_err err = {0};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
		(void)become(call, argv, &err);
	dprintf(2, "creel-gate: %s\n", err.msg);
	_exit(125);
}

static int ended(pid_t pid, struct creel_err *err)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return creel_err_set(err, CREEL_E_OS, errno, "wait for the tool");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Calls that write files do so one after the other: what they hold at once is `shared`, not that often. */
static int out_lock(struct gate_call *call, struct creel_err *err)
{
	autofd int home = -1;

	if (outs(call) == 0)
		return 0;
	int r = stage_home(call->conf, &home, err);
	return r < 0 ? r : stage_lock(home, "out.lock", LOCK_EX, &call->out, err);
}

int run_tool(struct gate_call *call, struct creel_err *err)
{
	if (call->stage < 0)
		return become(call, call->argv->v, err);
	int locked = out_lock(call, err);
	if (locked < 0)
		return locked;
	pid_t pid = fork();
	if (pid < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "start the tool");
	if (pid == 0)
		child(call, call->argv->v);
	int r = ended(pid, err);
	if (r >= 0)
		stage_keep(call);
	stage_drop(call);
	return r;
}

/* All that @p fd gives within SHOW_MS, GATE_SHOWN_MAX octets at most. */
static int output_take(int fd, struct creel_buf *out, struct creel_err *err)
{
	int64_t end = creel_clock_ms() + SHOW_MS;
	ssize_t n = 1;

	while (n != 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t now = creel_clock_ms();
		char buf[4096];
		if (now >= end || poll(&p, 1, (int)(end - now)) == 0)
			return creel_err_set(err, CREEL_E_TIMEOUT, 0, "the tool did not show it in time");
		n = read(fd, buf, sizeof(buf));
		if (n < 0 && errno != EINTR)
			return creel_err_set(err, CREEL_E_OS, errno, "read what the tool shows");
		int r = n > 0 ? creel_buf_add(out, buf, (size_t)n, err) : 0;
		if (r == CREEL_E_TOOBIG) {
			*err = (struct creel_err){0};
			return creel_err_set(err, r, 0,
					     "it is over %d octets: nobody could be shown it whole",
					     GATE_SHOWN_MAX);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* The program, then the words, `$N` being the call's N-th argument. */
static int show_argv(const struct gate_call *call, const char *argv[CREEL_GATE_SHOW], struct creel_err *err)
{
	const char *args[9];
	size_t n_args = creel_gate_args(&call->conf->gate, call->argv, args, ELEMENTSOF(args)), n = 0;

	argv[n++] = call->conf->gate.table.program;
	for (const char *w = call->a.tool_verb->shows; *w; w += strlen(w) + 1) {
		size_t at = w[0] == '$' ? (size_t)(w[1] - '1') : 0;
		if (n == CREEL_GATE_SHOW - 1 || (w[0] == '$' && at >= MIN(n_args, ELEMENTSOF(args))))
			return creel_err_set(err, CREEL_E_INVALID, 0, "the table's `shows` does not fit");
		argv[n++] = w[0] == '$' ? args[at] : w;
		/* whatever the caller named, it is an argument there and no flag */
		if (w[0] == '$' && args[at][0] == '-')
			return creel_err_set(err, CREEL_E_DENIED, 0, "`%.60s` begins with a dash", args[at]);
	}
	argv[n] = NULL;
	return 0;
}

int run_show(struct gate_call *call, struct creel_err *err)
{
	const char *argv[CREEL_GATE_SHOW];
	int p[2], r = show_argv(call, argv, err);

	if (r < 0)
		return r;
	if (pipe2(p, O_CLOEXEC) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open a pipe");
	autofd int from = p[0];
	pid_t pid = fork();
	if (pid == 0) {
		struct gate_call quiet = *call;
		quiet.input = quiet.stage = -1;
		if (dup2(p[1], 1) >= 0)
			child(&quiet, (char *const *)(uintptr_t)argv);
		_exit(125);
	}
	close(p[1]);
	if (pid < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "start the tool");
	creel_buf_clear(&call->shown);
	r = output_take(from, &call->shown, err);
	if (r < 0)
		(void)kill(pid, SIGKILL);
	int status = ended(pid, err);
	if (r == 0 && status != 0)
		r = creel_err_set(err, CREEL_E_DENIED, 0,
				  "what it would act on cannot be shown: the tool said %d", status);
	if (r == 0)
		gate_hash(call->shown.data, call->shown.len, call->shown_hash);
	return r;
}

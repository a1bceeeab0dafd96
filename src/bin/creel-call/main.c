/*
 * creel-call: the agent's command of a tool that lives in another cell. It is the interpreter of
 * /usr/local/bin/PROGRAM there ("#!/usr/lib/creel/creel-call CELL ADDRESS SECRET USER"), so
 * that `PROGRAM ARGS` runs PROGRAM ARGS as USER in CELL, over ssh(1): arguments arrive exactly as they were given, standard
 * input, output, error and the status pass through, and one connection serves all calls.
 *
 * Exit 2: the call cannot be made (over 64 KiB); 125: we failed; 255: ssh could not connect, or the call was cut
 * short; else what the tool's cell said: 6 is the gate's no.
 */
#include "base/buf.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED = 125, COMMAND_MAX = 65536, USAGE = 2, CUT = 255 };

/* One word in single quotes, as sh(1) and creel-gate read it. */
static int quote(struct creel_buf *b, const char *s, struct creel_err *err)
{
	int r = creel_buf_adds(b, "'", err);

	while (r == 0 && *s) {
		size_t n = strcspn(s, "'");
		r = creel_buf_add(b, s, n, err);
		if (r == 0 && s[n])
			r = creel_buf_adds(b, "'\\''", err);
		s += n + (s[n] != '\0');
	}
	return r < 0 ? r : creel_buf_adds(b, "'", err);
}

/* A folder of ours alone for the connection's socket. */
static int control_path(char *ret, size_t size, const char *cell, struct creel_err *err)
{
	struct stat st;
	char dir[64];

	(void)snprintf(dir, sizeof(dir), "/tmp/creel-call-%u", (unsigned)geteuid());
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s", dir);
	if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return creel_err_set(err, CREEL_E_DENIED, 0, "%s is not a folder of ours alone", dir);
	(void)snprintf(ret, size, "ControlPath=%s/%s", dir, cell);
	return 0;
}

/*
 * Where the gate, or the sshd that runs it, is killed, ssh says next to nothing: what it means for the caller is
 * said here.
 */
static void ended_say(const char *program, int status)
{
	if (status == CUT)
		fprintf(stderr, "%s: the connection or the gate ended, or never was", program);
	else if (status > 128 && status <= 128 + SIGRTMAX)
		fprintf(stderr, "%s: the gate or the tool was ended by signal %d", program, status - 128);
	else
		return;
	fputs(". If the call waited for a human, nothing was run: made again, it takes up their answer\n",
	      stderr);
}

/* ssh(1), until it ends. @return a status, or a negative code */
static int run(const char *program, char *const *argv, struct creel_err *err)
{
	pid_t us = getpid(), pid = fork();
	int status;

	if (pid < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "start ssh");
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == us)
			(void)execv("/usr/bin/ssh", argv);
		fprintf(stderr, "%s: run /usr/bin/ssh (the recipe wants openssh-client): %s\n", program,
			strerror(errno));
		_exit(FAILED);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return creel_err_set(err, CREEL_E_OS, errno, "wait for ssh");
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	ended_say(program, WEXITSTATUS(status));
	return WEXITSTATUS(status);
}

static int call(const char *cell, const char *address, const char *secret, const char *user,
		const char *program, char **args, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) command;
	char alias[128], control[256], key[256], *to = NULL;

	creel_buf_init(&command, COMMAND_MAX);
	int r = quote(&command, program, err);
	for (; r == 0 && *args; args++) {
		r = creel_buf_adds(&command, " ", err);
		if (r == 0)
			r = quote(&command, *args, err);
	}
	if (r == CREEL_E_TOOBIG)
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "the arguments are over %d octets when quoted: the gate takes no more",
				     COMMAND_MAX);
	if (r == 0)
		r = control_path(control, sizeof(control), cell, err);
	if (r < 0)
		return r;
	(void)snprintf(alias, sizeof(alias), "HostKeyAlias=%s", cell);
	(void)snprintf(key, sizeof(key), "/run/secrets/%s", secret);
	if (asprintf(&to, "%s@%s", user, address) < 0)
		return creel_err_nomem(err);
	const char *const argv[] = {"ssh",
				    "-F",
				    "none",
				    "-T",
				    "-i",
				    key,
				    "-o",
				    alias,
				    "-o",
				    control,
				    "-o",
				    "ControlMaster=auto",
				    "-o",
				    "ControlPersist=600",
				    "-o",
				    "BatchMode=yes",
				    "-o",
				    "IdentitiesOnly=yes",
				    "-o",
				    "StrictHostKeyChecking=yes",
				    "-o",
				    "UserKnownHostsFile=/etc/creel/known_hosts",
				    "-o",
				    "GlobalKnownHostsFile=none",
				    "-o",
				    "ClearAllForwardings=yes",
				    "-o",
				    "ForwardAgent=no",
				    "-o",
				    "ConnectTimeout=20",
				    "-o",
				    "ServerAliveInterval=30",
				    "-o",
				    "LogLevel=ERROR",
				    to,
				    "--",
				    creel_buf_str(&command),
				    NULL};
	r = run(program, (char *const *)(uintptr_t)argv, err);
	free(to);
	return r;
}

int main(int argc, char **argv)
{
	char where[256], *save = NULL;
	struct creel_err err = {0};

	/* as an interpreter: our name, the one word of the first line, the script, what was given to it */
	if (argc < 3 || strlen(argv[1]) >= sizeof(where)) {
		fputs("creel-call is the interpreter of a tool's command: run that\n", stderr);
		return FAILED;
	}
	strcpy(where, argv[1]);
	const char *cell = strtok_r(where, " ", &save), *address = strtok_r(NULL, " ", &save);
	const char *secret = strtok_r(NULL, " ", &save), *user = strtok_r(NULL, " ", &save);
	const char *slash = strrchr(argv[2], '/');
	const char *program = slash ? slash + 1 : argv[2];
	if (!cell || !address || !secret || !user) {
		fprintf(stderr, "%s: its first line is not creel's\n", program);
		return FAILED;
	}
	int r = call(cell, address, secret, user, program, argv + 3, &err);
	if (r >= 0)
		return r;
	fprintf(stderr, "%s: %s\n", program, err.msg);
	return err.code == CREEL_E_USAGE ? USAGE : FAILED;
}

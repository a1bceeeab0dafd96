#include "base/cleanup.h"
#include "stream.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* /etc/passwd by hand: no NSS in a static PID 1. @p who is a name or a number. */
bool account_find(const char *who, struct account *ret)
{
	autofile FILE *f = fopen("/etc/passwd", "re");
	char line[1024];

	*ret = (struct account){.home = "/root", .shell = "/bin/sh"};
	if (who[0] == '\0')
		who = "root";
	while (f && fgets(line, sizeof(line), f)) {
		char *field[7] = {0}, *p = line;
		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < 7 && p; i++)
			field[i] = strsep(&p, ":");
		if (!field[6] || (strcmp(field[0], who) != 0 && strcmp(field[2], who) != 0))
			continue;
		ret->uid = (uid_t)strtoul(field[2], NULL, 10);
		ret->gid = (gid_t)strtoul(field[3], NULL, 10);
		(void)snprintf(ret->home, sizeof(ret->home), "%s", field[5]);
		(void)snprintf(ret->shell, sizeof(ret->shell), "%s", field[6]);
		return true;
	}
	return strcmp(who, "root") == 0;
}

static size_t groups_of(const char *who, gid_t *ret, size_t max)
{
	autofile FILE *f = fopen("/etc/group", "re");
	char line[4096];
	size_t n = 0;

	while (f && n < max && fgets(line, sizeof(line), f)) {
		char *p = line;
		line[strcspn(line, "\n")] = '\0';
		strsep(&p, ":");
		strsep(&p, ":");
		char *gid = strsep(&p, ":");
		for (char *m; p && (m = strsep(&p, ","));)
			if (gid && strcmp(m, who) == 0 && n < max)
				ret[n++] = (gid_t)strtoul(gid, NULL, 10);
	}
	return n;
}

/* What the fork becomes. */
static void __attribute__((noreturn)) child_run(const struct creel_execspec *spec, const struct account *acc)
{
	const char *env[256 + 8], *argv[3];
	char home[300], user[128];
	gid_t groups[64];
	size_t n = 0, n_groups = groups_of(spec->user, groups, ELEMENTSOF(groups));

	(void)snprintf(home, sizeof(home), "HOME=%s", acc->home);
	(void)snprintf(user, sizeof(user), "USER=%.100s", spec->user[0] ? spec->user : "root");
	env[n++] = home;
	env[n++] = user;
	env[n++] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	env[n++] = "LANG=C.UTF-8";
	if (trust_env())
		env[n++] = trust_env();
	if (spec->tty)
		env[n++] = "TERM=xterm-256color";
	for (size_t i = 0; spec->env[i]; i++)
		env[n++] = spec->env[i];
	env[n] = NULL;
	if (setgroups(n_groups, groups) < 0 || setgid(acc->gid) < 0 || setuid(acc->uid) < 0) {
		dprintf(2, "creel: cannot become %s: %s\n", spec->user, strerror(errno));
		_exit(125);
	}
	if (chdir(spec->dir[0] ? spec->dir : acc->home) < 0 && (spec->dir[0] || chdir("/") < 0)) {
		dprintf(2, "creel: %s: %s\n", spec->dir, strerror(errno));
		_exit(125);
	}
	if (spec->argv[0][0] == '\0') { /* `creel shell` names no command */
		argv[0] = acc->shell;
		argv[1] = "-l";
		argv[2] = NULL;
		execvpe(argv[0], (char **)argv, (char **)env);
	} else {
		execvpe(spec->argv[0], (char **)spec->argv, (char **)env);
	}
	dprintf(2, "creel: %s: %s\n", spec->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Close what is open of @p fd. */
static void close_all(const int *fd, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

pid_t child_start(const struct creel_execspec *spec, const struct account *acc, int ret_fd[3])
{
	int input[2] = {-1, -1}, output[2] = {-1, -1}, errors[2] = {-1, -1}, pty = -1, tty = -1, r;
	struct winsize ws = {.ws_row = spec->rows, .ws_col = spec->cols};

	if (spec->tty)
		r = openpty(&pty, &tty, NULL, NULL, &ws);
	else
		r = pipe2(input, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0 ? -1
										: pipe2(errors, O_CLOEXEC);
	pid_t pid = r < 0 ? -1 : fork();
	if (pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		for (int sig = 1; sig < 32; sig++)
			signal(sig, SIG_DFL);
		setsid();
		if (spec->tty) {
			(void)ioctl(tty, TIOCSCTTY, 0);
			(void)!fchown(tty, acc->uid, 5);
		}
		dup2(spec->tty ? tty : input[0], 0);
		dup2(spec->tty ? tty : output[1], 1);
		dup2(spec->tty ? tty : errors[1], 2);
		close_range(3, ~0U, 0);
		child_run(spec, acc);
	}
	const int theirs[] = {input[0], output[1], errors[1], tty};
	const int ours[] = {input[1], spec->tty ? pty : output[0], errors[0]};
	close_all(theirs, ELEMENTSOF(theirs));
	if (pid < 0) {
		close_all(ours, ELEMENTSOF(ours));
		return -1;
	}
	for (size_t k = 0; k < ELEMENTSOF(ours); k++) {
		ret_fd[k] = ours[k];
		if (ours[k] >= 0) {
			fcntl(ours[k], F_SETFL, O_NONBLOCK);
			fcntl(ours[k], F_SETFD, FD_CLOEXEC);
		}
	}
	return pid;
}

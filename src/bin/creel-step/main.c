#include "base/cleanup.h"
#include "base/log.h"
#include "step.h"
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const char usage[] =
	"usage: creel-step --ctl FD [--net|--host-net] [--caps] [--nobody] [--bind FROM[:TO]]...\n"
	"                  [--out FD] [--rw FROM:TO]... [--env NAME=VALUE]... -- PROGRAM|@ACTION [ARGUMENT...]\n\n"
	"Run one step of building an image in its own user, mount, process, network, IPC and UTS\n"
	"namespaces: it sees the host's programs, read-only, and what is bound; its environment is what\n"
	"--env says; with --net it reaches the registries through creel's proxy, else nothing.\n"
	"Started by creel. Exit status 125 when it cannot be confined, 126 or 127 when PROGRAM cannot be\n"
	"run, else its own.\n";

/* Under the address sanitizer: its search for leaks traces us, which a process namespace's first process
 * cannot be; nothing here lives long. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static int bind_add(struct step *s, char *arg, bool rw, struct creel_err *err)
{
	char *colon = strchr(arg, ':');

	if (colon)
		*colon++ = '\0';
	if (s->n_binds == STEP_BINDS || arg[0] != '/' || (colon && colon[0] != '/'))
		return creel_err_set(err, CREEL_E_USAGE, 0, "bind '%s'", arg);
	s->binds[s->n_binds++] = (struct step_bind){arg, colon ? colon : arg, rw};
	return 0;
}

static int opts_parse(int argc, char **argv, struct step *s, struct creel_err *err)
{
	static const struct option options[] = {
		{"ctl", required_argument, NULL, 'c'},
		{"net", no_argument, NULL, 'n'},
		{"host-net", no_argument, NULL, 'H'},
		{"caps", no_argument, NULL, 'C'},
		{"nobody", no_argument, NULL, 'N'},
		{"bind", required_argument, NULL, 'b'},
		{"rw", required_argument, NULL, 'w'},
		{"env", required_argument, NULL, 'e'},
		{"out", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c, r = 0;

	s->ctl = s->out = -1;
	while (r == 0 && (c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			s->ctl = atoi(optarg);
			break;
		case 'o':
			s->out = atoi(optarg);
			break;
		case 'n':
			s->net = true;
			break;
		case 'H':
			s->host_net = true;
			break;
		case 'C':
			s->caps = true;
			break;
		case 'N':
			s->nobody = true;
			break;
		case 'b':
		case 'w':
			r = bind_add(s, optarg, c == 'w', err);
			break;
		case 'e':
			if (s->n_env == STEP_ENV)
				return creel_err_set(err, CREEL_E_USAGE, 0, "over %d --env", STEP_ENV);
			s->env[s->n_env++] = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			return creel_err_set(err, CREEL_E_USAGE, 0, "see creel-step --help");
		}
	}
	if (r == 0 && (s->ctl < 3 || optind >= argc))
		return creel_err_set(err, CREEL_E_USAGE, 0, "see creel-step --help");
	s->argv = argv + optind;
	return r;
}

/* What the step is, in the end: a program of the host, or our own code. */
__attribute__((noreturn)) static void run(const struct step *s)
{
	struct creel_err err = {0};

	if (s->argv[0][0] == '@') {
		int r = step_action(s->argv, &err);
		if (r < 0)
			creel_log_error(&err);
		exit(r < 0 ? 1 : r);
	}
	environ = (char **)s->env; /* its PATH, not that of whoever started creel */
	execvp(s->argv[0], s->argv);
	int e = errno;
	creel_err_set(&err, CREEL_E_OS, e, "run %s", s->argv[0]);
	creel_log_error(&err);
	_exit(e == ENOENT ? 127 : 126);
}

static int status_of(int ws)
{
	return WIFEXITED(ws) ? WEXITSTATUS(ws) : 128 + WTERMSIG(ws);
}

/* Dies when creel does, however that ends, and everything of the step with it. */
static void tie(const struct step *s)
{
	struct pollfd p = {.fd = s->ctl};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (poll(&p, 1, 0) > 0 && (p.revents & POLLHUP))
		_exit(125);
}

/*
 * The first process of the step's process namespace: when it ends, so does whatever the program left
 * running. It holds creel's end of the control socket open in nobody, so a program cannot speak there.
 */
static int first(const struct step *s)
{
	struct creel_err err = {0};
	int ws = 0, r = step_root(s, &err);

	if (r == 0)
		r = step_identity(s, &err);
	if (r < 0) {
		creel_log_error(&err);
		return 125;
	}
	tie(s); /* changing ids has undone it */
	pid_t pid = fork();
	if (pid == 0) {
		close(s->ctl);
		if (s->out >= 0 && dup2(s->out, 1) < 0)
			_exit(125);
		(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
		run(s);
	}
	for (pid_t got; pid > 0 && (got = wait(&ws)) != pid;)
		if (got < 0 && errno != EINTR)
			return 125;
	return pid < 0 ? 125 : status_of(ws);
}

int main(int argc, char **argv)
{
	struct creel_err err = {0};
	struct step s = {0};
	int ws = 0;

	creel_log_name("creel-step");
	int r = opts_parse(argc, argv, &s, &err);
	if (r < 0) {
		creel_log_error(&err);
		return 2;
	}
	tie(&s);
	r = step_namespaces(&s, &err);
	if (r < 0) {
		creel_log_error(&err);
		return 125;
	}
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(first(&s));
	}
	while (pid > 0 && waitpid(pid, &ws, 0) < 0)
		if (errno != EINTR)
			return 125;
	return pid < 0 ? 125 : status_of(ws);
}

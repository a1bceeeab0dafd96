#include "notify.h"
#include "tail.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { COMMAND_MS = 60000, ARGS = 63 };

struct notify {
	const struct creel_notify_cfg *cfg;
	char *argv[ARGS + 1];
};

static bool wanted(const struct creel_strs *kinds, const char *kind)
{
	if (kinds->n == 0)
		return strcmp(kind, "approval.ask") == 0 || strcmp(kind, "approval.flood") == 0;
	for (size_t i = 0; i < kinds->n; i++) {
		size_t n = strlen(kinds->v[i].s);
		if (strncmp(kind, kinds->v[i].s, n) == 0 && (kind[n] == '\0' || kind[n] == '.'))
			return true;
	}
	return false;
}

static void complain(const char *what)
{
	char when[32] = "";
	time_t t = time(NULL);
	struct tm tm;

	if (gmtime_r(&t, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fprintf(stderr, "%s the command of notify %s\n", when, what);
}

/* One at a time: what comes meanwhile waits in the record, which is where it is read from. */
static void run(const struct notify *n, const char *kind, const char *cell, const char *line, size_t len)
{
	int in[2], status = 0;

	if (pipe2(in, O_CLOEXEC) < 0)
		return complain("is not run: no pipe");
	pid_t pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)signal(SIGPIPE, SIG_DFL);
		if (dup2(in[0], 0) < 0 || setenv("CREEL_EVENT", kind, 1) < 0 ||
		    setenv("CREEL_CELL", cell, 1) < 0)
			_exit(126);
		(void)setpgid(0, 0);
		execvp(n->argv[0], n->argv);
		_exit(127);
	}
	close(in[0]);
	/* a line is at most 64 KiB, and a pipe holds as much: nobody waits here */
	(void)fcntl(in[1], F_SETFL, O_NONBLOCK);
	(void)!write(in[1], line, len);
	(void)!write(in[1], "\n", 1);
	close(in[1]);
	autofd int pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	if (pidfd < 0)
		return complain("is not run: no process");
	if (poll(&p, 1, COMMAND_MS) == 0) {
		complain("is killed: it took over a minute");
		(void)kill(-pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		complain(WIFEXITED(status) && WEXITSTATUS(status) == 127 ? "is not found" : "failed");
}

static int on_line(void *ctx, const char *text, size_t len)
{
	const struct notify *n = ctx;
	json_t *e = json_loadb(text, len, 0, NULL);
	const char *kind = json_string_value(json_object_get(e, "kind"));
	const char *cell = json_string_value(json_object_get(e, "cell"));
	int end = kind && strcmp(kind, "creeld.stop") == 0;

	if (kind && wanted(&n->cfg->kinds, kind))
		run(n, kind, cell ? cell : "", text, len);
	json_decref(e);
	return end;
}

/* Only one: whoever holds the lock is told to go, by the number that it wrote while it held it. */
static int lock_take(const char *state, struct creel_err *err)
{
	static const struct timespec pause = {.tv_nsec = 20000000};
	char path[PATH_MAX + 16], text[16] = "";

	(void)snprintf(path, sizeof(path), "%s/notify.pid", state);
	autofd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		long pid = pread(fd, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
		if (i % 50 == 0 && pid > 1)
			(void)kill((pid_t)pid, i < 100 ? SIGTERM : SIGKILL);
		if (i == 200)
			return creel_err_set(err, CREEL_E_BUSY, 0, "the notifier before does not end");
		(void)nanosleep(&pause, NULL);
	}
	if (ftruncate(fd, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "write %s", path);
	return steal_fd(&fd);
}

static void follow(struct notify *n, const char *state, int lock)
{
	char path[PATH_MAX + 16];
	struct creel_err err = {0};

	(void)setsid();
	(void)snprintf(path, sizeof(path), "%s/notify.log", state);
	int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600),
	    null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(log >= 0 ? log : null, 1) < 0 ||
	    dup2(log >= 0 ? log : null, 2) < 0)
		_exit(1);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	(void)dprintf(lock, "%d\n", (int)getpid());
	(void)snprintf(path, sizeof(path), "%s/record", state);
	if (tail_record(path, TAIL_NEW, true, on_line, n, &err) < 0)
		fprintf(stderr, "%s\n", err.msg);
	_exit(0);
}

int notify_start(const struct creel_client *c, const struct creel_config *config, struct creel_err *err)
{
	struct notify n = {.cfg = &config->notify};
	const struct creel_strs *words = &config->notify.command;

	if (words->n > ARGS)
		return creel_err_set(err, CREEL_E_CONFIG, 0, "notify: a command of over %d words", ARGS);
	for (size_t i = 0; i < words->n; i++)
		n.argv[i] = (char *)(uintptr_t)words->v[i].s;
	autofd int lock = lock_take(c->state, err);
	if (lock < 0)
		return err->code;
	if (words->n == 0)
		return 0;
	pid_t pid = fork();
	if (pid == 0)
		follow(&n, c->state, lock);
	return pid < 0 ? creel_err_set(err, CREEL_E_OS, errno, "start the notifier") : 0;
}

#include "base/cleanup.h"
#include "base/clock.h"
#include "image/build.h"
#include "linux/fdpass.h"
#include "linux/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

enum { ARGS = 256, TICK_MS = 250, TAIL = 4096 };

/* A command line whose made-up words are freed with it. */
struct args {
	const char *v[ARGS + 1];
	size_t n, n_own;
	char *own[128];
	bool failed;
};
static void args_fini(struct args *a)
{
	for (size_t i = 0; i < a->n_own; i++)
		free(a->own[i]);
}
CREEL_DEFINE_CLEANUP(struct args, args_fini)

static void args_add(struct args *a, const char *word)
{
	if (a->n == ARGS)
		a->failed = true;
	else
		a->v[a->n++] = word;
}

__attribute__((format(printf, 2, 3))) static void args_addf(struct args *a, const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (a->n_own == ELEMENTSOF(a->own) || vasprintf(&s, fmt, ap) < 0)
		a->failed = true;
	else
		args_add(a, a->own[a->n_own++] = s);
	va_end(ap);
}

static void report(struct build *b)
{
	const struct creel_image_progress p = {
		.step = b->step,
		.steps = b->steps,
		.what = b->what,
		.ms = (uint64_t)creel_clock_ms() - b->began_ms,
		.fetched = b->counter ? __atomic_load_n(b->counter, __ATOMIC_RELAXED) : 0,
	};
	if (b->env->progress)
		b->env->progress(b->env->ctx, &p);
}

void build_step(struct build *b, const char *what)
{
	b->step++;
	b->what = what;
	b->began_ms = (uint64_t)creel_clock_ms();
	if (b->counter)
		__atomic_store_n(b->counter, 0, __ATOMIC_RELAXED);
	report(b);
}

/* The last lines of a file, for the error message's reader. */
static void tail_take(struct build *b, const char *name)
{
	struct creel_err ignored = {0};
	char path[PATH_MAX], buf[TAIL];

	(void)snprintf(path, sizeof(path), "%s/%s", b->tmp, name);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	if (!b->tail || size <= 0)
		return;
	ssize_t n = pread(fd, buf, sizeof(buf), size > TAIL ? size - TAIL : 0);
	/* whole lines only */
	const char *from = size > TAIL && n > 0 ? memchr(buf, '\n', (size_t)n) : NULL;
	from = from ? from + 1 : buf;
	if (n > 0)
		(void)creel_buf_add(b->tail, from, (size_t)(n - (from - buf)), &ignored);
}

/* creel-step asks for its maps as soon as it has its user namespace. */
static int maps_give(struct build *b, int ctl, pid_t pid, struct creel_err *err)
{
	char word = 0;
	size_t n = 0;

	if (creel_fdpass_recv(ctl, &word, 1, NULL, 0, &n, err) < 0 || word != 'U')
		return creel_err_set(err, CREEL_E_DENIED, 0,
				     "this host does not let a build step be confined");
	int r = creel_idmap_apply(&b->ids, pid, err);
	return r < 0 ? r : creel_fdpass_send(ctl, "M", 1, NULL, 0, err);
}

static int log_open(struct build *b, const char *name, struct creel_err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", b->tmp, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	return fd < 0 ? creel_err_set(err, CREEL_E_OS, errno, "open %s", path) : fd;
}

/* A creel-step that runs; it ends when our end of its control socket does. */
struct child {
	pid_t pid;
	int pidfd, ctl;
};

static void end(struct child *c)
{
	struct creel_err ignored = {0};

	if (c->pid > 0) {
		(void)creel_proc_kill(c->pidfd, SIGKILL, &ignored);
		while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (c->pidfd >= 0)
		close(c->pidfd);
	if (c->ctl >= 0)
		close(c->ctl);
	*c = (struct child){.pidfd = -1, .ctl = -1};
}
CREEL_DEFINE_CLEANUP(struct child, end)

/* Start it and give it its id maps. @param fds  what it gets as 4, 5: its 3 is the control socket */
static int child_start(struct build *b, const char *const *argv, int log, const int fds[2], struct child *c,
		       struct creel_err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a socket pair");
	autofd int theirs = pair[1];
	c->ctl = pair[0];
	c->pid = creel_proc_spawn(argv, log, (const int[]){theirs, fds[0], fds[1]}, 3, 0, &c->pidfd, err);
	close(steal_fd(&theirs));
	return c->pid < 0 ? (int)c->pid : maps_give(b, c->ctl, c->pid, err);
}

static int proxy_start(struct build *b, const struct registries *reg, int listener, struct child *ret,
		       struct creel_err *err)
{
	struct args autoclean(args_fini) a = {0};
	int r = 0;

	args_add(&a, b->env->step_path);
	for (const char *const *w = (const char *const[]){"--ctl", "3", "--host-net", "--nobody", "--",
							  "@proxy", "4", "5", NULL};
	     *w; w++)
		args_add(&a, *w);
	for (size_t i = 0; r == 0 && i < reg->n; i++) {
		char text[1024];
		r = creel_proxy_host_print(&reg->v[i], text, sizeof(text), err);
		args_addf(&a, "%s", text);
	}
	autofd int log = r < 0 ? -1 : log_open(b, "proxy.log", err);
	if (r < 0 || log < 0)
		return r < 0 ? r : log;
	if (a.failed)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the proxy's command line");
	return child_start(b, a.v, log, (const int[]){listener, b->counter_fd}, ret, err);
}

/* Take the socket that listens in the step's network namespace, and put the proxy behind it. */
static int network_give(struct build *b, const struct registries *reg, int ctl, struct child *ret_proxy,
			struct creel_err *err)
{
	char word = 0;
	int fd = -1;
	size_t n = 0;
	ssize_t got = creel_fdpass_recv(ctl, &word, 1, &fd, 1, &n, err);

	autofd int listener = n == 1 ? fd : -1;
	if (got < 0 || word != 'L' || listener < 0)
		return creel_err_set(err, CREEL_E_DENIED, 0,
				     "this host does not let a build step be confined");
	int r = proxy_start(b, reg, listener, ret_proxy, err);
	return r < 0 ? r : creel_fdpass_send(ctl, "P", 1, NULL, 0, err);
}

/* Until the step ends, or somebody wants it to. @return its wait status, or CREEL_E_CANCEL */
static int attend(struct build *b, struct child *c, struct creel_err *err)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
	int ws = 0;

	while (poll(&p, 1, TICK_MS) == 0 || !(p.revents & POLLIN)) {
		if (b->env->cancelled && b->env->cancelled(b->env->ctx)) {
			end(c);
			return creel_err_set(err, CREEL_E_CANCEL, 0, "interrupted");
		}
		report(b);
	}
	while (waitpid(c->pid, &ws, 0) < 0)
		if (errno != EINTR)
			return creel_err_set(err, CREEL_E_OS, errno, "wait for a build step");
	c->pid = 0;
	return ws;
}

static int command_line(struct build *b, const struct run *run, bool out, struct args *a,
			struct creel_err *err)
{
	args_add(a, b->env->step_path);
	args_add(a, "--ctl");
	args_add(a, "3");
	if (out) {
		args_add(a, "--out");
		args_add(a, "5");
	}
	if (run->registries)
		args_add(a, "--net");
	if (run->caps)
		args_add(a, "--caps");
	args_addf(a, "--bind=%s/in:/in", b->tmp);
	args_addf(a, "--rw=%s/work:/work", b->tmp);
	for (size_t i = 0; i < RUN_BINDS && run->binds[i].from; i++)
		args_addf(a, "--%s=%s:%s", run->binds[i].rw ? "rw" : "bind", run->binds[i].from,
			  run->binds[i].to);
	/* what comes first counts */
	for (size_t i = 0; i < RUN_ENV && run->env[i]; i++)
		args_addf(a, "--env=%s", run->env[i]);
	static const char *const env[] = {
		"HOME=/nonexistent",
		"LC_ALL=C",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"SOURCE_DATE_EPOCH=1",
		"TMPDIR=/tmp",
	};
	for (size_t i = 0; i < ELEMENTSOF(env); i++)
		args_addf(a, "--env=%s", env[i]);
	if (run->registries) {
		static const char *const proxy[] = {"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"};
		for (size_t i = 0; i < ELEMENTSOF(proxy); i++)
			args_addf(a, "--env=%s=http://127.0.0.1:3128", proxy[i]);
	}
	if (b->ca[0])
		args_addf(a, "--env=SSL_CERT_FILE=%s", b->ca);
	args_add(a, "--");
	for (const char *const *w = run->argv; *w; w++)
		args_add(a, *w);
	return a->failed ? creel_err_set(err, CREEL_E_TOOBIG, 0, "%s: too many arguments", run->argv[0]) : 0;
}

int build_run(struct build *b, const struct run *run, struct creel_err *err)
{
	struct args autoclean(args_fini) a = {0};
	struct child autoclean(end) step = {.pidfd = -1, .ctl = -1},
				    autoclean(end) proxy = {.pidfd = -1, .ctl = -1};
	int r = command_line(b, run, run->out != NULL, &a, err);

	if (r < 0)
		return r;
	autofd int log = log_open(b, "log", err);
	autofd int out = log < 0 ? -1 : run->out ? log_open(b, run->out, err) : dup(log);
	if (log < 0 || out < 0)
		return err->code ? err->code : creel_err_set(err, CREEL_E_OS, errno, "open the log");
	r = child_start(b, a.v, log, (const int[]){b->lock_fd >= 0 ? b->lock_fd : log, out}, &step, err);
	if (r == 0 && run->registries)
		r = network_give(b, run->registries, step.ctl, &proxy, err);
	int ws = r < 0 ? r : attend(b, &step, err);
	if (ws == 0)
		return 0;
	tail_take(b, "log");
	if (run->registries)
		tail_take(b, "proxy.log");
	if (ws < 0)
		return ws;
	if (WIFEXITED(ws) && WEXITSTATUS(ws) == 125)
		return creel_err_set(err, CREEL_E_DENIED, 0, "%s could not be confined", run->argv[0]);
	return creel_err_set(err, CREEL_E_CHILD, 0, "%s failed with status %d", run->argv[0],
			     WIFEXITED(ws) ? WEXITSTATUS(ws) : 128 + WTERMSIG(ws));
}

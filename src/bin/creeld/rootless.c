#include "base/log.h"
#include "linux/idmap.h"
#include "linux/proc.h"
#include "monitor.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/*
 * creeld of another user than root: the monitor is root in a user namespace of its own, where that user is
 * 0 and the subordinate range is what follows, so that each jailed process has an id of its own, on the
 * host too. It keeps the host's network namespace, in which ports are published, and its mounts are its own.
 *
 * A keeper, which sleeps and holds nothing, stays in the namespaces as long as a cell runs: the monitor
 * after a killed one enters them through it and finds the cells, and the ramfs of their secrets.
 */
static const char keeper[] = "keeper";
static bool fresh; /* the namespaces were made by this process */

/* @return 1: we are where the monitor before us was; 0: there is nothing to enter */
static int join(const char *state, struct creel_err *err)
{
	struct creel_err gone = {0};
	char path[PATH_MAX];
	unsigned long long start;
	int pid;

	if (snprintf(path, sizeof(path), "%s/run/%s", state, keeper) >= (int)sizeof(path))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the state folder's path");
	autofile FILE *f = fopen(path, "re");
	if (!f || fscanf(f, "%d %llu", &pid, &start) != 2)
		return 0;
	autofd int pidfd = creel_proc_open(pid, start, &gone);
	if (pidfd < 0)
		return 0;
	if (setns(pidfd, CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "enter the namespaces of the cells that run");
	return 1;
}

/* The maps can only be written from outside, so by a process that was made before. */
static int make(struct creel_err *err)
{
	struct creel_idmap map = {0};
	int go[2], ws = 0, r = creel_idmap_find(&map, err);
	pid_t me = getpid();

	if (r < 0)
		return r;
	if (pipe2(go, O_CLOEXEC) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a pipe");
	pid_t mapper = fork();
	if (mapper == 0) {
		char c;
		close(go[1]);
		if (read(go[0], &c, 1) == 1 && creel_idmap_apply_own(&map, me, err) < 0)
			creel_log_error(err);
		_exit(err->code ? 1 : 0);
	}
	close(go[0]);
	if (mapper < 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		r = creel_err_set(
			err, CREEL_E_OS, errno,
			"make a user namespace, without which creeld needs root (`creel doctor` says more)");
	if (r == 0)
		(void)!write(go[1], "", 1);
	close(go[1]);
	while (mapper > 0 && waitpid(mapper, &ws, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && (!WIFEXITED(ws) || WEXITSTATUS(ws) != 0))
		r = creel_err_set(err, CREEL_E_CHILD, 0, "the user namespace has no ids");
	return r;
}

int rootless_enter(const char *state, struct creel_err *err)
{
	if (geteuid() == 0)
		return 0;
	mon.owner = geteuid();
	int r = state ? join(state, err) : 0;
	if (r == 0) {
		fresh = true;
		r = make(err);
	}
	if (r < 0)
		return r;
	mon.rootless = true;
	mon.uid_base = 1;
	return 0;
}

int rootless_keep(struct creel_err *err)
{
	const char *const argv[] = {mon.engine_path, "--keep", NULL};
	uint64_t start;
	int pidfd = -1;

	if (!mon.rootless || !fresh)
		return 0;
	pid_t pid = creel_proc_spawn(argv, -1, NULL, 0, 0, &pidfd, err);
	if (pid < 0)
		return (int)pid;
	close(pidfd);
	int r = creel_proc_start(pid, &start, err);
	if (r < 0)
		return r;
	autofd int fd = openat(mon.run_fd, keeper, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
			       0600);
	if (fd < 0 || dprintf(fd, "%d %llu\n", (int)pid, (unsigned long long)start) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "write run/%s", keeper);
	return 0;
}

void rootless_end(void)
{
	struct creel_err err = {0};
	unsigned long long start;
	int pid;

	if (!mon.rootless || !(fresh || mon.quitting))
		return;
	int fd = openat(mon.run_fd, keeper, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f || fscanf(f, "%d %llu", &pid, &start) != 2)
		return;
	autofd int pidfd = creel_proc_open(pid, start, &err);
	if (pidfd >= 0)
		(void)creel_proc_kill(pidfd, SIGKILL, &err);
	(void)unlinkat(mon.run_fd, keeper, 0);
}

#include "linux/proc.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

int creel_proc_start(pid_t pid, uint64_t *ret, struct creel_err *err)
{
	char path[64], text[1024], state = 0;
	unsigned long long start = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "process %d has ended", (int)pid);
	text[n] = '\0';
	/* the name in brackets may hold anything: what follows starts after the last one */
	const char *p = strrchr(text, ')');
	if (!p ||
	    sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		   &state, &start) != 2)
		return creel_err_set(err, CREEL_E_OS, 0, "%s is not as proc(5) says", path);
	if (state == 'Z' || state == 'X')
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "process %d has ended", (int)pid);
	*ret = start;
	return 0;
}

int creel_proc_open(pid_t pid, uint64_t start, struct creel_err *err)
{
	uint64_t now = 0;
	autofd int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return creel_err_set(err, errno == ESRCH ? CREEL_E_NOTFOUND : CREEL_E_OS, errno,
				     "open process %d", (int)pid);
	/* looked at after the pidfd holds the process: the two are the same one */
	int r = creel_proc_start(pid, &now, err);
	if (r == 0 && now != start)
		r = creel_err_set(err, CREEL_E_NOTFOUND, 0, "process %d is another one now", (int)pid);
	return r < 0 ? r : steal_fd(&fd);
}

int creel_proc_kill(int pidfd, int sig, struct creel_err *err)
{
	if (syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0 && errno != ESRCH)
		return creel_err_set(err, CREEL_E_OS, errno, "send signal %d", sig);
	return 0;
}

/* In the child; only what is safe after fork(2) in a program with threads. */
__attribute__((noreturn)) static void child(const char *const *argv, int log_fd, const int *fds, size_t n_fds)
{
	static char *const no_env[] = {NULL};
	int high[64], null = open("/dev/null", O_RDWR);
	sigset_t none;

	(void)setsid();
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* out of the way first: a source may have the number that another is to get */
	for (size_t i = 0; i < n_fds; i++)
		if ((high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100)) < 0)
			_exit(125);
	int log = fcntl(log_fd >= 0 ? log_fd : null, F_DUPFD_CLOEXEC, 100);
	if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(125);
	for (size_t i = 0; i < n_fds; i++)
		if (dup2(high[i], (int)i + 3) < 0)
			_exit(125);
	(void)close_range((unsigned)n_fds + 3, ~0U, 0);
	execve(argv[0], (char **)argv, no_env);
	_exit(127);
}

/* Like fork(2), into a process namespace of its own when that is asked for. */
static pid_t split(unsigned flags)
{
	struct clone_args a = {.exit_signal = SIGCHLD, .flags = CLONE_NEWPID};

	return flags & CREEL_PROC_PIDNS ? (pid_t)syscall(SYS_clone3, &a, sizeof(a)) : fork();
}

pid_t creel_proc_spawn(const char *const *argv, int log_fd, const int *fds, size_t n_fds, unsigned flags,
		       int *ret_pidfd, struct creel_err *err)
{
	if (n_fds > 64)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "too many descriptors");
	pid_t pid = split(flags);
	if (pid < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "fork");
	if (pid == 0)
		child(argv, log_fd, fds, n_fds);
	/* it is our child and not waited for: the pid cannot mean another */
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0) {
		int e = errno;
		(void)kill(pid, SIGKILL);
		return creel_err_set(err, CREEL_E_OS, e, "open the new process");
	}
	*ret_pidfd = fd;
	return pid;
}

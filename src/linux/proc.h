#pragma once
#include "base/err.h"
#include <stdint.h>
#include <sys/types.h>

/*
 * Processes that cannot be mistaken for others: a pid is used again, a pid with its start time
 * (field 22 of /proc/PID/stat, proc(5)) is not, and a pidfd (pidfd_open(2)) never means another.
 */

/** @return 0, CREEL_E_NOTFOUND (gone, or a zombie), CREEL_E_OS. @p ret in clock ticks since boot */
int creel_proc_start(pid_t pid, uint64_t *ret, struct creel_err *err);
/** @return a pidfd of the process with that pid and start time, CREEL_E_NOTFOUND, CREEL_E_OS */
int creel_proc_open(pid_t pid, uint64_t start, struct creel_err *err);
/** Send a signal by pidfd. A process that has ended is no error. */
int creel_proc_kill(int pidfd, int sig, struct creel_err *err);

enum { CREEL_PROC_PIDNS = 1 }; /* its own process namespace, of which it is the first; needs root */

/**
 * Start a program in a new session with exactly these descriptors: 0 is /dev/null, 1 and 2 are
 * @p log_fd, and fds[i] becomes 3 + i. Its environment is empty and all signals are at their default.
 *
 * @param flags  CREEL_PROC_*
 * @param ret_pidfd  close-on-exec
 * @return the pid, CREEL_E_OS. That the program could not be executed is seen as exit status 127.
 */
pid_t creel_proc_spawn(const char *const *argv, int log_fd, const int *fds, size_t n_fds, unsigned flags,
		       int *ret_pidfd, struct creel_err *err);

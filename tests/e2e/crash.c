/*
 * crash PID: make a process crash by itself, as one does that a fault in its code has hit: its next
 * instruction is at address 0. A signal sent from outside would not do: the first process of a namespace
 * ignores those.
 */
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	struct user_regs_struct regs;
	struct iovec io = {.iov_base = &regs, .iov_len = sizeof(regs)};
	int pid = argc > 1 ? atoi(argv[1]) : 0, ws = 0;

	if (pid <= 1 || ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0 || waitpid(pid, &ws, __WALL) != pid ||
	    ptrace(PTRACE_GETREGSET, pid, (void *)(uintptr_t)NT_PRSTATUS, &io) < 0) {
		perror("crash");
		return 1;
	}
#if defined(__x86_64__)
	regs.rip = 0;
	regs.orig_rax = (unsigned long long)-1; /* no call to begin again */
#elif defined(__aarch64__)
	regs.pc = 0;
#endif
	if (ptrace(PTRACE_SETREGSET, pid, (void *)(uintptr_t)NT_PRSTATUS, &io) < 0 ||
	    ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0) {
		perror("crash");
		return 1;
	}
	return 0;
}

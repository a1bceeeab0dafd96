#include "linux/sandbox.h"
#include "base/cleanup.h"
#include <cap-ng.h>
#include <errno.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* a sanitizer's own calls are not ours to list */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

static const char *const common[] = {
	"read",           "write",       "readv",      "writev",        "close",        "fcntl",
	"fstat",          "newfstatat",  "lseek",      "brk",           "mmap",         "munmap",
	"mremap",         "mprotect",    "madvise",    "futex",         "rt_sigreturn", "rt_sigaction",
	"rt_sigprocmask", "exit",        "exit_group", "clock_gettime", "gettimeofday", "clock_nanosleep",
	"getrandom",      "getpid",      "gettid",     "tgkill",        "sysinfo",      "restart_syscall",
	"epoll_wait",     "epoll_pwait", "epoll_ctl",  "poll",          "ppoll",
};

static int filter(const char *const *calls, struct creel_err *err)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	const char *at = "start";
	int r = f ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && (i < ELEMENTSOF(common) || calls[i - ELEMENTSOF(common)]); i++) {
		at = i < ELEMENTSOF(common) ? common[i] : calls[i - ELEMENTSOF(common)];
		int nr = seccomp_syscall_resolve_name(at);
		if (nr == __NR_SCMP_ERROR) {
			seccomp_release(f);
			return creel_err_set(err, CREEL_E_UNSUPP, 0, "seccomp: no system call `%s`", at);
		}
		/* below -1: another architecture's, which this one has not */
		r = nr < 0 ? 0 : seccomp_rule_add_exact(f, SCMP_ACT_ALLOW, nr, 0);
	}
	if (r == 0) {
		at = "load";
		r = seccomp_load(f);
	}
	if (f)
		seccomp_release(f);
	return r < 0 ? creel_err_set(err, CREEL_E_OS, -r, "seccomp: %s", at) : 0;
}

int creel_sandbox(const char *const *calls, struct creel_err *err)
{
	const struct rlimit none = {0, 0};

	capng_clear(CAPNG_SELECT_BOTH);
	if (geteuid() == 0 && capng_apply(CAPNG_SELECT_BOTH) < 0)
		return creel_err_set(err, CREEL_E_OS, 0, "give up capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    setrlimit(RLIMIT_CORE, &none) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "give up privileges");
	return SANITIZED ? 0 : filter(calls, err);
}

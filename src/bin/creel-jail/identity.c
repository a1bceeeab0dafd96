#include "jail.h"
#include "base/cleanup.h"
#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int jail_identity(const struct jail *j, struct creel_err *err)
{
	/*
	 * No core: a file of one octet is none, and a handler behind a pipe, which the kernel starts whatever
	 * the limit is, is not started for exactly 1 (core(5); do_coredump() in fs/coredump.c).
	 */
	const struct rlimit no_core = {1, 1}, files = {j->max_files, j->max_files};

	if (setrlimit(RLIMIT_CORE, &no_core) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "set limits");
	if (setgroups(0, NULL) < 0 || setresgid(j->gid, j->gid, j->gid) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "change group");
	/* the bounding set goes while we may still change it */
	capng_clear(CAPNG_SELECT_BOTH);
	if (j->share) {
		(void)capng_update(CAPNG_ADD,
				   (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
						  CAPNG_BOUNDING_SET),
				   CAP_SYS_CHROOT);
		/* to drop the bounding set: its capability library ends it otherwise */
		(void)capng_update(CAPNG_ADD,
				   (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
						  CAPNG_BOUNDING_SET),
				   CAP_SETPCAP);
		if (prctl(PR_SET_KEEPCAPS, 1) < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "keep CAP_SYS_CHROOT");
	}
	if (capng_apply(CAPNG_SELECT_BOUNDS) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "clear the bounding set");
	if (setresuid(j->uid, j->uid, j->uid) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "change user");
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "drop capabilities");
	if (j->share && (prctl(PR_SET_KEEPCAPS, 0) < 0 ||
			 prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_CHROOT, 0, 0) < 0 ||
			 prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SETPCAP, 0, 0) < 0))
		return creel_err_set(err, CREEL_E_OS, errno, "keep CAP_SYS_CHROOT");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "set no_new_privs");
	return 0;
}

/*
 * A floor that every jailed program stands on, not a list of what each may call: QEMU and virtiofsd
 * bring filters of their own on top. An unknown name is an error, never passed over.
 */
int jail_seccomp(const struct jail *j, struct creel_err *err)
{
	static const char *const denied[] = {
		"ptrace", "process_vm_readv", "process_vm_writev", "mount", "umount2", "pivot_root",
		"chroot", "unshare", "setns", "bpf", "perf_event_open", "keyctl", "add_key",
		"request_key", "kexec_load", "kexec_file_load", "init_module", "finit_module",
		"delete_module", "open_by_handle_at", "name_to_handle_at", "userfaultfd",
		"io_uring_setup", "io_uring_enter", "io_uring_register", "swapon", "swapoff", "reboot",
		"settimeofday", "clock_settime", "sethostname", "setdomainname", "acct", "quotactl",
		"syslog", "iopl", "ioperm", "mknod", "mknodat", "move_mount", "open_tree", "fsopen",
		"fsconfig", "fsmount", "fspick", "pidfd_getfd", "process_madvise", "lookup_dcookie",
		"vhangup", "personality",
	};
	/* a network namespace without interfaces is the wall; this keeps kernel code out of reach */
	static const int families[] = {2 /* INET */, 10 /* INET6 */, 16 /* NETLINK */, 17 /* PACKET */,
				       40 /* VSOCK */, 38 /* ALG */};
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int r = f ? 0 : -ENOMEM;
	const char *at = "start";

	for (size_t i = 0; r == 0 && i < ELEMENTSOF(denied); i++) {
		int nr = seccomp_syscall_resolve_name(at = denied[i]);
		if (j->share && strcmp(denied[i], "chroot") == 0)
			continue;
		if (j->share && strcmp(denied[i], "unshare") == 0) {
			/* a working folder for each of its threads, and nothing else */
			r = seccomp_rule_add_exact(f, SCMP_ACT_ERRNO(EPERM), nr, 1,
						   SCMP_A0(SCMP_CMP_NE, CLONE_FS));
			continue;
		}
		r = nr < 0 ? -EINVAL
			   : seccomp_rule_add_exact(f, SCMP_ACT_ERRNO(EPERM), nr, 0);
	}
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(families); i++) {
		at = "socket";
		if (j->network && (families[i] == 2 || families[i] == 10))
			continue;
		r = seccomp_rule_add_exact(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
					   SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	}
	/* new user namespaces: the way to capabilities over kernel code that is rarely looked at */
	if (r == 0) {
		at = "clone";
		r = seccomp_rule_add_exact(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
					   SCMP_A0(SCMP_CMP_MASKED_EQ, 0x10000000, 0x10000000));
	}
	/* its flags stand in memory that a filter cannot read; libc falls back to clone */
	if (r == 0)
		r = seccomp_rule_add_exact(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (r == 0) {
		at = "load";
		r = seccomp_load(f);
	}
	if (f)
		seccomp_release(f);
	return r < 0 ? creel_err_set(err, CREEL_E_OS, -r, "seccomp: %s", at) : 0;
}

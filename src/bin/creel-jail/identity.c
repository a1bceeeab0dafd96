#include "base/cleanup.h"
#include "jail.h"
#include "linux/floor.h"
#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* What the program is to have at its start. */
static const unsigned *capabilities(const struct jail *j, size_t *ret_n)
{
	/* SETPCAP to drop the bounding set: virtiofsd's capability library ends it otherwise */
	static const unsigned share[] = {CAP_SYS_CHROOT, CAP_SETPCAP};
	/* slirp4netns enters a namespace and makes an interface, then changes its root and drops all but the last */
	static const unsigned uplink[] = {CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_SETPCAP, CAP_NET_BIND_SERVICE};

	*ret_n = j->share ? ELEMENTSOF(share) : j->uplink ? ELEMENTSOF(uplink) : 0;
	return j->share ? share : uplink;
}

int jail_identity(const struct jail *j, struct creel_err *err)
{
	/*
	 * No core: a file of one octet is none, and a handler behind a pipe, which the kernel starts whatever
	 * the limit is, is not started for exactly 1 (core(5); do_coredump() in fs/coredump.c).
	 */
	const struct rlimit no_core = {1, 1}, files = {j->max_files, j->max_files};
	/* what it says is a file on the host; what is over fails, and the program goes on */
	const struct rlimit words = {1 << 20, 1 << 20};

	if (j->uplink && (setrlimit(RLIMIT_FSIZE, &words) < 0 || signal(SIGXFSZ, SIG_IGN) == SIG_ERR))
		return creel_err_set(err, CREEL_E_OS, errno, "limit its log");
	if (setrlimit(RLIMIT_CORE, &no_core) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "set limits");
	const struct rlimit memory = {j->memory_mib << 20, j->memory_mib << 20},
			    processes = {j->max_processes, j->max_processes};
	if ((j->memory_mib && setrlimit(RLIMIT_AS, &memory) < 0) ||
	    (j->max_processes && setrlimit(RLIMIT_NPROC, &processes) < 0))
		return creel_err_set(err, CREEL_E_OS, errno, "set the limits of memory and processes");
	if (setgroups(0, NULL) < 0 || setresgid(j->gid, j->gid, j->gid) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "change group");
	/* the bounding set goes while we may still change it */
	capng_clear(CAPNG_SELECT_BOTH);
	size_t n_kept = 0;
	const unsigned *kept = capabilities(j, &n_kept);
	for (size_t i = 0; i < n_kept; i++)
		(void)capng_update(CAPNG_ADD,
				   (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
						  CAPNG_BOUNDING_SET),
				   kept[i]);
	if (n_kept > 0 && prctl(PR_SET_KEEPCAPS, 1) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "keep capabilities");
	if (capng_apply(CAPNG_SELECT_BOUNDS) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "clear the bounding set");
	if (setresuid(j->uid, j->uid, j->uid) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "change user");
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "drop capabilities");
	if (n_kept > 0 && prctl(PR_SET_KEEPCAPS, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "keep capabilities no longer");
	for (size_t i = 0; i < n_kept; i++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept[i], 0, 0) < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "keep capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "set no_new_privs");
	return 0;
}

/* It opens nothing on the host, and has no way to the user's other programs. */
static int seccomp_uplink(scmp_filter_ctx f, const char **at)
{
	static const int calls[] = {SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4)};
	static const int families[] = {1 /* UNIX */, 10 /* INET6 */};
	int r = 0;

	*at = "uplink";
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(calls); i++)
		r = seccomp_rule_add_exact(f, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
	if (r == 0)
		r = creel_floor_families(f, families, ELEMENTSOF(families));
	/* a mount namespace, and to enter a network's; no other */
	if (r == 0)
		r = seccomp_rule_add_exact(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1,
					   SCMP_A0(SCMP_CMP_NE, CLONE_NEWNS));
	if (r == 0)
		r = seccomp_rule_add_exact(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setns), 1,
					   SCMP_A1(SCMP_CMP_NE, CLONE_NEWNET));
	return r;
}

/* Roots, mounts and namespaces: what each kind of program still needs of them. */
static int seccomp_roots(scmp_filter_ctx f, const struct jail *j, const char **at)
{
	static const char *const calls[] = {"mount", "umount2", "pivot_root", "setns", "unshare"};
	static const char *const root = "chroot";
	int r = j->share ? 0 : creel_floor_calls(f, &root, 1, at);

	/* slirp4netns calls them at its start; its own filter denies them from then on */
	if (j->uplink)
		return r < 0 ? r : seccomp_uplink(f, at);
	if (r == 0)
		r = creel_floor_calls(f, calls, ELEMENTSOF(calls) - (j->share ? 1 : 0), at);
	/* virtiofsd: a working folder for each of its threads, and nothing else */
	if (r == 0 && j->share)
		r = seccomp_rule_add_exact(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1,
					   SCMP_A0(SCMP_CMP_NE, CLONE_FS));
	return r;
}

/*
 * A floor that every jailed program stands on, not a list of what each may call: QEMU and virtiofsd
 * bring filters of their own on top.
 */
int jail_seccomp(const struct jail *j, struct creel_err *err)
{
	static const char *const denied[] = {
		"ptrace",     "name_to_handle_at", "sethostname", "setdomainname", "mknod",   "mknodat",
		"move_mount", "open_tree",         "fsopen",      "fsconfig",      "fsmount", "fspick",
		"vhangup",    "personality",
	};
	/* a network namespace without interfaces is the wall; this keeps kernel code out of reach */
	static const int families[] = {16 /* NETLINK */, 17 /* PACKET */, 40 /* VSOCK */, 38 /* ALG */},
			 internet[] = {2 /* INET */, 10 /* INET6 */};
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int r = f ? 0 : -ENOMEM;
	const char *at = "start";

	if (r == 0)
		r = creel_floor_kernel(f, &at);
	if (r == 0)
		r = creel_floor_calls(f, denied, ELEMENTSOF(denied), &at);
	if (r == 0)
		r = seccomp_roots(f, j, &at);
	if (r == 0) {
		at = "socket";
		r = creel_floor_families(f, families, ELEMENTSOF(families));
	}
	if (r == 0 && !j->network)
		r = creel_floor_families(f, internet, ELEMENTSOF(internet));
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

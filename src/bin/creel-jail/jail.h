#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * creel-jail: give things up, in one order, then exec. Started by the monitor with exactly the
 * descriptors that the program is to have; what it needs of the file system is named, path by path.
 */
enum { JAIL_BINDS = 48 };

struct jail {
	uid_t uid;
	gid_t gid;
	int last_fd; /* descriptors above it are closed */
	unsigned long max_files;
	unsigned long memory_mib, max_processes; /* of address space, of its user; 0: no limit */
	bool has_devices;                        /* /dev/null, zero, urandom */
	bool kvm;     /* /dev/kvm, as a node of the jail's own that its uid may open */
	bool network; /* stays in the caller's network namespace, and may open sockets of the internet */
	bool uplink; /* slirp4netns: root of its user namespace until it jails itself; has no socket but IPv4's */
	bool share; /* a file server: /proc of its own process, and chroot(2), which it does itself */
	size_t n_binds;
	struct jail_bind {
		const char *from, *to;
		bool device; /* a device node that may be opened */
		bool exec;   /* programs and libraries may be mapped from it */
	} binds[JAIL_BINDS];
	char **argv;
};

/** New mount, network, IPC and UTS namespaces, and a root that holds the binds alone. */
int jail_namespaces(const struct jail *j, struct creel_err *err);
/** Limits, groups, uid, capabilities, no_new_privs. */
int jail_identity(const struct jail *j, struct creel_err *err);
/** System calls that none of our jailed programs has a use for. */
int jail_seccomp(const struct jail *j, struct creel_err *err);

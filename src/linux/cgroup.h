#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A control group for a cell's processes: version 2 (Documentation/admin-guide/cgroup-v2.rst), or the
 * controllers `memory` and `pids` of version 1 (cgroups(7)) where the host mounts those.
 */
struct creel_cgroup_limits {
	uint64_t memory; /* octets; no swap on top where the kernel counts it */
	uint64_t pids;
};

/** Another tree than /sys/fs/cgroup, borrowed: for tests. */
void creel_cgroup_root(const char *path);
/**
 * Make the group, or take the one that is there, and set its limits.
 * @param name  one path component
 * @return 0, CREEL_E_UNSUPP (no controller can be used here), CREEL_E_OS
 */
int creel_cgroup_make(const char *name, const struct creel_cgroup_limits *limits, struct creel_err *err);
/** Move a process into it. */
int creel_cgroup_add(const char *name, pid_t pid, struct creel_err *err);
/** Has the kernel killed a process of it for want of memory? */
bool creel_cgroup_oom(const char *name);
/** Kill what is in it and remove it. One that is not there is no error. */
int creel_cgroup_remove(const char *name, struct creel_err *err);

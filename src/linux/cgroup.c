#include "linux/cgroup.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char *root = "/sys/fs/cgroup";
static const char *const v1[] = {"memory", "pids"};

void creel_cgroup_root(const char *path)
{
	root = path;
}

static bool is_v2(void)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/cgroup.controllers", root);
	return access(path, F_OK) == 0;
}

static int file_write(const char *dir, const char *file, const char *text, struct creel_err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "write %s", path);
	return 0;
}

/* The group's folders: one with version 2, one a controller with version 1. */
static size_t folders(const char *name, char ret[2][PATH_MAX])
{
	if (is_v2()) {
		(void)snprintf(ret[0], PATH_MAX, "%s/creel/%s", root, name);
		return 1;
	}
	size_t n = 0;
	for (size_t i = 0; i < ELEMENTSOF(v1); i++) {
		char dir[PATH_MAX];
		(void)snprintf(dir, sizeof(dir), "%s/%s/cgroup.procs", root, v1[i]);
		if (access(dir, W_OK) == 0)
			(void)snprintf(ret[n++], PATH_MAX, "%s/%s/%s", root, v1[i], name);
	}
	return n;
}

static int v2_parent(struct creel_err *err)
{
	char dir[PATH_MAX];

	(void)snprintf(dir, sizeof(dir), "%s/creel", root);
	/* controllers are handed down level by level; they may be on already */
	int r = file_write(root, "cgroup.subtree_control", "+memory +pids", err);
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return creel_err_set(err, CREEL_E_UNSUPP, errno, "make %s", dir);
	struct creel_err second = {0};
	int rc = file_write(dir, "cgroup.subtree_control", "+memory +pids", &second);
	if (rc == 0)
		return 0;
	if (r == 0)
		*err = second;
	err->code = CREEL_E_UNSUPP;
	return CREEL_E_UNSUPP;
}

int creel_cgroup_make(const char *name, const struct creel_cgroup_limits *limits, struct creel_err *err)
{
	char dirs[2][PATH_MAX], memory[32], pids[32];
	struct creel_err ignored = {0};
	bool two = is_v2();
	int r = 0;

	if (strchr(name, '/') || name[0] == '.')
		return creel_err_set(err, CREEL_E_INVALID, 0, "control group '%s'", name);
	(void)snprintf(memory, sizeof(memory), "%llu", (unsigned long long)limits->memory);
	(void)snprintf(pids, sizeof(pids), "%llu", (unsigned long long)limits->pids);
	if (two && (r = v2_parent(err)) < 0)
		return r;
	size_t n = folders(name, dirs);
	if (n == 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "no control groups can be used here");
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (mkdir(dirs[i], 0755) < 0 && errno != EEXIST)
			return creel_err_set(err, CREEL_E_UNSUPP, errno, "make %s", dirs[i]);
		bool mem = two || strstr(dirs[i], "/memory/");
		bool pid = two || strstr(dirs[i], "/pids/");
		if (mem)
			r = file_write(dirs[i], two ? "memory.max" : "memory.limit_in_bytes", memory, err);
		/* a kernel without accounting of swap has no such file */
		if (r == 0 && mem)
			(void)file_write(dirs[i], two ? "memory.swap.max" : "memory.memsw.limit_in_bytes",
					 two ? "0" : memory, &ignored);
		if (r == 0 && pid)
			r = file_write(dirs[i], "pids.max", pids, err);
	}
	return r;
}

int creel_cgroup_add(const char *name, pid_t pid, struct creel_err *err)
{
	char dirs[2][PATH_MAX], text[16];
	size_t n = folders(name, dirs);
	int r = 0;

	(void)snprintf(text, sizeof(text), "%d", (int)pid);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = file_write(dirs[i], "cgroup.procs", text, err);
	return r;
}

bool creel_cgroup_oom(const char *name)
{
	char dirs[2][PATH_MAX], path[PATH_MAX], line[64];
	size_t n = folders(name, dirs);
	const char *file = is_v2() ? "memory.events" : "memory.oom_control";

	for (size_t i = 0; i < n; i++) {
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", dirs[i], file) >= sizeof(path))
			continue;
		autofile FILE *f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			if (strncmp(line, "oom_kill ", 9) == 0 && strtoul(line + 9, NULL, 10) > 0)
				return true;
	}
	return false;
}

static void kill_members(const char *dir)
{
	struct creel_err err = {0};
	char path[PATH_MAX];
	int pid;

	/* version 2 has a file for it, by which none escapes that is forking */
	if (file_write(dir, "cgroup.kill", "1", &err) == 0)
		return;
	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	autofile FILE *f = fopen(path, "re");
	while (f && fscanf(f, "%d", &pid) == 1)
		if (pid > 1)
			(void)kill(pid, SIGKILL);
}

int creel_cgroup_remove(const char *name, struct creel_err *err)
{
	static const struct timespec pause = {.tv_nsec = 5000000};
	char dirs[2][PATH_MAX];
	size_t n = folders(name, dirs);

	for (size_t i = 0; i < n; i++) {
		int tries = 0;
		/* a member that was killed keeps the group busy until it is gone */
		while (rmdir(dirs[i]) < 0 && errno == EBUSY && tries++ < 200) {
			kill_members(dirs[i]);
			(void)nanosleep(&pause, NULL);
		}
		if (access(dirs[i], F_OK) == 0)
			return creel_err_set(err, CREEL_E_OS, EBUSY, "remove %s", dirs[i]);
	}
	return 0;
}

#include "base/cleanup.h"
#include "linux/cgroup.h"
#include "linux/proc.h"
#include "linux/unixsock.h"
#include "tests/cmocka-all.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool ended(int pidfd, int ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	return poll(&p, 1, ms) == 1;
}

/* Descriptors arrive under the numbers that were said, whatever numbers they had, and no others do. */
static void test_spawn(void **state)
{
	static const char *const argv[] = {
		"/bin/sh", "-c", "cat <&4; cat <&3; ls /proc/self/fd | tr '\\n' ' '; env | wc -l", NULL};
	struct creel_err err = {0};
	int a[2], b[2], out[2], pidfd = -1;
	char got[256] = "";

	assert_int_equal(pipe(a) | pipe(b) | pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(write(a[1], "first ", 6), 6);
	assert_int_equal(write(b[1], "second ", 7), 7);
	close(a[1]);
	close(b[1]);
	/* the sources swapped: 3 is taken by one of them in many runs */
	const int fds[] = {b[0], a[0]};
	pid_t pid = creel_proc_spawn(argv, out[1], fds, 2, 0, &pidfd, &err);
	assert_true(pid > 0);
	close(out[1]);
	assert_true(ended(pidfd, 5000));
	assert_true(read(out[0], got, sizeof(got) - 1) > 0);
	/* 0 1 2 3 4, and the folder that ls itself reads; PWD and the like are the shell's own */
	assert_non_null(strstr(got, "first second 0 1 2 3 4 5 "));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(pidfd);
}

/* In a namespace of its own it is the first process, and sees no other. */
static void test_pidns(void **state)
{
	static const char *const argv[] = {"/bin/sh", "-c", "echo $$; kill -0 2 2>/dev/null; echo $?", NULL};
	struct creel_err err = {0};
	int out[2], pidfd = -1;
	char got[64] = "";

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid_t pid = creel_proc_spawn(argv, out[1], NULL, 0, CREEL_PROC_PIDNS, &pidfd, &err);
	if (pid < 0 && geteuid() != 0)
		skip();
	assert_true(pid > 0);
	close(out[1]);
	assert_true(ended(pidfd, 5000));
	assert_true(read(out[0], got, sizeof(got) - 1) > 0);
	assert_string_equal(got, "1\n1\n");
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(out[0]);
	close(pidfd);
}

static void test_identity(void **state)
{
	static const char *const argv[] = {"/bin/sleep", "30", NULL};
	struct creel_err err = {0};
	uint64_t start = 0, again = 0;
	int pidfd = -1;

	pid_t pid = creel_proc_spawn(argv, -1, NULL, 0, 0, &pidfd, &err);
	assert_true(pid > 0);
	assert_int_equal(creel_proc_start(pid, &start, &err), 0);
	assert_int_equal(creel_proc_start(pid, &again, &err), 0);
	assert_int_equal(start, again);
	int same = creel_proc_open(pid, start, &err);
	assert_true(same >= 0);
	close(same);
	/* the same number and another start is another process */
	assert_int_equal(creel_proc_open(pid, start + 1, &err), CREEL_E_NOTFOUND);
	assert_int_equal(creel_proc_kill(pidfd, SIGKILL, &err), 0);
	assert_true(ended(pidfd, 5000));
	/* a zombie has ended */
	assert_int_equal(creel_proc_start(pid, &again, &err), CREEL_E_NOTFOUND);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(creel_proc_kill(pidfd, SIGKILL, &err), 0);
	assert_int_equal(creel_proc_open(pid, start, &err), CREEL_E_NOTFOUND);
	close(pidfd);
}

static void test_cgroup(void **state)
{
	static const char *const argv[] = {"/bin/sh", "-c", "sleep 30 & sleep 30 & wait", NULL};
	const struct creel_cgroup_limits limits = {.memory = 64 << 20, .pids = 10};
	struct creel_err err = {0};
	char name[64];
	int pidfd = -1;

	(void)snprintf(name, sizeof(name), "creel-test-%d", (int)getpid());
	int r = creel_cgroup_make(name, &limits, &err);
	if (r == CREEL_E_UNSUPP) {
		print_message("# no control groups can be used here: %s\n", err.msg);
		return;
	}
	assert_int_equal(r, 0);
	pid_t pid = creel_proc_spawn(argv, -1, NULL, 0, 0, &pidfd, &err);
	assert_int_equal(creel_cgroup_add(name, pid, &err), 0);
	/* what is in it goes with it */
	assert_int_equal(creel_cgroup_remove(name, &err), 0);
	assert_true(ended(pidfd, 5000));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(pidfd);
	assert_int_equal(creel_cgroup_remove(name, &err), 0);
	assert_int_equal(creel_cgroup_make("../x", &limits, &err), CREEL_E_INVALID);
}

static void file_make(const char *dir, const char *name, const char *text)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	autofd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static const char *file_get(const char *dir, const char *name)
{
	static char text[256];
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = '\0';
	return n < 0 ? "(not there)" : text;
}

/* The files that a kernel with version 2 has, as plain ones: what is written where. */
static void test_cgroup_v2(void **state)
{
	static const char *const group_files[] = {"memory.max", "memory.swap.max", "pids.max",
						  "cgroup.procs"};
	const struct creel_cgroup_limits limits = {.memory = 64 << 20, .pids = 10};
	char root[] = "/tmp/creel-cgroup.XXXXXX", parent[64], group[80], cmd[128];
	struct creel_err err = {0};

	assert_non_null(mkdtemp(root));
	file_make(root, "cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n");
	file_make(root, "cgroup.subtree_control", "");
	creel_cgroup_root(root);
	/* a parent to which no controller can be handed down */
	assert_int_equal(creel_cgroup_make("box", &limits, &err), CREEL_E_UNSUPP);
	err = (struct creel_err){0};
	(void)snprintf(parent, sizeof(parent), "%s/creel", root);
	(void)snprintf(group, sizeof(group), "%s/box", parent);
	file_make(parent, "cgroup.subtree_control", "");
	assert_int_equal(mkdir(group, 0755), 0);
	for (size_t i = 0; i < ELEMENTSOF(group_files); i++)
		file_make(group, group_files[i], "");
	if (creel_cgroup_make("box", &limits, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(file_get(root, "cgroup.subtree_control"), "+memory +pids");
	assert_string_equal(file_get(parent, "cgroup.subtree_control"), "+memory +pids");
	assert_string_equal(file_get(group, "memory.max"), "67108864");
	assert_string_equal(file_get(group, "memory.swap.max"), "0");
	assert_string_equal(file_get(group, "pids.max"), "10");
	assert_int_equal(creel_cgroup_add("box", 4711, &err), 0);
	assert_string_equal(file_get(group, "cgroup.procs"), "4711");
	assert_false(creel_cgroup_oom("box"));
	file_make(group, "memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n");
	assert_true(creel_cgroup_oom("box"));
	/* a kernel without accounting of swap */
	(void)snprintf(cmd, sizeof(cmd), "rm %s/memory.swap.max", group);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(creel_cgroup_make("box", &limits, &err), 0);
	(void)snprintf(cmd, sizeof(cmd), "rm -r %s", root);
	assert_int_equal(system(cmd), 0);
	creel_cgroup_root("/sys/fs/cgroup");
}

/* And a hierarchy of the kernel's: a group goes with what is in it. */
static void test_cgroup_v2_kernel(void **state)
{
	static const char *const argv[] = {"/bin/sh", "-c", "sleep 30 & sleep 30 & wait", NULL};
	char root[] = "/tmp/creel-cgroup2.XXXXXX", dir[64];
	struct creel_err err = {0};
	int pidfd = -1;

	if (geteuid() != 0)
		return;
	assert_non_null(mkdtemp(root));
	if (mount("none", root, "cgroup2", 0, NULL) < 0) {
		print_message("# no cgroup2 can be mounted here: %s\n", strerror(errno));
		assert_int_equal(rmdir(root), 0);
		return;
	}
	creel_cgroup_root(root);
	(void)snprintf(dir, sizeof(dir), "%s/creel", root);
	(void)mkdir(dir, 0755);
	(void)snprintf(dir, sizeof(dir), "%s/creel/t%d", root, (int)getpid());
	assert_int_equal(mkdir(dir, 0755), 0);
	pid_t pid = creel_proc_spawn(argv, -1, NULL, 0, 0, &pidfd, &err);
	assert_int_equal(creel_cgroup_add(strrchr(dir, '/') + 1, pid, &err), 0);
	if (creel_cgroup_remove(strrchr(dir, '/') + 1, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(ended(pidfd, 5000));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(access(dir, F_OK), -1);
	close(pidfd);
	(void)snprintf(dir, sizeof(dir), "%s/creel", root);
	(void)rmdir(dir); /* another test's cells may stand in it */
	creel_cgroup_root("/sys/fs/cgroup");
	assert_int_equal(umount2(root, MNT_DETACH), 0);
	assert_int_equal(rmdir(root), 0);
}

/* What the kernel ends at the limit is told. */
static void test_cgroup_oom(void **state)
{
	static const char *const argv[] = {
		"/bin/sh", "-c",
		"until grep -q creel-oom /proc/self/cgroup; do sleep 0.05; done; tail </dev/zero", NULL};
	const struct creel_cgroup_limits limits = {.memory = 32 << 20, .pids = 10};
	struct creel_err err = {0};
	char name[64];
	int pidfd = -1;

	(void)snprintf(name, sizeof(name), "creel-oom-%d", (int)getpid());
	int r = creel_cgroup_make(name, &limits, &err);
	if (r == CREEL_E_UNSUPP) {
		print_message("# no control groups can be used here: %s\n", err.msg);
		return;
	}
	assert_int_equal(r, 0);
	pid_t pid = creel_proc_spawn(argv, -1, NULL, 0, 0, &pidfd, &err);
	assert_false(creel_cgroup_oom(name));
	assert_int_equal(creel_cgroup_add(name, pid, &err), 0);
	assert_true(ended(pidfd, 60000));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(pidfd);
	assert_true(creel_cgroup_oom(name));
	assert_int_equal(creel_cgroup_remove(name, &err), 0);
}

/* A folder's path over what sun_path holds is no obstacle. */
static void test_long_path(void **state)
{
	char dir[] = "/tmp/creel-unix-XXXXXX", part[101];
	struct creel_err err = {0};

	assert_non_null(mkdtemp(dir));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(part, 'd', 100);
	part[100] = '\0';
	assert_int_equal(mkdirat(fd, part, 0700), 0);
	int deep = openat(fd, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(creel_unix_connect(deep, "s", SOCK_STREAM, &err), CREEL_E_NOTFOUND);
	int l = creel_unix_listen(deep, "s", SOCK_STREAM, 0600, &err);
	int c = creel_unix_connect(deep, "s", SOCK_STREAM, &err);
	assert_true(l >= 0 && c >= 0);
	close(c);
	close(l);
	assert_int_equal(creel_unix_connect(deep, "s", SOCK_STREAM, &err), CREEL_E_NOTFOUND);
	/* what an ended one left is replaced */
	l = creel_unix_listen(deep, "s", SOCK_STREAM, 0600, &err);
	assert_true(l >= 0);
	close(l);
	assert_int_equal(unlinkat(deep, "s", 0) | unlinkat(fd, part, AT_REMOVEDIR), 0);
	close(deep);
	close(fd);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spawn),      cmocka_unit_test(test_pidns),
		cmocka_unit_test(test_identity),   cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_cgroup_v2),  cmocka_unit_test(test_cgroup_v2_kernel),
		cmocka_unit_test(test_cgroup_oom), cmocka_unit_test(test_long_path)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

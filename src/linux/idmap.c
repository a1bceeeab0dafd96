#include "linux/idmap.h"
#include "base/cleanup.h"
#include "linux/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* below 2^31, above what container managers and systemd take (systemd.io/UIDS-GIDS) */
static const uint32_t unused = 0x70000000;

uint32_t creel_idmap_subid(const char *text, const char *name, uid_t id)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		char who[64] = "", number[16];
		unsigned long first = 0, count = 0;
		line += *line == '\n';
		if (sscanf(line, "%63[^:\n]:%lu:%lu", who, &first, &count) != 3)
			continue;
		(void)snprintf(number, sizeof(number), "%u", (unsigned)id);
		if ((strcmp(who, name) == 0 || strcmp(who, number) == 0) && first > 0 &&
		    count >= CREEL_IDMAP_COUNT && first <= UINT32_MAX - CREEL_IDMAP_COUNT)
			return (uint32_t)first;
	}
	return 0;
}

static uint32_t subid_of(const char *path, const char *name, uid_t id)
{
	char text[16384];
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return creel_idmap_subid(text, name, id);
}

/* Where we run in a user namespace ourselves (a container): only what it has can be given on. */
static uint32_t root_range(const char *path)
{
	unsigned long from = 0, to = 0, count = 0;
	autofile FILE *f = fopen(path, "re");

	if (!f || fscanf(f, "%lu %lu %lu", &from, &to, &count) != 3)
		return 0;
	if (from + count >= (unsigned long)unused + CREEL_IDMAP_COUNT)
		return unused;
	return count >= 2UL * CREEL_IDMAP_COUNT ? (uint32_t)(from + count - CREEL_IDMAP_COUNT) : 0;
}

int creel_idmap_find(struct creel_idmap *ret, struct creel_err *err)
{
	uid_t id = geteuid();
	const struct passwd *pw = getpwuid(id);
	const char *name = pw ? pw->pw_name : "";
	struct creel_idmap m = {.root = id == 0,
				.uid = subid_of("/etc/subuid", name, id),
				.gid = subid_of("/etc/subgid", name, id)};

	if (m.root && (m.uid == 0 || m.gid == 0)) {
		m.uid = root_range("/proc/self/uid_map");
		m.gid = root_range("/proc/self/gid_map");
	}
	if (m.root && (m.uid == 0 || m.gid == 0))
		return creel_err_set(err, CREEL_E_DENIED, 0,
				     "this container has too few user ids to build in; it needs %d",
				     2 * CREEL_IDMAP_COUNT);
	if (m.uid == 0 || m.gid == 0)
		return creel_err_set(err, CREEL_E_DENIED, 0,
				     "without root a range of user ids is needed: usermod --add-subuids "
				     "100000-165535 --add-subgids 100000-165535 %s; or be root",
				     name[0] ? name : "USER");
	if (!m.root && (access("/usr/bin/newuidmap", X_OK) < 0 || access("/usr/bin/newgidmap", X_OK) < 0))
		return creel_err_set(err, CREEL_E_DENIED, 0,
				     "without root newuidmap is needed: apt install uidmap; or be root");
	*ret = m;
	return 0;
}

static int map_write(pid_t pid, const char *name, uint32_t first, struct creel_err *err)
{
	char path[64], line[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	int n = snprintf(line, sizeof(line), "0 %u %d", first, CREEL_IDMAP_COUNT);
	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		return creel_err_set(err, CREEL_E_OS, errno, "write %s", path);
	return 0;
}

/* @param own_first  @p own is 0 and the range follows; else the range is first */
static int map_program(pid_t pid, const char *program, uint32_t first, unsigned own, bool own_first,
		       struct creel_err *err)
{
	char who[16], from[16], count[16], me[16];
	const char *last[] = {program, who, "0", from, count, count, me, "1", NULL};
	const char *own_0[] = {program, who, "0", me, "1", "1", from, count, NULL};
	const char *const *argv = own_first ? own_0 : last;
	int pidfd = -1;

	(void)snprintf(who, sizeof(who), "%d", (int)pid);
	(void)snprintf(from, sizeof(from), "%u", first);
	(void)snprintf(count, sizeof(count), "%d", CREEL_IDMAP_COUNT - own_first);
	(void)snprintf(me, sizeof(me), "%u", own);
	pid_t child = creel_proc_spawn(argv, 2, NULL, 0, 0, &pidfd, err);
	if (child < 0)
		return (int)child;
	int ws = 0;
	while (waitpid(child, &ws, 0) < 0 && errno == EINTR)
		;
	close(pidfd);
	if (!WIFEXITED(ws) || WEXITSTATUS(ws) != 0)
		return creel_err_set(err, CREEL_E_CHILD, 0, "%s refused the range %u", program, first);
	return 0;
}

int creel_idmap_apply(const struct creel_idmap *m, pid_t pid, struct creel_err *err)
{
	int r = m->root ? map_write(pid, "uid_map", m->uid, err)
			: map_program(pid, "/usr/bin/newuidmap", m->uid, geteuid(), false, err);

	if (r == 0)
		r = m->root ? map_write(pid, "gid_map", m->gid, err)
			    : map_program(pid, "/usr/bin/newgidmap", m->gid, getegid(), false, err);
	return r;
}

int creel_idmap_apply_own(const struct creel_idmap *m, pid_t pid, struct creel_err *err)
{
	int r = map_program(pid, "/usr/bin/newuidmap", m->uid, geteuid(), true, err);

	return r < 0 ? r : map_program(pid, "/usr/bin/newgidmap", m->gid, getegid(), true, err);
}

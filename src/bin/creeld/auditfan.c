#include "base/log.h"
#include "monitor.h"
#include "wire/auditmsg.h"
#include "wire/auditrec.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/socket.h>
#include <sys/stat.h>

/*
 * Where the kernel has no audit: fanotify on the same folders. It says less: that a file was read or
 * written and by which process, not who was refused, and of the process only what /proc still tells
 * when it is asked. What comes are numbers from the kernel and an open file each, so it is the monitor
 * that reads them, which may see the secrets anyway; a jailed process would be given them.
 *
 * A guest chooses how often it reads its secrets: TURN events are taken at a time, and then others have
 * theirs. The kernel merges what is the same and waits, and counts nothing: an overflow is told as one.
 */
enum { TURN = 64, MARKS = MON_CELLS + 1 };

static struct {
	int fan, tell;
	struct event *ready, *later;
	struct fan_mark {
		char name[CREEL_PLAN_NAME]; /* "": the store, or free */
		bool used;
		dev_t dev; /* of a staging folder: its own file system */
	} marks[MARKS];
} f = {.fan = -1, .tell = -1};

static const uint64_t mask = FAN_ACCESS | FAN_MODIFY | FAN_EVENT_ON_CHILD;

static void ready(evutil_socket_t fd, short what, void *ctx);
static void later(evutil_socket_t fd, short what, void *ctx);

int auditfan_open(struct creel_err *err)
{
	f.fan = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC);
	if (f.fan < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "fanotify");
	f.ready = event_new(mon.base, f.fan, EV_READ, ready, NULL);
	f.later = event_new(mon.base, -1, 0, later, NULL);
	return !f.ready || !f.later || event_add(f.ready, NULL) < 0 ? creel_err_nomem(err) : 0;
}

static int mark(const char *name, const char *path, struct creel_err *err)
{
	struct fan_mark *free_one = NULL;
	struct stat st;

	for (size_t i = 0; i < MARKS; i++)
		if (!f.marks[i].used || (name[0] == '\0' && f.marks[i].name[0] == '\0'))
			free_one = free_one ? free_one : &f.marks[i];
	if (!free_one)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "fanotify: too many folders");
	if (stat(path, &st) < 0 ||
	    fanotify_mark(f.fan, FAN_MARK_ADD | FAN_MARK_ONLYDIR, mask, AT_FDCWD, path) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "fanotify: watch %s", path);
	*free_one = (struct fan_mark){.used = true, .dev = st.st_dev};
	(void)snprintf(free_one->name, sizeof(free_one->name), "%s", name);
	return 0;
}

static void store_folders(const char *path)
{
	struct creel_err err = {0};
	autodir DIR *d = opendir(path);

	/* a folder a cell; one that comes later is found when the store is looked at again */
	for (struct dirent *e; d && (e = readdir(d));) {
		char sub[PATH_MAX];
		if (e->d_name[0] == '.' ||
		    snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name) >= (int)sizeof(sub))
			continue;
		if (fanotify_mark(f.fan, FAN_MARK_ADD | FAN_MARK_ONLYDIR, mask, AT_FDCWD, sub) < 0)
			(void)creel_err_set(&err, CREEL_E_OS, errno, "fanotify: watch %s", sub);
	}
	if (err.code)
		creel_log_error(&err);
}

int auditfan_store(const char *path, struct creel_err *err)
{
	int r = mark("", path, err);

	if (r == 0)
		store_folders(path);
	return r;
}

int auditfan_cell(const char *name, const char *path, struct creel_err *err)
{
	char store[PATH_MAX];

	(void)snprintf(store, sizeof(store), "%s/secrets", mon.state);
	store_folders(store);
	return mark(name, path, err);
}

void auditfan_gone(const char *name)
{
	/* the mark itself went with the folder's file system */
	for (size_t i = 0; i < MARKS; i++)
		if (f.marks[i].used && strcmp(f.marks[i].name, name) == 0)
			f.marks[i].used = false;
}

void auditfan_tell(int fd)
{
	if (f.tell >= 0)
		close(f.tell);
	f.tell = fd;
}

/* What /proc still says of it. */
static void who(pid_t pid, struct creel_auditmsg *m)
{
	char path[64], line[128];
	unsigned uid, auid;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	ssize_t n = readlink(path, m->exe, sizeof(m->exe) - 1);
	m->exe[n > 0 ? n : 0] = '\0';
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	autofile FILE *status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "Uid: %u", &uid) == 1) {
			m->uid = uid;
			m->known = true;
			break;
		}
	(void)snprintf(path, sizeof(path), "/proc/%d/loginuid", (int)pid);
	autofile FILE *login = fopen(path, "re");
	m->auid = login && fscanf(login, "%u", &auid) == 1 ? auid : UINT32_MAX;
}

static void told(const struct fanotify_event_metadata *e)
{
	struct creel_auditmsg m = {.type = CREEL_AUDITMSG_ACCESS,
				   .success = true,
				   .write = e->mask & FAN_MODIFY,
				   .store = true,
				   .pid = (uint32_t)e->pid,
				   .count = 1};
	struct creel_audit_access x = {.store = true};
	uint8_t buf[CREEL_AUDITMSG];
	char path[64];
	struct stat st;

	if (e->fd < 0) { /* the queue was full; how many is not said */
		m = (struct creel_auditmsg){.type = CREEL_AUDITMSG_LOST, .count = 1};
	} else {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", e->fd);
		ssize_t n = readlink(path, x.path, sizeof(x.path) - 1);
		x.path[n > 0 ? n : 0] = '\0';
		for (size_t i = 0; fstat(e->fd, &st) == 0 && i < MARKS; i++)
			if (f.marks[i].used && f.marks[i].name[0] && f.marks[i].dev == st.st_dev) {
				m.store = x.store = false;
				(void)snprintf(x.cell, sizeof(x.cell), "%s", f.marks[i].name);
			}
		creel_audit_secret(&x, m.secret, m.cell);
		(void)snprintf(m.path, sizeof(m.path), "%s", x.path);
		who(e->pid, &m);
		m.guest = m.known && m.uid >= monitor_uid(0) && m.uid < monitor_uid(MON_UID_COUNT);
	}
	creel_auditmsg_encode(&m, buf);
	if (f.tell >= 0)
		(void)!send(f.tell, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void ready(evutil_socket_t fd, short what, void *ctx)
{
	static const struct timeval pause = {.tv_usec = 100000};
	union {
		struct fanotify_event_metadata e;
		char octets[TURN * sizeof(struct fanotify_event_metadata)];
	} buf;
	ssize_t n = read(fd, &buf, sizeof(buf));
	size_t len = n > 0 ? (size_t)n : 0;

	for (struct fanotify_event_metadata *e = &buf.e; FAN_EVENT_OK(e, len); e = FAN_EVENT_NEXT(e, len)) {
		if (e->vers == FANOTIFY_METADATA_VERSION && e->pid != getpid())
			told(e);
		if (e->fd >= 0)
			close(e->fd);
	}
	(void)event_add(f.later, &pause);
}

static void later(evutil_socket_t fd, short what, void *ctx)
{
	(void)event_add(f.ready, NULL);
}

#include "tail.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { LINE_MAX_ = 1 << 20 };

struct tail {
	int (*line)(void *ctx, const char *text, size_t len);
	void *ctx;
	struct creel_buf pending; /* the beginning of a line */
};

static int drain(struct tail *t, int fd, struct creel_err *err)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "read the record");
		int r = creel_buf_add(&t->pending, buf, (size_t)n, err);
		if (r < 0)
			return creel_err_add(err, "a line of the record");
		size_t at = 0;
		for (const uint8_t *nl; (nl = memchr(t->pending.data + at, '\n', t->pending.len - at));
		     at = (size_t)(nl - t->pending.data) + 1) {
			r = t->line(t->ctx, (const char *)t->pending.data + at,
				    (size_t)(nl - t->pending.data) - at);
			if (r != 0)
				return r;
		}
		creel_buf_drain(&t->pending, at);
	}
	return 0;
}

static int rotated(const struct dirent *e)
{
	return strncmp(e->d_name, "events-", 7) == 0 && strlen(e->d_name) == 19 &&
	       strcmp(e->d_name + 13, ".jsonl") == 0;
}

static int older(struct tail *t, int dir, struct creel_err *err)
{
	struct dirent **names = NULL;
	int r = 0, n = scandirat(dir, ".", &names, rotated, alphasort);

	for (int i = 0; i < n; i++) {
		autofd int fd = r != 0 ? -1 : openat(dir, names[i]->d_name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			r = drain(t, fd, err);
		free(names[i]);
	}
	free(names);
	return r;
}

static int follow_on(struct tail *t, int dir, int fd, struct creel_err *err)
{
	static const struct timespec pause = {.tv_nsec = 100000000};
	autofd int cur = fd;
	struct stat here, there;
	int r = 0;

	while (r == 0) {
		if (fflush(stdout) != 0)
			return creel_err_set(err, CREEL_E_OS, errno, "write");
		(void)nanosleep(&pause, NULL);
		/* first whether the name means another file by now, then the rest of the old one */
		bool moved = fstat(cur, &here) == 0 && fstatat(dir, "events.jsonl", &there, 0) == 0 &&
			     here.st_ino != there.st_ino;
		r = drain(t, cur, err);
		if (!moved || r != 0)
			continue;
		close(cur);
		cur = openat(dir, "events.jsonl", O_RDONLY | O_CLOEXEC);
		if (cur < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "open events.jsonl");
	}
	return r;
}

int tail_record(const char *path, enum tail_from from, bool follow,
		int (*line)(void *ctx, const char *text, size_t len), void *ctx, struct creel_err *err)
{
	struct tail t = {.line = line, .ctx = ctx};

	autofd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno,
				     "there is no record in %s", path);
	creel_buf_init(&t.pending, LINE_MAX_);
	int r = from == TAIL_ALL ? older(&t, dir, err) : 0;
	autofd int fd = r != 0 ? -1 : openat(dir, "events.jsonl", O_RDONLY | O_CLOEXEC);
	if (r == 0 && (fd < 0 || (from == TAIL_NEW && lseek(fd, 0, SEEK_END) < 0)))
		r = creel_err_set(err, CREEL_E_OS, errno, "open events.jsonl");
	if (r == 0)
		r = drain(&t, fd, err);
	if (r == 0 && follow)
		r = follow_on(&t, dir, steal_fd(&fd), err);
	creel_buf_fini(&t.pending);
	return r;
}

#include "base/clock.h"
#include "base/escape.h"
#include "gate.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/*
 * PROGRAM-files: the caller's side of HOME/shared. Files come and go whole: what is put is written to a
 * hidden name and moved when it has ended, so that no call stages half of one.
 */
enum { PUT_MS = 120000 };
static const char half[] = ".put";

/* Standard input to @p fd: at most @p room octets, within PUT_MS. */
static int receive(int fd, uint64_t room, struct creel_err *err)
{
	int64_t end = creel_clock_ms() + PUT_MS;
	static uint8_t buf[65536];

	for (;;) {
		struct pollfd p = {.fd = 0, .events = POLLIN};
		int64_t now = creel_clock_ms();
		if (now >= end || poll(&p, 1, (int)(end - now)) == 0)
			return creel_err_set(err, CREEL_E_TIMEOUT, 0,
					     "standard input did not end within %d seconds", PUT_MS / 1000);
		ssize_t n = read(0, buf, sizeof(buf));
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return creel_err_set(err, CREEL_E_OS, errno, "read standard input");
		if (n > 0 && (uint64_t)n > room)
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "the shared folder has no room for it");
		if (n > 0 && write(fd, buf, (size_t)n) != n)
			return creel_err_set(err, CREEL_E_OS, errno, "write it");
		room -= n > 0 ? (uint64_t)n : 0;
	}
}

static int put(const struct gate_call *call, int shared, const char *name, struct creel_err *err)
{
	uint64_t octets;
	struct stat st;
	size_t n;

	(void)unlinkat(shared, half, 0); /* of a gate that was killed */
	int r = stage_size(shared, &octets, &n, err);
	if (r < 0)
		return r;
	if (fstatat(shared, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		octets -= MIN(octets, (uint64_t)st.st_size);
		n--;
	}
	if (n >= GATE_SHARED_FILES || octets >= call->conf->shared)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the shared folder is full: remove something");
	autofd int fd = openat(shared, half, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make `%.200s`", name);
	r = receive(fd, call->conf->shared - octets, err);
	if (r == 0 && renameat(shared, half, shared, name) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "keep `%.200s`", name);
	if (r < 0)
		(void)unlinkat(shared, half, 0);
	return r;
}

static int get(int shared, const char *name, struct creel_err *err)
{
	static uint8_t buf[65536];
	autofd int fd = -1;
	uint64_t len;
	ssize_t n;
	int r = stage_open(shared, name, &fd, &len, err);

	if (r < 0)
		return r;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0, w; at < n; at += w)
			if ((w = write(1, buf + at, (size_t)(n - at))) < 0)
				return creel_err_set(err, CREEL_E_OS, errno, "write it out");
	return n < 0 ? creel_err_set(err, CREEL_E_OS, errno, "read `%.200s`", name) : 0;
}

static int list(int shared, struct creel_err *err)
{
	struct dirent *e;
	struct stat st;

	autodir DIR *d = stage_list(shared);
	if (!d)
		return creel_err_set(err, CREEL_E_OS, errno, "read the shared folder");
	while ((e = readdir(d)) != NULL)
		if (creel_gate_file_ok(e->d_name) &&
		    fstatat(shared, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			printf("%jd\t%s\n", (intmax_t)st.st_size, e->d_name);
	return 0;
}

int files_serve(struct gate_call *call, struct creel_err *err)
{
	autofd int home = -1, shared = -1, lock = -1;
	const char *name = call->argv->n > 2 ? call->argv->v[2] : "";
	int r = stage_home(call->conf, &home, err);

	if (r == 0)
		r = stage_shared(call->conf, &shared, err);
	if (r < 0)
		return r;
	switch (call->a.verb[6]) {
	case 'p':
		r = stage_lock(home, "shared.lock", LOCK_EX, &lock, err);
		return r < 0 ? r : put(call, shared, name, err);
	case 'g':
		return get(shared, name, err);
	case 'l':
		return list(shared, err);
	default:
		return unlinkat(shared, name, 0) == 0
			       ? 0
			       : creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno,
					       "remove `%.200s`", name);
	}
}

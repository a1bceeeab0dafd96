#include "event/record.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char current[] = "events.jsonl";

static unsigned rotated_highest(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	unsigned best = 0, n;
	char end;

	for (struct dirent *e; d && (e = readdir(d));)
		if (sscanf(e->d_name, "events-%6u.json%c", &n, &end) == 2 && end == 'l' && n > best)
			best = n;
	return best;
}

/*
 * The last whole line of a file, and what stands behind it.
 * @return 0 (also for a file without a line: ret->seq is 0), CREEL_E_BROKEN
 */
static int last_line(int fd, const char *name, struct creel_link_state *ret, uint64_t *ret_whole,
		     uint64_t *ret_size, struct creel_err *err)
{
	static const size_t step = CREEL_LINE_MAX + 1;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "stat %s", name);
	size_t want = (uint64_t)st.st_size > 2 * step ? 2 * step : (size_t)st.st_size;
	autofree uint8_t *buf = malloc(want + 1);
	if (!buf)
		return creel_err_nomem(err);
	if (pread(fd, buf, want, st.st_size - (off_t)want) != (ssize_t)want)
		return creel_err_set(err, CREEL_E_OS, errno, "read %s", name);
	uint8_t *end = want > 0 ? memrchr(buf, '\n', want) : NULL;
	*ret_size = (uint64_t)st.st_size;
	if (!end) {
		if (want < (uint64_t)st.st_size)
			return creel_err_set(err, CREEL_E_BROKEN, 0, "%s ends in no line of a record", name);
		*ret = (struct creel_link_state){0};
		*ret_whole = 0;
		return 0;
	}
	uint8_t *start = memrchr(buf, '\n', (size_t)(end - buf));
	start = start ? start + 1 : buf;
	*ret_whole = (uint64_t)st.st_size - want + (uint64_t)(end + 1 - buf);
	if (creel_chain_peek(start, (size_t)(end - start), ret, err) < 0)
		return creel_err_set(err, CREEL_E_BROKEN, 0,
				     "the last line of %s is damaged; see creel verify", name);
	return 0;
}

static int current_open(struct creel_record *r, struct creel_err *err)
{
	r->fd = openat(r->dirfd, current, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (r->fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", current);
	/* the name itself must outlive a power cut */
	if (fsync(r->dirfd) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "sync the record's folder");
	return 0;
}

static int recover(struct creel_record *r, uint64_t *ret_torn, struct creel_err *err)
{
	uint64_t whole = 0, size = 0, ignored = 0;
	int rc = last_line(r->fd, current, &r->at, &whole, &size, err);

	if (rc < 0)
		return rc;
	if (whole < size && ftruncate(r->fd, (off_t)whole) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "cut the torn line");
	*ret_torn = size - whole;
	r->size = whole;
	if (r->at.seq == 0 && r->rotated > 0) {
		char name[32];
		(void)snprintf(name, sizeof(name), "events-%06u.jsonl", r->rotated);
		autofd int fd = openat(r->dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "open %s", name);
		rc = last_line(fd, name, &r->at, &whole, &ignored, err);
	}
	r->committed = r->at;
	return rc;
}

int creel_record_open(int dirfd, uint64_t rotate, struct creel_record *ret, struct creel_err *err)
{
	struct creel_record out = {
		.dirfd = dirfd, .fd = -1, .reserve = -1, .rotate = rotate ? rotate : 64 << 20};
	uint64_t torn = 0;

	if (sodium_init() < 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "libsodium does not start");
	creel_buf_init(&out.pending, 4 << 20);
	out.rotated = rotated_highest(dirfd);
	int r = current_open(&out, err);
	if (r == 0)
		r = recover(&out, &torn, err);
	if (r == 0 && torn > 0) {
		struct creel_event e = {.kind = CREEL_EV_RECORD_REPAIR, .cell = ""};
		creel_event_num(&e, "octets", (int64_t)torn);
		r = creel_record_append(&out, &e, err);
		if (r == 0)
			r = creel_record_commit(&out, err);
	}
	if (r < 0) {
		creel_record_close(&out);
		return creel_err_add(err, "record");
	}
	*ret = out;
	return 0;
}

void creel_record_close(struct creel_record *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		close(r->fd);
	if (r->reserve >= 0)
		close(r->reserve);
	r->fd = r->reserve = -1;
	creel_buf_fini(&r->pending);
}

int creel_record_append(struct creel_record *r, const struct creel_event *e, struct creel_err *err)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return creel_chain_append(&r->at, e, (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec,
				  &r->pending, err);
}

static int rotate(struct creel_record *r, struct creel_err *err)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "events-%06u.jsonl", r->rotated + 1);
	/* in one step, and never over a file that is there */
	if (renameat2(r->dirfd, current, r->dirfd, name, RENAME_NOREPLACE) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "rotate to %s", name);
	close(r->fd);
	r->rotated++;
	r->size = 0;
	return current_open(r, err);
}

int creel_record_hold(struct creel_record *r, struct creel_err *err)
{
	if (r->reserved)
		return 0;
	if (r->reserve < 0)
		r->reserve = openat(r->dirfd, "reserve", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (r->reserve < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make the record's reserve");
	/* blocks, not a hole; on a file system that cannot promise them it writes them */
	int e = posix_fallocate(r->reserve, 0, CREEL_RECORD_RESERVE);
	if (e != 0) {
		(void)!ftruncate(r->reserve, 0);
		return creel_err_set(err, CREEL_E_OS, e, "keep %d kB of the disk for the record",
				     CREEL_RECORD_RESERVE >> 10);
	}
	r->reserved = true;
	return 0;
}

/* 0, or the errno; nothing of it stands in the file then */
static int write_all(struct creel_record *r)
{
	size_t at = 0;
	int os = 0;

	while (os == 0 && at < r->pending.len) {
		ssize_t n = write(r->fd, r->pending.data + at, r->pending.len - at);
		if (n >= 0)
			at += (size_t)n;
		else if (errno != EINTR)
			os = errno;
	}
	if (os == 0 && fdatasync(r->fd) < 0)
		os = errno;
	/* a line half written would be a broken chain for whoever reads it now */
	if (os != 0)
		(void)!ftruncate(r->fd, (off_t)r->size);
	return os;
}

int creel_record_commit(struct creel_record *r, struct creel_err *err)
{
	if (r->pending.len == 0)
		return 0;
	int os = write_all(r);
	if ((os == ENOSPC || os == EDQUOT) && r->reserved) {
		r->reserved = false;
		(void)!ftruncate(r->reserve, 0);
		os = write_all(r);
	}
	if (os != 0) {
		creel_buf_clear(&r->pending);
		r->at = r->committed;
		return creel_err_set(err, CREEL_E_OS, os, "write the record");
	}
	r->size += r->pending.len;
	r->committed = r->at;
	creel_buf_clear(&r->pending);
	return r->size >= r->rotate ? rotate(r, err) : 0;
}

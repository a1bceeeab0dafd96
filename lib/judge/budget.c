/* The day's count of requests, in memory or in a file that other processes share. */
#include "base/cleanup.h"
#include "inner.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

int judge_budget_open(struct creel_judge *j, const char *path, struct creel_err *err)
{
	autofd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %.160s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return creel_err_set(err, CREEL_E_INVALID, 0, "%.160s is no regular file", path);
	j->budget_fd = steal_fd(&fd);
	return 0;
}

/* "DAY COUNT\n": the UTC day since 1970. An empty file is a new one. */
static int file_read(int fd, int64_t *ret_day, uint64_t *ret_count, struct creel_err *err)
{
	char text[64] = "", rest;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read the budget's file");
	*ret_day = 0;
	*ret_count = 0;
	if (n > 0 && sscanf(text, "%" SCNd64 " %" SCNu64 "%c", ret_day, ret_count, &rest) != 3)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "the budget's file is not ours");
	return 0;
}

static int file_write(int fd, int64_t day, uint64_t count, struct creel_err *err)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%" PRId64 " %" PRIu64 "\n", day, count);

	if (pwrite(fd, text, (size_t)n, 0) != n || ftruncate(fd, n) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "write the budget's file");
	return 0;
}

static int take(struct creel_judge *j, struct creel_err *err)
{
	int64_t today = (int64_t)(time(NULL) / 86400);
	int r = j->budget_fd < 0 ? 0 : file_read(j->budget_fd, &j->day, &j->day_count, err);

	if (r < 0)
		return r;
	if (j->day != today) {
		j->day = today;
		j->day_count = 0;
	}
	if (j->day_count >= j->o.budget) {
		j->stats.over_budget++;
		return creel_err_set(err, CREEL_E_DENIED, 0, "the day's %u requests are used up",
				     j->o.budget);
	}
	j->day_count++;
	return j->budget_fd < 0 ? 0 : file_write(j->budget_fd, j->day, j->day_count, err);
}

int judge_budget_take(struct creel_judge *j, struct creel_err *err)
{
	int r = 0;

	pthread_mutex_lock(&j->lock);
	if (j->o.budget != (unsigned)-1) {
		if (j->budget_fd >= 0 && flock(j->budget_fd, LOCK_EX) < 0)
			r = creel_err_set(err, CREEL_E_OS, errno, "lock the budget's file");
		if (r == 0)
			r = take(j, err);
		if (j->budget_fd >= 0)
			(void)flock(j->budget_fd, LOCK_UN);
	}
	if (r == 0)
		j->stats.requests++;
	pthread_mutex_unlock(&j->lock);
	return r;
}

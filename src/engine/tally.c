#include "engine/engine.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * The file `told` beside the record: for each cell, how many packets that its filter told of stand on the
 * record, in a line, a fold or a count of what was lost. It is written after the record, so a kill between
 * makes it too small, never too large. The filter has its own count, which outlives creeld as well: what is
 * missing to that was told to nobody.
 */
struct slot {
	char cell[40];
	uint64_t told;
};
static struct {
	int fd;
	struct slot at[ENGINE_CELLS];
	uint64_t pending[ENGINE_CELLS]; /* appended, and not on disk yet */
} tally = {.fd = -1};

int tally_open(int dirfd, struct creel_err *err)
{
	tally.fd = openat(dirfd, "told", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (tally.fd < 0 || pread(tally.fd, tally.at, sizeof(tally.at), 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open the record's tally");
	for (size_t i = 0; i < ENGINE_CELLS; i++)
		tally.at[i].cell[sizeof(tally.at[i].cell) - 1] = '\0';
	return 0;
}

void tally_close(void)
{
	if (tally.fd >= 0)
		close(tally.fd);
	tally.fd = -1;
}

static ssize_t find(const char *cell)
{
	for (size_t i = 0; i < ENGINE_CELLS; i++)
		if (strcmp(tally.at[i].cell, cell) == 0)
			return (ssize_t)i;
	return -1;
}

/* Its place, or that of nobody: there are as many as cells. */
static size_t place(const char *cell)
{
	ssize_t at = find(cell);

	for (size_t i = 0; at < 0 && i < ENGINE_CELLS; i++)
		if (!tally.at[i].cell[0] || !cells_find(tally.at[i].cell)) {
			at = (ssize_t)i;
			tally.at[i] = (struct slot){0};
			tally.pending[i] = 0;
			(void)snprintf(tally.at[i].cell, sizeof(tally.at[i].cell), "%s", cell);
		}
	return at < 0 ? 0 : (size_t)at;
}

/* Where it cannot be written it is too small. */
static void put(size_t at)
{
	(void)!pwrite(tally.fd, &tally.at[at], sizeof(tally.at[at]), (off_t)(at * sizeof(tally.at[at])));
}

void tally_begin(const char *cell)
{
	size_t at = place(cell);

	tally.at[at].told = tally.pending[at] = 0;
	put(at);
}

void tally_add(const char *cell, uint64_t n)
{
	if (n > 0)
		tally.pending[place(cell)] += n;
	/* of a kind that is on disk at once */
	if (n > 0 && eng.record.at.seq == eng.record.committed.seq)
		tally_committed(true);
}

void tally_committed(bool written)
{
	for (size_t i = 0; i < ENGINE_CELLS; i++) {
		if (tally.pending[i] == 0)
			continue;
		if (written) {
			tally.at[i].told += tally.pending[i];
			put(i);
		}
		tally.pending[i] = 0;
	}
}

uint64_t tally_told(const char *cell)
{
	ssize_t at = find(cell);

	return at < 0 ? 0 : tally.at[at].told + tally.pending[at];
}

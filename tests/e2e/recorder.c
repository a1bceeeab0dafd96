/*
 * recorder write DIR: append events to a record in groups and say each group's last number once it is
 * acknowledged. recorder check DIR SEQ: open it as the next start does, verify all of it, and see that
 * it goes at least to SEQ. Static: it runs in a cell whose power is cut.
 */
#include "event/record.h"
#include "event/verify.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_on(int dirfd, struct creel_err *err)
{
	struct creel_record rec;
	int r = creel_record_open(dirfd, 100000, &rec, err);

	for (unsigned i = 0; r == 0; i++) {
		struct creel_event e = {.kind = CREEL_EV_EXEC_START, .cell = "box"};
		char text[1500];
		memset(text, 'a' + (int)(i % 26), sizeof(text));
		text[i * 37 % sizeof(text)] = '\0';
		creel_event_str(&e, "argv", text);
		for (unsigned k = 0; r == 0 && k <= i % 4; k++)
			r = creel_record_append(&rec, &e, err);
		if (r == 0)
			r = creel_record_commit(&rec, err);
		if (r == 0)
			printf("%llu\n", (unsigned long long)rec.committed.seq);
		(void)fflush(stdout);
	}
	return r;
}

static int check(int dirfd, unsigned long long acked, struct creel_err *err)
{
	struct creel_record rec;
	struct creel_verify v = {.lines = 0};
	int r = creel_record_open(dirfd, 100000, &rec, err);

	if (r < 0)
		return r;
	creel_record_close(&rec);
	if ((r = creel_verify(dirfd, NULL, &v, err)) < 0)
		return creel_err_add(err, "%s:%llu", v.file, (unsigned long long)v.line);
	if (v.at.seq < acked)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "acknowledged up to %llu, on disk up to %llu",
				     acked, (unsigned long long)v.at.seq);
	printf("%llu lines, %llu acknowledged\n", (unsigned long long)v.at.seq, acked);
	return 0;
}

int main(int argc, char **argv)
{
	struct creel_err err = {0};

	if (argc < 3)
		return 2;
	if (mkdir(argv[2], 0755) < 0 && errno != EEXIST)
		return 2;
	int dirfd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = argc > 3 ? check(dirfd, strtoull(argv[3], NULL, 10), &err) : write_on(dirfd, &err);
	if (r < 0)
		fprintf(stderr, "recorder: %s\n", err.msg);
	return r < 0;
}

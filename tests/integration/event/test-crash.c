/*
 * kill -9 of the writer at 1,000 random moments while events flow: what it acknowledged is there, and
 * the chain verifies after each restart. Its own disk is a file system whose sync costs little, so that
 * a thousand lives fit into a test; power loss is another test.
 */
#include "event/record.h"
#include "event/verify.h"
#include "tests/cmocka-all.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIVES = 1000 };

/* Appends in groups, commits, then acknowledges the number of the last. */
static void writer(int dirfd, int ack)
{
	struct creel_err err = {0};
	struct creel_record rec;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (creel_record_open(dirfd, 200000, &rec, &err) < 0) {
		fprintf(stderr, "writer: %s\n", err.msg);
		_exit(9);
	}
	for (unsigned i = 0;; i++) {
		struct creel_event e = {.kind = CREEL_EV_EXEC_START, .cell = "box"};
		char text[2000];
		memset(text, 'a' + i % 26, sizeof(text));
		text[i * 37 % sizeof(text)] = '\0';
		creel_event_str(&e, "command", text);
		for (unsigned k = 0; k <= i % 4; k++)
			if (creel_record_append(&rec, &e, &err) < 0)
				_exit(9);
		if (creel_record_commit(&rec, &err) < 0)
			_exit(9);
		if (write(ack, &rec.committed.seq, 8) != 8)
			_exit(9);
	}
}

/* The moment of every other life counts from its second acknowledgement: a busy machine, too, has events flow. */
static void moment(int life, int ack)
{
	struct timespec ts = {.tv_nsec = random() % 12000000};
	const struct timespec look = {.tv_nsec = 200000};
	int octets = 0;

	for (int i = 0; life % 2 && octets < 16 && i < 150000; i++) {
		assert_int_equal(ioctl(ack, FIONREAD, &octets), 0);
		if (octets < 16)
			nanosleep(&look, NULL);
	}
	nanosleep(&ts, NULL);
}

static void a_thousand_lives(void **state)
{
	char path[] = "/tmp/creel-crash.XXXXXX", cmd[64];
	struct creel_err err = {0};
	struct creel_verify v;
	uint64_t acked = 0, seq;

	assert_non_null(mkdtemp(path));
	int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	srandom(4711);
	for (int life = 0; life < LIVES; life++) {
		int p[2], ws = 0;
		assert_int_equal(pipe(p), 0);
		pid_t pid = fork();
		if (pid == 0) {
			close(p[0]);
			writer(dirfd, p[1]);
		}
		close(p[1]);
		moment(life, p[0]);
		kill(pid, SIGKILL);
		waitpid(pid, &ws, 0);
		assert_true(WIFSIGNALED(ws)); /* it never gave up by itself */
		while (read(p[0], &seq, 8) == 8) {
			assert_true(seq > acked);
			acked = seq;
		}
		close(p[0]);
		if (life % 10 != 9)
			continue;
		/* a restart's recovery, then the whole chain */
		struct creel_record rec;
		assert_int_equal(creel_record_open(dirfd, 200000, &rec, &err), 0);
		creel_record_close(&rec);
		if (creel_verify(dirfd, NULL, &v, &err) < 0)
			fail_msg("life %d: %s:%u: %s", life, v.file, (unsigned)v.line, err.msg);
		if (v.at.seq < acked)
			fail_msg("life %d: acknowledged up to %llu, on disk up to %llu", life,
				 (unsigned long long)acked, (unsigned long long)v.at.seq);
	}
	print_message("# %llu events acknowledged over %d lives\n", (unsigned long long)acked, LIVES);
	assert_true(acked > LIVES);
	close(dirfd);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", path);
	assert_int_equal(system(cmd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_thousand_lives)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The record against those who change it: every way of the threat model, and what must stay quiet. */
#include "event/head.h"
#include "event/record.h"
#include "event/verify.h"
#include "tests/cmocka-all.h"
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64];
static int dirfd_;
static struct creel_record rec;
static struct creel_head_key key;
static uint8_t pub[32];
static struct creel_err err;

static void emit(int n, const char *text)
{
	for (int i = 0; i < n; i++) {
		struct creel_event e = {.kind = CREEL_EV_EXEC_START, .cell = "box"};
		creel_event_str(&e, "command", text);
		creel_event_num(&e, "n", i);
		assert_int_equal(creel_record_append(&rec, &e, &err), 0);
	}
	assert_int_equal(creel_record_commit(&rec, &err), 0);
}

static void sign(void)
{
	assert_int_equal(creel_head_sign(dirfd_, &key, &rec.committed, &err), 0);
}

static int setup(void **state)
{
	strcpy(path, "/tmp/creel-record.XXXXXX");
	err = (struct creel_err){0};
	if (!mkdtemp(path))
		return -1;
	dirfd_ = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return creel_head_key_open(dirfd_, &key, &err) < 0 ||
			       creel_head_pub_read(dirfd_, "key.pub", pub, &err) < 0 ||
			       creel_record_open(dirfd_, 0, &rec, &err) < 0
		       ? -1
		       : 0;
}

static int teardown(void **state)
{
	char cmd[128];

	creel_record_close(&rec);
	close(dirfd_);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", path);
	return system(cmd);
}

/* The whole of events.jsonl, changed by the test and written back. */
static char *slurp(size_t *ret_len)
{
	static char text[1 << 20];
	autofd int fd = openat(dirfd_, "events.jsonl", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	assert_true(n > 0);
	text[n] = '\0';
	*ret_len = (size_t)n;
	return text;
}

static void spit(const char *text, size_t len)
{
	autofd int fd = openat(dirfd_, "events.jsonl", O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, text, len), len);
}

static int check(struct creel_verify *v)
{
	struct creel_link_state head;
	struct creel_err ignored = {0};
	bool have = creel_head_read(dirfd_, pub, &head, &ignored) == 0;

	err = (struct creel_err){0};
	return creel_verify(dirfd_, have ? &head : NULL, v, &err);
}

static char *line_at(char *text, int n)
{
	while (n-- > 1)
		text = strchr(text, '\n') + 1;
	return text;
}

static void whole_and_signed(void **state)
{
	struct creel_verify v;

	emit(20, "echo \"hi\"\n\x1b[31m\xff");
	sign();
	assert_int_equal(check(&v), 0);
	assert_true(v.head_seen);
	assert_int_equal(v.at.seq, 20);
	emit(3, "more");
	assert_int_equal(check(&v), 0);
	assert_int_equal(v.head_seq, 20);
	assert_int_equal(v.at.seq, 23);
}

static void the_golden_line(void **state)
{
	/* the format is a contract: this line, to the octet */
	struct creel_link_state st = {0};
	struct creel_event e = {.kind = CREEL_EV_EXEC_START, .cell = "box", .by_guest = true};
	struct creel_buf autoclean(creel_buf_fini) b;

	creel_buf_init(&b, 4096);
	creel_event_str(&e, "command", "ls \"/\"\n");
	creel_event_num(&e, "n", -5);
	assert_int_equal(creel_chain_append(&st, &e, 1700000000000000007ULL, &b, &err), 0);
	static const char want[] =
		"{\"seq\":1,\"time\":\"2023-11-14T22:13:20.000000007Z\",\"cell\":\"box\","
		"\"kind\":\"exec.start\",\"by\":\"guest\",\"command\":\"ls \\\"/\\\"\\n\",\"n\":-5,"
		"\"prev\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"hash\":\"";
	assert_memory_equal(b.data, want, sizeof(want) - 1);
	assert_int_equal(b.len, sizeof(want) - 1 + 64 + 3);
}

static void every_changed_octet_is_found(void **state)
{
	struct creel_verify v;
	size_t len;

	emit(5, "x");
	sign();
	char *text = slurp(&len);
	for (size_t i = 0; i < len; i++) {
		text[i] ^= 1;
		spit(text, len);
		if (check(&v) >= 0)
			fail_msg("octet %zu was changed and nothing said so", i);
		text[i] ^= 1;
	}
	spit(text, len);
	assert_int_equal(check(&v), 0);
}

static void a_dropped_line(void **state)
{
	struct creel_verify v;
	size_t len;

	emit(9, "x");
	sign();
	char *text = slurp(&len), *a = line_at(text, 4), *b = line_at(text, 5);
	memmove(a, b, strlen(b) + 1);
	spit(text, strlen(text));
	assert_int_equal(check(&v), CREEL_E_BROKEN);
	assert_int_equal(v.line, 4);
	assert_non_null(strstr(err.msg, "1 line(s) are missing"));
}

static void two_swapped_lines(void **state)
{
	struct creel_verify v;
	char swapped[8192];
	size_t len;

	emit(9, "x");
	sign();
	char *text = slurp(&len), *a = line_at(text, 3), *b = line_at(text, 4), *c = line_at(text, 5);
	int n = snprintf(swapped, sizeof(swapped), "%.*s%.*s%.*s%s", (int)(a - text), text, (int)(c - b), b,
			 (int)(b - a), a, c);
	spit(swapped, (size_t)n);
	assert_int_equal(check(&v), CREEL_E_BROKEN);
	assert_int_equal(v.line, 3);
}

static void a_cut_tail_and_a_half_line(void **state)
{
	struct creel_verify v;
	size_t len;

	emit(9, "x");
	sign();
	char *text = slurp(&len);
	spit(text, (size_t)(line_at(text, 8) - text));
	assert_int_equal(check(&v), CREEL_E_BROKEN);
	assert_int_equal(v.line, 8);
	assert_non_null(strstr(err.msg, "tail is cut: 2 line(s)"));
	spit(text, len - 5);
	assert_int_equal(check(&v), CREEL_E_BROKEN);
	assert_non_null(strstr(err.msg, "cut"));
}

static void a_line_of_another_record(void **state)
{
	struct creel_link_state st = {.seq = 4};
	struct creel_event e = {.kind = CREEL_EV_EXEC_START, .cell = "box"};
	struct creel_buf autoclean(creel_buf_fini) b, autoclean(creel_buf_fini) all;
	struct creel_verify v;
	size_t len;

	creel_buf_init(&b, 4096);
	creel_buf_init(&all, 1 << 20);
	emit(9, "x");
	sign();
	assert_int_equal(creel_chain_append(&st, &e, 1, &b, &err), 0); /* number 5, well hashed */
	char *text = slurp(&len);
	char *five = line_at(text, 5), *six = line_at(text, 6);
	(void)creel_buf_add(&all, text, (size_t)(five - text), &err);
	(void)creel_buf_add(&all, b.data, b.len, &err);
	(void)creel_buf_adds(&all, six, &err);
	spit(creel_buf_str(&all), all.len);
	assert_int_equal(check(&v), CREEL_E_BROKEN);
	assert_int_equal(v.line, 5);
	assert_non_null(strstr(err.msg, "does not follow"));
}

static void a_chain_rewritten_whole(void **state)
{
	struct creel_verify v;

	emit(9, "rm -rf /");
	sign();
	creel_record_close(&rec);
	assert_int_equal(unlinkat(dirfd_, "events.jsonl", 0), 0);
	assert_int_equal(creel_record_open(dirfd_, 0, &rec, &err), 0);
	emit(12, "echo innocent");
	assert_int_equal(check(&v), CREEL_E_BROKEN);
	assert_int_equal(v.line, 9);
	assert_non_null(strstr(err.msg, "rewritten"));
}

static void a_head_by_another_key_or_gone_back(void **state)
{
	struct creel_head_key other;
	struct creel_link_state head, low = {.seq = 2};
	uint8_t other_pub[32];

	emit(5, "x");
	sign();
	crypto_sign_keypair(other_pub, other.secret);
	assert_int_equal(creel_head_read(dirfd_, other_pub, &head, &err), CREEL_E_BROKEN);
	assert_int_equal(creel_head_sign(dirfd_, &key, &low, &err), CREEL_E_DENIED);
	assert_int_equal(creel_head_read(dirfd_, pub, &head, &err), 0);
	assert_int_equal(head.seq, 5);
}

static void rotation_keeps_the_chain(void **state)
{
	struct creel_verify v;
	struct stat st;

	creel_record_close(&rec);
	assert_int_equal(creel_record_open(dirfd_, 2000, &rec, &err), 0);
	for (int i = 0; i < 20; i++)
		emit(3, "x");
	sign();
	assert_int_equal(check(&v), 0);
	assert_int_equal(v.lines, 60);
	assert_int_equal(fstatat(dirfd_, "events-000002.jsonl", &st, 0), 0);
	/* and over a restart, even one that finds an empty newest file */
	creel_record_close(&rec);
	assert_int_equal(creel_record_open(dirfd_, 2000, &rec, &err), 0);
	emit(1, "after");
	assert_int_equal(check(&v), 0);
	assert_int_equal(v.lines, 61);
	/* a file missing in the middle */
	assert_int_equal(unlinkat(dirfd_, "events-000002.jsonl", 0), 0);
	assert_true(check(&v) < 0);
}

static void a_torn_line_is_repaired_and_recorded(void **state)
{
	struct creel_verify v;
	size_t len;

	emit(5, "x");
	creel_record_close(&rec);
	char *text = slurp(&len);
	spit(text, len - 30);
	assert_int_equal(creel_record_open(dirfd_, 0, &rec, &err), 0);
	emit(1, "after");
	assert_int_equal(check(&v), 0);
	assert_int_equal(v.lines, 6); /* 4 whole, the repair, one after */
	text = slurp(&len);
	assert_non_null(strstr(line_at(text, 5), "\"kind\":\"record.repair\""));
}

static void a_damaged_last_line_is_not_continued(void **state)
{
	size_t len;

	emit(5, "x");
	creel_record_close(&rec);
	char *text = slurp(&len);
	text[len - 10] = 'z';
	spit(text, len);
	assert_int_equal(creel_record_open(dirfd_, 0, &rec, &err), CREEL_E_BROKEN);
	rec.fd = -1;
}

static void without_a_head_it_says_so(void **state)
{
	struct creel_verify v;

	emit(5, "x");
	assert_int_equal(check(&v), 0);
	assert_false(v.head_seen);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(whole_and_signed),
		T(the_golden_line),
		T(every_changed_octet_is_found),
		T(a_dropped_line),
		T(two_swapped_lines),
		T(a_cut_tail_and_a_half_line),
		T(a_line_of_another_record),
		T(a_chain_rewritten_whole),
		T(a_head_by_another_key_or_gone_back),
		T(rotation_keeps_the_chain),
		T(a_torn_line_is_repaired_and_recorded),
		T(a_damaged_last_line_is_not_continued),
		T(without_a_head_it_says_so),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "linux/keyring.h"
#include "secret/store.h"
#include "tests/cmocka-all.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char dir[64];
static int state;

static int setup(void **ctx)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/creel-store-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	state = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return state < 0 ? -1 : 0;
}

static int teardown(void **ctx)
{
	char cmd[96];

	close(state);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static void opened(struct creel_store *s, bool write)
{
	struct creel_err err = {0};

	if (creel_store_open(state, write, s, &err) < 0)
		fail_msg("open: %s", err.msg);
}

static int value_is(const struct creel_store *s, const char *cell, const char *name, const char *want)
{
	struct creel_buf autoclean(creel_buf_fini) b;
	struct creel_err err = {0};

	creel_buf_init(&b, CREEL_SECRET_MAX);
	int r = creel_store_get(s, cell, name, &b, &err);
	if (r == 0 && want)
		assert_string_equal(creel_buf_str(&b), want);
	return r;
}

static void put(const struct creel_store *s, const char *cell, const char *name, const char *v)
{
	struct creel_err err = {0};

	if (creel_store_put(s, cell, name, v, strlen(v), &err) < 0)
		fail_msg("put: %s", err.msg);
}

static void nothing_stored(void **ctx)
{
	struct creel_store s;
	struct creel_err err = {0};

	assert_int_equal(creel_store_open(state, false, &s, &err), CREEL_E_NOTFOUND);
}

static void put_and_get(void **ctx)
{
	struct creel_store autoclean(creel_store_fini) s;
	struct creel_err err = {0};
	char path[128], file[512];
	struct stat st;

	opened(&s, true);
	put(&s, "box", "token", "marker-value-1");
	assert_int_equal(value_is(&s, "box", "token", "marker-value-1"), 0);
	put(&s, "box", "token", "2");
	assert_int_equal(value_is(&s, "box", "token", "2"), 0);
	assert_int_equal(value_is(&s, "box", "other", NULL), CREEL_E_NOTFOUND);
	(void)snprintf(path, sizeof(path), "%s/secrets/box/token", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	put(&s, "box", "token", "marker-value-1");
	autofile FILE *f = fopen(path, "re");
	size_t n = fread(file, 1, sizeof(file), f);
	assert_null(memmem(file, n, "marker", 6));
	static const char *const bad[] = {
		"",
		".x",
		"a/b",
		"-x",
		"a b",
		"..",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		assert_int_equal(creel_store_put(&s, "box", bad[i], "v", 1, &err), CREEL_E_INVALID);
		assert_int_equal(creel_store_put(&s, bad[i], "n", "v", 1, &err), CREEL_E_INVALID);
	}
	assert_int_equal(creel_store_put(&s, "box", "n", "", 0, &err), CREEL_E_INVALID);
}

static void sizes(void **ctx)
{
	struct creel_store autoclean(creel_store_fini) s;
	static const size_t lens[] = {1, 63, 64, 65, 127, 128, CREEL_SECRET_MAX - 1, CREEL_SECRET_MAX};
	autofree uint8_t *v = malloc(CREEL_SECRET_MAX + 1);
	struct creel_err err = {0};

	opened(&s, true);
	for (size_t i = 0; i < ELEMENTSOF(lens); i++) {
		struct creel_buf autoclean(creel_buf_fini) b;
		creel_buf_init(&b, CREEL_SECRET_MAX);
		memset(v, (int)('a' + i), lens[i]);
		assert_int_equal(creel_store_put(&s, "box", "v", v, lens[i], &err), 0);
		assert_int_equal(creel_store_get(&s, "box", "v", &b, &err), 0);
		assert_int_equal(b.len, lens[i]);
		assert_memory_equal(b.data, v, lens[i]);
	}
	assert_int_equal(creel_store_put(&s, "box", "v", v, CREEL_SECRET_MAX + 1, &err), CREEL_E_TOOBIG);
}

/* every octet of a stored file matters, and a file stands for its own cell and name alone */
static void damaged_or_moved(void **ctx)
{
	struct creel_store autoclean(creel_store_fini) s;
	char path[128], other[128];
	uint8_t c;

	opened(&s, true);
	put(&s, "box", "token", "value");
	(void)snprintf(path, sizeof(path), "%s/secrets/box/token", dir);
	autofd int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END);
	assert_true(size > 64);
	for (off_t i = 0; i < size; i++) {
		assert_int_equal(pread(fd, &c, 1, i), 1);
		c ^= 1;
		assert_int_equal(pwrite(fd, &c, 1, i), 1);
		if (value_is(&s, "box", "token", NULL) != CREEL_E_BROKEN)
			fail_msg("octet %ld was changed and it passed", (long)i);
		c ^= 1;
		assert_int_equal(pwrite(fd, &c, 1, i), 1);
	}
	assert_int_equal(value_is(&s, "box", "token", "value"), 0);
	put(&s, "gog", "token", "another");
	(void)snprintf(other, sizeof(other), "%s/secrets/box/second", dir);
	assert_int_equal(link(path, other), 0);
	assert_int_equal(value_is(&s, "box", "second", NULL), CREEL_E_BROKEN);
	(void)snprintf(other, sizeof(other), "%s/secrets/gog/token", dir);
	assert_int_equal(unlink(other), 0);
	assert_int_equal(link(path, other), 0);
	assert_int_equal(value_is(&s, "gog", "token", NULL), CREEL_E_BROKEN);
	for (off_t i = size - 1; i >= 0; i -= 7) {
		assert_int_equal(ftruncate(fd, i), 0);
		assert_int_equal(value_is(&s, "box", "token", NULL), CREEL_E_BROKEN);
	}
}

static int count(const char *cell, const char *name, void *ctx)
{
	++*(int *)ctx;
	return 0;
}

static void remove_and_list(void **ctx)
{
	struct creel_store autoclean(creel_store_fini) s;
	struct creel_err err = {0};
	int n = 0;

	opened(&s, true);
	put(&s, "a", "x", "1");
	put(&s, "a", "y", "2");
	put(&s, "b", "x", "3");
	assert_int_equal(creel_store_each(&s, NULL, count, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(creel_store_each(&s, "a", count, &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(creel_store_remove(&s, "a", "x", &err), 0);
	assert_int_equal(creel_store_remove(&s, "a", "x", &err), CREEL_E_NOTFOUND);
	assert_int_equal(value_is(&s, "a", "x", NULL), CREEL_E_NOTFOUND);
}

static void passphrase(void **ctx)
{
	struct creel_store s;
	struct creel_err err = {0};

	opened(&s, true);
	put(&s, "box", "token", "value");
	if (creel_store_rekey(&s, CREEL_STORE_PASSPHRASE, "right", 5, &err) < 0)
		fail_msg("rekey: %s", err.msg);
	assert_int_equal(value_is(&s, "box", "token", "value"), 0);
	creel_store_fini(&s);
	opened(&s, false); /* the kernel's keyring has it */
	assert_int_equal(value_is(&s, "box", "token", "value"), 0);
	creel_store_lock(&s);
	assert_true(creel_store_locked(&s));
	assert_int_equal(value_is(&s, "box", "token", NULL), CREEL_E_DENIED);
	creel_store_fini(&s);
	opened(&s, true);
	assert_true(creel_store_locked(&s));
	assert_int_equal(creel_store_put(&s, "box", "n", "v", 1, &err), CREEL_E_DENIED);
	assert_int_equal(creel_store_unlock(&s, "wrong", 5, &err), CREEL_E_DENIED);
	assert_int_equal(creel_store_unlock(&s, "right", 5, &err), 0);
	assert_int_equal(value_is(&s, "box", "token", "value"), 0);
	creel_store_lock(&s);
	creel_store_fini(&s);
}

/* another key: the old file says nothing any more, and a rekey that was killed leaves nothing */
static void rekey(void **ctx)
{
	struct creel_store s;
	struct creel_err err = {0};
	char path[128], before[512], after[512];
	size_t n, m;

	opened(&s, true);
	put(&s, "box", "token", "value");
	put(&s, "gog", "other", "second");
	(void)snprintf(path, sizeof(path), "%s/secrets/.key", dir);
	FILE *f = fopen(path, "re");
	n = fread(before, 1, sizeof(before), f);
	fclose(f);
	assert_int_equal(mkdirat(state, "secrets.next", 0700), 0);
	assert_int_equal(mkdirat(state, "secrets.next/box", 0700), 0);
	if (creel_store_rekey(&s, CREEL_STORE_FILE, NULL, 0, &err) < 0)
		fail_msg("rekey: %s", err.msg);
	f = fopen(path, "re");
	m = fread(after, 1, sizeof(after), f);
	fclose(f);
	assert_true(n != m || memcmp(before, after, n) != 0);
	assert_int_equal(faccessat(state, "secrets.next", F_OK, 0), -1);
	creel_store_fini(&s);
	opened(&s, false);
	assert_int_equal(value_is(&s, "box", "token", "value"), 0);
	assert_int_equal(value_is(&s, "gog", "other", "second"), 0);
	creel_store_fini(&s);
}

/* a value that cannot be read: the store stays as it was, whole */
static void rekey_fails(void **ctx)
{
	struct creel_store autoclean(creel_store_fini) s;
	struct creel_err err = {0};
	char path[128];

	opened(&s, true);
	put(&s, "a", "good", "value");
	put(&s, "b", "bad", "value");
	(void)snprintf(path, sizeof(path), "%s/secrets/b/bad", dir);
	assert_int_equal(truncate(path, 20), 0);
	assert_int_equal(creel_store_rekey(&s, CREEL_STORE_FILE, NULL, 0, &err), CREEL_E_BROKEN);
	assert_int_equal(value_is(&s, "a", "good", "value"), 0);
	assert_int_equal(faccessat(state, "secrets.next", F_OK, 0), -1);
}

static void key_damaged(void **ctx)
{
	static const char *const texts[] = {
		"",
		"{}",
		"{\"version\":1}",
		"{\"version\":2}",
		"[",
		"null",
		"{\"version\":1,\"method\":\"file\",\"id\":\"00112233445566778899aabbccddeeff\",\"key\":\"00\"}",
		"{\"version\":1,\"method\":\"none\",\"id\":\"00112233445566778899aabbccddeeff\"}",
		"{\"version\":1,\"method\":\"file\",\"id\":\"zz\"}"};
	struct creel_store s;
	struct creel_err err = {0};
	char path[128];

	opened(&s, true);
	creel_store_fini(&s);
	(void)snprintf(path, sizeof(path), "%s/secrets/.key", dir);
	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		autofile FILE *f = fopen(path, "we");
		fputs(texts[i], f);
		fflush(f);
		if (creel_store_open(state, true, &s, &err) != CREEL_E_BROKEN)
			fail_msg("case %zu passed", i);
	}
}

static void one_writer(void **ctx)
{
	struct creel_store autoclean(creel_store_fini) s;
	struct creel_store other;
	struct creel_err err = {0};

	opened(&s, true);
	assert_int_equal(creel_store_open(state, false, &other, &err), CREEL_E_BUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(nothing_stored), T(put_and_get), T(sizes),       T(damaged_or_moved), T(remove_and_list),
		T(passphrase),     T(rekey),       T(rekey_fails), T(key_damaged),      T(one_writer),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

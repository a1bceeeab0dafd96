#include "base/cleanup.h"
#include "image/install.h"
#include "image/lock.h"
#include "tests/cmocka-all.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char path[] = "/tmp/creel-lock.XXXXXX";
static struct creel_err err;

static struct creel_recipe recipe_of(const char *text)
{
	struct creel_recipe r = {0};
	struct creel_diags diags = {0};

	assert_int_equal(creel_recipe_load(text, strlen(text), "r", -1, &r, &diags, &err), 0);
	return r;
}

static void put(const char *text)
{
	autofile FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static const char one[] = "version: 1\ndebian: {packages: [curl]}\nnpm: [a@1]\n",
		  two[] = "version: 1\ndebian: {packages: [curl, jq]}\nnpm: [a@1]\n";

static void comes_back(void **state)
{
	struct creel_recipe autoclean(creel_recipe_fini) r = recipe_of(one),
							 autoclean(creel_recipe_fini) other = recipe_of(two);
	json_t *e = json_pack("{s:o, s:[{s:s, s:s}], s:{s:s, s:s}}", "asks", creel_lock_asks(&r, "amd64"),
			      "debian", "name", "curl", "version", "7.88.1", "kernel", "name",
			      "linux-image-6.1", "version", "6.1.1"),
	       *got = NULL;
	bool stale = true;

	(void)unlink(path);
	assert_int_equal(creel_lock_read(path, "a", &r, "amd64", &got, &stale, &err), 0);
	assert_null(got);
	assert_false(stale);
	assert_int_equal(creel_lock_write(path, "a", e, &err), 1);
	assert_int_equal(creel_lock_write(path, "a", e, &err), 0);
	assert_int_equal(creel_lock_write(path, "b", e, &err), 1);
	assert_int_equal(creel_lock_read(path, "a", &r, "amd64", &got, &stale, &err), 0);
	assert_true(json_equal(got, e));
	json_decref(got);
	/* another machine's kind, another recipe: not what was resolved */
	assert_int_equal(creel_lock_read(path, "a", &r, "arm64", &got, &stale, &err), 0);
	assert_true(!got && stale);
	assert_int_equal(creel_lock_read(path, "b", &other, "amd64", &got, &stale, &err), 0);
	assert_true(!got && stale);
	json_decref(e);
}

#define ASKS                                                                                           \
	"\"asks\":{\"arch\":\"amd64\",\"suite\":\"bookworm\",\"snapshot\":null,\"debian\":[\"curl\"]," \
	"\"npm\":[\"a@1\"],\"go\":[]}"
#define IN(x)  "{\"version\":1,\"images\":{\"a\":{" ASKS x "}}}"
#define KERNEL ",\"kernel\":{\"name\":\"k\",\"version\":\"1\"}"

static const char *const wrong[] = {
	"",
	"x",
	"[]",
	"{}",
	"{\"version\":1}",
	"{\"version\":2,\"images\":{}}",
	"{\"version\":1,\"images\":[]}",
	"{\"version\":1,\"version\":1,\"images\":{}}",
	IN(""),
	IN(",\"debian\":[]"),
	IN(",\"debian\":{}" KERNEL),
	IN(",\"debian\":[{\"name\":\"a\"}]" KERNEL),
	/* what would become lines of their own in apt's preferences */
	IN(",\"debian\":[{\"name\":\"a\\nPackage: *\",\"version\":\"1\"}]" KERNEL),
	IN(",\"debian\":[{\"name\":\"*\",\"version\":\"1\"}]" KERNEL),
	IN(",\"debian\":[{\"name\":\"a\",\"version\":\"1\\nx\"}]" KERNEL),
	IN(",\"debian\":[],\"npm\":[]" KERNEL),
	IN(",\"debian\":[],\"go\":{\"programs\":[]}" KERNEL),
	IN(",\"debian\":[],\"go\":{\"toolchain\":\"g\",\"programs\":[{}]}" KERNEL),
};

static void refuses(void **state)
{
	struct creel_recipe autoclean(creel_recipe_fini) r = recipe_of(one);

	for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
		json_t *got = NULL;
		bool stale = false;
		put(wrong[i]);
		err = (struct creel_err){0};
		if (creel_lock_read(path, "a", &r, "amd64", &got, &stale, &err) != CREEL_E_CONFIG || got ||
		    stale)
			fail_msg("taken: %s (%s)", wrong[i], err.msg);
	}
	json_t *got = NULL;
	bool stale = false;
	err = (struct creel_err){0};
	put(IN(",\"debian\":[{\"name\":\"a\",\"version\":\"1\"}]" KERNEL));
	assert_int_equal(creel_lock_read(path, "a", &r, "amd64", &got, &stale, &err), 0);
	assert_non_null(got);
	json_decref(got);
}

static void npm_names(void **state)
{
	static const struct {
		const char *spec, *name;
	} names[] = {{"cowsay@1.6.0", "cowsay"},
		     {"@a/b@2", "@a/b"},
		     {"@a/b", "@a/b"},
		     {"x", "x"},
		     {"node-x@1", "node-x"}};
	char got[300];

	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		creel_install_npm_name(names[i].spec, got, sizeof(got));
		assert_string_equal(got, names[i].name);
		creel_install_npm_spec(names[i].spec, got, sizeof(got));
		assert_string_equal(got, names[i].spec);
	}
	creel_install_npm_spec("node@24.21.0", got, sizeof(got));
	assert_true(strncmp(got, "node-linux-", 11) == 0 && strcmp(strchr(got, '@'), "@24.21.0") == 0);
}

static int setup(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}
static int teardown(void **state)
{
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back),
		cmocka_unit_test(refuses),
		cmocka_unit_test(npm_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

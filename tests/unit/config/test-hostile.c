/* Files that are made to hurt: each is refused with a position, in bounded time and memory. */
#include "base/buf.h"
#include "config/recipe.h"
#include "tests/cmocka-all.h"
#include <stdlib.h>
#include <string.h>

enum { ONE_MIB = 1 << 20 };

static void many(struct creel_buf *b, const char *s, size_t n)
{
	struct creel_err err = {0};

	for (size_t i = 0; i < n; i++)
		assert_int_equal(creel_buf_adds(b, s, &err), 0);
}

static void deep_flow(struct creel_buf *b)
{
	many(b, "[", 500000);
}
static void deep_maps(struct creel_buf *b)
{
	many(b, "{a: ", 200000);
}
static void deep_block(struct creel_buf *b)
{
	struct creel_err err = {0};

	for (int i = 0; i < 1000; i++) {
		many(b, " ", (size_t)i);
		assert_int_equal(creel_buf_adds(b, "a:\n", &err), 0);
	}
}
static void deep_dashes(struct creel_buf *b)
{
	many(b, "- ", 400000);
}
static void sixty_four(struct creel_buf *b)
{
	many(b, "[", 64);
	many(b, "]", 64);
}
/* nine doublings of ten: 10^9 values when written out */
static void bomb_of_lists(struct creel_buf *b)
{
	char line[200];
	struct creel_err err = {0};

	many(b, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n", 1);
	for (int i = 1; i < 9; i++) {
		int n = snprintf(line, sizeof(line), "a%d: &a%d [", i, i);
		for (int k = 0; k < 10; k++)
			n += snprintf(line + n, sizeof(line) - (size_t)n, "%s*a%d", k ? ", " : "", i - 1);
		(void)snprintf(line + n, sizeof(line) - (size_t)n, "]\n");
		assert_int_equal(creel_buf_adds(b, line, &err), 0);
	}
}
static void bomb_of_depth(struct creel_buf *b)
{
	char line[64];
	struct creel_err err = {0};

	many(b, "a0: &a0 [x]\n", 1);
	for (int i = 1; i < 100; i++) {
		(void)snprintf(line, sizeof(line), "a%d: &a%d [*a%d]\n", i, i, i - 1);
		assert_int_equal(creel_buf_adds(b, line, &err), 0);
	}
}
static void anchors(struct creel_buf *b)
{
	char line[64];
	struct creel_err err = {0};

	for (int i = 0; i < 300; i++) {
		(void)snprintf(line, sizeof(line), "a%d: &a%d x\n", i, i);
		assert_int_equal(creel_buf_adds(b, line, &err), 0);
	}
}
static void keys(struct creel_buf *b)
{
	char line[64];
	struct creel_err err = {0};

	for (int i = 0; i < 60000; i++) {
		(void)snprintf(line, sizeof(line), "k%d: x\n", i);
		assert_int_equal(creel_buf_adds(b, line, &err), 0);
	}
}
static void values(struct creel_buf *b)
{
	many(b, "a: [", 1);
	many(b, "x,", 60000);
}
/* 2000 unknown keys: 100 are told, the rest is counted */
static void errors(struct creel_buf *b)
{
	char line[64];
	struct creel_err err = {0};

	for (int i = 0; i < 1500; i++) {
		(void)snprintf(line, sizeof(line), "k%d: x\n", i);
		assert_int_equal(creel_buf_adds(b, line, &err), 0);
	}
}
static void long_scalar(struct creel_buf *b)
{
	many(b, "version: 1\ncells:\n  b: {recipe: base, memory: ", 1);
	many(b, "9", 900000);
	many(b, "}\n", 1);
}
static void long_key(struct creel_buf *b)
{
	many(b, "\"", 1);
	many(b, "k", 1000000);
	many(b, "\": 1\n", 1);
}
static void quotes(struct creel_buf *b)
{
	many(b, "\"", ONE_MIB - 1);
}
static void escapes(struct creel_buf *b)
{
	many(b, "a: \"", 1);
	many(b, "\\u0041", 150000);
}
static void comments(struct creel_buf *b)
{
	many(b, "#\n", ONE_MIB / 2);
}
static void question_marks(struct creel_buf *b)
{
	many(b, "? ", 400000);
}
static void over_1_mib(struct creel_buf *b)
{
	many(b, " ", ONE_MIB + 1);
}

static const struct {
	const char *name;
	void (*make)(struct creel_buf *);
	const char *first; /* the beginning of the first error */
} cases[] = {
	{"deep flow", deep_flow, "t:1:64: nested too deep (63 levels at most)"},
	{"deep maps", deep_maps, "t:1:2"},
	{"deep block", deep_block, "t:64:64: nested too deep"},
	{"deep dashes", deep_dashes, "t:1:127: nested too deep"},
	{"64 levels", sixty_four, "t:1:64: nested too deep"},
	{"bomb of lists", bomb_of_lists, "t:5:30: too many values, aliases written out (50000 at most)"},
	{"bomb of depth", bomb_of_depth, "t:63:12: nested too deep"},
	{"anchors", anchors, "t:201:7: too many anchors (200 at most)"},
	{"keys", keys, "t:2001:1: too many keys in one mapping (2000 at most)"},
	{"values", values, "t:1:"},
	{"errors", errors, "t:1:1: "},
	{"long scalar", long_scalar, "t:3:29: `memory: 9999"},
	{"long key", long_key, "t:1:"},
	{"quotes", quotes, "t:1:"},
	{"escapes", escapes, "t:1:"},
	{"comments", comments, "t:1:1: the file is empty"},
	{"question marks", question_marks, "t:1:"},
	{"over 1 MiB", over_1_mib, "t:1:1: the file is over 1 MiB"},
};

static void refused(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(cases); i++)
		for (int recipe = 0; recipe < 2; recipe++) {
			struct creel_buf autoclean(creel_buf_fini) b, shown;
			struct creel_config autoclean(creel_config_fini) c = {0};
			struct creel_recipe autoclean(creel_recipe_fini) q = {0};
			struct creel_diags autoclean(creel_diags_fini) d = {0};
			struct creel_err err = {0};
			creel_buf_init(&b, 2 * ONE_MIB);
			creel_buf_init(&shown, 2 * ONE_MIB);
			cases[i].make(&b);
			int r = recipe ? creel_recipe_load(b.data, b.len, "t", -1, &q, &d, &err)
				       : creel_config_load(b.data, b.len, "t", -1, &c, &d, &err);
			assert_int_equal(creel_diags_print(&d, CREEL_DIAG_ERROR, &shown, &err), 0);
			if (strcmp(cases[i].name, "long scalar") == 0 && recipe)
				continue; /* says other things of a recipe */
			if (r != CREEL_E_CONFIG || d.n == 0 ||
			    strncmp(creel_buf_str(&shown), cases[i].first, strlen(cases[i].first)) != 0)
				fail_msg("%s: r=%d %.300s", cases[i].name, r, creel_buf_str(&shown));
			if (d.n > CREEL_DIAGS_MAX || shown.len > 64 * 1024)
				fail_msg("%s: %zu errors, %zu octets of them", cases[i].name, d.n, shown.len);
		}
}

static void counted(void **state)
{
	struct creel_buf autoclean(creel_buf_fini) b, shown;
	struct creel_config autoclean(creel_config_fini) c = {0};
	struct creel_diags autoclean(creel_diags_fini) d = {0};
	struct creel_err err = {0};

	creel_buf_init(&b, ONE_MIB);
	creel_buf_init(&shown, ONE_MIB);
	errors(&b);
	assert_int_equal(creel_config_load(b.data, b.len, "t", -1, &c, &d, &err), CREEL_E_CONFIG);
	assert_int_equal(d.errors, 1502); /* and two keys that are missing */
	assert_int_equal(creel_diags_print(&d, CREEL_DIAG_ERROR, &shown, &err), 0);
	assert_non_null(strstr(creel_buf_str(&shown), "... and 1402 more errors\n"));
}

/* every octet in every place of a good file, and the file cut at every place */
static void octets(void **state)
{
	static const char good[] = "version: 1\ncells: {box: {recipe: base, publish: [\"80:80\"]}}\n";
	char yaml[sizeof(good)];

	for (size_t at = 0; at < strlen(good); at++)
		for (int o = 0; o < 257; o++) {
			struct creel_config autoclean(creel_config_fini) c = {0};
			struct creel_diags autoclean(creel_diags_fini) d = {0};
			struct creel_err err = {0};
			size_t len = o == 256 ? at : strlen(good);
			memcpy(yaml, good, sizeof(good));
			if (o < 256)
				yaml[at] = (char)o;
			int r = creel_config_load(yaml, len, "t", -1, &c, &d, &err);
			if ((r == 0) != (d.errors == 0) || (r < 0 && r != CREEL_E_CONFIG))
				fail_msg("octet %d at %zu: r=%d, %zu errors", o, at, r, d.errors);
			if (o == 0 && (r == 0 || !strstr(d.v[0].msg, "control character U+0000")))
				fail_msg("a NUL at %zu passes", at);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(refused), cmocka_unit_test(counted),
					   cmocka_unit_test(octets)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/cmocka-all.h"
#include "config/recipe.h"
#include <string.h>

#define TOP "version: 1\ncells:\n  box:\n    recipe: base\n"
/* what is wrong, all of it, and exactly where */
static const struct {
	const char *yaml, *errors;
} cases[] = {
	{TOP, ""},
	{"{\"version\": 1, \"cells\": {\"box\": {\"recipe\": \"base\"}}}", ""},
	{"", "t:1:1: the file is empty; it begins `version: 1`\n"},
	{TOP "    memmory: 1GiB\n", "t:5:5: unknown key `memmory`; did you mean `memory`?\n"},
	{TOP "    memory: 1MiB\n",
	 "t:5:13: `memory: 1MiB` is out of range; it is 64MiB to 1048576MiB\n"},
	{TOP "    cpus: two\n    cpus: 2\n",
	 "t:6:5: key `cpus` stands twice, first on line 5; keep one\n"},
	{TOP "---\na: 1\n",
	 "t:5:1: a second document; a file holds one, remove the `---`\n"},
	{TOP "    publish: [\"80:80\", \"127.0.0.1:80:81\"]\n",
	 "t:5:24: port 80 of 127.0.0.1 is published already on line 5; take another\n"},
	{"\xef\xbb\xbf" TOP "\xe9", "t:5:1: octet 0xe9 is not UTF-8; save the file as UTF-8\n"},
	{"network: {subnet: 10.0.0.1/24}\n" TOP "    ipv6: 1\n",
	 "t:1:19: `subnet: 10.0.0.1/24` has bits set behind its /24; clear them\n"
	 "t:6:11: `ipv6: 1` is not right; it wants true or false\n"},
};

static void errors_and_positions(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct creel_config autoclean(creel_config_fini) c = {0};
		struct creel_diags autoclean(creel_diags_fini) d = {0};
		struct creel_buf autoclean(creel_buf_fini) b;
		struct creel_err err = {0};
		creel_buf_init(&b, 65536);
		int r = creel_config_load(cases[i].yaml, strlen(cases[i].yaml), "t", -1, &c, &d,
					  &err);
		assert_int_equal(creel_diags_print(&d, CREEL_DIAG_ERROR, &b, &err), 0);
		if (strcmp(creel_buf_str(&b), cases[i].errors) != 0 ||
		    r != (cases[i].errors[0] ? CREEL_E_CONFIG : 0))
			fail_msg("case %zu: r=%d\n%s", i, r, creel_buf_str(&b));
	}
}

static void examples_load(void **state)
{
	static const char *const names[] = {"minimal.yaml", "openclaw.yaml"};
	char path[1024];
	struct creel_err err = {0};

	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		struct creel_config autoclean(creel_config_fini) c = {0};
		struct creel_diags autoclean(creel_diags_fini) d = {0};
		snprintf(path, sizeof(path), "%s/%s", EXAMPLES, names[i]);
		int r = creel_config_load_file(path, &c, NULL, &d, &err);
		if (r < 0)
			fail_msg("%s: %s %s", path, err.msg, d.n ? d.v[0].msg : "");
		assert_int_equal(c.cells.v[0].memory.v, i ? 4LL << 30 : 256LL << 20);
	}
	struct creel_recipe autoclean(creel_recipe_fini) q = {0};
	struct creel_diags autoclean(creel_diags_fini) d = {0};
	snprintf(path, sizeof(path), "%s/recipe.yaml", EXAMPLES);
	int r = creel_recipe_load_file(-100, path, &q, NULL, &d, &err);
	if (r < 0)
		fail_msg("%s: %s %s", path, err.msg, d.n ? d.v[0].msg : "");
	assert_int_equal(q.services.v[0].ready.timeout.v, 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(errors_and_positions),
					   cmocka_unit_test(examples_load)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

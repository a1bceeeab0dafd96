/* Allocation k fails, for k = 1, 2, ...: CREEL_E_NOMEM, nothing of the result, nothing left behind. */
#include "config/recipe.h"
#include "config/schema.h"
#include "tests/alloc/alloc.h"
#include "tests/cmocka-all.h"
#include <string.h>

static const char good[] =
	"version: 1\nnetwork: {subnet: 10.0.0.0/24, upstreams: [1.1.1.1]}\ncells:\n  box:\n"
	"    recipe: base\n    memory: 1GiB\n    volumes: {p: {size: 1GiB, at: /persist}}\n"
	"    secrets: {t: {generate: hex}, u: {command: [a, b]}}\n    publish: [\"80:80\"]\n"
	"    egress: &e {mode: ask, allow: [a.example]}\n"
	"    settings: {model: {primary: x, list: [red, 5]}, n: 2.5, b: true, z: ~}\n"
	"  other: {recipe: base, egress: *e, settings: {model: {}}}\n";
static const char bad[] = "version: 1\ncells:\n  box:\n    recipe: bse\n    memmory: 1GiB\n    cpus: x\n    "
			  "settings: {model: "
			  "{primary: 5, list: [grn]}, c: 1}\n    volumes: {p: {size: 1GiB, at: /}}\n";
static const char recipe[] = "version: 1\ndescription: d\ndebian: {packages: [curl]}\nnpm: "
			     "[\"a@1\"]\nusers: {u: {uid: 5}}\n"
			     "files: {/a: {content: x, owner: u}}\nservices: {s: {run: [/bin/x], "
			     "environment: {A: b}, ready: {tcp: "
			     "\"a:1\"}}}\nsettings: {type: object, required: [model], properties: "
			     "{model: {type: object, "
			     "properties: {primary: {type: string}, list: {items: {enum: [red, "
			     "green, 5]}}}}, n: {type: number}, "
			     "b: {type: boolean}, z: {}}}\n";

static struct creel_recipe base;

static int fit(void *ctx, const struct creel_config *c, int dirfd, struct creel_diags *diags,
	       struct creel_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->cells.n; i++)
		r = creel_config_check_recipe(c, &c->cells.v[i], &base, diags, err);
	return r;
}

/* @return what the load said; everything is freed again */
static int config_once(const char *yaml)
{
	const struct creel_config_more more = {.check = fit};
	struct creel_config autoclean(creel_config_fini) c = {0};
	struct creel_diags autoclean(creel_diags_fini) d = {0};
	struct creel_err err = {0};
	int r = creel_config_load_with(yaml, strlen(yaml), "t", -1, &more, &c, &d, &err);

	assert_int_equal(r, err.code);
	if (r < 0)
		assert_null(c.arena);
	return r;
}

static int recipe_once(const char *yaml)
{
	struct creel_recipe autoclean(creel_recipe_fini) q = {0};
	struct creel_diags autoclean(creel_diags_fini) d = {0};
	struct creel_err err = {0};
	int r = creel_recipe_load(yaml, strlen(yaml), "t", -1, &q, &d, &err);

	assert_int_equal(r, err.code);
	if (r < 0)
		assert_null(q.arena);
	return r;
}

static void each_fails(int (*once)(const char *), const char *yaml, int end)
{
	size_t k = 0, failed = 0;
	int r;

	do {
		size_t before = alloc_live();
		alloc_fail_at(++k);
		r = once(yaml);
		bool hit = alloc_count() >= k;
		alloc_fail_at(0);
		failed += hit;
		if (hit && r != CREEL_E_NOMEM)
			fail_msg("allocation %zu failed and the call said %d", k, r);
		if (alloc_live() != before)
			fail_msg("allocation %zu failed and %zd pieces were left", k,
				 (ssize_t)(alloc_live() - before));
		if (!hit)
			break;
	} while (k < 100000);
	assert_int_equal(r, end);
	assert_true(failed > 20); /* the wrappers are in use */
}

static void config_good(void **state)
{
	each_fails(config_once, good, 0);
}

static void config_bad(void **state)
{
	each_fails(config_once, bad, CREEL_E_CONFIG);
}

static void recipe_good(void **state)
{
	each_fails(recipe_once, recipe, 0);
}

static int pages_once(const char *unused)
{
	struct creel_buf autoclean(creel_buf_fini) b;
	struct creel_err err = {0};
	json_t *c = creel_schema_config(), *r = creel_schema_recipe();
	bool both = c && r;

	json_decref(c);
	json_decref(r);
	creel_buf_init(&b, 1 << 20);
	int rc = creel_reference_markdown(&b, &err);
	if (rc == 0)
		rc = creel_reference_man(&b, &err);
	return both ? rc : CREEL_E_NOMEM;
}

static void schema_and_pages(void **state)
{
	each_fails(pages_once, NULL, 0);
}

static int setup(void **state)
{
	struct creel_diags autoclean(creel_diags_fini) d = {0};
	struct creel_err err = {0};

	return creel_recipe_load(recipe, strlen(recipe), "r", -1, &base, &d, &err);
}

static int teardown(void **state)
{
	creel_recipe_fini(&base);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(config_good), cmocka_unit_test(config_bad),
					   cmocka_unit_test(recipe_good), cmocka_unit_test(schema_and_pages)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

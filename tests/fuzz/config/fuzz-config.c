/*
 * The first octet says what follows: a recipe (bit 0), checked then with a cell that has settings; or a
 * creel.yaml, whose cells are checked against a recipe with a schema. An error has a diagnostic or a
 * message; nothing leaks; what is not accepted is not filled in.
 */
#include "config/config.h"
#include "config/recipe.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char cell_yaml[] = "version: 1\ncells: {a: {recipe: base, settings: {model: {primary: "
				"x, list: [1, red]}, n: 2.5, b: "
				"true}}}\n";
static const char recipe_yaml[] =
	"version: 1\nfiles: {/persist/a: {content: x}}\nsettings: {type: object, required: "
	"[model], "
	"properties: {model: {type: object, properties: {primary: {type: string}, list: {items: "
	"{enum: [red, "
	"1]}}}}, n: {type: number, minimum: 1, maximum: 9}, free: {type: object}}}\n";

static int check(void *ctx, const struct creel_config *c, int dirfd, struct creel_diags *diags,
		 struct creel_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->cells.n; i++)
		if (c->cells.v[i].recipe.s)
			r = creel_config_check_recipe(c, &c->cells.v[i], ctx, diags, err);
	return r;
}

static int config(const void *data, size_t len, struct creel_recipe *recipe, struct creel_diags *diags,
		  struct creel_err *err)
{
	const struct creel_config_more more = {check, recipe};
	struct creel_config c = {0};
	int r = creel_config_load_with(data, len, "c.yaml", -1, &more, &c, diags, err);

	if (r < 0 && c.arena)
		abort();
	creel_config_fini(&c);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_diags diags = {0};
	struct creel_recipe recipe = {0};
	struct creel_err err = {0};
	int r;

	if (len < 1)
		return 0;
	if (data[0] & 1) {
		r = creel_recipe_load(data + 1, len - 1, "r.yaml", -1, &recipe, &diags, &err);
		if (r < 0 && recipe.arena)
			abort();
		if (r == 0)
			r = config(cell_yaml, strlen(cell_yaml), &recipe, &diags, &err);
	} else {
		r = creel_recipe_load(recipe_yaml, strlen(recipe_yaml), "r.yaml", -1, &recipe, &diags, &err);
		if (r < 0)
			abort();
		r = config(data + 1, len - 1, &recipe, &diags, &err);
	}
	if (r < 0 && diags.errors == 0 && err.msg[0] == '\0')
		abort();
	if (r == 0 && diags.errors > 0)
		abort();
	creel_recipe_fini(&recipe);
	creel_diags_fini(&diags);
	return 0;
}

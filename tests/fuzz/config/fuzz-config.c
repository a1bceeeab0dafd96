/* creel.yaml (first octet even) or a recipe (odd): an error has a diagnostic or a message, no leak. */
#include "config/config.h"
#include "config/recipe.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_diags diags = {0};
	struct creel_err err = {0};
	int r;

	if (len < 1)
		return 0;
	if (data[0] & 1) {
		struct creel_recipe recipe = {0};
		r = creel_recipe_load(data + 1, len - 1, "r.yaml", -1, &recipe, &diags, &err);
		if (r == 0)
			creel_recipe_fini(&recipe);
	} else {
		struct creel_config config = {0};
		r = creel_config_load(data + 1, len - 1, "c.yaml", -1, &config, &diags, &err);
		if (r == 0)
			creel_config_fini(&config);
	}
	if (r < 0 && diags.errors == 0 && err.msg[0] == '\0')
		abort();
	creel_diags_fini(&diags);
	return 0;
}

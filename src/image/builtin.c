#include "image/builtin.h"
#include "recipe-base.h"
#include "recipe-gh.h"
#include "recipe-gog.h"
#include "recipe-openclaw.h"

const struct creel_builtin creel_builtins[] = {
	{"base", (const char *)recipe_base, sizeof(recipe_base)},
	{"openclaw", (const char *)recipe_openclaw, sizeof(recipe_openclaw)},
	{"gog", (const char *)recipe_gog, sizeof(recipe_gog)},
	{"gh", (const char *)recipe_gh, sizeof(recipe_gh)},
	{0},
};

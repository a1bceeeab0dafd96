#pragma once
#include <stddef.h>

/* The built-in recipes, as the YAML in recipes/; the last row has no name. */
struct creel_builtin {
	const char *name, *text;
	size_t len;
};
extern const struct creel_builtin creel_builtins[];

#pragma once
#include "base/err.h"
#include <limits.h>

/*
 * A program of the builder's own (npm, go), wherever that is: a step sees it where it stands, without
 * anything else of a home.
 */
struct tool {
	char program[PATH_MAX];
	char dir[PATH_MAX];    /* the program's folder, for PATH */
	char prefix[PATH_MAX]; /* what must be bound for it to run; "" when it stands in /usr */
};

/**
 * Find @p name in the builder's PATH.
 * @return 0, CREEL_E_NOTFOUND (the message says @p hint), CREEL_E_UNSUPP (it would take a whole home)
 */
int tool_find(const char *name, const char *hint, struct tool *ret, struct creel_err *err);

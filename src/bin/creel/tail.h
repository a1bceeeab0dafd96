#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

enum tail_from { TAIL_ALL, TAIL_NEW };

/**
 * Read the record's lines in order, straight from its files, and with @p follow those that come, until
 * @p line ends it. A line that is not whole yet is not given.
 *
 * @param path  the record's folder
 * @param from  TAIL_ALL, or TAIL_NEW: what comes from now on
 * @param line  called for each, without its newline; @return 0: go on; else the end, and the answer
 * @return 0, what @p line said, CREEL_E_NOTFOUND (no record), CREEL_E_OS, _TOOBIG
 */
int tail_record(const char *path, enum tail_from from, bool follow,
		int (*line)(void *ctx, const char *text, size_t len), void *ctx, struct creel_err *err);

#pragma once
#include "base/err.h"
#include <stddef.h>

/*
 * Files of environment variables, as shells, Docker and systemd write them: lines NAME=VALUE, with
 * `export ` before it or not, `#` comments and empty lines. A value is bare (up to the end of the line,
 * blanks around it taken off), in '...' (as it stands) or in "..." (\n, \t, \\, \", \$ and a line's end
 * after \ mean what they do in sh(1)); nothing is expanded. Quoted values may span lines.
 */

/**
 * @param name   NUL-terminated; letters, digits and '_', no digit first; at most 64 octets
 * @param value  NUL-terminated for convenience, borrowed for the call
 * @return not 0 to stop with that code, @p err set
 */
typedef int creel_envfile_each(const char *name, const char *value, size_t len, void *ctx,
			       struct creel_err *err);

/**
 * Read a whole file. Call @p each in order; NULL only checks.
 *
 * @param data  @p len octets and a NUL behind them; changed in place: values are unquoted where they stand
 * @return 0, CREEL_E_SYNTAX ("line 3: ..."), what @p each returned
 */
int creel_envfile_parse(char *data, size_t len, creel_envfile_each *each, void *ctx, struct creel_err *err);

#pragma once
#include "base/err.h"

/*
 * The operator's log: stderr, one line a message, "program: text". Foreign octets are escaped
 * here. Only programs (src/bin) call this; libraries return errors.
 */
void creel_log_name(const char *program);
void creel_log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void creel_log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Print err->msg; the one place where an error is shown. */
void creel_log_error(const struct creel_err *err);
/** The exit status that a result stands for: 0, 1 or (CONFIG, USAGE) 2; positive values as is. */
int creel_exit_status(int r);

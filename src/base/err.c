#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int creel_err_set(struct creel_err *err, int code, int os, const char *fmt, ...)
{
	va_list ap;
	int n;

	err->code = code;
	err->os = os;
	va_start(ap, fmt);
	n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	if (os != 0 && n >= 0 && (size_t)n < sizeof(err->msg)) {
		char buf[96];
		/* GNU strerror_r: the result may or may not be buf */
		const char *s = strerror_r(os, buf, sizeof(buf));
		(void)snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s", s);
	}
	return code;
}

int creel_err_add(struct creel_err *err, const char *fmt, ...)
{
	char ctx[sizeof(err->msg)];
	size_t have = strnlen(err->msg, sizeof(err->msg) - 1);
	size_t room = sizeof(err->msg) - 1 - have;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(ctx, sizeof(ctx), fmt, ap);
	va_end(ap);
	if (n <= 0 || room < 3) /* one octet of context and ": " */
		return err->code;
	size_t len = (size_t)n < sizeof(ctx) ? (size_t)n : sizeof(ctx) - 1;
	if (len > room - 2)
		len = room - 2;
	memmove(err->msg + len + 2, err->msg, have + 1);
	memcpy(err->msg, ctx, len);
	memcpy(err->msg + len, ": ", 2);
	return err->code;
}

int creel_err_nomem(struct creel_err *err)
{
	return creel_err_set(err, CREEL_E_NOMEM, 0, "out of memory");
}

const char *creel_code_name(int code)
{
	static const char *const names[] = {
		"ok",       "os",     "nomem",  "syntax",      "trunc",  "toobig",    "invalid",
		"notfound", "exists", "denied", "timeout",     "closed", "proto",     "broken",
		"config",   "usage",  "child",  "unsupported", "busy",   "cancelled",
	};
	size_t i = code <= 0 ? (size_t)-code : 0;
	return i < sizeof(names) / sizeof(names[0]) ? names[i] : "unknown";
}

#include "base/log.h"
#include "base/escape.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *name = "creel";

void creel_log_name(const char *program)
{
	name = program;
}

static void put(const char *text)
{
	struct creel_err err = {0};
	struct creel_buf autoclean(creel_buf_fini) b;

	creel_buf_init(&b, 16384);
	if (creel_escape_term(&b, text, strlen(text), &err) < 0 && b.len == 0)
		fprintf(stderr, "%s: %s\n", name, "out of memory");
	else
		fprintf(stderr, "%s: %s\n", name, creel_buf_str(&b));
}

__attribute__((format(printf, 2, 0))) static void putv(const char *prefix, const char *fmt, va_list ap)
{
	char line[4096];
	size_t n = strlen(prefix);

	memcpy(line, prefix, n);
	(void)vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	put(line);
}

void creel_log_info(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	putv("", fmt, ap);
	va_end(ap);
}

void creel_log_warn(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	putv("warning: ", fmt, ap);
	va_end(ap);
}

void creel_log_error(const struct creel_err *err)
{
	put(err->msg[0] ? err->msg : creel_code_name(err->code));
}

int creel_exit_status(int r)
{
	if (r >= 0)
		return r;
	return r == CREEL_E_CONFIG || r == CREEL_E_USAGE ? 2 : 1;
}

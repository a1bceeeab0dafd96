#include "image/goversion.h"
#include "base/cleanup.h"
#include <stdio.h>
#include <string.h>

/* The n-th field of a line whose fields stand between tabs, copied. */
static void field(const char *line, size_t len, int n, char *ret, size_t size)
{
	const char *end = line + len;

	for (; n > 0 && line < end; n--) {
		const char *tab = memchr(line, '\t', (size_t)(end - line));
		line = tab ? tab + 1 : end;
	}
	const char *tab = memchr(line, '\t', (size_t)(end - line));
	(void)snprintf(ret, size, "%.*s", (int)((tab ? tab : end) - line), line);
}

/* `	KIND	NAME	VERSION	SUM` of a program */
static int line_take(json_t *p, const char *line, size_t len, struct creel_err *err)
{
	char kind[16], name[512], version[128], sum[80];
	int r = 0;

	field(line, len, 1, kind, sizeof(kind));
	field(line, len, 2, name, sizeof(name));
	field(line, len, 3, version, sizeof(version));
	field(line, len, 4, sum, sizeof(sum));
	if (strcmp(kind, "path") == 0)
		r = json_object_set_new(p, "path", json_string(name));
	else if (strcmp(kind, "mod") == 0)
		r = json_object_set_new(p, "module", json_string(name)) |
		    json_object_set_new(p, "version", json_string(version)) |
		    json_object_set_new(p, "sum", json_string(sum));
	else if (strcmp(kind, "dep") == 0 || strcmp(kind, "=>") == 0)
		r = json_array_append_new(json_object_get(p, "deps"),
					  json_pack("[s, s, s]", name, version, sum));
	return r < 0 ? creel_err_set(err, CREEL_E_SYNTAX, 0, "go version: a line is no text") : 0;
}

int creel_goversion_parse(const char *text, json_t *ret, struct creel_err *err)
{
	json_t *program = NULL;
	int r = 0;

	for (size_t n; r == 0 && *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		if (*text == '\t') {
			r = program ? line_take(program, text, n, err)
				    : creel_err_set(err, CREEL_E_SYNTAX, 0, "go version: no program named");
			continue;
		}
		const char *colon = memmem(text, n, ": go", 4), *slash = text;
		if (!colon)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "go version: '%.*s'",
					     (int)(n < 80 ? n : 80), text);
		for (const char *p = text; p < colon; p++)
			if (*p == '/')
				slash = p + 1;
		program = json_pack("{s:s%, s:[]}", "program", slash, (size_t)(colon - slash), "deps");
		if (!program || json_array_append_new(ret, program) < 0)
			return creel_err_nomem(err);
	}
	return r;
}

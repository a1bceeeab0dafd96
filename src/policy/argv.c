#include "policy/argv.h"
#include "base/escape.h"
#include <string.h>

void creel_argv_fini(struct creel_argv *a)
{
	if (!a)
		return;
	if (a->v)
		free(a->v[0]);
	free(a->v);
	*a = (struct creel_argv){0};
}

static int utf8_check(const char *s, size_t len, struct creel_err *err)
{
	for (size_t at = 0; at < len;) {
		uint32_t cp;
		size_t n = creel_utf8_decode((const uint8_t *)s + at, len - at, &cp);
		if (n == 0)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "octet %zu is not UTF-8", at + 1);
		if (cp == 0)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "octet %zu is NUL", at + 1);
		at += n;
	}
	return 0;
}

static int refuse(struct creel_err *err, char c, size_t at, const char *where)
{
	if (c == '\n')
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "a newline %s (octet %zu): quote it", where,
				     at + 1);
	return creel_err_set(err, CREEL_E_SYNTAX, 0, "`%c` %s (octet %zu): quote it with '...'", c, where,
			     at + 1);
}

/* One word into @p out. @return octets read, or negative */
static long word(const char *s, size_t len, size_t at, char **out, struct creel_err *err)
{
	size_t start = at;
	enum { PLAIN, SINGLE, DOUBLE } in = PLAIN;

	for (; at < len; at++) {
		char c = s[at];
		if (in == SINGLE) {
			if (c == '\'')
				in = PLAIN;
			else
				*(*out)++ = c;
			continue;
		}
		if (c == '\\') {
			if (at + 1 == len)
				return creel_err_set(err, CREEL_E_SYNTAX, 0, "ends with a backslash");
			char next = s[at + 1];
			if (next == '\n') /* a line that goes on: a shell drops both */
				return refuse(err, next, at + 1, "behind a backslash");
			if (in == DOUBLE && !strchr("$`\"\\", next)) {
				*(*out)++ = c;
				continue;
			}
			*(*out)++ = next;
			at++;
			continue;
		}
		if (c == '"') {
			in = in == DOUBLE ? PLAIN : DOUBLE;
			continue;
		}
		if (in == DOUBLE) {
			if (c == '$' || c == '`')
				return refuse(err, c, at, "in double quotes");
			*(*out)++ = c;
			continue;
		}
		if (c == '\'') {
			in = SINGLE;
			continue;
		}
		if (c == ' ' || c == '\t')
			break;
		if (strchr(";&|<>()$`*?[\n", c) || (at == start && (c == '~' || c == '#')))
			return refuse(err, c, at, "outside quotes");
		*(*out)++ = c;
	}
	if (in != PLAIN)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "an open quote");
	*(*out)++ = '\0';
	return (long)(at - start);
}

int creel_argv_parse(const char *s, size_t len, struct creel_argv *ret_argv, struct creel_err *err)
{
	if (len > CREEL_COMMAND_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0,
				     "the command is too long: at most %d octets pass", CREEL_COMMAND_MAX);
	int r = utf8_check(s, len, err);
	if (r < 0)
		return r;
	/* a word takes at least one octet and a separator, and only loses octets by unquoting */
	autofree char *mem = malloc(len + 2);
	autofree char **v = calloc(MIN(len / 2 + 2, (size_t)CREEL_ARGV_MAX + 2), sizeof(*v));
	size_t n = 0, at = 0;
	char *out = mem;

	if (!mem || !v)
		return creel_err_nomem(err);
	while (at < len) {
		if (s[at] == ' ' || s[at] == '\t') {
			at++;
			continue;
		}
		if (n == CREEL_ARGV_MAX)
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "more than %d words", CREEL_ARGV_MAX);
		v[n++] = out;
		long used = word(s, len, at, &out, err);
		if (used < 0)
			return (int)used;
		at += (size_t)used;
	}
	if (n == 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "an empty command");
	mem = NULL; /* v[0] is its start */
	*ret_argv = (struct creel_argv){.v = steal_ptr(&v), .n = n};
	return 0;
}

#include "wire/envfile.h"
#include <stdbool.h>
#include <string.h>

enum { NAME_MAX_LEN = 64 };

struct env {
	char *data;
	size_t len, at;
	unsigned line;
};

static int bad(const struct env *e, const char *what, struct creel_err *err)
{
	return creel_err_set(err, CREEL_E_SYNTAX, 0, "line %u: %s", e->line, what);
}

static bool name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void blanks(struct env *e)
{
	while (e->at < e->len && blank(e->data[e->at]))
		e->at++;
}

/* What an escape in "..." becomes; what has no meaning keeps its backslash. */
static size_t escape(char c, char *to)
{
	switch (c) {
	case 'n':
		*to = '\n';
		return 1;
	case 't':
		*to = '\t';
		return 1;
	case '\n':
		return 0;
	case '\\':
	case '"':
	case '$':
	case '`':
		*to = c;
		return 1;
	default:
		to[0] = '\\';
		to[1] = c;
		return 2;
	}
}

/* From behind the opening quote to behind the closing one. The result is never longer than its source. */
static int quoted(struct env *e, char quote, char **ret, size_t *ret_len, struct creel_err *err)
{
	char *out = e->data + e->at;
	unsigned first = e->line;
	size_t n = 0;

	for (; e->at < e->len; e->at++) {
		char c = e->data[e->at];
		if (c == quote) {
			e->at++;
			*ret = out;
			*ret_len = n;
			return 0;
		}
		if (c == '\n')
			e->line++;
		if (c == '\\' && quote == '"' && e->at + 1 < e->len) {
			char next = e->data[++e->at];
			if (next == '\n')
				e->line++;
			n += escape(next, out + n);
		} else {
			out[n++] = c;
		}
	}
	e->line = first;
	return bad(e, "a quote is not closed", err);
}

static void bare(struct env *e, char **ret, size_t *ret_len)
{
	size_t begin = e->at;

	while (e->at < e->len && e->data[e->at] != '\n')
		e->at++;
	size_t end = e->at;
	while (end > begin && blank(e->data[end - 1]))
		end--;
	*ret = e->data + begin;
	*ret_len = end - begin;
}

static int line_end(struct env *e, struct creel_err *err)
{
	blanks(e);
	if (e->at < e->len && e->data[e->at] == '#')
		while (e->at < e->len && e->data[e->at] != '\n')
			e->at++;
	if (e->at < e->len && e->data[e->at] != '\n')
		return bad(e, "something stands behind the closing quote", err);
	return 0;
}

static int entry(struct env *e, creel_envfile_each *each, void *ctx, struct creel_err *err)
{
	char name[NAME_MAX_LEN + 1], *value = NULL;
	size_t n = 0, len = 0;
	int r = 0;

	if (e->len - e->at > 7 && memcmp(e->data + e->at, "export", 6) == 0 && blank(e->data[e->at + 6])) {
		e->at += 6;
		blanks(e);
	}
	while (e->at < e->len && name_char(e->data[e->at], n == 0)) {
		if (n == NAME_MAX_LEN)
			return bad(e, "a name of over 64 octets", err);
		name[n++] = e->data[e->at++];
	}
	name[n] = '\0';
	if (n == 0 || e->at == e->len || e->data[e->at] != '=')
		return bad(e, "this is no NAME=VALUE", err);
	e->at++;
	blanks(e);
	char quote = e->at < e->len ? e->data[e->at] : '\0';
	if (quote == '"' || quote == '\'') {
		e->at++;
		r = quoted(e, quote, &value, &len, err);
		if (r == 0)
			r = line_end(e, err);
	} else {
		bare(e, &value, &len);
	}
	if (r == 0 && memchr(value, '\0', len))
		r = bad(e, "a value with a NUL", err);
	if (r < 0 || !each)
		return r;
	/* the octet behind the value has been read, but for a line's end, which must stay */
	char kept = value[len];
	value[len] = '\0';
	r = each(name, value, len, ctx, err);
	value[len] = kept;
	return r;
}

int creel_envfile_parse(char *data, size_t len, creel_envfile_each *each, void *ctx, struct creel_err *err)
{
	struct env e = {.data = data, .len = len, .line = 1};
	int r = 0;

	if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		e.at = 3;
	while (r == 0 && e.at < e.len) {
		blanks(&e);
		if (e.at == e.len)
			break;
		if (e.data[e.at] == '#')
			while (e.at < e.len && e.data[e.at] != '\n')
				e.at++;
		else if (e.data[e.at] != '\n')
			r = entry(&e, each, ctx, err);
		if (r == 0 && e.at < e.len && e.data[e.at] == '\n') {
			e.at++;
			e.line++;
		}
	}
	return r;
}

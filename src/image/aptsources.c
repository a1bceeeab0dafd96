#include "image/aptsources.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { FIELD_MAX = 4096 };

/* One source; lists are words with blanks between. */
struct source {
	char types[64], uris[FIELD_MAX], suites[FIELD_MAX], components[FIELD_MAX], key[FIELD_MAX];
	bool enabled, trusted;
};

static bool suite_wanted(const char *s, size_t n, const char *suite)
{
	size_t len = strlen(suite);

	return n >= len && strncmp(s, suite, len) == 0 && (n == len || s[len] == '-' || s[len] == '/');
}

/* The next word at *p; @return its length, 0 at the end */
static size_t word(const char **p)
{
	*p += strspn(*p, " \t\r\n");
	return strcspn(*p, " \t\r\n");
}

static bool has_word(const char *list, const char *want)
{
	for (const char *p = list; *p;) {
		size_t n = word(&p);
		if (n == strlen(want) && strncmp(p, want, n) == 0)
			return true;
		p += n;
	}
	return false;
}

static int emit_one(const struct source *s, const char *uri, size_t uri_n, const char *suite, size_t suite_n,
		    const char *snapshot, struct creel_buf *out, struct creel_err *err)
{
	int r = creel_buf_addf(out, err, "deb [%s%s%s%s] ", s->key[0] ? "signed-by=" : "", s->key,
			       s->trusted ? " trusted=yes" : "", snapshot ? " check-valid-until=no" : "");

	if (r < 0)
		return r;
	if (snapshot)
		r = creel_buf_addf(out, err, "http://snapshot.debian.org/archive/debian%s/%s",
				   memmem(suite, suite_n, "security", 8) ? "-security" : "", snapshot);
	else
		r = creel_buf_add(out, uri, uri_n, err);
	if (r == 0)
		r = creel_buf_addf(out, err, " %.*s %s\n", (int)suite_n, suite, s->components);
	return r;
}

static int emit(const struct source *s, const char *suite, const char *snapshot, struct creel_buf *out,
		struct creel_err *err)
{
	int found = 0, r;

	if (!s->enabled || !has_word(s->types, "deb"))
		return 0;
	for (const char *u = s->uris; *u;) {
		size_t un = word(&u);
		for (const char *v = s->suites; un > 0 && *v;) {
			size_t vn = word(&v);
			if (vn > 0 && suite_wanted(v, vn, suite)) {
				if (strncmp(s->key, "-----BEGIN", 10) == 0)
					return creel_err_set(err, CREEL_E_UNSUPP, 0,
							     "an apt source of %s holds its key itself; put "
							     "the key into a file and name that",
							     suite);
				if ((r = emit_one(s, u, un, v, vn, snapshot, out, err)) < 0)
					return r;
				found++;
			}
			v += vn;
		}
		u += un;
	}
	return found;
}

static void field_set(char *to, size_t size, const char *from, size_t n)
{
	size_t skip = 0;
	while (skip < n && (from[skip] == ' ' || from[skip] == '\t'))
		skip++;
	from += skip;
	n -= skip;
	while (n > 0 && (from[n - 1] == '\r' || from[n - 1] == ' ' || from[n - 1] == '\t'))
		n--;
	(void)snprintf(to, size, "%.*s", (int)(n < size ? n : size - 1), from);
}

static const struct {
	const char *name;
	size_t at, size;
} fields[] = {
	{"Types:", offsetof(struct source, types), sizeof(((struct source *)0)->types)},
	{"URIs:", offsetof(struct source, uris), FIELD_MAX},
	{"Suites:", offsetof(struct source, suites), FIELD_MAX},
	{"Components:", offsetof(struct source, components), FIELD_MAX},
	{"Signed-By:", offsetof(struct source, key), FIELD_MAX},
};

/* One line of a deb822 stanza; @p last is the field that a line which begins with a blank goes on with. */
static void field_line(struct source *s, int *last, const char *line, size_t n)
{
	char value[16] = "";

	if ((*line == ' ' || *line == '\t') && *last >= 0) {
		char *to = (char *)s + fields[*last].at;
		size_t len = strlen(to);
		if (len + 2 < fields[*last].size) {
			if (len > 0)
				to[len++] = ' ';
			field_set(to + len, fields[*last].size - len, line, n);
		}
		return;
	}
	*last = -1;
	for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
		size_t skip = strlen(fields[i].name);
		if (n >= skip && strncasecmp(line, fields[i].name, skip) == 0) {
			*last = (int)i;
			field_set((char *)s + fields[i].at, fields[i].size, line + skip, n - skip);
		}
	}
	if (n > 8 && strncasecmp(line, "Enabled:", 8) == 0) {
		field_set(value, sizeof(value), line + 8, n - 8);
		s->enabled = strcasecmp(value, "no") != 0;
	} else if (n > 8 && strncasecmp(line, "Trusted:", 8) == 0) {
		field_set(value, sizeof(value), line + 8, n - 8);
		s->trusted = strcasecmp(value, "yes") == 0;
	}
}

static int pick_822(const char *text, const char *suite, const char *snapshot, struct creel_buf *out,
		    struct creel_err *err)
{
	struct source s = {.enabled = true};
	int found = 0, last = -1, r = 0;

	for (bool more = true; more;) {
		size_t n = strcspn(text, "\n");
		more = text[n] != '\0';
		if (strspn(text, " \t\r") >= n) { /* the stanza's end */
			if ((r = emit(&s, suite, snapshot, out, err)) < 0)
				return r;
			found += r;
			s = (struct source){.enabled = true};
			last = -1;
		} else if (*text != '#') {
			field_line(&s, &last, text, n);
		}
		text += n + more;
	}
	r = emit(&s, suite, snapshot, out, err);
	return r < 0 ? r : found + r;
}

/* deb [OPTION=VALUE...] URI SUITE COMPONENT... */
static int line_take(const char *line, size_t len, const char *suite, const char *snapshot,
		     struct creel_buf *out, struct creel_err *err)
{
	struct source s = {.enabled = true, .types = "deb"};
	char copy[FIELD_MAX];
	const char *p = copy;

	if (len >= sizeof(copy))
		return 0;
	(void)snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(line, "#\n"), line);
	size_t n = word(&p);
	if (n != 3 || strncmp(p, "deb", 3) != 0)
		return 0;
	p += n;
	n = word(&p);
	if (*p == '[') {
		const char *end = strchr(p, ']');
		if (!end)
			return 0;
		for (const char *o = p + 1; o < end;) {
			o += strspn(o, " \t");
			size_t on = strcspn(o, " \t]");
			if (on > 10 && strncmp(o, "signed-by=", 10) == 0)
				field_set(s.key, sizeof(s.key), o + 10, on - 10);
			s.trusted |= on == 11 && strncmp(o, "trusted=yes", 11) == 0;
			o += on ? on : 1;
		}
		p = end + 1;
		n = word(&p);
	}
	field_set(s.uris, sizeof(s.uris), p, n);
	p += n;
	n = word(&p);
	field_set(s.suites, sizeof(s.suites), p, n);
	field_set(s.components, sizeof(s.components), p + n, strlen(p + n));
	return emit(&s, suite, snapshot, out, err);
}

int creel_aptsources_pick(const char *text, bool deb822, const char *suite, const char *snapshot,
			  struct creel_buf *out, struct creel_err *err)
{
	int found = 0, r;

	if (deb822)
		return pick_822(text, suite, snapshot, out, err);
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if ((r = line_take(line, strcspn(line, "\n"), suite, snapshot, out, err)) < 0)
			return r;
		found += r;
	}
	return found;
}

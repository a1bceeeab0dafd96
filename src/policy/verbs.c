#include "policy/verbs.h"
#include "policy/verbs-gh.h"
#include "policy/verbs-gog.h"
#include <limits.h>
#include <string.h>

#define TABLE_MAX (1 << 20)

void creel_verbs_fini(struct creel_verbs *t)
{
	if (!t)
		return;
	free(t->text);
	free(t->verb);
	free(t->flag);
	*t = (struct creel_verbs){0};
}

/* Cut the next word off; NULL at the end of the line. */
static char *take(char **at)
{
	char *w = *at + strspn(*at, " \t");
	size_t n = strcspn(w, " \t");

	if (n == 0)
		return NULL;
	*at = w + n + (w[n] != '\0');
	w[n] = '\0';
	return w;
}

/* Move the rest of the line together as words ended by an empty one: a line has two NULs behind. */
static const char *rest(char *at)
{
	char *out = at, *start = at, *from = at, *w;

	while ((w = take(&from)) != NULL) {
		size_t n = strlen(w) + 1;
		memmove(out, w, n);
		out += n;
	}
	*out = '\0';
	return start;
}

static bool in_words(const char *words, const char *w, size_t len)
{
	for (; words && *words; words += strlen(words) + 1)
		if (strlen(words) == len && memcmp(words, w, len) == 0)
			return true;
	return false;
}

static bool word_ok(const char *w)
{
	size_t n = strlen(w);

	return n > 0 && n <= 64 && w[0] != '-' &&
	       w[strspn(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/")] == '\0';
}

static const char *const kinds[] = {"bool", "value", "text", "who", "many", "file", "out", "at"};

static bool kind_find(const char *w, enum creel_flag_kind *ret)
{
	for (size_t i = 0; w && i < ELEMENTSOF(kinds); i++)
		if (strcmp(w, kinds[i]) == 0) {
			*ret = (enum creel_flag_kind)i;
			return true;
		}
	return false;
}

static int args_read(const char *w, struct creel_tool_verb *v)
{
	char *end;

	if (!w || *w < '0' || *w > '9')
		return -1;
	unsigned long lo = strtoul(w, &end, 10), hi = UINT_MAX;
	if (*end != '-')
		return -1;
	if (end[1]) {
		hi = strtoul(end + 1, &end, 10);
		if (*end || hi < lo)
			return -1;
	}
	if (lo > 1000 || (hi != UINT_MAX && hi > 1000))
		return -1;
	v->min_args = (unsigned)lo;
	v->max_args = (unsigned)hi;
	return 0;
}

static const struct creel_tool_verb *by_path(const struct creel_verbs *t, const char *path)
{
	for (size_t i = 0; i < t->n_verbs; i++)
		if (strcmp(t->verb[i].path, path) == 0)
			return &t->verb[i];
	return NULL;
}

/* "stdin", "shows WORD...", "needs FLAG...", "arg-file N", "arg-out N" */
static int use_read(const char *word, char *line, struct creel_tool_verb *v, struct creel_err *err)
{
	if (strcmp(word, "shows") == 0 || strcmp(word, "needs") == 0) {
		const char **at = word[0] == 's' ? &v->shows : &v->needs;
		*at = rest(line);
		return **at ? 0 : creel_err_set(err, CREEL_E_SYNTAX, 0, "%s WORD...", word);
	}
	const char *n = take(&line);
	if (strcmp(word, "stdin") == 0) {
		v->reads_stdin = true;
		return n ? creel_err_set(err, CREEL_E_SYNTAX, 0, "`stdin` has nothing behind it") : 0;
	}
	bool out = strcmp(word, "arg-out") == 0;
	if ((!out && strcmp(word, "arg-file") != 0) || !n || n[0] < '1' || n[0] > '9' || n[1])
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "arg-file N or arg-out N, N of 1 to 9");
	*(out ? &v->out_args : &v->in_args) |= (uint16_t)(1U << (n[0] - '1'));
	return 0;
}

static int line_read(struct creel_verbs *t, char *line, struct creel_err *err)
{
	bool own = line[0] == '\t' || line[0] == ' ';
	struct creel_tool_verb *last = t->n_verbs ? &t->verb[t->n_verbs - 1] : NULL;
	char *word = take(&line), *second = NULL;
	struct creel_flag f = {0};

	if (!word || word[0] == '#')
		return 0;
	if (own) {
		if (!last || last->group || last->target)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "an indented line below no verb");
		if (strcmp(word, "args") == 0) {
			if (args_read(take(&line), last) < 0)
				return creel_err_set(err, CREEL_E_SYNTAX, 0, "args MIN-[MAX]");
			return 0;
		}
		if (strcmp(word, "stdin") == 0 || strcmp(word, "shows") == 0 || strcmp(word, "needs") == 0 ||
		    strncmp(word, "arg-", 4) == 0)
			return use_read(word, line, last, err);
		if (!kind_find(word, &f.kind))
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "unknown kind `%.40s`", word);
		f.names = rest(line);
		if (!*f.names)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "a flag without a name");
		last->n_flags++;
		t->flag[t->n_flags++] = f;
		return 0;
	}
	second = take(&line);
	if (!second)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "`%.40s` alone", word);
	if (strcmp(word, "program") == 0) {
		t->program = second;
		return 0;
	}
	if (strcmp(word, "pass") == 0 || strcmp(word, "refuse") == 0) {
		f.refuse = word[0] == 'r';
		if (t->n_common != t->n_flags || !kind_find(second, &f.kind))
			return creel_err_set(err, CREEL_E_SYNTAX, 0,
					     "`%s KIND NAME...` stands before the verbs", word);
		f.names = rest(line);
		if (!*f.names)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "a flag without a name");
		t->flag[t->n_flags++] = f;
		t->n_common = t->n_flags;
		return 0;
	}
	struct creel_tool_verb v = {.path = second, .flags = t->n_flags};
	if (strcmp(word, "short") == 0) {
		v.target = 1; /* found when all are read: kept as text until then */
	} else if (strcmp(word, "group") == 0) {
		v.group = true;
	} else if (strcmp(word, "verb") != 0) {
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "unknown word `%.40s`", word);
	}
	if (!word_ok(second))
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "not a verb: `%.40s`", second);
	if (by_path(t, second))
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "`%s` stands twice", second);
	char *slash = strrchr(second, '/');
	if (slash && v.target)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "a short is one word");
	if (slash) {
		*slash = '\0';
		const struct creel_tool_verb *parent = by_path(t, second);
		*slash = '/';
		if (!parent || !parent->group)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "`%s` is in no group", second);
	}
	v.aliases = rest(line);
	t->verb[t->n_verbs++] = v;
	return 0;
}

/* A short's first "alias" is its verb. */
static int shorts_resolve(struct creel_verbs *t, struct creel_err *err)
{
	for (size_t i = 0; i < t->n_verbs; i++) {
		struct creel_tool_verb *v = &t->verb[i];
		if (!v->target)
			continue;
		const struct creel_tool_verb *to = by_path(t, v->aliases);
		if (!to || to->group || to->target)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "short %s: no verb `%.64s`", v->path,
					     v->aliases);
		v->target = (size_t)(to - t->verb) + 1;
		v->aliases += strlen(v->aliases) + 1;
	}
	return 0;
}

int creel_verbs_parse(const char *text, size_t len, struct creel_verbs *ret_table, struct creel_err *err)
{
	struct creel_verbs autoclean(creel_verbs_fini) t = {0};
	size_t lines = 1, number = 0;

	if (len > TABLE_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a verb table of %zu octets", len);
	for (size_t i = 0; i < len; i++) {
		lines += text[i] == '\n';
		if (text[i] == '\0')
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "NUL in a verb table");
	}
	t.text = calloc(1, len + 2 * lines + 1);
	t.verb = calloc(lines, sizeof(*t.verb));
	t.flag = calloc(lines, sizeof(*t.flag));
	if (!t.text || !t.verb || !t.flag)
		return creel_err_nomem(err);
	/* each line gets two NULs behind it, for rest() */
	char *to = t.text;
	for (const char *from = text, *end = text + len; from < end;) {
		const char *nl = memchr(from, '\n', (size_t)(end - from));
		size_t n = (size_t)((nl ? nl : end) - from);
		memcpy(to, from, n);
		number++;
		int r = line_read(&t, to, err);
		if (r < 0)
			return creel_err_add(err, "line %zu", number);
		to += n + 2;
		from += n + 1;
	}
	int r = shorts_resolve(&t, err);
	if (r < 0)
		return r;
	if (!t.program)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "a verb table without `program`");
	*ret_table = t;
	t = (struct creel_verbs){0};
	return 0;
}

int creel_verbs_builtin(const char *program, struct creel_verbs *ret_table, struct creel_err *err)
{
	static const struct {
		const char *name;
		const unsigned char *text;
		size_t len;
	} tables[] = {
		{"gog", creel_verbs_gog, sizeof(creel_verbs_gog)},
		{"gh", creel_verbs_gh, sizeof(creel_verbs_gh)},
	};

	for (size_t i = 0; i < ELEMENTSOF(tables); i++)
		if (strcmp(program, tables[i].name) == 0)
			return creel_verbs_parse((const char *)tables[i].text, tables[i].len, ret_table, err);
	return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no verb table for `%.64s`", program);
}

const struct creel_tool_verb *creel_verbs_child(const struct creel_verbs *t,
						const struct creel_tool_verb *parent, const char *word)
{
	size_t base = parent ? strlen(parent->path) + 1 : 0, len = strlen(word);

	for (size_t i = 0; i < t->n_verbs; i++) {
		const struct creel_tool_verb *v = &t->verb[i];
		if (parent && (strncmp(v->path, parent->path, base - 1) != 0 || v->path[base - 1] != '/'))
			continue;
		if (strchr(v->path + base, '/') ||
		    (strcmp(v->path + base, word) != 0 && !in_words(v->aliases, word, len)))
			continue;
		return v->target ? &t->verb[v->target - 1] : v;
	}
	return NULL;
}

const struct creel_flag *creel_verbs_flag(const struct creel_verbs *t, const struct creel_tool_verb *v,
					  const char *name, size_t len, bool is_short)
{
	if (len == 0 || is_short != (len == 1))
		return NULL;
	/* a refused flag is found first, so that no verb can bring its name back */
	for (size_t i = 0; i < t->n_common; i++)
		if (in_words(t->flag[i].names, name, len))
			return &t->flag[i];
	for (size_t i = 0; v && i < v->n_flags; i++)
		if (in_words(t->flag[v->flags + i].names, name, len))
			return &t->flag[v->flags + i];
	return NULL;
}

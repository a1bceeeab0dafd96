#include "policy/gate.h"
#include "base/escape.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A call, understood. */
struct given {
	const struct creel_flag *flag;
	const char *value; /* NULL for a bool */
	enum creel_gate_use use;
	const char *file;
};
struct call {
	const struct creel_tool_verb *verb;
	struct given *flags; /* at most one an argument */
	size_t n_flags;
	const char **args; /* positional ones behind the verb */
	size_t n_args;
	size_t n_files;
	bool reads_stdin;
};

void creel_gate_fini(struct creel_gate *g)
{
	if (!g)
		return;
	creel_verbs_fini(&g->table);
	free(g->rules);
	*g = (struct creel_gate){0};
}

static bool no(struct creel_gate_answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool no(struct creel_gate_answer *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(a->why, sizeof(a->why), fmt, ap);
	va_end(ap);
	return false;
}

static bool takes_value(const struct creel_flag *f)
{
	return f->kind != CREEL_FLAG_BOOL && f->kind != CREEL_FLAG_MANY;
}

/* What tools cut off at both ends of a word before they read it. */
static bool begins_with_space(const char *s)
{
	uint32_t cp = 0;

	return creel_utf8_decode((const uint8_t *)s, strlen(s), &cp) > 0 && creel_utf8_space(cp);
}

bool creel_gate_file_ok(const char *name)
{
	size_t len = strnlen(name, 201), n;
	uint32_t cp = ' ';

	/* the empty one too; a tool that trims would be left with the `..` of a no-break space and `..` */
	if (strchr(".-", name[0]) || begins_with_space(name) || len > 200)
		return false;
	for (size_t at = 0; at < len; at += n) {
		n = creel_utf8_decode((const uint8_t *)name + at, len - at, &cp);
		bool plain = (cp >= '0' && cp <= '9') || (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z');
		if (n == 0 || (!plain && cp < 0x80 && !strchr(" ._+-", (int)cp)))
			return false;
	}
	return !creel_utf8_space(cp);
}

/* A file that the call names: only of the shared folder, where nothing but the caller's files is. */
static bool file_take(const struct creel_gate *g, const char *what, const char *name, enum creel_gate_use use,
		      struct call *c, struct creel_gate_answer *a)
{
	if (!g->shared)
		return no(a, "%.60s names a file, and the gate has no shared folder (`shared:`)", what);
	if (!creel_gate_file_ok(name))
		return no(a,
			  "%.60s names a file: only a plain name is taken, of the shared folder (%.30s-files "
			  "put NAME brings one there)",
			  what, g->table.program);
	if (use != CREEL_USE_NONE && c->n_files++ == CREEL_GATE_FILES)
		return no(a, "more than %d files", CREEL_GATE_FILES);
	return true;
}

static bool stdin_take(const char *what, struct call *c, struct creel_gate_answer *a)
{
	if (c->reads_stdin)
		return no(a, "%.60s: standard input is read already", what);
	c->reads_stdin = true;
	return true;
}

static bool given_file(const struct creel_gate *g, struct given *f, struct call *c,
		       struct creel_gate_answer *a)
{
	enum creel_flag_kind kind = f->flag->kind;
	const char *name = f->value;
	char what[80];

	if (kind != CREEL_FLAG_FILE && kind != CREEL_FLAG_OUT && kind != CREEL_FLAG_AT)
		return true;
	(void)snprintf(what, sizeof(what), "flag `%.60s`", f->flag->names);
	if (kind == CREEL_FLAG_AT) {
		/* gog looks for the `@` when it has cut that off */
		if (begins_with_space(name))
			return no(a, "the value of %.60s begins with a blank", what);
		if (name[0] == '@')
			name++;
		else if (strcmp(name, "-") != 0)
			return true;
	}
	if (kind != CREEL_FLAG_OUT && strcmp(name, "-") == 0) {
		f->use = CREEL_USE_STDIN;
		return stdin_take(what, c, a);
	}
	f->use = kind == CREEL_FLAG_OUT ? CREEL_USE_OUT : CREEL_USE_IN;
	f->file = name;
	return file_take(g, what, name, f->use, c, a);
}

static enum creel_gate_use arg_use(const struct creel_tool_verb *v, size_t i)
{
	return i < 16 && (v->in_args & (1U << i))    ? CREEL_USE_IN
	       : i < 16 && (v->out_args & (1U << i)) ? CREEL_USE_OUT
						     : CREEL_USE_NONE;
}

static bool args_files(const struct creel_gate *g, struct call *c, struct creel_gate_answer *a)
{
	for (size_t i = 0; i < c->n_args; i++) {
		enum creel_gate_use use = arg_use(c->verb, i);
		char what[32];
		(void)snprintf(what, sizeof(what), "argument %zu", i + 1);
		if (use != CREEL_USE_NONE && !file_take(g, what, c->args[i], use, c, a))
			return false;
	}
	return !c->verb->reads_stdin || stdin_take("the verb", c, a);
}

/*
 * A flag at argv[*i]. Its verb may not be known yet (a flag before the verb): then only those that
 * every verb takes are, as in the tool itself.
 */
static bool flag_take(const struct creel_gate *g, const struct creel_argv *argv, size_t *i, struct call *c,
		      struct creel_gate_answer *a)
{
	const char *arg = argv->v[*i];
	bool is_short = arg[1] != '-';
	const char *name = arg + (is_short ? 1 : 2), *eq = is_short ? NULL : strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	const struct creel_tool_verb *verb = c->verb && !c->verb->group ? c->verb : NULL;
	const struct creel_flag *f;

	if (is_short && len != 1)
		return no(a, "`%.60s`: short flags stand alone, their value in the next word", arg);
	f = creel_verbs_flag(&g->table, verb, name, len, is_short);
	if (!f)
		return no(a, "unknown flag `%.60s`%s", arg, verb ? "" : " before the verb");
	if (f->refuse)
		return no(a, "flag `%.*s` is not the caller's to set", (int)MIN(len, (size_t)60), name);
	struct given given = {.flag = f};
	if (!takes_value(f)) {
		if (eq)
			return no(a, "flag `%.*s` takes no value", (int)MIN(len, (size_t)60), name);
	} else if (eq) {
		given.value = eq + 1;
	} else {
		if (*i + 1 >= argv->n)
			return no(a, "flag `%.60s` without its value", arg);
		given.value = argv->v[++*i];
		/* the tool takes such a word for a flag; so its meaning would not be ours */
		if (given.value[0] == '-')
			return no(a, "the value of `%.60s` begins with `-`: write %.60s=VALUE", arg, arg);
	}
	if (given.value && !given_file(g, &given, c, a))
		return false;
	if (!is_short && strcmp(f->names, "json") == 0)
		a->json = true;
	c->flags[c->n_flags++] = given;
	return true;
}

/* Some verbs without some flag write where nobody looks. */
static bool needs_met(const struct creel_gate *g, const struct call *c, struct creel_gate_answer *a)
{
	for (const char *w = c->verb->needs; w && *w; w += strlen(w) + 1) {
		const struct creel_flag *f = creel_verbs_flag(&g->table, c->verb, w, strlen(w), false);
		bool given = false;
		for (size_t i = 0; i < c->n_flags; i++)
			given |= c->flags[i].flag == f;
		if (!given)
			return no(a, "the verb needs `--%.60s`", w);
	}
	return true;
}

/* Fill in @p c; false with a reason in @p a. */
static bool understand(const struct creel_gate *g, const struct creel_argv *argv, struct call *c,
		       struct creel_gate_answer *a)
{
	bool flags_end = false;

	for (size_t i = 1; i < argv->n; i++) {
		const char *arg = argv->v[i];
		bool leaf = c->verb && !c->verb->group;
		if (!flags_end && strcmp(arg, "--") == 0) {
			if (!leaf)
				return no(a, "`--` before the verb");
			flags_end = true;
		} else if (!flags_end && arg[0] == '-' && arg[1]) {
			if (!flag_take(g, argv, &i, c, a))
				return false;
		} else if (!flags_end && strcmp(arg, "-") == 0) {
			return no(a, "`-` alone means standard input or output to some tools: "
				     "write it behind `--`");
		} else if (!leaf) {
			const struct creel_tool_verb *v = creel_verbs_child(&g->table, c->verb, arg);
			if (!v)
				return no(a, "unknown verb `%.100s`", arg);
			c->verb = v;
		} else {
			c->args[c->n_args++] = arg;
		}
	}
	if (!c->verb || c->verb->group)
		return no(a, "no verb");
	a->verb = c->verb->path;
	a->tool_verb = c->verb;
	if (c->n_args < c->verb->min_args || c->n_args > c->verb->max_args)
		return no(a, "%zu arguments behind the verb", c->n_args);
	if (!needs_met(g, c, a) || !args_files(g, c, a))
		return false;
	a->reads_stdin = c->reads_stdin;
	return true;
}

static bool host_matches(const char *pattern, size_t plen, const char *host, size_t hlen)
{
	struct creel_name p, h;
	struct creel_err ignored = {0};

	return creel_name_parse(pattern, plen, &p, &ignored) == 0 &&
	       creel_name_parse(host, hlen, &h, &ignored) == 0 && strcmp(p.text, h.text) == 0;
}

/* A plain address and nothing else: no display name, no quotes, no comment, no second @. */
static bool address_plain(const char *s, size_t len)
{
	size_t at = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-");

	return at > 0 && at < len && s[at] == '@' && !memchr(s + at + 1, '@', len - at - 1) &&
	       !memchr(s, ';', len);
}

/* @p pattern: *@DOMAIN, USER@DOMAIN or DOMAIN */
static bool address_matches(const char *pattern, size_t plen, const char *s, size_t len)
{
	const char *pat = memchr(pattern, '@', plen), *at = memchr(s, '@', len);
	const char *host = pat ? pat + 1 : pattern;

	if (!address_plain(s, len) || !at)
		return false;
	if (pat && !(pat == pattern + 1 && pattern[0] == '*') &&
	    ((pat - pattern) != (at - s) || strncasecmp(pattern, s, (size_t)(at - s)) != 0))
		return false;
	return host_matches(host, (size_t)(pattern + plen - host), at + 1, (size_t)(s + len - at - 1));
}

/* Does one of @p list (patterns, comma between, @p n octets) fit? */
static bool one_of(const char *list, size_t n, const char *s, size_t len, bool address)
{
	for (const char *p = list, *end = list + n; p <= end;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t plen = (size_t)((comma ? comma : end) - p);
		if (address ? address_matches(p, plen, s, len) : plen == len && memcmp(p, s, len) == 0)
			return true;
		p += plen + 1;
	}
	return false;
}

static bool who_fits(const struct call *c, const char *list, size_t n)
{
	size_t seen = 0;

	for (size_t i = 0; i < c->n_flags; i++) {
		if (c->flags[i].flag->kind == CREEL_FLAG_MANY)
			return false;
		if (c->flags[i].flag->kind != CREEL_FLAG_WHO)
			continue;
		for (const char *s = c->flags[i].value;; s++) {
			s += strspn(s, " ");
			size_t len = strcspn(s, ","), trim = len;
			while (trim > 0 && s[trim - 1] == ' ')
				trim--;
			if (!one_of(list, n, s, trim, true))
				return false;
			seen++;
			s += len;
			if (!*s)
				break;
		}
	}
	return seen > 0;
}

static bool condition_fits(const struct creel_gate *g, const struct call *c, const char *cond, size_t len)
{
	const char *colon = memchr(cond, ':', len);
	size_t name = (size_t)(colon - cond), n = len - name - 1;

	if (name == 3 && memcmp(cond, "who", 3) == 0)
		return who_fits(c, colon + 1, n);
	if (name == 4 && memcmp(cond, "arg", 3) == 0) {
		size_t at = (size_t)(cond[3] - '1');
		return at < c->n_args && one_of(colon + 1, n, c->args[at], strlen(c->args[at]), false);
	}
	const struct creel_flag *f = creel_verbs_flag(&g->table, c->verb, cond, name, false);
	bool seen = false;
	for (size_t i = 0; i < c->n_flags; i++) {
		if (c->flags[i].flag != f)
			continue;
		if (!c->flags[i].value ||
		    !one_of(colon + 1, n, c->flags[i].value, strlen(c->flags[i].value), false))
			return false;
		seen = true;
	}
	return seen;
}

static bool rule_fits(const struct creel_gate *g, const struct creel_gate_rule *r, const struct call *c)
{
	size_t base = strlen(r->verb->path);

	if (r->verb->group)
		return strncmp(c->verb->path, r->verb->path, base) == 0 && c->verb->path[base] == '/';
	if (r->verb != c->verb)
		return false;
	for (const char *p = r->conditions; p && *p;) {
		size_t len = strcspn(p, " ");
		if (!condition_fits(g, c, p, len))
			return false;
		p += len + (p[len] == ' ');
	}
	return true;
}

/* deny first; then what says more (it has conditions) before what says less; ask before allow */
static int rank(const struct creel_gate_rule *r)
{
	if (r->decision == CREEL_DENY)
		return 0;
	return 1 + 2 * !r->conditions + (r->decision == CREEL_ALLOW);
}

/*
 * PROGRAM-files put|get|rm NAME, or list: the caller's way to the shared folder, which the gate itself
 * serves. What may be done there no rule says: the folder holds the caller's files and the tool's answers.
 */
static bool files_call(const struct creel_gate *g, const struct creel_argv *argv, struct creel_gate_answer *a)
{
	static const char *const verbs[] = {"files/put", "files/get", "files/rm", "files/list"};
	size_t len = strlen(g->table.program);

	if (strncmp(argv->v[0], g->table.program, len) != 0 || strcmp(argv->v[0] + len, "-files") != 0)
		return false;
	a->files = true;
	for (size_t i = 0; argv->n > 1 && i < ELEMENTSOF(verbs); i++)
		if (strcmp(verbs[i] + 6, argv->v[1]) == 0)
			a->verb = verbs[i];
	if (!g->shared)
		(void)no(a, "the gate has no shared folder (`shared:`)");
	else if (!a->verb || argv->n != (a->verb[6] == 'l' ? 2U : 3U))
		(void)no(a, "usage: %.30s-files put NAME | get NAME | rm NAME | list", g->table.program);
	else if (argv->n == 3 && !creel_gate_file_ok(argv->v[2]))
		(void)no(a, "`%.100s` is no name for a file there", argv->v[2]);
	else {
		a->decision = CREEL_ALLOW;
		a->rule = "shared";
		a->reads_stdin = a->verb[6] == 'p';
		(void)no(a, "the caller's own folder");
	}
	return true;
}

static bool program_is(const struct creel_gate *g, const struct creel_argv *argv)
{
	return strcmp(argv->v[0], g->table.program) == 0;
}

void creel_gate_decide(const struct creel_gate *g, const struct creel_argv *argv,
		       struct creel_gate_answer *ret)
{
	struct creel_gate_answer a = {.decision = CREEL_DENY, .rule = "default: deny"};
	autofree struct given *flags = calloc(argv->n, sizeof(*flags));
	autofree const char **args = calloc(argv->n, sizeof(*args));
	struct call c = {.flags = flags, .args = args};
	const struct creel_gate_rule *found = NULL;

	if (!flags || !args)
		(void)no(&a, "out of memory");
	else if (files_call(g, argv, &a))
		; /* said all */
	else if (!program_is(g, argv))
		(void)no(&a, "the program here is %s", g->table.program);
	else if (understand(g, argv, &c, &a)) {
		/* of equals the first line */
		for (size_t i = 0; i < g->n_rules; i++) {
			const struct creel_gate_rule *r = &g->rules[i];
			if ((!found || rank(r) < rank(found)) && rule_fits(g, r, &c))
				found = r;
		}
		if (found) {
			a.decision = found->decision;
			a.rule = found->text.s;
			a.line = found->text.line;
		}
		(void)no(&a, "%s",
			 !found                      ? "no rule has this verb with these arguments"
			 : a.decision == CREEL_ALLOW ? "a rule of `allow` has it"
			 : a.decision == CREEL_ASK   ? "a rule of `ask` has it: a human decides"
						     : "a rule of `deny` has it");
	}
	*ret = a;
}

size_t creel_gate_parts(const struct creel_gate *g, const struct creel_argv *argv,
			struct creel_gate_part *ret, size_t max)
{
	struct creel_gate_answer ignored = {0};
	autofree struct given *flags = calloc(argv->n, sizeof(*flags));
	autofree const char **args = calloc(argv->n, sizeof(*args));
	struct call c = {.flags = flags, .args = args};
	size_t n = 0;

	if (!flags || !args || !understand(g, argv, &c, &ignored))
		return 0;
	for (size_t i = 0; i < c.n_args; i++, n++)
		if (n < max)
			ret[n] = (struct creel_gate_part){"argument", c.args[i], true, arg_use(c.verb, i),
							  c.args[i]};
	for (size_t i = 0; i < c.n_flags; i++, n++)
		if (n < max)
			ret[n] = (struct creel_gate_part){
				c.flags[i].flag->names, c.flags[i].value ? c.flags[i].value : "",
				c.flags[i].flag->kind != CREEL_FLAG_TEXT, c.flags[i].use, c.flags[i].file};
	return n;
}

size_t creel_gate_args(const struct creel_gate *g, const struct creel_argv *argv, const char **ret,
		       size_t max)
{
	struct creel_gate_answer ignored = {0};
	autofree struct given *flags = calloc(argv->n, sizeof(*flags));
	autofree const char **args = calloc(argv->n, sizeof(*args));
	struct call c = {.flags = flags, .args = args};

	if (!flags || !args || !understand(g, argv, &c, &ignored))
		return 0;
	for (size_t i = 0; i < MIN(c.n_args, max); i++)
		ret[i] = args[i];
	return c.n_args;
}

bool creel_gate_rule_ok(const char *text)
{
	bool conditions = false;

	for (const char *p = text;;) {
		size_t len = strcspn(p, " "), colon = strcspn(p, ": ");
		bool cond = p[colon] == ':' && colon > 0;
		if (len == 0 || p[0] == '-' || len > 1024 || (conditions && !cond) || (p == text && cond))
			return false;
		if (cond && len == colon + 1)
			return false;
		if (strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789-_") < colon)
			return false;
		conditions = cond;
		p += len;
		if (!*p)
			return true;
		p++;
	}
}

static int conditions_check(const struct creel_gate *g, const struct creel_tool_verb *v, const char *p,
			    struct creel_err *err)
{
	while (*p) {
		size_t len = strcspn(p, " "), name = strcspn(p, ":");
		bool arg = name == 4 && memcmp(p, "arg", 3) == 0 && p[3] >= '1' && p[3] <= '9';
		bool who = name == 3 && memcmp(p, "who", 3) == 0;
		const struct creel_flag *f = creel_verbs_flag(&g->table, v, p, name, false);
		if (!arg && !who && (!f || f->refuse || !takes_value(f)))
			return creel_err_set(err, CREEL_E_INVALID, 0, "no flag with a value: `%.*s`",
					     (int)MIN(name, (size_t)60), p);
		p += len + (p[len] == ' ');
	}
	return 0;
}

static int rule_read(const struct creel_gate *g, const struct creel_rule_text *text, enum creel_decision d,
		     struct creel_gate_rule *ret, struct creel_err *err)
{
	const struct creel_tool_verb *v = NULL;
	const char *p = text->s;

	if (!creel_gate_rule_ok(text->s))
		return creel_err_set(err, CREEL_E_INVALID, 0,
				     "a rule is a verb's words, then conditions NAME:VALUE");
	while (*p) {
		char word[65];
		size_t len = strcspn(p, " ");
		if (memchr(p, ':', len))
			break;
		if (len >= sizeof(word))
			return creel_err_set(err, CREEL_E_INVALID, 0, "a word of %zu octets", len);
		memcpy(word, p, len);
		word[len] = '\0';
		if (v && !v->group)
			return creel_err_set(err, CREEL_E_INVALID, 0, "`%s` is behind a whole verb", word);
		v = creel_verbs_child(&g->table, v, word);
		if (!v)
			return creel_err_set(err, CREEL_E_INVALID, 0,
					     "%s has no verb `%.64s` that creel knows", g->table.program,
					     word);
		p += len + (p[len] == ' ');
	}
	if (!v || (v->group && (d != CREEL_DENY || *p)))
		return creel_err_set(err, CREEL_E_INVALID, 0,
				     "a group of verbs can only be denied, whole: name the verb");
	if (*p && d == CREEL_DENY)
		return creel_err_set(err, CREEL_E_INVALID, 0, "a rule of `deny` has no conditions");
	int r = conditions_check(g, v, p, err);
	if (r < 0)
		return r;
	*ret = (struct creel_gate_rule){v, d, *p ? p : NULL, *text};
	return 0;
}

int creel_gate_init(struct creel_gate *g, struct creel_verbs *table, const struct creel_gate_spec *spec,
		    struct creel_rule_text *ret_bad, struct creel_err *err)
{
	size_t n = spec->n[0] + spec->n[1] + spec->n[2];
	autofree struct creel_gate_rule *rules = calloc(n ? n : 1, sizeof(*rules));
	struct creel_gate out = {.table = *table};

	if (!rules)
		return creel_err_nomem(err);
	for (unsigned d = 0; d < 3; d++)
		for (size_t i = 0; i < spec->n[d]; i++) {
			int r = rule_read(&out, &spec->rule[d][i], (enum creel_decision)d,
					  &rules[out.n_rules], err);
			if (r < 0) {
				*ret_bad = spec->rule[d][i];
				return r;
			}
			out.n_rules++;
		}
	out.rules = steal_ptr(&rules);
	*g = out;
	*table = (struct creel_verbs){0};
	return 0;
}

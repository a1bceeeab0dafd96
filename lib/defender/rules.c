#include "rules.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "foldtab.h"
#include "view.h"
#include <stdlib.h>
#include <string.h>

struct def_chunk {
	struct def_chunk *next;
	char data[];
};

static void *arena_alloc(struct def_arena *a, size_t n)
{
	struct def_chunk *c = def_alloc(a->mem, sizeof(*c) + n);
	if (!c)
		return NULL;
	c->next = a->chunks;
	a->chunks = c;
	return c->data;
}

static char *arena_dup(struct def_arena *a, const char *s, size_t n)
{
	char *p = arena_alloc(a, n + 1);
	if (p)
		memcpy(p, s, n);
	return p;
}

char *def_arena_text(struct def_arena *a, const char *s, size_t n)
{
	return arena_dup(a, s, n);
}

void def_arena_fini(struct def_arena *a)
{
	while (a->chunks) {
		struct def_chunk *c = a->chunks;
		a->chunks = c->next;
		def_free(a->mem, c);
	}
}

void def_rules_init(struct def_rules *r, const def_mem *mem)
{
	*r = (struct def_rules){.arena = {mem, NULL}, .hash = 0xcbf29ce484222325u};
}

void def_rules_fini(struct def_rules *r)
{
	const def_mem *m = r->arena.mem;

	for (size_t i = 0; i < r->n_rules; i++) {
		def_free(m, r->rules[i].must);
		def_free(m, r->rules[i].must_not);
	}
	def_free(m, r->rules);
	def_free(m, r->patterns);
	def_arena_fini(&r->arena);
	def_rules_init(r, m);
}

/* One file being read. */
struct reader {
	struct def_rules *r;
	const char *name; /* in the arena */
	unsigned line;
	struct let {
		const char *name, *expr;
	} * lets;
	size_t n_lets, cap_lets;
	size_t rule; /* index; SIZE_MAX before the first */
	struct creel_err *err;
};

static int bad(struct reader *rd, const char *what, const char *word)
{
	return creel_err_set(rd->err, CREEL_E_SYNTAX, 0, "%s:%u: %s%s%.80s%s", rd->name, rd->line, what,
			     word ? " `" : "", word ? word : "", word ? "`" : "");
}

static int nomem(struct reader *rd)
{
	return creel_err_nomem(rd->err);
}

static const char *let_find(const struct reader *rd, const char *name, size_t n)
{
	for (size_t i = rd->n_lets; i > 0; i--)
		if (strlen(rd->lets[i - 1].name) == n && memcmp(rd->lets[i - 1].name, name, n) == 0)
			return rd->lets[i - 1].expr;
	return NULL;
}

/* One character beyond ASCII: folded as texts are; a group when a quantifier follows. */
static void fold_char(struct def_buf *b, const char *p, size_t n, uint32_t cp, char next)
{
	const struct fold_row *row = fold_row_of(cp);
	bool group = next == '?' || next == '*' || next == '+' || next == '{';

	if (group)
		def_buf_add(b, "(?:", 3);
	if (row->fold_len)
		def_buf_add(b, creel_fold_pool + row->fold, row->fold_len);
	else
		def_buf_add(b, p, n);
	if (group)
		def_buf_add(b, ")", 1);
}

/* Replace {name} and fold; numbers in braces are quantifiers. */
static int expand(struct reader *rd, const char *p, struct def_buf *b)
{
	size_t len = strlen(p);

	for (size_t i = 0; i < len;) {
		uint32_t cp;
		size_t n = 1;
		if ((uint8_t)p[i] >= 0x80) {
			n = creel_utf8_decode((const uint8_t *)p + i, len - i, &cp);
			if (n == 0)
				return bad(rd, "not UTF-8", NULL);
			const struct fold_row *row = fold_row_of(cp);
			if (row->cls != FOLD_DROP)
				fold_char(b, p + i, n, cp, p[i + n]);
		} else if (p[i] == '\\' && i + 1 < len) {
			def_buf_add(b, p + i, 2);
			n = 2;
		} else if (p[i] == '{' && p[i + 1] >= 'a' && p[i + 1] <= 'z') {
			const char *end = strchr(p + i, '}');
			const char *expr = end ? let_find(rd, p + i + 1, (size_t)(end - p) - i - 1) : NULL;
			if (!expr)
				return bad(rd, "no `let` before this line for", p + i);
			def_buf_add(b, "(?:", 3);
			def_buf_add(b, expr, strlen(expr));
			def_buf_add(b, ")", 1);
			n = (size_t)(end - p) - i + 1;
		} else {
			def_buf_add(b, p + i, 1);
		}
		i += n;
		if (b->len > DEF_PATTERN_MAX)
			return bad(rd, "the pattern is over 8192 octets with its lets", NULL);
	}
	def_buf_add(b, "", 1);
	return b->failed ? nomem(rd) : 0;
}

static int on_let(struct reader *rd, char *rest)
{
	char *expr = strchr(rest, ' ');
	struct def_buf b = {.mem = rd->r->arena.mem};

	if (!expr || !expr[1])
		return bad(rd, "let wants NAME PATTERN", rest);
	*expr++ = '\0';
	int r = expand(rd, expr, &b);
	if (r == 0 && def_room(rd->r->arena.mem, &rd->lets, rd->n_lets, &rd->cap_lets, sizeof(*rd->lets)) < 0)
		r = nomem(rd);
	if (r == 0) {
		struct let l = {arena_dup(&rd->r->arena, rest, strlen(rest)),
				arena_dup(&rd->r->arena, (char *)b.data, b.len - 1)};
		if (l.name && l.expr)
			rd->lets[rd->n_lets++] = l;
		else
			r = nomem(rd);
	}
	def_buf_fini(&b);
	return r;
}

static int on_rule(struct reader *rd, char *id)
{
	struct def_rules *r = rd->r;
	char *dot = strchr(id, '.');

	if (!dot || dot == id || !dot[1] ||
	    strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-.") != strlen(id))
		return bad(rd, "a rule's id is CATEGORY.NAME, lower case, got", id);
	for (rd->rule = 0; rd->rule < r->n_rules; rd->rule++)
		if (strcmp(r->rules[rd->rule].id, id) == 0)
			return 0;
	if (r->n_rules == DEF_RULES_MAX)
		return bad(rd, "over 4096 rules", NULL);
	if (def_room(r->arena.mem, &r->rules, r->n_rules, &r->cap_rules, sizeof(*r->rules)) < 0)
		return nomem(rd);
	struct def_rule n = {.severity = CREEL_DEFENDER_HIGH,
			     .confidence = 0.8,
			     .enabled = true,
			     .in = true,
			     .builtin = -1};
	n.id = arena_dup(&r->arena, id, strlen(id));
	n.category = arena_dup(&r->arena, id, (size_t)(dot - id));
	n.title = n.source = arena_dup(&r->arena, "", 0);
	if (!n.id || !n.category || !n.title)
		return nomem(rd);
	r->rules[r->n_rules++] = n;
	return 0;
}

static int on_pattern(struct reader *rd, enum def_kind kind, const char *rest)
{
	struct def_rules *r = rd->r;
	struct def_buf b = {.mem = r->arena.mem};
	int e = expand(rd, rest, &b);

	if (e == 0 &&
	    def_room(r->arena.mem, &r->patterns, r->n_patterns, &r->cap_patterns, sizeof(*r->patterns)) < 0)
		e = nomem(rd);
	if (e == 0) {
		struct def_pattern p = {rd->rule, kind,     arena_dup(&r->arena, (char *)b.data, b.len - 1),
					rd->name, rd->line, false};
		if (p.expr)
			r->patterns[r->n_patterns++] = p;
		else
			e = nomem(rd);
	}
	def_buf_fini(&b);
	return e;
}

char *def_example(struct def_arena *a, const char *s, size_t n)
{
	char *out = arena_alloc(a, n + 1), *o = out;

	for (size_t i = 0; out && i < n; i++) {
		if (s[i] != '\\' || i + 1 == n) {
			*o++ = s[i];
			continue;
		}
		i++;
		if (s[i] == 'n' || s[i] == 't') {
			*o++ = s[i] == 'n' ? '\n' : '\t';
		} else if (s[i] == 'x' && i + 2 < n) {
			char hex[3] = {s[i + 1], s[i + 2], 0};
			*o++ = (char)strtol(hex, NULL, 16);
			i += 2;
		} else if (s[i] == 'u' && i + 2 < n && s[i + 1] == '{') {
			uint32_t cp = 0;
			for (i += 2; i < n && s[i] != '}'; i++)
				cp = cp * 16 + (uint32_t)(s[i] <= '9' ? s[i] - '0' : (s[i] | 32) - 'a' + 10);
			/* shorter than its escape, always */
			if (cp < 0x800) {
				*o++ = (char)(0xc0 | (cp >> 6 & 31));
			} else if (cp < 0x10000) {
				*o++ = (char)(0xe0 | cp >> 12);
				*o++ = (char)(0x80 | (cp >> 6 & 63));
			} else {
				*o++ = (char)(0xf0 | (cp >> 18 & 7));
				*o++ = (char)(0x80 | (cp >> 12 & 63));
				*o++ = (char)(0x80 | (cp >> 6 & 63));
			}
			*o++ = (char)(0x80 | (cp & 63));
		} else {
			*o++ = s[i];
		}
	}
	return out;
}

static int example_add(struct reader *rd, const char ***list, size_t *n, size_t *cap, const char *text)
{
	/* a NULL ends the list */
	if (*n + 2 > *cap) {
		const char **p = def_realloc(rd->r->arena.mem, *list, (*cap + 16) * sizeof(*p));
		if (!p)
			return nomem(rd);
		*list = p;
		*cap += 16;
	}
	const char *s = def_example(&rd->r->arena, text, strlen(text));
	if (!s)
		return nomem(rd);
	(*list)[(*n)++] = s;
	(*list)[*n] = NULL;
	return 0;
}

static int text_set(struct reader *rd, char **field, const char *s)
{
	char *p = arena_dup(&rd->r->arena, s, strlen(s));
	if (!p)
		return nomem(rd);
	*field = p;
	return 0;
}

static int find_word(const char *const *words, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], s) == 0)
			return (int)i;
	return -1;
}

static const char *const severities[] = {"info", "low", "medium", "high", "critical"};
static const char *const builtins[DEF_BUILTINS] = {[DEF_ZERO_WIDTH] = "zero-width",
						   [DEF_FULLWIDTH] = "fullwidth",
						   [DEF_HOMOGLYPH] = "homoglyph",
						   [DEF_BIDI] = "bidi",
						   [DEF_TAGS] = "tags",
						   [DEF_SELECTORS] = "selectors",
						   [DEF_BUDGET] = "budget"};
enum key {
	K_TITLE,
	K_SOURCE,
	K_SEVERITY,
	K_CONFIDENCE,
	K_WORDS,
	K_ANY,
	K_TEXT,
	K_UNLESS,
	K_CONTEXT,
	K_BUILTIN,
	K_DIRECTION,
	K_SPLIT,
	K_OFF,
	K_ON,
	K_CLEAR,
	K_MUST,
	K_MUSTNOT
};
static const char *const keys[] = {"title", "source", "severity", "confidence", "words",     "any",
				   "text",  "unless", "context",  "builtin",    "direction", "split",
				   "off",   "on",     "clear",    "must",       "mustnot"};

static void clear(struct def_rules *r, size_t rule)
{
	for (size_t i = 0; i < r->n_patterns; i++)
		r->patterns[i].gone |= r->patterns[i].rule == rule;
	r->rules[rule].n_must = r->rules[rule].n_must_not = 0;
	if (r->rules[rule].must)
		r->rules[rule].must[0] = NULL;
	if (r->rules[rule].must_not)
		r->rules[rule].must_not[0] = NULL;
	r->rules[rule].builtin = -1;
}

/* 0.85: digits and a point whatever the locale; strtod() would want a comma in some */
static bool share_parse(const char *s, double *ret)
{
	double v = 0, unit = 1;
	bool point = false;

	for (const char *p = s; *p; p++) {
		if (*p == '.' && !point) {
			point = true;
		} else if (*p >= '0' && *p <= '9') {
			unit /= point ? 10 : 1;
			v = point ? v + (*p - '0') * unit : v * 10 + (*p - '0');
		} else {
			return false;
		}
	}
	if (!(v > 0 && v <= 1))
		return false;
	*ret = v;
	return true;
}

static int on_key(struct reader *rd, const char *key, char *rest)
{
	struct def_rule *u = &rd->r->rules[rd->rule];
	int k = find_word(keys, ELEMENTSOF(keys), key), v;

	switch (k) {
	case K_TITLE:
		return text_set(rd, &u->title, rest);
	case K_SOURCE:
		return text_set(rd, &u->source, rest);
	case K_SEVERITY:
		if ((v = find_word(severities, ELEMENTSOF(severities), rest)) < 0)
			return bad(rd, "severity is info, low, medium, high or critical, got", rest);
		u->severity = (enum creel_defender_severity)v;
		return 0;
	case K_CONFIDENCE:
		return share_parse(rest, &u->confidence)
			       ? 0
			       : bad(rd, "confidence is over 0 and at most 1, like 0.85, got", rest);
	case K_WORDS:
		return on_pattern(rd, DEF_WORDS, rest);
	case K_ANY:
		return on_pattern(rd, DEF_ANY, rest);
	case K_TEXT:
		return on_pattern(rd, DEF_TEXT, rest);
	case K_UNLESS:
		return on_pattern(rd, DEF_UNLESS, rest);
	case K_CONTEXT:
		return on_pattern(rd, DEF_CONTEXT, rest);
	case K_BUILTIN:
		if ((v = find_word(builtins, ELEMENTSOF(builtins), rest)) < 0)
			return bad(rd, "unknown builtin", rest);
		u->builtin = v;
		return 0;
	case K_DIRECTION:
		if ((v = find_word((const char *const[]){"in", "out", "both"}, 3, rest)) < 0)
			return bad(rd, "direction is in, out or both, got", rest);
		u->in = v != 1;
		u->out = v != 0;
		return 0;
	case K_SPLIT:
		u->split = true;
		return 0;
	case K_OFF:
	case K_ON:
		u->enabled = k == K_ON;
		return 0;
	case K_CLEAR:
		clear(rd->r, rd->rule);
		return 0;
	case K_MUST:
		return example_add(rd, &u->must, &u->n_must, &u->cap_must, rest);
	case K_MUSTNOT:
		return example_add(rd, &u->must_not, &u->n_must_not, &u->cap_must_not, rest);
	default:
		return bad(rd, "unknown word", key);
	}
}

static int on_line(struct reader *rd, char *line)
{
	char *key = line + strspn(line, " \t"), *rest;
	size_t n = strlen(key);

	while (n > 0 && (key[n - 1] == ' ' || key[n - 1] == '\t' || key[n - 1] == '\r'))
		key[--n] = '\0';
	if (!*key || *key == '#')
		return 0;
	rest = key + strcspn(key, " \t");
	if (*rest) {
		*rest++ = '\0';
		rest += strspn(rest, " \t");
	}
	if (strcmp(key, "let") == 0)
		return on_let(rd, rest);
	if (strcmp(key, "rule") == 0)
		return on_rule(rd, rest);
	if (rd->rule == SIZE_MAX)
		return bad(rd, "before the first `rule` stands", key);
	return on_key(rd, key, rest);
}

int def_rules_read(struct def_rules *r, const char *name, const char *text, size_t len, struct creel_err *err)
{
	struct reader rd = {.r = r, .rule = SIZE_MAX, .err = err};
	int e = 0;

	if (len > DEF_RULE_FILE_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "%s: over 4 MiB of rules", name);
	rd.name = arena_dup(&r->arena, name, strlen(name));
	if (!rd.name)
		return nomem(&rd);
	for (size_t i = 0; i < len; i++)
		r->hash = (r->hash ^ (uint8_t)text[i]) * 0x100000001b3u;
	for (size_t i = 0; e == 0 && i < len;) {
		const char *nl = memchr(text + i, '\n', len - i);
		size_t n = nl ? (size_t)(nl - text) - i : len - i;
		rd.line++;
		if (memchr(text + i, 0, n)) {
			e = bad(&rd, "a NUL", NULL);
			break;
		}
		char *line = def_strndup(r->arena.mem, text + i, n);
		e = line ? on_line(&rd, line) : nomem(&rd);
		def_free(r->arena.mem, line);
		i += n + 1;
	}
	def_free(r->arena.mem, rd.lets);
	return e;
}

#include "config/node.h"
#include "base/escape.h"
#include <string.h>
#include <yaml.h>

#define MAX_ANCHORS 200
#define MAX_KEYS    2000

struct anchor {
	const char *name;
	struct creel_node *node;
};
struct builder {
	struct creel_arena *arena;
	const char *file;
	struct creel_diags *diags;
	struct creel_node *stack[CREEL_YAML_MAX_DEPTH];
	size_t depth;
	struct creel_node *root;
	struct anchor anchors[MAX_ANCHORS];
	size_t n_anchors, nodes;
	bool bad;
};

static struct creel_pos mark(yaml_mark_t m)
{
	return (struct creel_pos){(uint32_t)m.line + 1, (uint32_t)m.column + 1};
}

/*
 * libyaml's reader gives no position for what it cannot read, and decodes UTF-16 where it sees its
 * mark: so the octets are checked before it sees them.
 */
static bool text_check(const uint8_t *p, size_t len, const char *file, struct creel_diags *diags)
{
	struct creel_pos pos = {1, 1};
	size_t i = 0;

	if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		i = 3;
	while (i < len) {
		uint32_t cp = 0;
		size_t n = creel_utf8_decode(p + i, len - i, &cp);
		if (n == 0) {
			creel_diag_add(diags, CREEL_DIAG_ERROR, file, pos,
				       "octet 0x%02x is not UTF-8; save the file as UTF-8", p[i]);
			return false;
		}
		if (cp == '\n' || (cp == '\r' && (i + 1 == len || p[i + 1] != '\n'))) {
			pos.line++;
			pos.column = 0;
		} else if ((cp < 0x20 && cp != '\t' && cp != '\r') || (cp >= 0x7f && cp < 0xa0) ||
			   cp == 0xfeff || cp == 0xfffe || cp == 0xffff) {
			creel_diag_add(diags, CREEL_DIAG_ERROR, file, pos,
				       "control character U+%04X; write it as an escape in double "
				       "quotes",
				       cp);
			return false;
		}
		pos.column++;
		i += n;
	}
	return true;
}

static void complain(struct builder *b, struct creel_pos pos, const char *what)
{
	creel_diag_add(b->diags, CREEL_DIAG_ERROR, b->file, pos, "%s", what);
	b->bad = true;
}

/* Give the finished or just opened @p n to its parent. A parent holds at most what nodes allow. */
static bool attach(struct builder *b, struct creel_node *n)
{
	struct creel_node *p;

	if (b->depth == 0) {
		b->root = n;
		return true;
	}
	p = b->stack[b->depth - 1];
	if (p->kind == NODE_MAP && p->n % 2 == 0) {
		if (n->kind != NODE_SCALAR) {
			complain(b, n->pos, "a key must be text");
			return false;
		}
		if (p->n >= 2 * MAX_KEYS) {
			complain(b, n->pos, "too many keys in one mapping (2000 at most)");
			return false;
		}
		for (size_t i = 0; i < p->n; i += 2)
			if (strcmp(p->kids[i]->text, n->text) == 0) {
				creel_diag_add(b->diags, CREEL_DIAG_ERROR, b->file, n->pos,
					       "key `%s` stands twice, first on line %u; keep one", n->text,
					       p->kids[i]->pos.line);
				b->bad = true;
				break;
			}
	}
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 8;
		struct creel_node **kids = creel_arena_alloc(b->arena, cap, sizeof(*kids));
		if (!kids)
			return false;
		if (p->n)
			memcpy(kids, p->kids, p->n * sizeof(*kids));
		p->kids = kids;
		p->cap = cap;
	}
	p->kids[p->n++] = n;
	return true;
}

/* A complete node's size goes into its parent's. */
static bool account(struct builder *b, const struct creel_node *n)
{
	struct creel_node *p = b->depth ? b->stack[b->depth - 1] : NULL;

	if (p) {
		p->weight += n->weight;
		p->height = MAX(p->height, n->height + 1);
	}
	if (n->weight > CREEL_YAML_MAX_NODES || (p && p->weight > CREEL_YAML_MAX_NODES)) {
		complain(b, n->pos, "too many values, aliases written out (50000 at most)");
		return false;
	}
	if (b->depth + n->height >= CREEL_YAML_MAX_DEPTH) {
		complain(b, n->pos, "nested too deep (63 levels at most)");
		return false;
	}
	return true;
}

static struct creel_node *node_new(struct builder *b, enum node_kind kind, yaml_mark_t at)
{
	struct creel_node *n = creel_arena_alloc(b->arena, 1, sizeof(*n));

	if (n) {
		n->kind = kind;
		n->pos = mark(at);
		n->weight = 1;
	}
	return n;
}

static bool anchor_set(struct builder *b, const yaml_char_t *name, struct creel_node *n)
{
	if (!name)
		return true;
	if (b->n_anchors == MAX_ANCHORS) {
		complain(b, n->pos, "too many anchors (200 at most)");
		return false;
	}
	const char *s = creel_arena_strndup(b->arena, name, strlen((const char *)name));
	if (!s)
		return false;
	b->anchors[b->n_anchors++] = (struct anchor){s, n};
	return true;
}

static bool alias(struct builder *b, const char *name, yaml_mark_t at)
{
	for (size_t i = b->n_anchors; i-- > 0;) {
		const struct creel_node *t = b->anchors[i].node;
		if (strcmp(b->anchors[i].name, name) != 0)
			continue;
		for (size_t d = 0; d < b->depth; d++)
			if (b->stack[d] == t) {
				complain(b, mark(at), "an alias inside what it stands for");
				return false;
			}
		struct creel_node *n = node_new(b, t->kind, at);
		if (!n)
			return false;
		struct creel_pos pos = n->pos;
		*n = *t;
		n->pos = pos;
		return attach(b, n) && account(b, n);
	}
	creel_diag_add(b->diags, CREEL_DIAG_ERROR, b->file, mark(at),
		       "alias `*%s` without an anchor `&%s` before it; quote it if it is text", name, name);
	b->bad = true;
	return false;
}

static bool tagged(struct builder *b, const yaml_char_t *tag, yaml_mark_t at)
{
	if (tag)
		complain(b, mark(at), "a tag (`!...`) has no meaning here; remove it or quote it");
	return tag != NULL;
}

static bool open_node(struct builder *b, enum node_kind kind, const yaml_event_t *e,
		      const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct creel_node *n = node_new(b, kind, e->start_mark);

	if (!n || tagged(b, tag, e->start_mark))
		return false;
	if (b->depth + 1 >= CREEL_YAML_MAX_DEPTH) {
		complain(b, n->pos, "nested too deep (63 levels at most)");
		return false;
	}
	if (!attach(b, n) || !anchor_set(b, anchor, n))
		return false;
	b->stack[b->depth++] = n;
	return true;
}

static bool scalar(struct builder *b, const yaml_event_t *e)
{
	struct creel_node *n = node_new(b, NODE_SCALAR, e->start_mark);

	if (!n || tagged(b, e->data.scalar.tag, e->start_mark))
		return false;
	n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->len = e->data.scalar.length;
	n->text = creel_arena_strndup(b->arena, e->data.scalar.value, n->len);
	if (!n->text)
		return false;
	if (strlen(n->text) != n->len) { /* "\0" in double quotes */
		complain(b, n->pos, "text may not hold a NUL");
		return false;
	}
	return attach(b, n) && account(b, n) && anchor_set(b, e->data.scalar.anchor, n);
}

/* @return false to stop */
static bool on_event(struct builder *b, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->root) {
			complain(b, mark(e->start_mark),
				 "a second document; a file holds one, remove the `---`");
			return false;
		}
		return true;
	case YAML_ALIAS_EVENT:
		return alias(b, (const char *)e->data.alias.anchor, e->start_mark);
	case YAML_SCALAR_EVENT:
		return scalar(b, e);
	case YAML_SEQUENCE_START_EVENT:
		return open_node(b, NODE_SEQ, e, e->data.sequence_start.anchor, e->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return open_node(b, NODE_MAP, e, e->data.mapping_start.anchor, e->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: {
		const struct creel_node *n = b->stack[--b->depth];
		return account(b, n);
	}
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
	default:
		return true;
	}
}

static void yaml_failed(struct builder *b, const yaml_parser_t *p)
{
	if (p->error == YAML_MEMORY_ERROR) {
		b->arena->failed = 1;
		return;
	}
	creel_diag_add(b->diags, CREEL_DIAG_ERROR, b->file, mark(p->problem_mark), "not YAML: %s%s%s",
		       p->problem ? p->problem : "unreadable", p->context ? ", " : "",
		       p->context ? p->context : "");
	b->bad = true;
}

struct creel_node *creel_node_parse(struct creel_arena *arena, const void *data, size_t len, const char *file,
				    struct creel_diags *diags)
{
	struct builder b = {.arena = arena, .file = file, .diags = diags};
	yaml_parser_t p;
	bool more = true;

	if (len > CREEL_YAML_MAX_OCTETS) {
		complain(&b, (struct creel_pos){1, 1}, "the file is over 1 MiB");
		return NULL;
	}
	if (!text_check(data, len, file, diags))
		return NULL;
	if (!yaml_parser_initialize(&p)) {
		arena->failed = 1;
		return NULL;
	}
	/* told the encoding, libyaml takes a byte order mark for text */
	if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
		data = (const char *)data + 3;
		len -= 3;
	}
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, data, len);
	while (more) {
		yaml_event_t e;
		if (!yaml_parser_parse(&p, &e)) {
			yaml_failed(&b, &p);
			break;
		}
		more = on_event(&b, &e) && e.type != YAML_STREAM_END_EVENT;
		if (!more && e.type != YAML_STREAM_END_EVENT)
			b.bad = true;
		yaml_event_delete(&e);
	}
	yaml_parser_delete(&p);
	if (!b.bad && !arena->failed && !b.root)
		complain(&b, (struct creel_pos){1, 1}, "the file is empty; it begins `version: 1`");
	return b.bad || arena->failed ? NULL : b.root;
}

static bool is_number(const char *s, bool *ret_float)
{
	size_t digits = 0;

	*ret_float = false;
	s += *s == '-' || *s == '+';
	for (; *s >= '0' && *s <= '9'; s++)
		digits++;
	if (*s == '.') {
		*ret_float = true;
		for (s++; *s >= '0' && *s <= '9'; s++)
			digits++;
	}
	if (digits && (*s == 'e' || *s == 'E')) {
		*ret_float = true;
		s++;
		s += *s == '-' || *s == '+';
		if (*s < '0' || *s > '9')
			return false;
		while (*s >= '0' && *s <= '9')
			s++;
	}
	return digits && !*s;
}

enum node_type creel_node_type(const struct creel_node *n)
{
	const char *s = n->text;
	bool flt;

	if (!n->plain)
		return NODE_TEXT;
	if (!*s || !strcmp(s, "~") || !strcmp(s, "null") || !strcmp(s, "Null") || !strcmp(s, "NULL"))
		return NODE_NULL;
	if (!strcmp(s, "true") || !strcmp(s, "false") || !strcmp(s, "True") || !strcmp(s, "False") ||
	    !strcmp(s, "TRUE") || !strcmp(s, "FALSE"))
		return NODE_BOOL;
	if (is_number(s, &flt))
		return flt ? NODE_FLOAT : NODE_INT;
	return NODE_TEXT;
}

#include "base/cleanup.h"
#include "base/closest.h"
#include "config/keys.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

/* all K_DICT, K_MAPS, K_PUBLISH and K_LIST fields begin like this */
struct many {
	void *v;
	size_t n;
	struct creel_pos pos;
};
struct json_field {
	json_t *json;
	const void *node;
	struct creel_pos pos;
};

void creel_walk_error(struct walk *w, struct creel_pos pos, const char *fmt, ...)
{
	char msg[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	creel_diag_add(w->diags, CREEL_DIAG_ERROR, w->file, pos, "%s", msg);
}

static const char *kind_name(const struct creel_node *n)
{
	if (n->kind == NODE_SEQ)
		return "a list";
	if (n->kind == NODE_MAP)
		return "a mapping";
	switch (creel_node_type(n)) {
	case NODE_NULL:
		return "nothing";
	case NODE_BOOL:
		return "true or false";
	case NODE_INT:
	case NODE_FLOAT:
		return "a number";
	case NODE_TEXT:
		break;
	}
	return "text";
}

static void wrong_type(struct walk *w, const struct creel_node *n, const char *name, const char *what)
{
	creel_walk_error(w, n->pos, "`%s` is %s; it wants %s", name, kind_name(n), what);
}

/* Text of one of the text types. */
static void text(struct walk *w, const struct creel_node *n, const char *name, enum key_type type,
		 struct creel_str *out)
{
	const struct texttype *t = creel_key_text(type);

	*out = (struct creel_str){NULL, n->pos}; /* there, whatever it is */
	if (n->kind != NODE_SCALAR) {
		wrong_type(w, n, name, t->what);
		return;
	}
	if (creel_node_type(n) != NODE_TEXT) {
		creel_walk_error(w, n->pos, "`%s` is %s; it wants %s, in quotes", name, kind_name(n),
				 t->what);
		return;
	}
	if (!t->ok(n->text)) {
		creel_walk_error(w, n->pos, "`%s: %.80s` is not right; it wants %s", name, n->text, t->what);
		return;
	}
	*out = (struct creel_str){n->text, n->pos};
}

static void word(struct walk *w, const struct creel_node *n, const struct key *k, struct creel_num *out)
{
	char all[200] = "";
	size_t cnt = 0, len = 0;

	for (; k->vals[cnt]; cnt++) {
		if (strcmp(k->vals[cnt], n->text) == 0) {
			*out = (struct creel_num){(int64_t)cnt, n->pos};
			return;
		}
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", cnt ? ", " : "", k->vals[cnt]);
	}
	const char *near = creel_closest(n->text, k->vals, cnt);
	if (near)
		creel_walk_error(w, n->pos, "`%s: %.80s` is unknown; did you mean `%s`? (%s)", k->name,
				 n->text, near, all);
	else
		creel_walk_error(w, n->pos, "`%s: %.80s` is unknown; it is one of %s", k->name, n->text, all);
}

static int number_of(const struct creel_node *n, enum key_type type, int64_t *ret)
{
	enum node_type t = creel_node_type(n);
	char *end;

	switch ((int)type) {
	case K_BOOL:
		*ret = n->text[0] == 't' || n->text[0] == 'T';
		return t == NODE_BOOL ? 0 : -1;
	case K_INT:
	case K_PORT:
		errno = 0;
		*ret = strtoll(n->text, &end, 10);
		return t == NODE_INT && errno == 0 && !*end ? 0 : -1;
	case K_SIZE:
		return creel_parse_size(n->text, ret);
	case K_DURATION:
		return creel_parse_duration(n->text, ret);
	case K_MODE:
		if (strlen(n->text) < 3 || strlen(n->text) > 4 || n->text[strspn(n->text, "01234567")])
			return -1;
		*ret = strtoll(n->text, NULL, 8);
		return 0;
	default:
		return -1;
	}
}

static void range(struct walk *w, const struct creel_node *n, const struct key *k)
{
	int64_t lo = k->min, hi = k->max;
	const char *unit = "";

	if (k->type == K_SIZE) {
		lo >>= 20;
		hi >>= 20;
		unit = "MiB";
	} else if (k->type == K_DURATION) {
		unit = "ms";
	}
	creel_walk_error(w, n->pos, "`%s: %.40s` is out of range; it is %lld%s to %lld%s", k->name, n->text,
			 (long long)lo, unit, (long long)hi, unit);
}

static void number(struct walk *w, const struct creel_node *n, const struct key *k, struct creel_num *out)
{
	int64_t v, min = k->min, max = k->max;

	if (n->kind != NODE_SCALAR) {
		wrong_type(w, n, k->name, creel_key_what(k->type));
		return;
	}
	if (k->type == K_ENUM) {
		word(w, n, k, out);
		return;
	}
	if (number_of(n, k->type, &v) < 0) {
		creel_walk_error(w, n->pos, "`%s: %.80s` is not right; it wants %s", k->name, n->text,
				 creel_key_what(k->type));
		return;
	}
	if (k->type == K_PORT) {
		min = 1;
		max = 65535;
	}
	if (max && (v < min || v > max)) {
		struct key kk = *k;
		kk.min = min;
		kk.max = max;
		range(w, n, &kk);
		return;
	}
	*out = (struct creel_num){v, n->pos};
}

static void cidr(struct walk *w, const struct creel_node *n, const struct key *k, struct creel_cidr *out)
{
	struct creel_cidr c;
	bool hostbits;

	if (n->kind != NODE_SCALAR) {
		wrong_type(w, n, k->name, creel_key_what(k->type));
		return;
	}
	if (creel_parse_cidr(n->text, &c, &hostbits) < 0) {
		creel_walk_error(w, n->pos, "`%s: %.80s` is not right; it wants %s", k->name, n->text,
				 creel_key_what(k->type));
		return;
	}
	if (hostbits) {
		creel_walk_error(w, n->pos, "`%s: %.80s` has bits set behind its /%u; clear them", k->name,
				 n->text, c.bits);
		return;
	}
	c.text = (struct creel_str){n->text, n->pos};
	*out = c;
}

static void *many_new(struct walk *w, const struct creel_node *n, size_t cnt, size_t size, struct many *m)
{
	m->v = creel_arena_alloc(w->arena, cnt, size);
	m->pos = n->pos;
	m->n = m->v ? cnt : 0;
	return m->v;
}

static void list(struct walk *w, const struct creel_node *n, const struct key *k, void *field)
{
	struct creel_strs *out = field;
	size_t good = 0;

	if (n->kind != NODE_SEQ) {
		wrong_type(w, n, k->name, "a list, such as [a, b]");
		return;
	}
	if (!many_new(w, n, n->n, sizeof(*out->v), field))
		return;
	for (size_t i = 0; i < n->n; i++) {
		text(w, n->kids[i], k->name, k->item, &out->v[good]);
		if (out->v[good].s)
			good++;
	}
	out->n = good;
}

static void publish(struct walk *w, const struct creel_node *n, const struct key *k, void *field)
{
	struct many *m = field;
	struct creel_publish *v;
	size_t good = 0;

	if (n->kind != NODE_SEQ) {
		wrong_type(w, n, k->name, "a list, such as [\"127.0.0.1:8080:80\"]");
		return;
	}
	if (!(v = many_new(w, n, n->n, sizeof(*v), m)))
		return;
	for (size_t i = 0; i < n->n; i++) {
		const struct creel_node *e = n->kids[i];
		if (e->kind != NODE_SCALAR || creel_parse_publish(e->text, &v[good]) < 0) {
			creel_walk_error(w, e->pos, "`%s: %.80s` is not right; it wants %s", k->name,
					 e->kind == NODE_SCALAR ? e->text : "...", creel_key_what(K_PUBLISH));
			continue;
		}
		v[good++].text = (struct creel_str){e->text, e->pos};
	}
	m->n = good;
}

static void dict(struct walk *w, const struct creel_node *n, const struct key *k, void *field)
{
	struct many *m = field;
	char *v;
	size_t good = 0;

	if (n->kind != NODE_MAP) {
		wrong_type(w, n, k->name, "a mapping of names, `NAME: {...}`");
		return;
	}
	if (!(v = many_new(w, n, n->n / 2, k->size, m)))
		return;
	for (size_t i = 0; i < n->n; i += 2) {
		const struct creel_node *key = n->kids[i], *val = n->kids[i + 1];
		if (!creel_key_text(k->item)->ok(key->text)) {
			creel_walk_error(w, key->pos, "`%.80s` is not right; it wants %s", key->text,
					 creel_key_what(k->item));
			continue;
		}
		*(struct creel_str *)(v + good * k->size) = (struct creel_str){key->text, key->pos};
		if (val->kind != NODE_MAP)
			wrong_type(w, val, key->text, "a mapping, such as {}");
		else
			creel_walk_map(w, val, k->sub, v + good * k->size, val->pos);
		good++;
	}
	m->n = good;
}

static void maps(struct walk *w, const struct creel_node *n, const struct key *k, void *field)
{
	struct many *m = field;
	char *v;
	size_t good = 0;

	if (n->kind != NODE_SEQ) {
		wrong_type(w, n, k->name, "a list of mappings");
		return;
	}
	if (!(v = many_new(w, n, n->n, k->size, m)))
		return;
	for (size_t i = 0; i < n->n; i++) {
		if (n->kids[i]->kind != NODE_MAP) {
			wrong_type(w, n->kids[i], k->name, "a mapping here");
			continue;
		}
		*(struct creel_pos *)(v + good * k->size) = n->kids[i]->pos;
		creel_walk_map(w, n->kids[i], k->sub, v + good * k->size, n->kids[i]->pos);
		good++;
	}
	m->n = good;
}

static void pairs(struct walk *w, const struct creel_node *n, const struct key *k, struct creel_pairs *out)
{
	if (n->kind != NODE_MAP) {
		wrong_type(w, n, k->name, creel_key_what(k->type));
		return;
	}
	if (!many_new(w, n, n->n / 2, sizeof(*out->v), (struct many *)(void *)out))
		return;
	for (size_t i = 0; i < n->n; i += 2) {
		const struct creel_node *key = n->kids[i], *val = n->kids[i + 1];
		if (!creel_key_text(K_ENVNAME)->ok(key->text))
			creel_walk_error(w, key->pos, "`%.80s` is not right; it wants %s", key->text,
					 creel_key_what(K_ENVNAME));
		if (val->kind != NODE_SCALAR)
			wrong_type(w, val, key->text, "text");
		else /* a number is its text here */
			out->v[i / 2] = (struct creel_pair){{key->text, key->pos}, {val->text, val->pos}};
	}
}

static json_t *scalar_json(const struct creel_node *n)
{
	enum node_type t = creel_node_type(n);
	double real = t == NODE_INT || t == NODE_FLOAT ? strtod(n->text, NULL) : 0;
	long long v;

	if (!isfinite(real))
		return json_string(n->text); /* too large for a double: no number of JSON */
	switch (t) {
	case NODE_NULL:
		return json_null();
	case NODE_BOOL:
		return json_boolean(n->text[0] == 't' || n->text[0] == 'T');
	case NODE_INT:
		errno = 0;
		v = strtoll(n->text, NULL, 10);
		return errno ? json_real(real) : json_integer(v);
	case NODE_FLOAT:
		return json_real(real);
	case NODE_TEXT:
		break;
	}
	return json_string(n->text);
}

json_t *creel_node_json(const struct creel_node *n)
{
	if (n->kind == NODE_SCALAR)
		return scalar_json(n);
	json_t *j = n->kind == NODE_SEQ ? json_array() : json_object();
	for (size_t i = 0; j && i < n->n; i += n->kind == NODE_SEQ ? 1 : 2) {
		int r = n->kind == NODE_SEQ
				? json_array_append_new(j, creel_node_json(n->kids[i]))
				: json_object_set_new(j, n->kids[i]->text, creel_node_json(n->kids[i + 1]));
		if (r < 0) {
			json_decref(j);
			return NULL;
		}
	}
	return j;
}

static void json_free(void *j)
{
	json_decref(j);
}

static void json(struct walk *w, const struct creel_node *n, const struct key *k, struct json_field *out)
{
	if (n->kind != NODE_MAP) {
		wrong_type(w, n, k->name, "a mapping");
		return;
	}
	json_t *j = creel_node_json(n);
	if (!j || creel_arena_defer(w->arena, json_free, j) < 0) {
		json_decref(j);
		w->arena->failed = 1;
		return;
	}
	*out = (struct json_field){j, n, n->pos};
}

static void value(struct walk *w, const struct creel_node *n, const struct key *k, void *field)
{
	if (k->type <= K_TEXT_LAST) {
		text(w, n, k->name, k->type, field);
		return;
	}
	if (k->type <= K_NUM_LAST) {
		number(w, n, k, field);
		return;
	}
	switch ((int)k->type) {
	case K_CIDR:
		cidr(w, n, k, field);
		break;
	case K_PUBLISH:
		publish(w, n, k, field);
		break;
	case K_LIST:
		list(w, n, k, field);
		break;
	case K_MAP:
		if (n->kind != NODE_MAP) {
			wrong_type(w, n, k->name, "a mapping");
			break;
		}
		*(struct creel_pos *)field = n->pos;
		creel_walk_map(w, n, k->sub, field, n->pos);
		break;
	case K_DICT:
		dict(w, n, k, field);
		break;
	case K_MAPS:
		maps(w, n, k, field);
		break;
	case K_PAIRS:
		pairs(w, n, k, field);
		break;
	case K_JSON:
		json(w, n, k, field);
		break;
	default:
		break;
	}
}

static void defaults(struct walk *w, const struct key *k, void *field)
{
	if (k->type == K_MAP) {
		creel_walk_map(w, NULL, k->sub, field, (struct creel_pos){0});
	} else if (k->def) {
		bool quoted = k->type <= K_TEXT_LAST;
		struct creel_node n = {
			.kind = NODE_SCALAR, .plain = !quoted, .text = k->def, .len = strlen(k->def)};
		value(w, &n, k, field);
	}
}

static void unknown(struct walk *w, const struct creel_node *key, const struct key *keys)
{
	const char *names[32] = {NULL};
	size_t n = 0;

	for (; n < ELEMENTSOF(names) && keys[n].name; n++)
		names[n] = keys[n].name;
	const char *near = creel_closest(key->text, names, n);
	char all[300] = "";
	for (size_t i = 0, len = 0; i < n && len < sizeof(all); i++)
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", i ? ", " : "", names[i]);
	if (near)
		creel_walk_error(w, key->pos, "unknown key `%.80s`; did you mean `%s`?", key->text, near);
	else
		creel_walk_error(w, key->pos, "unknown key `%.80s`; known here: %s", key->text, all);
}

void creel_walk_map(struct walk *w, const struct creel_node *n, const struct key *keys, void *out,
		    struct creel_pos where)
{
	for (const struct key *k = keys; k->name; k++) {
		const struct creel_node *v = NULL;
		void *field = (char *)out + k->off;
		for (size_t i = 0; n && i < n->n; i += 2)
			if (strcmp(n->kids[i]->text, k->name) == 0)
				v = n->kids[i + 1];
		if (!v || v->kind != NODE_SCALAR)
			defaults(w, k, field);
		if (v)
			value(w, v, k, field);
		else if (k->required && n)
			creel_walk_error(w, where, "`%s` is missing; it wants %s", k->name,
					 creel_key_what(k->type));
	}
	for (size_t i = 0; n && i < n->n; i += 2) {
		const struct key *k = keys;
		while (k->name && strcmp(k->name, n->kids[i]->text) != 0)
			k++;
		if (!k->name)
			unknown(w, n->kids[i], keys);
	}
}

#include "base/cleanup.h"
#include "base/closest.h"
#include "config/check.h"
#include <stdio.h>
#include <string.h>

enum { NAMES = 64 };

/* Where a value stands in the settings: `settings.model.primary`, cut when it is very long. */
struct at {
	const struct at *up;
	const char *name;
	size_t index;
};

static void path(const struct at *at, char *to, size_t size)
{
	if (!at->up) {
		(void)snprintf(to, size, "%s", at->name);
		return;
	}
	path(at->up, to, size);
	size_t n = strlen(to);
	if (at->name)
		(void)snprintf(to + n, size - n, ".%s", at->name);
	else
		(void)snprintf(to + n, size - n, "[%zu]", at->index);
}

static const char *type_of(const struct creel_node *n)
{
	if (n->kind == NODE_SEQ)
		return "array";
	if (n->kind == NODE_MAP)
		return "object";
	switch (creel_node_type(n)) {
	case NODE_NULL:
		return "null";
	case NODE_BOOL:
		return "boolean";
	case NODE_INT:
		return "integer";
	case NODE_FLOAT:
		return "number";
	case NODE_TEXT:
		break;
	}
	return "string";
}

/* The words of JSON Schema, as creel's own errors say them */
static const char *words(const char *type)
{
	static const char *const pairs[][2] = {{"array", "a list"},          {"object", "a mapping"},
					       {"null", "nothing"},          {"string", "text"},
					       {"boolean", "true or false"}, {"integer", "a whole number"},
					       {"number", "a number"}};

	for (size_t i = 0; i < ELEMENTSOF(pairs); i++)
		if (strcmp(pairs[i][0], type) == 0)
			return pairs[i][1];
	return type;
}

static bool is_type(const char *have, const char *want)
{
	return strcmp(have, want) == 0 || (strcmp(want, "number") == 0 && strcmp(have, "integer") == 0);
}

static bool type_check(struct walk *w, const struct creel_node *n, json_t *type, const struct at *at)
{
	const char *have = type_of(n);
	char where[200], want[200] = "";
	json_t *one;
	size_t i;

	if (!type)
		return true;
	if (json_is_string(type)) {
		if (is_type(have, json_string_value(type)))
			return true;
		(void)snprintf(want, sizeof(want), "%s", words(json_string_value(type)));
	}
	json_array_foreach (type, i, one) {
		const char *s = json_is_string(one) ? json_string_value(one) : "";
		size_t len = strlen(want);
		if (is_type(have, s))
			return true;
		(void)snprintf(want + len, sizeof(want) - len, "%s%s", i ? " or " : "", words(s));
	}
	path(at, where, sizeof(where));
	creel_walk_error(w, n->pos, "`%s` is %s; it wants %s", where, words(have), want);
	return false;
}

static void enum_check(struct walk *w, const struct creel_node *n, json_t *list, const struct at *at)
{
	char where[200], all[160] = "";
	const char *names[NAMES];
	size_t i, n_names = 0;
	json_t *v, *have = creel_node_json(n);
	bool found = false;

	if (!have) {
		w->arena->failed = 1;
		return;
	}
	json_array_foreach (list, i, v) {
		size_t len = strlen(all);
		found |= json_equal(v, have) == 1;
		if (!json_is_string(v))
			continue;
		(void)snprintf(all + len, sizeof(all) - len, "%s%s", len ? ", " : "", json_string_value(v));
		if (n_names < NAMES)
			names[n_names++] = json_string_value(v);
	}
	json_decref(have);
	if (found)
		return;
	const char *near = n->kind == NODE_SCALAR ? creel_closest(n->text, names, n_names) : NULL;
	path(at, where, sizeof(where));
	creel_walk_error(w, n->pos, "`%s: %.60s` is unknown; %s%s%s", where,
			 n->kind == NODE_SCALAR ? n->text : "...", near ? "did you mean `" : "it is one of ",
			 near ? near : all, near ? "`?" : "");
}

static void range_check(struct walk *w, const struct creel_node *n, json_t *schema, const struct at *at)
{
	json_t *min = json_object_get(schema, "minimum"), *max = json_object_get(schema, "maximum");
	char where[200];

	if (n->kind != NODE_SCALAR || (creel_node_type(n) != NODE_INT && creel_node_type(n) != NODE_FLOAT))
		return;
	double v = strtod(n->text, NULL);
	path(at, where, sizeof(where));
	if (json_is_number(min) && v < json_number_value(min))
		creel_walk_error(w, n->pos, "`%s: %.40s` is out of range; it is %.15g at least", where,
				 n->text, json_number_value(min));
	if (json_is_number(max) && v > json_number_value(max))
		creel_walk_error(w, n->pos, "`%s: %.40s` is out of range; it is %.15g at most", where,
				 n->text, json_number_value(max));
}

static void check(struct walk *w, const struct creel_node *n, json_t *schema, const struct at *at);

static void unknown(struct walk *w, const struct creel_node *key, json_t *props, const struct at *at)
{
	char where[200], all[200] = "";
	const char *names[NAMES], *name;
	size_t n = 0;
	json_t *v;

	json_object_foreach (props, name, v) {
		size_t len = strlen(all);
		(void)snprintf(all + len, sizeof(all) - len, "%s%s", len ? ", " : "", name);
		if (n < NAMES)
			names[n++] = name;
	}
	const char *near = creel_closest(key->text, names, n);
	path(at, where, sizeof(where));
	creel_walk_error(w, key->pos, "unknown key `%.60s` in `%s`; %s%s%s", key->text, where,
			 near     ? "did you mean `"
			 : all[0] ? "known here: "
				  : "it has none",
			 near ? near : all, near ? "`?" : "");
}

static void map_check(struct walk *w, const struct creel_node *n, json_t *schema, const struct at *at,
		      struct creel_pos where)
{
	json_t *props = json_object_get(schema, "properties"), *req, *one;
	json_t *more = json_object_get(schema, "additionalProperties");
	char text[200];
	size_t i;

	for (i = 0; n && i < n->n; i += 2) {
		const struct creel_node *key = n->kids[i];
		const struct at below = {at, key->text, 0};
		json_t *sub = json_object_get(props, key->text);
		if (sub || json_is_object(more))
			check(w, n->kids[i + 1], sub ? sub : more, &below);
		else if ((props || more) && !json_is_true(more))
			unknown(w, key, props, at);
	}
	req = json_object_get(schema, "required");
	json_array_foreach (req, i, one) {
		bool has = false;
		for (size_t k = 0; n && json_is_string(one) && k < n->n; k += 2)
			has |= strcmp(n->kids[k]->text, json_string_value(one)) == 0;
		if (has || !json_is_string(one))
			continue;
		path(at, text, sizeof(text));
		creel_walk_error(w, n ? n->pos : where, "`%s.%.60s` is missing; the recipe needs it", text,
				 json_string_value(one));
	}
}

static void check(struct walk *w, const struct creel_node *n, json_t *schema, const struct at *at)
{
	json_t *list = json_object_get(schema, "enum"), *items = json_object_get(schema, "items");

	if (!type_check(w, n, json_object_get(schema, "type"), at))
		return;
	if (json_is_array(list))
		enum_check(w, n, list, at);
	range_check(w, n, schema, at);
	if (n->kind == NODE_MAP)
		map_check(w, n, schema, at, n->pos);
	for (size_t i = 0; n->kind == NODE_SEQ && items && i < n->n; i++) {
		const struct at below = {at, NULL, i};
		check(w, n->kids[i], items, &below);
	}
}

void creel_check_settings(struct walk *w, const struct creel_node *n, json_t *schema, struct creel_pos where)
{
	const struct at top = {NULL, "settings", 0};

	if (n)
		check(w, n, schema, &top);
	else
		map_check(w, NULL, schema, &top, where);
}

static const struct creel_node *word(const struct creel_node *n, const char *name)
{
	for (size_t i = 0; i < n->n; i += 2)
		if (strcmp(n->kids[i]->text, name) == 0)
			return n->kids[i + 1];
	return NULL;
}

static void type_word(struct walk *w, const struct creel_node *n)
{
	static const char *const types[] = {"array",   "object", "string", "boolean",
					    "integer", "number", "null"};

	for (size_t i = 0; n->kind == NODE_SEQ && i < n->n; i++)
		type_word(w, n->kids[i]);
	if (n->kind == NODE_SEQ)
		return;
	for (size_t i = 0; n->kind == NODE_SCALAR && i < ELEMENTSOF(types); i++)
		if (strcmp(types[i], n->text) == 0)
			return;
	creel_walk_error(w, n->pos, "`type` is one of object, array, string, boolean, integer, number, null");
}

void creel_check_schema(struct walk *w, const struct creel_node *n)
{
	static const char *const known[] = {
		"type",    "properties", "required",    "enum",    "items", "additionalProperties",
		"minimum", "maximum",    "description", "default", "title"};
	const struct creel_node *v;

	if (n->kind != NODE_MAP) {
		creel_walk_error(w, n->pos, "a schema is a mapping, such as { type: string }");
		return;
	}
	for (size_t i = 0; i < n->n; i += 2) {
		const struct creel_node *key = n->kids[i];
		bool ok = false;
		for (size_t k = 0; k < ELEMENTSOF(known); k++)
			ok |= strcmp(known[k], key->text) == 0;
		const char *near = ok ? NULL : creel_closest(key->text, known, ELEMENTSOF(known));
		if (!ok)
			creel_walk_error(w, key->pos, "unknown word `%.60s` in a schema; %s%s%s", key->text,
					 near ? "did you mean `"
					      : "it has type, properties, required, enum, items, "
						"additionalProperties, minimum, maximum, "
						"description, default",
					 near ? near : "", near ? "`?" : "");
	}
	if ((v = word(n, "type")))
		type_word(w, v);
	if ((v = word(n, "items")))
		creel_check_schema(w, v);
	if ((v = word(n, "additionalProperties")) && v->kind == NODE_MAP)
		creel_check_schema(w, v);
	v = word(n, "properties");
	if (v && v->kind != NODE_MAP)
		creel_walk_error(w, v->pos, "`properties` is a mapping of names to schemas");
	for (size_t i = 1; v && v->kind == NODE_MAP && i < v->n; i += 2)
		creel_check_schema(w, v->kids[i]);
	if ((v = word(n, "required")) && v->kind != NODE_SEQ)
		creel_walk_error(w, v->pos, "`required` is a list of names");
	if ((v = word(n, "enum")) && v->kind != NODE_SEQ)
		creel_walk_error(w, v->pos, "`enum` is a list of values");
}

#include "config/schema.h"
#include "config/keys.h"
#include <string.h>

static json_t *map_schema(const struct key *keys);

/* json_object_set_new() that takes a NULL value for "out of memory" and says so once, at the end */
static void set(json_t *o, const char *key, json_t *v, bool *bad)
{
	if (!v || json_object_set_new(o, key, v) < 0)
		*bad = true;
}

static json_t *text_schema(enum key_type t)
{
	const struct texttype *x = creel_key_text(t);
	return x->pattern ? json_pack("{s:s,s:s}", "type", "string", "pattern", x->pattern)
			  : json_pack("{s:s}", "type", "string");
}

static json_t *enum_schema(const struct key *k)
{
	json_t *words = json_array();

	for (size_t i = 0; words && k->vals[i]; i++)
		if (json_array_append_new(words, json_string(k->vals[i])) < 0) {
			json_decref(words);
			words = NULL;
		}
	return words ? json_pack("{s:o}", "enum", words) : NULL;
}

static json_t *int_schema(int64_t min, int64_t max)
{
	json_t *j = json_pack("{s:s}", "type", "integer");
	bool bad = !j;

	if (j && max) {
		set(j, "minimum", json_integer(min), &bad);
		set(j, "maximum", json_integer(max), &bad);
	}
	if (bad)
		json_decref(j);
	return bad ? NULL : j;
}

static json_t *dict_schema(const struct key *k)
{
	json_t *name = text_schema(k->item), *value = map_schema(k->sub);

	if (name && value)
		return json_pack("{s:s,s:o,s:o}", "type", "object", "propertyNames", name,
				 "additionalProperties", value);
	json_decref(name);
	json_decref(value);
	return NULL;
}

static json_t *list_schema(json_t *item)
{
	return item ? json_pack("{s:s,s:o}", "type", "array", "items", item) : NULL;
}

static json_t *type_schema(const struct key *k)
{
	if (k->type <= K_TEXT_LAST)
		return text_schema(k->type);
	switch ((int)k->type) {
	case K_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case K_INT:
		return int_schema(k->min, k->max);
	case K_PORT:
		return int_schema(1, 65535);
	case K_ENUM:
		return enum_schema(k);
	case K_MODE: /* 0644 without quotes is a number to an editor */
		return json_pack("{s:[s,s],s:s}", "type", "string", "integer", "pattern", "^[0-7]{3,4}$");
	case K_SIZE:
		return json_pack("{s:s,s:s}", "type", "string", "pattern", "^[0-9]+ ?(KiB|MiB|GiB|TiB)$");
	case K_DURATION:
		return json_pack("{s:s,s:s}", "type", "string", "pattern", "^[0-9]+ ?(ms|s|m|h|d)$");
	case K_CIDR:
		return json_pack("{s:s,s:s}", "type", "string", "pattern", "^[0-9A-Fa-f.:]+/[0-9]{1,3}$");
	case K_PUBLISH:
		return list_schema(json_pack("{s:s,s:s}", "type", "string", "pattern",
					     "^([0-9.]+:|\\[[0-9A-Fa-f.:]+\\]:)?[0-9]+:[0-9]+$"));
	case K_LIST:
		return list_schema(text_schema(k->item));
	case K_MAP:
		return map_schema(k->sub);
	case K_DICT:
		return dict_schema(k);
	case K_MAPS:
		return list_schema(map_schema(k->sub));
	case K_PAIRS:
		return json_pack("{s:s,s:{s:s},s:{s:[s,s,s]}}", "type", "object", "propertyNames", "pattern",
				 creel_key_text(K_ENVNAME)->pattern, "additionalProperties", "type", "string",
				 "number", "boolean");
	case K_JSON:
		return json_pack("{s:s}", "type", "object");
	default:
		return NULL;
	}
}

static json_t *default_json(const struct key *k)
{
	if (k->type == K_BOOL)
		return json_boolean(k->def[0] == 't');
	if (k->type == K_INT || k->type == K_PORT)
		return json_integer(strtoll(k->def, NULL, 10));
	return json_string(k->def);
}

static json_t *map_schema(const struct key *keys)
{
	json_t *props = json_object(), *required = json_array();
	bool bad = !props || !required;

	for (const struct key *k = keys; !bad && k->name; k++) {
		json_t *j = type_schema(k);
		if (!j) {
			bad = true;
			break;
		}
		set(j, "description", json_string(k->help), &bad);
		if (k->def)
			set(j, "default", default_json(k), &bad);
		set(props, k->name, j, &bad);
		if (k->required && json_array_append_new(required, json_string(k->name)) < 0)
			bad = true;
	}
	json_t *out = bad ? NULL
			  : json_pack("{s:s,s:b,s:O}", "type", "object", "additionalProperties", 0,
				      "properties", props);
	if (out && json_array_size(required) > 0)
		set(out, "required", json_incref(required), &bad);
	json_decref(props);
	json_decref(required);
	if (out && bad) {
		json_decref(out);
		out = NULL;
	}
	return out;
}

static json_t *top(const struct key *keys, const char *title)
{
	json_t *map = map_schema(keys);
	json_t *out = map ? json_pack("{s:s,s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema",
				      "title", title)
			  : NULL;

	if (out && json_object_update(out, map) < 0) {
		json_decref(out);
		out = NULL;
	}
	json_decref(map);
	return out;
}

json_t *creel_schema_config(void)
{
	return top(creel_config_keys, "creel.yaml");
}

json_t *creel_schema_recipe(void)
{
	return top(creel_recipe_keys, "a recipe of creel");
}

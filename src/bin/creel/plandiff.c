#include "plandiff.h"
#include "base/cleanup.h"
#include <stdbool.h>
#include <string.h>

/* Each key of a plan in a user's words; NULL: nothing that a user would see. */
static const struct {
	const char *key, *words, *unit;
} keys[] = {
	{"cell", NULL, ""},
	{"image_dir", NULL, ""}, /* where the cache is */
	{"recipe", "recipe", ""},
	{"image", "image", ""},
	{"boot", "what its system is told (settings, files or services of the recipe)", ""},
	{"kvm", "runs under KVM", ""},
	{"cpus", "cpus", ""},
	{"memory_mib", "memory", " MiB"},
	{"stop_grace_ms", "time to stop", " ms"},
	{"ready_limit_ms", "time to be ready", " ms"},
	{"volumes", "volume", ""},
	{"publish", "published port", ""},
	{"secrets", "secret", ""},
};

/* The same of `net`. What is only policy is changed in a running cell: creel_plan_same_machine(). */
static const struct {
	const char *key, *words;
	bool restart;
} net_keys[] = {
	{"link", "has a network interface", true},
	{"policy", PLANDIFF_POLICY, false},
	{"recursive", "resolves names by itself", false},
	{"upstreams", "resolvers", false},
};

static json_t *shown(const char *key, json_t *v, const char *unit)
{
	if (json_is_integer(v))
		return json_sprintf("%lld%s", json_integer_value(v), unit);
	if (json_is_boolean(v))
		return json_string(json_is_true(v) ? "yes" : "no");
	if (json_is_string(v) && strcmp(key, "image") == 0)
		return json_sprintf("%.12s", json_string_value(v));
	if (json_is_string(v) && strcmp(key, "boot") != 0)
		return json_incref(v);
	return json_null(); /* a hash says nothing */
}

static bool add(json_t *list, bool restart, json_t *what, json_t *from, json_t *to)
{
	json_t *j = json_pack("{s:o,s:o,s:o,s:b}", "what", what, "from", from, "to", to, "restart",
			      (int)restart);

	return j && json_array_append_new(list, j) == 0;
}

/* What tells an element of a list from the others: a name, or a published port's host side. */
static bool same_element(json_t *a, json_t *b)
{
	json_t *name = json_object_get(a, "name");

	if (name)
		return json_equal(name, json_object_get(b, "name"));
	return json_equal(json_object_get(a, "host"), json_object_get(b, "host")) &&
	       json_equal(json_object_get(a, "address"), json_object_get(b, "address"));
}

static json_t *find(json_t *list, json_t *like)
{
	size_t i;
	json_t *v;

	json_array_foreach (list, i, v)
		if (same_element(like, v))
			return v;
	return NULL;
}

static json_t *called(const char *before, const char *words, json_t *v)
{
	json_t *name = json_object_get(v, "name");

	if (json_is_string(name))
		return json_sprintf("%s%s %s", before, words, json_string_value(name));
	return json_sprintf("%s%s %s:%lld", before, words, json_string_value(json_object_get(v, "address")),
			    json_integer_value(json_object_get(v, "host")));
}

static bool lists(json_t *out, const char *words, json_t *from, json_t *to)
{
	const char *field;
	bool ok = true;
	json_t *v, *old, *value;
	size_t i;

	json_array_foreach (from, i, v)
		if (!find(to, v))
			ok = ok && add(out, true, called("no ", words, v), json_null(), json_null());
	json_array_foreach (to, i, v) {
		if (!(old = find(from, v))) {
			ok = ok && add(out, true, called("new ", words, v), json_null(), json_null());
			continue;
		}
		json_object_foreach (v, field, value) {
			json_t *was = json_object_get(old, field);
			if (json_equal(was, value))
				continue;
			json_t *what = called("", words, v);
			json_t *full = what ? json_sprintf("%s, %s", json_string_value(what), field) : NULL;
			json_decref(what);
			ok = ok && add(out, true, full, shown(field, was, ""), shown(field, value, ""));
		}
	}
	return ok;
}

static bool net(json_t *out, json_t *from, json_t *to)
{
	const char *key;
	bool ok = true;
	json_t *v;

	json_object_foreach (to, key, v) {
		const char *words = key;
		bool restart = true;
		json_t *was = json_object_get(from, key);
		for (size_t i = 0; i < ELEMENTSOF(net_keys); i++)
			if (strcmp(net_keys[i].key, key) == 0) {
				words = net_keys[i].words;
				restart = net_keys[i].restart;
			}
		if (json_equal(was, v))
			continue;
		bool hash = strcmp(key, "policy") == 0;
		ok = ok && add(out, restart, json_string(words), hash ? json_null() : shown(key, was, ""),
			       hash ? json_null() : shown(key, v, ""));
	}
	return ok;
}

json_t *plandiff(json_t *from, json_t *to)
{
	json_t *out = json_array(), *v;
	const char *key;
	bool ok = out != NULL;

	json_object_foreach (to, key, v) {
		const char *words = key, *unit = "";
		json_t *was = json_object_get(from, key);
		for (size_t i = 0; i < ELEMENTSOF(keys); i++)
			if (strcmp(keys[i].key, key) == 0) {
				words = keys[i].words;
				unit = keys[i].unit;
			}
		if (!ok || !words || json_equal(was, v))
			continue;
		if (json_is_array(v))
			ok = lists(out, words, was, v);
		else if (json_is_object(v))
			ok = net(out, was, v);
		else
			ok = add(out, true, json_string(words), shown(key, was, unit), shown(key, v, unit));
	}
	if (ok)
		return out;
	json_decref(out);
	return NULL;
}

#include "base/cleanup.h"
#include "doctor.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/*
 * What `nft -j list ruleset` shows of a host's own firewall, as far as it decides over what creel's uplink
 * forwards: a base chain of the hook `forward`, of IPv4, which drops what it has no rule for, by its policy
 * or by its last rule. iptables' rules are shown too, but for those of iptables-legacy.
 */
static bool is(const json_t *o, const char *key, const char *value)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s && strcmp(s, value) == 0;
}

static bool of_chain(const json_t *rule, const json_t *chain, bool table_alone)
{
	static const char *const keys[] = {"family", "table"};

	for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
		const char *s = json_string_value(json_object_get(chain, keys[i]));
		if (!s || !is(rule, keys[i], s))
			return false;
	}
	const char *name = json_string_value(json_object_get(chain, "name"));
	return table_alone || (name && is(rule, "chain", name));
}

/* Drop or reject, whatever the packet is. */
static bool shuts(const json_t *rule)
{
	const json_t *expr = json_object_get(rule, "expr"), *e;
	bool shut = false;
	size_t i;

	json_array_foreach (expr, i, e) {
		if (json_object_get(e, "drop") || json_object_get(e, "reject"))
			shut = true;
		else if (!json_object_get(e, "counter") && !json_object_get(e, "log"))
			return false;
	}
	return shut;
}

/* A match on creel's interface, as iifname or as oifname, in a rule that accepts or goes on elsewhere */
static bool names(const json_t *rule, const char *key)
{
	const json_t *expr = json_object_get(rule, "expr"), *e;
	bool named = false;
	size_t i;

	json_array_foreach (expr, i, e) {
		const json_t *match = json_object_get(e, "match");
		const char *right = json_string_value(json_object_get(match, "right"));
		named |= right && strncmp(right, "creel-", 6) == 0 && !is(match, "op", "!=") &&
			 is(json_object_get(json_object_get(match, "left"), "meta"), "key", key);
		if (json_object_get(e, "drop") || json_object_get(e, "reject"))
			return false;
	}
	return named;
}

static void look_at(const json_t *all, const json_t *chain, struct doctor_wall *ret)
{
	const char *family = json_string_value(json_object_get(chain, "family"));
	const char *table = json_string_value(json_object_get(chain, "table"));
	const char *name = json_string_value(json_object_get(chain, "name"));
	bool drops = is(chain, "policy", "drop"), in = false, out = false, docker = false;
	const json_t *o, *rule;
	size_t i;

	json_array_foreach (all, i, o) {
		const json_t *c = json_object_get(o, "chain");
		docker |= c && of_chain(c, chain, true) && is(c, "name", "DOCKER-USER");
		rule = json_object_get(o, "rule");
		if (!rule || !of_chain(rule, chain, true))
			continue;
		in |= names(rule, "iifname");
		out |= names(rule, "oifname");
		if (of_chain(rule, chain, false) && !is(chain, "policy", "drop"))
			drops = shuts(rule); /* the last one counts */
	}
	if (!drops || !family || !table || !name)
		return;
	if (in && out) {
		ret->n_let++;
	} else if (ret->n_drops++ == 0) {
		(void)snprintf(ret->family, sizeof(ret->family), "%s", family);
		(void)snprintf(ret->table, sizeof(ret->table), "%s", table);
		(void)snprintf(ret->chain, sizeof(ret->chain), "%s", name);
		ret->iptables = strcmp(family, "ip") == 0 && strcmp(table, "filter") == 0 &&
				strcmp(name, "FORWARD") == 0;
		ret->docker = docker;
	}
}

bool doctor_wall_read(const char *text, size_t len, struct doctor_wall *ret)
{
	json_t *doc = json_loadb(text, len, 0, NULL);
	const json_t *all = json_object_get(doc, "nftables"), *o;
	size_t i;

	*ret = (struct doctor_wall){.known = json_is_array(all)};
	json_array_foreach (all, i, o) {
		const json_t *c = json_object_get(o, "chain");
		const char *table = json_string_value(json_object_get(c, "table"));
		if (c && table && strncmp(table, "creel-", 6) != 0 && is(c, "hook", "forward") &&
		    (is(c, "family", "ip") || is(c, "family", "inet")))
			look_at(all, c, ret);
	}
	json_decref(doc);
	return ret->known;
}

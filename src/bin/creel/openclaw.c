#include "openclaw.h"
#include <string.h>

static json_t *get(json_t *j, const char *a, const char *b)
{
	return json_object_get(json_object_get(j, a), b);
}

static const char *str_or(json_t *j, const char *other)
{
	return json_is_string(j) ? json_string_value(j) : other;
}

static json_int_t int_or(json_t *j, json_int_t other)
{
	return json_is_integer(j) ? json_integer_value(j) : other;
}

static json_t *discord(json_t *settings)
{
	json_t *d = get(settings, "channels", "discord"), *mention;

	if (!json_is_object(d))
		return NULL;
	mention = json_object_get(d, "require_mention");
	const char *dm = str_or(json_object_get(d, "dm_policy"), "pairing");
	const char *group = str_or(json_object_get(d, "group_policy"), "allowlist");
	bool open = strcmp(group, "open") == 0;
	/*
	 * An open group is every guild that the bot is in, so strangers write to the agent there. They
	 * get its answers, not its shell and files: OpenClaw's own audit calls that critical. Who wants
	 * it otherwise says so under `config:`.
	 */
	json_t *j = json_pack("{s:b,s:{s:s,s:s,s:s},s:s,s:s,s:{s:{s:b,s:o*}}}", "enabled", 1, "token",
			      "source", "env", "provider", "default", "id", "DISCORD_BOT_TOKEN", "dmPolicy",
			      dm, "groupPolicy", open ? "allowlist" : group, "guilds", "*", "requireMention",
			      mention ? json_is_true(mention) : 1, "tools",
			      open ? json_pack("{s:[s,s]}", "deny", "group:runtime", "group:fs") : NULL);
	/* OpenClaw wants it said twice that anybody may write */
	if (j && strcmp(dm, "open") == 0)
		json_object_set_new(j, "allowFrom", json_pack("[s]", "*"));
	return j;
}

static json_t *get_or_new(json_t *o, const char *key, json_t *(*make)(void))
{
	json_t *v = json_object_get(o, key);

	if (!v && json_object_set_new(o, key, make()) == 0)
		v = json_object_get(o, key);
	return v;
}

/* Our own, by its path in the image. `defender: { enabled: false }` is the one way to be without. */
static int defender(json_t *j, json_t *settings)
{
	json_t *plugins = json_object_get(j, "plugins"), *config;
	json_t *paths = get_or_new(get_or_new(plugins, "load", json_object), "paths", json_array);
	json_t *entries = get_or_new(plugins, "entries", json_object);
	json_t *set = json_object_get(settings, "defender");

	if (json_is_false(json_object_get(set, "enabled")))
		return 0;
	config = json_pack("{s:O*,s:O*,s:O*,s:O*}", "protectedFiles", json_object_get(set, "protected_files"),
			   "rules", json_object_get(set, "rules"), "judge", json_object_get(set, "judge"),
			   "rollback", json_object_get(set, "rollback"));
	return json_array_append_new(paths, json_string("/usr/lib/creel/openclaw")) < 0 ||
			       json_object_set_new(entries, "creel-defender",
						   json_pack("{s:b,s:{s:b},s:o}", "enabled", 1, "hooks",
							     "allowConversationAccess", 1, "config",
							     config)) < 0
		       ? -1
		       : 0;
}

static json_t *render(json_t *settings)
{
	json_t *fallbacks = get(settings, "model", "fallbacks");
	const char *primary = str_or(get(settings, "model", "primary"), "openrouter/auto");
	json_t *d = discord(settings), *pdf = json_object_get(settings, "pdf");
	json_t *j = json_pack("{s:{s:s,s:s,s:i,s:{s:s},s:{s:s},s:{s:b},"
			      " s:{s:{s:{s:b},s:{s:b,s:{s:{s:I,s:I,s:I}}}}}},"
			      " s:{s:{s:s}}, s:{s:[s,s,s,s],s:{s:b}},"
			      " s:{s:{s:{s:s},s:s,s:b,s:{s:s,s:O*}}},"
			      " s:{s:{s:s}}}",
			      "gateway", "mode", "local", "bind", "loopback", "port", 18789, "auth", "mode",
			      "token", "reload", "mode", "hybrid", "terminal", "enabled", 0, "http",
			      "endpoints", "chatCompletions", "enabled", 1, "responses", "enabled", 1,
			      "files", "pdf", "maxPages", int_or(json_object_get(pdf, "max_pages"), 20),
			      "maxPixels", int_or(json_object_get(pdf, "max_pixels"), 5000000),
			      "minTextChars", int_or(json_object_get(pdf, "min_text_chars"), 50), "discovery",
			      "mdns", "mode", "minimal", "tools", "deny", "gateway", "cron", "automations",
			      "plugins", "elevated", "enabled", 0, "agents", "defaults", "sandbox", "mode",
			      "off", "workspace", "/persist/openclaw/workspace", "skipBootstrap", 1, "model",
			      "primary", primary, "fallbacks", fallbacks, "plugins", "slots", "memory",
			      "none");

	if (j && d) {
		json_object_set_new(j, "channels", json_pack("{s:O}", "discord", d));
		/* where the recipe's start puts it, it is found; that it is named is what trusts it */
		json_object_set_new(json_object_get(j, "plugins"), "entries",
				    json_pack("{s:{s:b}}", "discord", "enabled", 1));
	}
	json_decref(d);
	if (j && defender(j, settings) < 0) {
		json_decref(j);
		j = NULL;
	}
	return j;
}

int openclaw_render(json_t *settings, struct creel_buf *out, struct creel_err *err)
{
	json_t *j = render(settings);
	json_t *more = json_object_get(settings, "config");

	if (j && json_is_object(more) && json_object_update_recursive(j, more) < 0) {
		json_decref(j);
		j = NULL;
	}
	autofree char *text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
	json_decref(j);
	if (!text)
		return creel_err_nomem(err);
	int r = creel_buf_adds(out, text, err);
	return r < 0 ? r : creel_buf_adds(out, "\n", err);
}

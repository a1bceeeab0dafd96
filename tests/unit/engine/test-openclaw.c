#include "src/bin/creel/openclaw.h"
#include "tests/cmocka-all.h"
#include <string.h>

static json_t *rendered(const char *settings)
{
	struct creel_buf autoclean(creel_buf_fini) out;
	struct creel_err err = {0};
	json_t *s = settings ? json_loads(settings, 0, NULL) : NULL;

	creel_buf_init(&out, 1 << 20);
	assert_int_equal(openclaw_render(s, &out, &err), 0);
	json_decref(s);
	json_t *j = json_loadb((const char *)out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	return j;
}

static json_t *at(json_t *j, const char *path)
{
	char key[64];

	while (j && *path) {
		size_t n = strcspn(path, ".");
		(void)snprintf(key, sizeof(key), "%.*s", (int)n, path);
		j = json_object_get(j, key);
		path += n + (path[n] == '.');
	}
	return j;
}

static void test_defaults(void **state)
{
	json_t *j = rendered(NULL);

	assert_string_equal(json_string_value(at(j, "gateway.bind")), "loopback");
	assert_string_equal(json_string_value(at(j, "gateway.auth.mode")), "token");
	assert_string_equal(json_string_value(at(j, "gateway.reload.mode")), "hybrid");
	assert_string_equal(json_string_value(at(j, "discovery.mdns.mode")), "minimal");
	assert_true(json_is_false(at(j, "tools.elevated.enabled")));
	assert_int_equal(json_array_size(at(j, "tools.deny")), 4);
	assert_int_equal(json_integer_value(at(j, "gateway.http.endpoints.responses.files.pdf.maxPages")),
			 20);
	assert_null(at(j, "channels"));
	/* without a word about it the defender is there, and may see what it has to */
	assert_true(json_is_true(at(j, "plugins.entries.creel-defender.enabled")));
	assert_true(json_is_true(at(j, "plugins.entries.creel-defender.hooks.allowConversationAccess")));
	assert_string_equal(json_string_value(json_array_get(at(j, "plugins.load.paths"), 0)),
			    "/usr/lib/creel/openclaw");
	json_decref(j);
}

static void test_defender(void **state)
{
	json_t *j = rendered("{\"defender\":{\"rollback\":false,\"protected_files\":[\"A.md\"]},"
			     "\"channels\":{\"discord\":{}}}");

	assert_true(json_is_false(at(j, "plugins.entries.creel-defender.config.rollback")));
	assert_int_equal(json_array_size(at(j, "plugins.entries.creel-defender.config.protectedFiles")), 1);
	assert_true(json_is_true(at(j, "plugins.entries.discord.enabled")));
	json_decref(j);
	j = rendered("{\"defender\":{\"enabled\":false}}");
	assert_null(at(j, "plugins.entries.creel-defender"));
	json_decref(j);
}

static void test_settings(void **state)
{
	json_t *j = rendered("{\"model\":{\"primary\":\"a/b\",\"fallbacks\":[\"c/d\"]},"
			     "\"channels\":{\"discord\":{\"dm_policy\":\"open\",\"group_policy\":\"open\"}},"
			     "\"pdf\":{\"max_pages\":3},\"config\":{\"gateway\":{\"port\":1}}}");

	assert_string_equal(json_string_value(at(j, "agents.defaults.model.primary")), "a/b");
	assert_string_equal(json_string_value(json_array_get(at(j, "agents.defaults.model.fallbacks"), 0)),
			    "c/d");
	assert_string_equal(json_string_value(at(j, "channels.discord.dmPolicy")), "open");
	assert_string_equal(json_string_value(json_array_get(at(j, "channels.discord.allowFrom"), 0)), "*");
	assert_true(json_is_true(at(j, "channels.discord.guilds.*.requireMention")));
	/* a plugin's path makes it untrusted, whatever else is said: the recipe's start lays it in place */
	assert_true(json_is_true(at(j, "plugins.entries.discord.enabled")));
	assert_int_equal(json_array_size(at(j, "plugins.load.paths")), 1); /* the defender's */
	assert_int_equal(json_integer_value(at(j, "gateway.http.endpoints.responses.files.pdf.maxPages")), 3);
	/* merged in last, without losing what stands beside it */
	assert_int_equal(json_integer_value(at(j, "gateway.port")), 1);
	assert_string_equal(json_string_value(at(j, "gateway.bind")), "loopback");
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_defaults), cmocka_unit_test(test_settings),
					   cmocka_unit_test(test_defender)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

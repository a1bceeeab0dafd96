#include "base/cleanup.h"
#include "plandiff.h"
#include "tests/cmocka-all.h"
#include <string.h>

#define PLAN(key, value) "{\"cell\":\"a\",\"image_dir\":\"/x\",\"" key "\":" value "}"

/*
 * What the two plans' one key holds, and what is said of it: "what|from|to;" for each change, with a
 * `!` before one that needs no restart
 */
static const struct {
	const char *from, *to, *said;
} cases[] = {
	{PLAN("cpus", "1"), PLAN("cpus", "1"), ""},
	{PLAN("cpus", "1"), PLAN("cpus", "2"), "cpus|1|2;"},
	{PLAN("memory_mib", "256"), PLAN("memory_mib", "512"), "memory|256 MiB|512 MiB;"},
	{PLAN("kvm", "false"), PLAN("kvm", "true"), "runs under KVM|no|yes;"},
	{PLAN("recipe", "\"a\""), PLAN("recipe", "\"b\""), "recipe|a|b;"},
	{PLAN("image", "\"0123456789abcdef\""), PLAN("image", "\"fedcba9876543210\""),
	 "image|0123456789ab|fedcba987654;"},
	{PLAN("boot", "\"00\""), PLAN("boot", "\"11\""),
	 "what its system is told (settings, files or services of the recipe)|-|-;"},
	{PLAN("image_dir", "\"/a\""), PLAN("image_dir", "\"/b\""), ""},
	{PLAN("volumes", "[{\"name\":\"p\",\"octets\":1}]"),
	 PLAN("volumes", "[{\"name\":\"p\",\"octets\":2}]"), "volume p, octets|1|2;"},
	{PLAN("volumes", "[{\"name\":\"p\"}]"), PLAN("volumes", "[{\"name\":\"q\"}]"),
	 "no volume p|-|-;new volume q|-|-;"},
	{PLAN("volumes", "[{\"name\":\"p\"},{\"name\":\"q\"}]"),
	 PLAN("volumes", "[{\"name\":\"q\"},{\"name\":\"p\"}]"), ""}, /* their order is nothing */
	{PLAN("publish", "[{\"address\":\"127.0.0.1\",\"host\":1,\"guest\":1}]"),
	 PLAN("publish", "[{\"address\":\"127.0.0.1\",\"host\":1,\"guest\":2}]"),
	 "published port 127.0.0.1:1, guest|1|2;"},
	{PLAN("publish", "[{\"address\":\"127.0.0.1\",\"host\":1,\"guest\":1}]"), PLAN("publish", "[]"),
	 "no published port 127.0.0.1:1|-|-;"},
	{PLAN("secrets", "[{\"name\":\"t\",\"source\":\"hex\"}]"),
	 PLAN("secrets", "[{\"name\":\"t\",\"source\":\"store\"}]"), "secret t, source|hex|store;"},
	{PLAN("net", "{\"link\":false,\"policy\":\"00\"}"), PLAN("net", "{\"link\":true,\"policy\":\"11\"}"),
	 "has a network interface|no|yes;!what it may connect to (egress, reach), or the lines "
	 "that say so|-|-;"},
	{PLAN("net", "{\"upstreams\":[\"1.1.1.1\"]}"), PLAN("net", "{\"upstreams\":[]}"), "!resolvers|-|-;"},
	{PLAN("later", "1"), PLAN("later", "2"), "later|1|2;"}, /* a key that this table lacks is told too */
};

static void in_words(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		json_t *a = json_loads(cases[i].from, 0, NULL), *b = json_loads(cases[i].to, 0, NULL), *v;
		char said[512] = "";
		size_t k;
		json_t *d = plandiff(a, b);
		assert_non_null(d);
		json_array_foreach (d, k, v) {
			if (!json_is_true(json_object_get(v, "restart")))
				strcat(said, "!");
			static const char *const fields[] = {"what", "from", "to"};
			for (size_t f = 0; f < 3; f++) {
				const char *s = json_string_value(json_object_get(v, fields[f]));
				strcat(said, s ? s : "-");
				strcat(said, f < 2 ? "|" : ";");
			}
		}
		if (strcmp(said, cases[i].said) != 0)
			fail_msg("case %zu: %s", i, said);
		json_decref(a);
		json_decref(b);
		json_decref(d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(in_words)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

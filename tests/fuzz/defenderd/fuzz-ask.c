/*
 * A request's body of creel-defenderd, to its answer, with a few rules: whatever is asked, it is refused with a
 * reason or answered with JSON, a result for each text.
 */
#include "bin/creel-defenderd/ask.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char rules[] = "rule a.words\nwords ignore all rules\nrule b.jailbreak\nwords do anything now\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct creel_defender *d;
	struct creel_defender_options o = {.size = sizeof(o),
					   .no_builtin_rules = 1,
					   .rules_text = rules,
					   .rules_text_len = sizeof(rules) - 1};
	static struct ask a;
	struct creel_err err = {0};

	if (!d && creel_defender_new(&o, &d, NULL) < 0)
		abort();
	if (len == 0)
		return 0;
	if (ask_parse((enum ask_kind)(data[0] % 3), (const char *)data + 1, len - 1, &a, &err) < 0) {
		if (err.msg[0] == '\0')
			abort();
		return 0;
	}
	if (a.kind == ASK_INTENT ? !a.call.request || !a.call.tool || !a.call.arguments
				 : a.n == 0 || a.n > ASK_TEXTS)
		abort();
	if (a.kind != ASK_INTENT) {
		if (ask_scan(&a, d, &err) < 0 || ask_judge(&a, d, &err) < 0)
			abort();
		json_t *j = ask_answer(&a);
		char *s = j ? json_dumps(j, JSON_COMPACT) : NULL;
		if (!s || (a.batch && json_array_size(json_object_get(j, "results")) != a.n))
			abort();
		free(s);
		json_decref(j);
	}
	ask_fini(&a);
	return 0;
}

/* Ids are those of the reference tokenizer (tools/defender/onnx-fixture made the vectors). */
#include "tests/cmocka-all.h"
#include "tok.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct def_tok *tiny(void)
{
	struct def_tok *t = NULL;
	struct creel_err err = {0};
	json_t *j = json_load_file(TINY "/tokenizer.json", 0, NULL);
	char *s = json_dumps(j, JSON_REAL_PRECISION(17));

	assert_non_null(s);
	if (def_tok_load(s, strlen(s), &t, &err) < 0)
		fail_msg("%s", err.msg);
	free(s);
	json_decref(j);
	return t;
}

static void same_ids(void **state)
{
	struct def_tok *t = tiny();
	FILE *f = fopen(TINY "/vectors.jsonl", "re");
	char *line = NULL;
	size_t cap = 0, n = 0, bad = 0;
	struct def_ids ids = {0};
	struct creel_err err = {0};
	const int32_t *before, *after;

	assert_non_null(f);
	assert_int_equal(def_tok_before(t, &before), 1);
	assert_int_equal(def_tok_after(t, &after), 1);
	for (ssize_t len; (len = getline(&line, &cap, f)) > 0; n++) {
		json_t *j = json_loadb(line, (size_t)len, JSON_ALLOW_NUL, NULL), *s = json_array_get(j, 0),
		       *want = json_array_get(j, 1);
		assert_true(json_is_string(s));
		assert_int_equal(def_tok_encode(t, json_string_value(s), json_string_length(s), &ids, &err),
				 0);
		bool ok = json_array_size(want) == ids.n + 2 &&
			  json_integer_value(json_array_get(want, 0)) == before[0] &&
			  json_integer_value(json_array_get(want, ids.n + 1)) == after[0];
		for (size_t i = 0; ok && i < ids.n; i++)
			ok = json_integer_value(json_array_get(want, i + 1)) == ids.id[i];
		if (!ok && bad++ < 10)
			print_message("# line %zu: %s", n + 1, line);
		json_decref(j);
	}
	assert_int_equal(n, 10000);
	assert_int_equal(bad, 0);
	free(line);
	free(ids.id);
	fclose(f);
	def_tok_free(t);
}

static void refused(void **state)
{
	static const char *const cases[] = {
		"",
		"[]",
		"{}",
		"{\"model\":{\"type\":\"BPE\"}}",
		"{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0]]}}",
		"{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",\"b\"]]}}",
		"{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",0]]},\"normalizer\":{\"type\":"
		"\"Lowercase\"},\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\"}}",
		"{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",0]]},\"normalizer\":{\"type\":"
		"\"Precompiled\",\"precompiled_charsmap\":\"////fwAAAAA=\"}}",
		"{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",0]]},\"pre_tokenizer\":{}}"};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct def_tok *t = NULL;
		struct creel_err err = {0};
		if (def_tok_load(cases[i], strlen(cases[i]), &t, &err) != CREEL_E_SYNTAX || t)
			fail_msg("case %zu: %d %s", i, err.code, err.msg);
	}
}

static void broken_utf8(void **state)
{
	struct def_buf b = {.mem = &def_mem_libc};
	static const char
		in[] = "a\xff\xe2\x96z\xed\xa0\x80\xf0\x9f\x98",
		out[] = "a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd";

	def_utf8_clean((const uint8_t *)in, sizeof(in) - 1, &b);
	assert_int_equal(b.len, sizeof(out) - 1);
	assert_memory_equal(b.data, out, b.len);
	def_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(same_ids), cmocka_unit_test(refused),
					   cmocka_unit_test(broken_utf8)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

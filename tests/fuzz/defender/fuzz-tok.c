/*
 * A tokenizer.json and, after its first NUL, a text: whatever is loaded encodes the text, with no
 * more ids than octets (a broken octet is three).
 */
#include "tok.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char fixed[] =
	"{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",0],[\"\xe2\x96\x81\",-2],[\"a\",-1],"
	"[\"\xe2\x96\x81"
	"ab\",-3],[\"e\xcc\x81\",-4],[\"b\",-2]]},\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{"
	"\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true},{\"type\":\"Replace\",\"pattern\":{"
	"\"Regex\":\" {2,}\"},\"content\":\" \"}]},\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":"
	"\"\xe2\x96\x81\",\"prepend_scheme\":\"always\"},\"added_tokens\":[{\"id\":9,\"content\":\"[X]\","
	"\"lstrip\":true,\"rstrip\":true}]}";

static void one(const char *json, size_t len, const uint8_t *text, size_t n)
{
	struct def_tok *t = NULL;
	struct def_ids ids = {0};
	struct creel_err err = {0};

	if (def_tok_load(json, len, &t, &err) < 0)
		return;
	if (def_tok_encode(t, text, n, &ids, &err) < 0)
		abort();
	free(ids.id);
	def_tok_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *nul = len ? memchr(data, 0, len) : NULL;
	size_t at = nul ? (size_t)(nul - data) : len;

	one((const char *)data, at, data + at, len - at);
	one(fixed, sizeof(fixed) - 1, data, len);
	struct def_charsmap m = {0};
	struct creel_err err = {0};
	struct def_buf out = {.mem = &def_mem_libc}, clean = {.mem = &def_mem_libc};
	def_utf8_clean(data, len, &clean);
	if (def_charsmap_load(&m, (const char *)data, at, &err) == 0)
		def_charsmap_apply(&m, clean.data, clean.len, &out);
	free(m.units);
	free(m.texts);
	def_buf_fini(&out);
	def_buf_fini(&clean);
	return 0;
}

/*
 * Folding and words read ASCII by blocks; here an octet at a time says what they must make of it. Built twice, with the
 * library as this processor has it and as an older one does.
 */
#include "tests/cmocka-all.h"
#include "view.h"
#include <stdlib.h>
#include <string.h>

/* Lower case; of blanks in a row the first, and a line's end in the place of the blanks before it; no controls. */
static size_t fold_by_octet(const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t last = '\n';
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t c = in[i];
		if (c == '\t')
			c = ' ';
		if (c >= '\n' && c <= '\r')
			c = '\n';
		if (c != '\n' && (c < ' ' || c > '~'))
			continue;
		if (last == '\n' && (c == ' ' || c == '\n'))
			continue;
		if (last == ' ' && c == ' ')
			continue;
		if (last == ' ' && c == '\n')
			n--;
		last = c >= 'A' && c <= 'Z' ? c + 0x20 : c;
		out[n++] = last;
	}
	return n;
}

/* Letters and digits, one blank for all else, but for apostrophes. */
static size_t words_by_octet(const uint8_t *in, size_t len, uint8_t *out)
{
	size_t n = 0;

	out[n++] = ' ';
	for (size_t i = 0; i < len; i++) {
		bool word = (in[i] >= 'a' && in[i] <= 'z') || (in[i] >= '0' && in[i] <= '9');
		if (in[i] != '\'' && (word || out[n - 1] != ' '))
			out[n++] = word ? in[i] : ' ';
	}
	if (out[n - 1] != ' ')
		out[n++] = ' ';
	return n;
}

static void same(const uint8_t *in, size_t len, def_transform fn,
		 size_t (*by_octet)(const uint8_t *, size_t, uint8_t *), const char *what)
{
	const struct def_view root = {.data = in, .len = len};
	const struct def_buf none = {.mem = &def_mem_libc};
	struct def_facts facts = {.mem = &def_mem_libc};
	struct def_view v = {0};
	uint64_t work = 0;
	uint8_t *want = malloc(len + 2);
	size_t n = by_octet(in, len, want);

	assert_int_equal(def_view_make(&v, &root, fn, (struct def_arg){0}, "", none, &facts, &work), 0);
	if (v.len != n || memcmp(v.data, want, n) != 0)
		fail_msg("%s: %zu octets to %zu, not %zu:\n%.*s\n%.*s", what, len, v.len, n, (int)v.len,
			 (const char *)v.data, (int)n, (const char *)want);
	def_view_fini(&v);
	def_free(&def_mem_libc, facts.hits);
	free(want);
}

static void blocks_are_as_octets(void **state)
{
	static const char *const kinds[] = {
		"abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 ",
		"if (x)\n\t\tgo;\n",
		"a b  C\t\n",
		"Az09'-.,\n ",
		"@[`{/:~ !\x7f\x1f\r\v\f",
	};
	uint32_t x = 88172645u;

	for (size_t k = 0; k < 4000; k++) {
		const char *of = kinds[k % (sizeof(kinds) / sizeof(kinds[0]))];
		size_t len = k % 400, set = strlen(of);
		uint8_t *p = malloc(len + 1), *low = malloc(len + 1);
		for (size_t i = 0; i < len; i++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			/* now and then a text goes on as it is written above, now and then something else stands in it */
			p[i] = (x & 127) == 0 ? (uint8_t)(x >> 8 & 127)
					      : (uint8_t)of[(k & 8 ? i : x >> 8) % set];
		}
		same(p, len, def_fold, fold_by_octet, "fold");
		same(low, fold_by_octet(p, len, low), def_words, words_by_octet, "words");
		free(p);
		free(low);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_are_as_octets)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

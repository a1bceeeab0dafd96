/*
 * The judge's two sides that meet foreign octets: what a server answers, and how a judged text stands in its
 * fence (every line marked, nothing that a tokenizer or a reader could take for something else).
 */
#include "base/escape.h"
#include "prompt.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fence(const struct judge_words *w, const uint8_t *data, size_t len)
{
	struct creel_buf autoclean(creel_buf_fini) b;
	struct creel_err err = {0};
	char mark[8];
	uint32_t c;

	creel_buf_init(&b, len * 16 + 64);
	if (judge_fence(w, (const char *)data, len, &b, &err) < 0)
		abort(); /* not more than that for an octet */
	(void)snprintf(mark, sizeof(mark), "%.4s| ", w->mark);
	for (size_t at = 0, n; at < b.len; at += n) {
		if ((at == 0 || b.data[at - 1] == '\n') &&
		    (b.len - at < 6 || memcmp(b.data + at, mark, 6) != 0))
			abort();
		n = creel_utf8_decode(b.data + at, b.len - at, &c);
		if (n == 0 || c == '<' || (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) ||
		    c == 0x2028 || c == 0x200b || c == 0x202e || c >= 0xe0000)
			abort();
	}
	if (b.len == 0 || b.data[b.len - 1] != '\n')
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct judge_words w = {.mark = "0123456789abcdef", .check = "fedcba9876543210"};
	struct creel_judge_answer a = {.score = -7};
	struct creel_err err = {0};

	if (len == 0)
		return 0;
	enum creel_judge_api api = data[0] & 1 ? CREEL_JUDGE_ANTHROPIC : CREEL_JUDGE_OPENAI;
	enum judge_kind kind = data[0] & 2 ? JUDGE_CALL : JUDGE_TEXT;
	if (judge_answer_decode(api, kind, &w, (const char *)data + 1, len - 1, &a, &err) == 0) {
		if (!(a.score >= 0 && a.score <= 1) || memchr(a.reason, 0, sizeof(a.reason)) == NULL)
			abort();
		/* a verdict counts with the word alone */
		if (!a.steered && !memmem(data, len, w.check, 4))
			abort();
	} else if (a.score != -7 || err.msg[0] == '\0') {
		abort();
	}
	fence(&w, data + 1, len - 1);
	return 0;
}

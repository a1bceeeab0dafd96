/*
 * A pattern and words: the pattern's shape is read without harm, and when the sieve takes it, every
 * match that PCRE2 finds in the words lies whole within one stretch. Whatever the processor has, the
 * stretches are the same.
 */
#include "sift.h"
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct def_sieve_state *st, size_t from, size_t to)
{
	for (size_t i = 0; i < st->n; i++)
		if (st->stretches[i].from <= from && to <= st->stretches[i].to &&
		    st->stretches[i].groups == 1u << 5)
			return;
	abort();
}

/* Every match that begins at one of the view's first blanks, as short and as long as PCRE2 makes it. */
static void matches(const char *expr, const uint8_t *view, size_t len, const struct def_sieve_state *st)
{
	for (uint32_t lazy = 0; lazy < 2; lazy++) {
		int error;
		PCRE2_SIZE where;
		pcre2_code *code = pcre2_compile((PCRE2_SPTR)expr, PCRE2_ZERO_TERMINATED,
						 PCRE2_ANCHORED | PCRE2_DOTALL | (lazy ? PCRE2_UNGREEDY : 0),
						 &error, &where, NULL);
		pcre2_match_data *m = code ? pcre2_match_data_create(1, NULL) : NULL;
		pcre2_match_context *c = m ? pcre2_match_context_create(NULL) : NULL;
		if (c) {
			pcre2_set_match_limit(c, 2000);
			pcre2_set_depth_limit(c, 200);
		}
		for (size_t i = 0, n = 0; c && i < len && n < 64; i++) {
			if (view[i] != ' ')
				continue;
			n++;
			if (pcre2_match(code, view, len, i, PCRE2_NO_UTF_CHECK, m, c) > 0)
				check(st, i, pcre2_get_ovector_pointer(m)[1]);
		}
		pcre2_match_context_free(c);
		pcre2_match_data_free(m);
		pcre2_code_free(code);
	}
}

/* The stretches are those that are found without what only some processors have. */
static void same(struct def_sieve *s, const struct def_sieve_state *st, const uint8_t *view, size_t len)
{
	struct def_sieve_state plain = {0};
	unsigned turn;

	s->plain = true;
	if (def_sieve_sift(s, &plain, view, len, &turn) < 0 || plain.n != st->n)
		abort();
	for (size_t i = 0; i < st->n; i++)
		if (plain.stretches[i].from != st->stretches[i].from ||
		    plain.stretches[i].to != st->stretches[i].to ||
		    plain.stretches[i].groups != st->stretches[i].groups)
			abort();
	def_sieve_state_fini(&plain, s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = memchr(data, '\n', len);
	size_t n = end ? (size_t)(end - data) : len, k = 0;
	char expr[512];
	uint8_t view[1024];
	unsigned turn;

	if (n > 400 || memchr(data, 0, n))
		return 0;
	memcpy(expr, " (?:", 4);
	memcpy(expr + 4, data, n);
	memcpy(expr + 4 + n, ") ", 3);
	/* a words view: no blank behind a blank, one at both ends */
	view[k++] = ' ';
	for (size_t i = n + 1; i < len && k < sizeof(view) - 1; i++)
		if (data[i] != ' ' || view[k - 1] != ' ')
			view[k++] = data[i];
	if (view[k - 1] != ' ')
		view[k++] = ' ';
	struct def_sieve *s = def_sieve_new(&def_mem_libc);
	struct def_sieve_state st = {0};
	if (!s)
		abort();
	int taken = def_sieve_add(s, expr, 5);
	(void)def_sieve_high(s, expr);
	if (taken < 0 || def_sieve_turn(s, "vtaber", DEF_TURN_ROT13) < 0 || def_sieve_seal(s) < 0 ||
	    def_sieve_sift(s, &st, view, k, &turn) < 0)
		abort();
	for (size_t i = 0; i < st.n; i++)
		if (st.stretches[i].from >= st.stretches[i].to || st.stretches[i].to > k ||
		    (i && st.stretches[i - 1].to >= st.stretches[i].from))
			abort();
	if (taken)
		matches(expr, view, k, &st);
	same(s, &st, view, k);
	def_sieve_state_fini(&st, s);
	def_sieve_free(s);
	return 0;
}

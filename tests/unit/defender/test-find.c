/*
 * Where in a text something may begin (lib/defender/find.h): both widths of vectors say the same, and what an octet at
 * a time says. The file is included for the sake of the one that this machine would not take.
 */
#include "find.c"
#include "tests/cmocka-all.h"
#include <stdlib.h>

static bool letter(uint8_t c)
{
	return c >= 'a' && c <= 'z';
}

static bool one_of(const char *set, uint8_t c)
{
	return c != 0 && strchr(set, c) != NULL;
}

/* What find.h promises of octet @p i of @p p, which has octets on either side as far as it matters. */
static bool run_is(const uint8_t *p, size_t i)
{
	size_t runs = 0, pairs = 0;

	for (size_t k = i; k < i + DEF_RUN_MIN; k++) {
		uint8_t c = p[k] >= 'A' && p[k] <= 'Z' ? p[k] | 0x20 : p[k];
		runs += letter(c) || one_of("0123456789+-/_\r\n", c);
		pairs += one_of("0123456789abcdefx ,:\n", c);
	}
	return p[i] > ' ' && (runs == DEF_RUN_MIN || pairs == DEF_RUN_MIN);
}

static bool escape_is(const uint8_t *p, size_t i)
{
	return one_of("%&\\\x1b", p[i]);
}

static bool mark_is(const uint8_t *p, size_t i)
{
	bool behind = p[i - 1] > ' ' && p[i - 1] != '>';
	return behind && (p[i] == '<' || (one_of("*`~", p[i]) && p[i + 1] > ' '));
}

static bool leet_is(const uint8_t *p, size_t i)
{
	static const char digits[] = "0123456789@$!|+";
	return one_of(digits, p[i]) && letter(p[i - 1]) &&
	       (letter(p[i + 1]) || (one_of(digits, p[i + 1]) && letter(p[i + 2])));
}

static bool changed_is(const uint8_t *p, size_t i)
{
	return one_of("01345789@$!", p[i]) && letter(p[i - 1]) && letter(p[i + 1]);
}

typedef size_t find(struct def_known *k, const uint8_t *in, size_t i, size_t len);

static const struct {
	const char *name;
	find *either, *plain, *fast;
	bool (*is)(const uint8_t *p, size_t i);
	size_t first;
	bool more; /* it may find what is none */
} all[] = {
	{"run", def_find_run, run_plain, run_fast, run_is, 0, true},
	{"escape", def_find_escape, escape_plain, escape_fast, escape_is, 0, false},
	{"mark", def_find_mark, mark_plain, mark_fast, mark_is, 1, false},
	{"leet", def_find_leet, leet_plain, leet_fast, leet_is, 1, false},
	{"changed", def_find_changed, changed_plain, changed_fast, changed_is, 1, false},
};

/* Every place of @p p, one after the other. */
static void walk(size_t what, const uint8_t *p, size_t len)
{
	struct def_known known = {0};
	size_t i = all[what].first, at;

	while ((at = all[what].either(&known, p, i, len)) + WIDE_BLOCK <= len) {
		for (; i < at; i++)
			if (all[what].is(p, i))
				fail_msg("%s: %zu of %zu is missed", all[what].name, i, len);
		if (!all[what].more && !all[what].is(p, at))
			fail_msg("%s: %zu of %zu is none", all[what].name, at, len);
		assert_true(all[what].is != run_is || p[at] > ' ');
		i = at + 1;
	}
	assert_true(at >= i && at <= len + WIDE_BLOCK);
	for (; i < at && i + WIDE_BLOCK <= len; i++)
		assert_false(all[what].is(p, i));
}

static void widths_agree(size_t what, const uint8_t *p, size_t len)
{
	for (size_t i = all[what].first; i < len; i++) {
		struct def_known a = {0}, b = {0};
		size_t x = all[what].plain(&a, p, i, len);
		if (!wide_fast())
			continue;
		assert_int_equal(x, all[what].fast(&b, p, i, len));
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void all_places_are_found(void **state)
{
	/* texts of the octets that matter and of some beside them, long rows among them */
	static const char *const kinds[] = {
		"abz 019+-/_\r\n=.",
		"0 1a,f:x\n69g ",
		"a1b2e@$!|+ z6",
		"<a>*`~ b\n- \t",
		"%&\\ab @[`{^\x7f\x80\xff\x1b",
		"ABZabz019+-/_\n",
		"6 9 a f 0 x , : e e e e e e e e e e g",
	};
	enum { MOST = 400 };
	uint32_t x = 2463534242u;

	for (size_t n = 0; n < 1400; n++) {
		const char *of = kinds[n % (sizeof(kinds) / sizeof(kinds[0]))];
		size_t len = n % MOST, set = strlen(of);
		uint8_t *p = malloc(len + 1); /* so that a look beyond it is seen */
		for (size_t i = 0; i < len; i++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			p[i] = (x & 63) == 0 ? (uint8_t)(x >> 8) : (uint8_t)of[(x >> 8) % set];
		}
		for (size_t what = 0; what < sizeof(all) / sizeof(all[0]); what++) {
			if (len > 1)
				walk(what, p, len);
			widths_agree(what, p, len);
		}
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_places_are_found)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

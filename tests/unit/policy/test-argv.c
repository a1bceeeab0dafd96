/* A command line without a shell: what each string becomes, and what no string becomes. */
#include "policy/argv.h"
#include "tests/cmocka-all.h"
#include <string.h>

static const struct {
	const char *in, *out; /* words apart by |, NULL: refused */
} cases[] = {
	{"a b", "a|b"},
	{"  a\t b  ", "a|b"},
	{"a 'b c'", "a|b c"},
	{"a \"b c\"", "a|b c"},
	{"a ''", "a|"},
	{"a \"\" b", "a||b"},
	{"a'b'\"c\"d", "abcd"},
	{"a\\ b", "a b"},
	{"a '\\n'", "a|\\n"},
	{"a \"x\\\"y\"", "a|x\"y"},
	{"a \"x\\\\y\"", "a|x\\y"},
	{"a \"x\\ny\"", "a|x\\ny"},
	{"a \"\\$(id)\"", "a|$(id)"},
	{"a \"\\`id\\`\"", "a|`id`"},
	{"a '$(id)' '`id`' '; id'", "a|$(id)|`id`|; id"},
	{"a \\;", "a|;"},
	{"a \\$x", "a|$x"},
	{"a 'b\nc'", "a|b\nc"},
	{"a \"b\nc\"", "a|b\nc"},
	{"a 'it'\\''s'", "a|it's"},
	{"a caf\303\251", "a|caf\303\251"},
	{"a '\360\237\246\236'", "a|\360\237\246\236"},
	{"a --x=y -z", "a|--x=y|-z"},
	{"a b#c d~e {f,g} !h i=j %k", "a|b#c|d~e|{f,g}|!h|i=j|%k"},
	{"a '#b' '~c' '*'", "a|#b|~c|*"},
	{"a \033", "a|\033"},
	/* what a shell would act on */
	{"a; id", NULL},
	{"a && id", NULL},
	{"a | id", NULL},
	{"a > /x", NULL},
	{"a < /x", NULL},
	{"a & b", NULL},
	{"a $(id)", NULL},
	{"a $x", NULL},
	{"a `id`", NULL},
	{"a (b)", NULL},
	{"a \"$(id)\"", NULL},
	{"a \"`id`\"", NULL},
	{"a \"$x\"", NULL},
	{"a *", NULL},
	{"a b?", NULL},
	{"a [b]", NULL},
	{"a ~", NULL},
	{"a ~/b", NULL},
	{"a #b", NULL},
	{"a\nid", NULL},
	{"a \\\nid", NULL},
	{"a \"b\\\nc\"", NULL},
	{"a\n", NULL},
	/* not whole */
	{"", NULL},
	{"   ", NULL},
	{"a 'b", NULL},
	{"a \"b", NULL},
	{"a \\", NULL},
	{"a \"b\\", NULL},
	/* not UTF-8: overlong, surrogate, cut, stray */
	{"a \300\257", NULL},
	{"a \355\240\200", NULL},
	{"a \303", NULL},
	{"a '\200'", NULL},
	{"a \365\200\200\200", NULL},
};

static void strings(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct creel_argv autoclean(creel_argv_fini) a = {0};
		struct creel_err err = {0};
		char got[256] = "";
		int r = creel_argv_parse(cases[i].in, strlen(cases[i].in), &a, &err);
		for (size_t k = 0; k < a.n; k++) {
			strcat(got, k ? "|" : "");
			strcat(got, a.v[k]);
		}
		if ((r == 0) != (cases[i].out != NULL) || r != err.code ||
		    (r == 0 && (strcmp(got, cases[i].out) != 0 || a.v[a.n] != NULL)))
			fail_msg("case %zu `%s`: %d `%s` %s", i, cases[i].in, r, got, err.msg);
	}
}

static void nul_is_refused(void **state)
{
	struct creel_argv a = {.n = 7};
	struct creel_err err = {0};

	assert_int_equal(creel_argv_parse("a b\0; id", 8, &a, &err), CREEL_E_SYNTAX);
	assert_int_equal(a.n, 7);
}

static void bounds(void **state)
{
	static char big[CREEL_COMMAND_MAX + 1];
	struct creel_err err = {0};

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = 'x';
	for (size_t over = 0; over < 2; over++) {
		struct creel_argv autoclean(creel_argv_fini) a = {0};
		assert_int_equal(creel_argv_parse(big, CREEL_COMMAND_MAX + over, &a, &err),
				 over ? CREEL_E_TOOBIG : 0);
	}
	for (size_t over = 0; over < 2; over++) { /* words of one octet, the last without a blank */
		struct creel_argv autoclean(creel_argv_fini) a = {0};
		size_t n = CREEL_ARGV_MAX + over;
		for (size_t i = 0; i < n; i++)
			memcpy(big + 2 * i, "y ", 2);
		assert_int_equal(creel_argv_parse(big, 2 * n - 1, &a, &err), over ? CREEL_E_TOOBIG : 0);
		assert_int_equal(a.n, over ? 0 : CREEL_ARGV_MAX);
	}
}

/* What our wrapper in the agent's cell does: every argument in single quotes. It comes back as it was. */
static void round_trip(void **state)
{
	unsigned seed = 7;

	for (int round = 0; round < 2000; round++) {
		char args[5][24], line[512] = "gog";
		size_t n = 1 + (unsigned)round % 5, at = 3;
		for (size_t i = 0; i < n; i++) {
			size_t len = 0;
			seed = seed * 1103515245 + 12345;
			for (unsigned k = 0; k < (seed >> 16) % 20; k++) {
				seed = seed * 1103515245 + 12345;
				args[i][len++] = (char)(1 + (seed >> 16) % 127);
			}
			args[i][len] = '\0';
			line[at++] = ' ';
			line[at++] = '\'';
			for (size_t k = 0; k < len; k++) {
				if (args[i][k] == '\'') {
					memcpy(line + at, "'\\'", 3);
					at += 3;
				}
				line[at++] = args[i][k];
			}
			line[at++] = '\'';
		}
		struct creel_argv autoclean(creel_argv_fini) a = {0};
		struct creel_err err = {0};
		if (creel_argv_parse(line, at, &a, &err) < 0 || a.n != n + 1)
			fail_msg("round %d: %zu %s", round, a.n, err.msg);
		for (size_t i = 0; i < n; i++)
			assert_string_equal(a.v[i + 1], args[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(strings), cmocka_unit_test(nul_is_refused),
					   cmocka_unit_test(bounds), cmocka_unit_test(round_trip)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * A scan takes time linear in the text: of any. The library is compiled so that each of its basic blocks is counted
 * (-fsanitize-coverage=trace-pc); what it gives to Vectorscan and PCRE2, and what it copies of itself into views, it counts. An
 * octet of a text that goes on and on costs no more when there are eight times as many.
 */
#include "creel/defender.h"
#include "tests/cmocka-all.h"
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 2048, TIMES = 8 };
#define MORE 1.5 /* what some octets more may change, such as a fifth mark of quoted-printable */

static uint64_t blocks;
static struct creel_defender *defender;
static char small[SMALL], big[TIMES * SMALL];

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
	blocks++;
}

/* The linker takes this for the library's calls of it: octets that it looks at. */
void *__wrap_memchr(const void *s, int c, size_t n);
void *__real_memchr(const void *s, int c, size_t n);
void *__wrap_memchr(const void *s, int c, size_t n)
{
	const char *found = __real_memchr(s, c, n);

	blocks += found ? (size_t)(found - (const char *)s) : n;
	return (void *)(uintptr_t)found;
}

/* What an octet of @p text costs. */
static double cost(const char *text, size_t len)
{
	struct creel_defender_result *r = NULL;
	struct creel_defender_error e = {0};
	size_t clean;

	blocks = 0;
	if (creel_defender_scan(defender, text, len, NULL, &r, &e) < 0)
		fail_msg("%s", e.msg);
	(void)creel_defender_result_sanitized(r, &clean);
	double all = (double)(blocks + creel_defender_result_work(r));
	creel_defender_result_free(r);
	return all / (double)len;
}

/* @p first, then @p unit again and again. */
static size_t fill(char *to, size_t room, const char *first, const char *unit)
{
	size_t n = strlen(first), len = strlen(unit);

	assert_true(n + len < room && len > 0);
	memcpy(to, first, n);
	for (; n + len <= room; n += len)
		memcpy(to + n, unit, len);
	return n;
}

static void linear(const char *first, const char *unit)
{
	double a = cost(small, fill(small, sizeof(small), first, unit)),
	       b = cost(big, fill(big, sizeof(big), first, unit));

	if (b > a * MORE)
		fail_msg("'%s', then '%s' repeated: an octet costs %.0f, and %.0f of %d times as many", first,
			 unit, a, b, TIMES);
}

/* Of what the library looks for, pieces. */
static const char *const pieces[] = {
	"a",
	" ",
	"\n",
	"\t",
	"\r\n",
	"0",
	"<",
	"<!--",
	"-->",
	"<a>",
	"</b>",
	"`",
	"**",
	"~~",
	"|",
	"-----",
	"### ",
	"&lt;",
	"&#97;",
	"&#x61;",
	"%25",
	"%61",
	"\\u0061",
	"\\x61",
	"\\n",
	"\x1b[1m",
	"\x1b[",
	"QUJD",
	"=",
	"+",
	"/",
	"aWdub3JlIGFsbCBwcmV2aW91cyBpbnN0cnVjdGlvbnM=",
	"69 67 6e ",
	"6967",
	"=3D",
	"=\n",
	"e2e ",
	"1gn0r3 ",
	"i g n o r e ",
	"i.g.n.o.r.e ",
	"\xe2\x80\x8b",
	"\xc2\xad",
	"\xef\xb8\x8f",
	"\xf3\xa0\x81\xa1",
	"\xe2\x80\xae",
	"\xcc\xb6",
	"\xd1\x96",
	"\xce\xbf",
	"\xef\xbd\x81",
	"\xe4\xbb\x8a\xe3\x81\x8b\xe3\x82\x89",
	"\xff",
	"\xe2",
	"vtaber ",
	"snoitcurtsni ",
	"ignore ",
	"previous ",
	"instructions ",
	"system: ",
	"the ",
	"do not ",
	"you are now ",
	"password ",
	"exec(",
	"[timestamp:",
	"[INST]",
	"{\"",
	"\"",
	"](",
	"http://x?",
	"!",
	":",
	"_",
	"-",
};
#define N_PIECES (sizeof(pieces) / sizeof(pieces[0]))

static void pieces_alone_and_in_pairs(void **state)
{
	uint64_t x = 88172645463325252u;
	char pair[128];

	for (size_t i = 0; i < 10 * N_PIECES; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		const char *one = pieces[i % N_PIECES], *other = pieces[x % N_PIECES];
		(void)snprintf(pair, sizeof(pair), "%s%s", one, i < N_PIECES ? "" : other);
		linear("", pair);
		if (i % 2 == 1)
			linear(one, other);
	}
}

/* Each word of the rules, as a text of nothing else. */
static void words_of_the_rules(void **state)
{
	static char text[1 << 18];
	size_t n_words = 0;
	glob_t files;

	assert_int_equal(glob(RULES "/*.rules", 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		FILE *f = fopen(files.gl_pathv[i], "re");
		assert_non_null(f);
		size_t n = fread(text, 1, sizeof(text) - 1, f);
		assert_true(n < sizeof(text) - 1);
		text[n] = '\0';
		fclose(f);
		/* letters, and what is beyond ASCII; most words stand in many places */
		static const char ends[] = " \t\n()[]{}|?*+\\.,;\"'<>=/#-_!&0123456789";
		char seen[512][24] = {{0}};
		for (char *save, *w = strtok_r(text, ends, &save); w; w = strtok_r(NULL, ends, &save)) {
			char unit[26];
			size_t len = strlen(w), h = len;
			for (size_t k = 0; k < len; k++)
				h = h * 31 + (unsigned char)w[k];
			if (len < 3 || len > 23 || strcmp(seen[h % 512], w) == 0)
				continue;
			memcpy(seen[h % 512], w, len + 1);
			(void)snprintf(unit, sizeof(unit), "%s ", w);
			linear("", unit);
			n_words++;
		}
	}
	globfree(&files);
	assert_true(n_words > 2000);
}

static int open_one(void **state)
{
	struct creel_defender_options o = {.size = sizeof(o), .cache_dir = getenv("CREEL_DEFENDER_CACHE")};

	return creel_defender_new(&o, &defender, NULL);
}

static int close_one(void **state)
{
	creel_defender_free(defender);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_alone_and_in_pairs),
					   cmocka_unit_test(words_of_the_rules)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, open_one, close_one);
}

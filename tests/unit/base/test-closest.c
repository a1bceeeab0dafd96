#include "base/cleanup.h"
#include "base/closest.h"
#include "tests/cmocka-all.h"
#include <string.h>

static const char *const words[] = {"memory", "volumes", "up",
				    "down",   "restart", "a-word-that-is-longer-than-thirty-two-octets"};
static const struct {
	const char *s, *want;
} cases[] = {
	{"memmory", "memory"},
	{"memroy", "memory"},
	{"mem", NULL},
	{"Volumes", "volumes"},
	{"pu", NULL},
	{"ip", "up"},
	{"", NULL},
	{"dowm", "down"},
	{"resart", "restart"},
	{"upp", "up"},
	{"a-word-that-is-longer-than-thirty-two-octets", NULL},
};

static void what_was_meant(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		const char *got = creel_closest(cases[i].s, words, ELEMENTSOF(words));
		if (!!got != !!cases[i].want || (got && strcmp(got, cases[i].want) != 0))
			fail_msg("%s: %s", cases[i].s, got ? got : "(none)");
	}
	char long_one[200];
	memset(long_one, 'a', sizeof(long_one));
	long_one[199] = '\0';
	assert_null(creel_closest(long_one, words, ELEMENTSOF(words)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_meant)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "linux/fd.h"
#include "tests/cmocka-all.h"
#include <string.h>
#include <unistd.h>

static int filled(const char *text)
{
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], text, strlen(text)), (ssize_t)strlen(text));
	close(p[1]);
	return p[0];
}

/* What fits is read whole, to the last octet; one octet more is an error. */
static void reads_to_its_maximum(void **state)
{
	struct creel_buf autoclean(creel_buf_fini) b = {0}, autoclean(creel_buf_fini) small = {0};
	struct creel_err err = {0};
	autofd int fits = filled("12345678"), over = filled("123456789"), gone = dup(fits);

	creel_buf_init(&b, 8);
	assert_int_equal(creel_fd_read(fits, &b, &err), 0);
	assert_string_equal(creel_buf_str(&b), "12345678");
	creel_buf_init(&small, 8);
	assert_int_equal(creel_fd_read(over, &small, &err), CREEL_E_TOOBIG);
	close(gone);
	assert_int_equal(creel_fd_read(gone, &small, &err), CREEL_E_OS);
	gone = -1;
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		int n;
	} v[] = {{"0", 0},
		 {"7", 7},
		 {"1023", 1023},
		 {"1024", -1},
		 {"-1", -1},
		 {"+1", -1},
		 {"", -1},
		 {" 1", -1},
		 {"1 ", -1},
		 {"3x", -1},
		 {"99999999999999999999", -1},
		 {NULL, -1}};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		assert_int_equal(creel_fd_number(v[i].text), v[i].n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(reads_to_its_maximum), cmocka_unit_test(numbers)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

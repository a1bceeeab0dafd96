#include "tests/cmocka-all.h"
#include "wire/cpio.h"
#include <string.h>
#include <sys/stat.h>

static void layout(void **state)
{
	struct creel_err err = {0};
	struct creel_buf autoclean(creel_buf_fini) b;
	struct creel_cpio c;

	creel_buf_init(&b, 65536);
	creel_cpio_begin(&c, &b);
	assert_int_equal(creel_cpio_add(&c, "etc", S_IFDIR | 0755, NULL, 0, &err), 0);
	size_t second = b.len;
	assert_int_equal(creel_cpio_add(&c, "etc/a", S_IFREG | 0644, "hello", 5, &err), 0);
	assert_int_equal(creel_cpio_end(&c, &err), 0);
	assert_int_equal(b.len % 4, 0);
	assert_memory_equal(b.data,
			    "070701"
			    "00000001"
			    "000041ED",
			    22);
	assert_memory_equal(b.data + second,
			    "070701"
			    "00000002"
			    "000081A4",
			    22);
	assert_memory_equal(b.data + second + 54, "00000005", 8); /* size */
	assert_memory_equal(b.data + second + 94, "00000006", 8); /* name with its NUL */
	assert_string_equal((char *)b.data + second + 110, "etc/a");
	assert_memory_equal(b.data + second + 116, "hello\0\0\0", 8);
	assert_non_null(memmem(b.data, b.len, "TRAILER!!!", 11));
}

static void a_failed_member_leaves_nothing(void **state)
{
	struct creel_err err = {0};
	struct creel_buf autoclean(creel_buf_fini) b;
	struct creel_cpio c;
	char big[400] = {0};

	creel_buf_init(&b, 300);
	creel_cpio_begin(&c, &b);
	assert_int_equal(creel_cpio_add(&c, "a", S_IFREG | 0644, "x", 1, &err), 0);
	size_t len = b.len;
	assert_int_equal(creel_cpio_add(&c, "b", S_IFREG | 0644, big, 400, &err), CREEL_E_TOOBIG);
	assert_int_equal(b.len, len);
	assert_int_equal(creel_cpio_add(&c, "/b", S_IFREG | 0644, "x", 1, &err), CREEL_E_INVALID);
	assert_int_equal(creel_cpio_add(&c, "", S_IFREG | 0644, "x", 1, &err), CREEL_E_INVALID);
	assert_int_equal(b.len, len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout),
		cmocka_unit_test(a_failed_member_leaves_nothing),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

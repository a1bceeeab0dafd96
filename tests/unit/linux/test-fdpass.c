#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "tests/cmocka-all.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int pair(int sv[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv);
}

static void a_descriptor_crosses(void **state)
{
	struct creel_err err = {0};
	int sv[2], p[2], got[CREEL_FDPASS_MAX];
	size_t n = 9;
	char buf[8];

	assert_int_equal(pair(sv), 0);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(creel_fdpass_recv(sv[1], buf, 8, got, 4, &n, &err), CREEL_E_BUSY);
	assert_int_equal(n, 9); /* untouched on error */
	assert_int_equal(creel_fdpass_send(sv[0], "hi", 2, &p[1], 1, &err), 0);
	assert_int_equal(creel_fdpass_recv(sv[1], buf, 8, got, 4, &n, &err), 2);
	assert_int_equal(n, 1);
	assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(got[0], "x", 1), 1);
	assert_int_equal(read(p[0], buf, 1), 1);
	close(got[0]);
	close(sv[0]);
	assert_int_equal(creel_fdpass_recv(sv[1], buf, 8, got, 4, &n, &err), CREEL_E_CLOSED);
	assert_int_equal(creel_fdpass_send(sv[1], "x", 1, NULL, 0, &err), CREEL_E_CLOSED);
	close(sv[1]);
	close(p[0]);
	close(p[1]);
}

static void what_is_cut_is_refused_and_leaks_nothing(void **state)
{
	struct creel_err err = {0};
	int sv[2], got[CREEL_FDPASS_MAX];
	size_t n = 0;
	char buf[4];

	assert_int_equal(pair(sv), 0);
	int probe = dup(0);
	close(probe);
	int two[2] = {sv[0], sv[1]};
	assert_int_equal(creel_fdpass_send(sv[0], "12345678", 8, two, 1, &err), 0);
	assert_int_equal(creel_fdpass_recv(sv[1], buf, 4, got, 4, &n, &err), CREEL_E_TOOBIG);
	assert_int_equal(creel_fdpass_send(sv[0], "1", 1, two, 2, &err), 0);
	assert_int_equal(creel_fdpass_recv(sv[1], buf, 4, got, 1, &n, &err), CREEL_E_TOOBIG);
	int after = dup(0); /* the lowest free number is what it was */
	assert_int_equal(after, probe);
	close(after);
	close(sv[0]);
	close(sv[1]);
}

static void only_sealed_memfds_are_read(void **state)
{
	struct creel_err err = {0};
	struct creel_buf autoclean(creel_buf_fini) b;

	creel_buf_init(&b, 16);
	autofd int fd = creel_memfd_sealed("plan", "0123456789", 10, &err);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(creel_memfd_read_sealed(fd, &b, &err), 0);
	assert_string_equal(creel_buf_str(&b), "0123456789");
	assert_int_equal(creel_memfd_read_sealed(fd, &b, &err), CREEL_E_TOOBIG);
	autofd int open_fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(creel_memfd_read_sealed(open_fd, &b, &err), CREEL_E_DENIED);
	autofd int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(creel_memfd_read_sealed(file, &b, &err), CREEL_E_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_descriptor_crosses),
		cmocka_unit_test(what_is_cut_is_refused_and_leaks_nothing),
		cmocka_unit_test(only_sealed_memfds_are_read),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

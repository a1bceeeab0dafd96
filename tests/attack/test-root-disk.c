/*
 * Wall: a cell's root disk is read-only on the host's side. Attack: root in the guest writes to the
 * block device. The twin gives the same guest a writable disk, where the same attack must succeed,
 * or this test could not see.
 */
#include "tests/cmocka-all.h"
#include "tests/e2e/guest.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* far behind the super block: the attack must not need a file system that still works */
static const char attack[] = "d=$(grep -l root /sys/block/vd*/serial | cut -d/ -f4);"
			     " echo 0 > /sys/block/$d/ro 2>/dev/null; blockdev --setrw /dev/$d 2>/dev/null;"
			     " printf OWNED | dd of=/dev/$d bs=1 seek=1048576 conv=notrunc,fsync 2>/dev/null;"
			     " mount -o remount,rw / 2>/dev/null; true";

static const struct creel_boot boot = {.cell = "box"};

static bool attack_run(struct guest *g, int disk)
{
	char seen[5] = "";

	guest_start(g, &boot, -1);
	assert_true(guest_wait(g, &g->ready, 60000));
	assert_int_equal(guest_sh(g, attack, NULL), 0);
	guest_kill(g);
	assert_int_equal(pread(disk, seen, 5, 1048576), 5);
	return memcmp(seen, "OWNED", 5) == 0;
}

static void image_open(char *ret_path, size_t size, int *ret_fd)
{
	(void)snprintf(ret_path, size, "%s/root.erofs", getenv("CREEL_TEST_IMAGE"));
	*ret_fd = open(ret_path, O_RDONLY | O_CLOEXEC);
	assert_true(*ret_fd >= 0);
}

static void the_wall_holds(void **state)
{
	struct guest g = {0};
	char path[512];
	int disk;

	image_open(path, sizeof(path), &disk);
	assert_false(attack_run(&g, disk));
	close(disk);
}

static void the_test_can_see(void **state)
{
	struct guest g = {0};
	char path[512];
	int disk;
	struct stat st;
	off_t at = 0;

	image_open(path, sizeof(path), &disk);
	assert_int_equal(fstat(disk, &st), 0);
	int copy = memfd_create("weak", 0);
	while (at < st.st_size)
		assert_true(sendfile(copy, disk, &at, (size_t)(st.st_size - at)) > 0);
	g.weak_root = copy;
	assert_true(attack_run(&g, copy));
	close(copy);
	close(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_wall_holds),
		cmocka_unit_test(the_test_can_see),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

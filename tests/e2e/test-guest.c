/* The guest half, for real: kernel, creel-init, channel, volume. Three boots of a base image. */
#include "tests/cmocka-all.h"
#include "tests/e2e/guest.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct guest g;
static int volume = -1;
static const char *out;

static struct creel_boot *boot_make(void)
{
	static struct creel_boot b;

	b = (struct creel_boot){
		.cell = "box",
		.n_volumes = 1,
		.volumes = {{.name = "persist", .at = "/persist"}},
		.n_files = 1,
		.files = {{.path = "/persist/agent/RULES.md",
			   .content = "be good\n",
			   .content_len = 8,
			   .uid = 1000,
			   .gid = 1000,
			   .mode = 0644,
			   .declared = true}},
		.n_services = 3,
		.services =
			{
				{.name = "steady",
				 .argv = {"sh", "-c", "echo up; : > /tmp/steady; exec sleep 1000"},
				 .env_file = "",
				 .after = "",
				 .home = "/persist/agent",
				 .uid = 1000,
				 .gid = 1000,
				 .probe = CREEL_PROBE_COMMAND,
				 .probe_arg = "test -e /tmp/steady",
				 .restart = CREEL_RESTART_ALWAYS},
				{.name = "second",
				 .argv = {"sh", "-c", "test -e /tmp/steady || exit 9; sleep 1000"},
				 .env_file = "",
				 .after = "steady",
				 .home = "/persist/sites/a/second",
				 .uid = 1001,
				 .gid = 1001,
				 .probe_arg = "",
				 .restart = CREEL_RESTART_NEVER},
				{.name = "crash",
				 .argv = {"sh", "-c", "exit 3"},
				 .env_file = "",
				 .after = "",
				 .home = "/",
				 .probe_arg = "",
				 .restart = CREEL_RESTART_ON_FAILURE},
			},
	};
	return &b;
}

static int setup(void **state)
{
	volume = memfd_create("volume", MFD_CLOEXEC);
	assert_int_equal(ftruncate(volume, 64 << 20), 0);
	fcntl(volume, F_SETFD, 0);
	guest_start(&g, boot_make(), volume);
	if (!guest_wait(&g, &g.ready, 60000)) {
		print_error("the guest was not ready; services: %s notes: %s\n", g.services, g.notes);
		guest_kill(&g);
		return -1;
	}
	print_message("# ready after %u ms, %u kB used\n", (unsigned)(g.ready_ms - g.started_ms), g.used_kb);
	return 0;
}

static int teardown(void **state)
{
	if (g.pid > 0)
		guest_kill(&g);
	return 0;
}

static void services_in_order(void **state)
{
	/* second started only after steady's probe was green; a crash took nothing down */
	const char *ready = strstr(g.services, "steady:2:0"), *second = strstr(g.services, "second:1:0");
	assert_non_null(ready);
	assert_non_null(second);
	assert_true(ready < second);
	/* what it says comes when it comes: each command takes in what has come */
	for (int i = 0; i < 200 && !strstr(g.services, "crash:3:3"); i++)
		assert_int_equal(guest_sh(&g, "true", NULL), 0);
	assert_non_null(strstr(g.services, "crash:3:3"));
	assert_null(strstr(g.services, "second:3:9"));
}

static void exec_keeps_streams_apart(void **state)
{
	struct creel_execspec spec = {
		.argv = {"sh", "-c", "echo out; echo err >&2; exit 7"}, .user = "", .dir = "/"};
	struct guest_stream *s = guest_exec(&g, &spec);

	assert_int_equal(guest_status(&g, s, 30000), 7);
	assert_string_equal(creel_buf_str(&s->out), "out\n");
	assert_string_equal(creel_buf_str(&s->err), "err\n");
	guest_stream_free(&g, s);
	assert_int_equal(guest_sh(&g, "kill -9 $$", NULL), 137);
	struct creel_execspec none = {.argv = {"/no/such"}, .user = "", .dir = "/"};
	s = guest_exec(&g, &none);
	assert_int_equal(guest_status(&g, s, 30000), 127);
	guest_stream_free(&g, s);
	struct creel_execspec plain = {.argv = {"/etc/passwd"}, .user = "", .dir = "/"};
	s = guest_exec(&g, &plain);
	assert_int_equal(guest_status(&g, s, 30000), 126);
	guest_stream_free(&g, s);
	struct creel_execspec nobody = {.argv = {"id", "-un"}, .user = "nobody", .dir = "/"};
	s = guest_exec(&g, &nobody);
	assert_int_equal(guest_status(&g, s, 30000), 0);
	assert_string_equal(creel_buf_str(&s->out), "nobody\n");
	guest_stream_free(&g, s);
	struct creel_execspec ghost = {.argv = {"id"}, .user = "ghost", .dir = "/"};
	s = guest_exec(&g, &ghost);
	assert_int_equal(guest_status(&g, s, 30000), 125);
	guest_stream_free(&g, s);
}

static void binary_input_comes_back_whole(void **state)
{
	struct creel_execspec spec = {.argv = {"cat"}, .user = "", .dir = "/"};
	struct guest_stream *s = guest_exec(&g, &spec);
	struct creel_err err = {0};
	enum { TOTAL = 4 << 20 };
	uint8_t *data = malloc(TOTAL);
	uint32_t x = 1;

	for (size_t i = 0; i < TOTAL; i++)
		data[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
	for (size_t at = 0; at < TOTAL; at += 30000)
		assert_int_equal(creel_execio_put(&s->to_send, CREEL_EXECIO_IN, data + at,
						  MIN((size_t)30000, TOTAL - at), &err),
				 0);
	assert_int_equal(creel_execio_put(&s->to_send, CREEL_EXECIO_IN_EOF, NULL, 0, &err), 0);
	assert_int_equal(guest_status(&g, s, 120000), 0);
	assert_int_equal(s->out.len, TOTAL);
	assert_memory_equal(s->out.data, data, TOTAL);
	guest_stream_free(&g, s);
	free(data);
}

static void a_stopped_reader_blocks_only_itself(void **state)
{
	struct creel_execspec spec = {.argv = {"cat", "/dev/zero"}, .user = "", .dir = "/"};
	struct guest_stream *s = guest_exec(&g, &spec);

	s->hold = true;
	for (int i = 0; i < 3; i++)
		assert_int_equal(guest_sh(&g, "echo still here", &out), 0);
	assert_string_equal(out, "still here\n");
	assert_true(s->got.len <= CREEL_MUX_WINDOW);
	guest_stream_free(&g, s); /* reset: the command dies with it */
	assert_int_equal(guest_sh(&g,
				  "sleep 0.5; ls /proc/[0-9]*/cmdline | xargs -n1 cat 2>/dev/null |"
				  " tr '\\0' ' ' | grep -c 'cat /dev/zer[o]'",
				  &out),
			 0 + 1);
	assert_string_equal(out, "0\n");
}

static void a_hundred_at_once(void **state)
{
	struct guest_stream *s[100];
	struct creel_execspec spec = {.argv = {"sh", "-c", "read x; exit $x"}, .user = "", .dir = "/"};
	struct creel_err err = {0};

	for (size_t i = 0; i < ELEMENTSOF(s); i++)
		s[i] = guest_exec(&g, &spec);
	for (size_t i = 0; i < ELEMENTSOF(s); i++) {
		char line[8];
		int n = snprintf(line, sizeof(line), "%zu\n", i);
		(void)creel_execio_put(&s[i]->to_send, CREEL_EXECIO_IN, line, (size_t)n, &err);
	}
	for (size_t i = 0; i < ELEMENTSOF(s); i++) {
		assert_int_equal(guest_status(&g, s[i], 120000), i);
		guest_stream_free(&g, s[i]);
	}
}

static void a_terminal(void **state)
{
	struct creel_execspec spec = {.argv = {"sh", "-c", "stty size; test -t 0 && echo tty; sleep 60"},
				      .user = "",
				      .dir = "/",
				      .tty = true,
				      .rows = 33,
				      .cols = 99};
	struct guest_stream *s = guest_exec(&g, &spec);
	struct creel_err err = {0};
	uint64_t end = guest_now_ms() + 20000;
	bool never = false;

	while (!strstr(creel_buf_str(&s->out), "tty") && guest_now_ms() < end)
		(void)guest_wait(&g, &never, 100);
	assert_non_null(strstr(creel_buf_str(&s->out), "33 99"));
	assert_non_null(strstr(creel_buf_str(&s->out), "tty"));
	(void)creel_execio_put(&s->to_send, CREEL_EXECIO_IN, "\003", 1, &err); /* ctrl-C */
	assert_int_equal(guest_status(&g, s, 20000), 130);
	guest_stream_free(&g, s);
}

static void no_network_interface(void **state)
{
	assert_int_equal(guest_sh(&g, "ls /sys/class/net", &out), 0);
	assert_string_equal(out, "lo\n");
}

/* the volume is new: what is above the home is missing too */
static void homes_are_made(void **state)
{
	assert_int_equal(guest_sh(&g, "stat -c '%n %u %a' /persist/sites/a /persist/sites/a/second", &out),
			 0);
	assert_string_equal(out, "/persist/sites/a 0 755\n/persist/sites/a/second 1001 700\n");
}

static void orphans_are_reaped(void **state)
{
	assert_int_equal(guest_sh(&g,
				  "for i in 1 2 3 4 5; do (setsid sleep 0.1 &) ; done; sleep 1;"
				  " grep -l 'State:.*Z' /proc/[0-9]*/status | wc -l",
				  &out),
			 0);
	assert_string_equal(out, "0\n");
}

static void what_stays_and_what_goes(void **state)
{
	assert_int_equal(guest_sh(&g,
				  "echo x > /root/mark; echo x > /persist/mark;"
				  " echo evil > /persist/agent/RULES.md; cat /persist/agent/RULES.md",
				  &out),
			 0);
	assert_string_equal(out, "evil\n");
	assert_true(guest_stop(&g, 30000));
	assert_true(g.bye);

	assert_int_equal(ftruncate(volume, 96 << 20), 0); /* and it grows */
	guest_start(&g, boot_make(), volume);
	assert_true(guest_wait(&g, &g.ready, 60000));
	assert_int_equal(guest_sh(&g,
				  "ls /root; cat /persist/mark /persist/agent/RULES.md;"
				  " stat -c '%u %a' /persist/agent/RULES.md; id -u > /dev/null",
				  &out),
			 0);
	assert_string_equal(out, "x\nbe good\n1000 644\n");
	assert_non_null(strstr(g.notes, "put back /persist/agent/RULES.md"));
	assert_int_equal(guest_sh(&g, "df -m --output=size /persist | tail -1", &out), 0);
	assert_true(atoi(out) > 75);
	/* the power goes: the journal is replayed, nothing is made anew */
	assert_int_equal(guest_sh(&g, "echo y > /persist/mark2; sync", &out), 0);
	guest_kill(&g);
	guest_start(&g, boot_make(), volume);
	assert_true(guest_wait(&g, &g.ready, 60000));
	assert_int_equal(guest_sh(&g, "cat /persist/mark2", &out), 0);
	assert_string_equal(out, "y\n");
}

static void a_foreign_disk_is_left_as_it_is(void **state)
{
	bool never = false;
	char head[16] = "precious bytes!", after[16];

	assert_true(guest_stop(&g, 30000));
	int other = memfd_create("other", 0);
	assert_int_equal(ftruncate(other, 64 << 20), 0);
	assert_int_equal(pwrite(other, head, 16, 0), 16);
	guest_start(&g, boot_make(), other);
	(void)guest_wait(&g, &never, 15000); /* it says why and goes down */
	assert_true(g.lost);
	assert_false(g.ready);
	assert_non_null(strstr(g.notes, "not ext4"));
	assert_int_equal(pread(other, after, 16, 0), 16);
	assert_memory_equal(head, after, 16);
	guest_kill(&g);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(services_in_order),
		cmocka_unit_test(homes_are_made),
		cmocka_unit_test(exec_keeps_streams_apart),
		cmocka_unit_test(binary_input_comes_back_whole),
		cmocka_unit_test(a_stopped_reader_blocks_only_itself),
		cmocka_unit_test(a_hundred_at_once),
		cmocka_unit_test(a_terminal),
		cmocka_unit_test(no_network_interface),
		cmocka_unit_test(orphans_are_reaped),
		cmocka_unit_test(what_stays_and_what_goes),
		cmocka_unit_test(a_foreign_disk_is_left_as_it_is),
	};
	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

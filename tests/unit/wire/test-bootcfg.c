#include "tests/cmocka-all.h"
#include "wire/bootcfg.h"
#include <string.h>

static struct creel_boot in, out;
static struct creel_err err;

static void fill(void)
{
	in = (struct creel_boot){
		.cell = "box",
		.address = "192.168.83.2",
		.gateway = "192.168.83.1",
		.address6 = "fd01::c0a8:5302",
		.gateway6 = "fd01::c0a8:5301",
		.gateway_mac = "02:01:00:00:53:02",
		.secrets = true,
		.time_ns = 1790000000123456789,
		.n_volumes = 1,
		.volumes = {{"persist", "/persist"}},
		.n_files = 1,
		.files = {{.path = "/etc/x",
			   .content = "a\0b",
			   .content_len = 3,
			   .uid = 1000,
			   .gid = 7,
			   .mode = 0640,
			   .declared = true}},
		.n_services = 1,
		.services = {{.name = "s",
			      .argv = {"run", "", "a b\n"},
			      .env = {"A=1", "B="},
			      .env_file = "/run/secrets/e",
			      .after = "t",
			      .home = "/h",
			      .uid = 5,
			      .gid = 6,
			      .probe = CREEL_PROBE_HTTP,
			      .probe_arg = "80/x",
			      .probe_timeout_ms = 60000,
			      .restart = CREEL_RESTART_ALWAYS,
			      .stop_grace_ms = 9,
			      .on_secret = CREEL_ON_SECRET_RESTART}},
		.n_secrets = 1,
		.secret = {{"token", 1000, 1001}},
	};
}

static void what_goes_in_comes_out(void **state)
{
	struct creel_buf autoclean(creel_buf_fini) b;

	fill();
	creel_buf_init(&b, CREEL_BOOT_MAX);
	assert_int_equal(creel_boot_encode(&in, &b, &err), 0);
	assert_int_equal(creel_boot_decode(b.data, b.len, &out, &err), 0);
	assert_string_equal(out.cell, "box");
	assert_string_equal(out.gateway, "192.168.83.1");
	assert_string_equal(out.address6, "fd01::c0a8:5302");
	assert_string_equal(out.gateway6, "fd01::c0a8:5301");
	assert_string_equal(out.gateway_mac, "02:01:00:00:53:02");
	assert_true(out.secrets);
	assert_true(out.time_ns == in.time_ns);
	assert_string_equal(out.volumes[0].at, "/persist");
	assert_int_equal(out.files[0].content_len, 3);
	assert_memory_equal(out.files[0].content, "a\0b", 3);
	assert_int_equal(out.files[0].mode, 0640);
	assert_string_equal(out.services[0].argv[1], "");
	assert_string_equal(out.services[0].argv[2], "a b\n");
	assert_null(out.services[0].argv[3]);
	assert_string_equal(out.services[0].env[1], "B=");
	assert_int_equal(out.services[0].probe, CREEL_PROBE_HTTP);
	assert_int_equal(out.services[0].stop_grace_ms, 9);
	assert_int_equal(out.services[0].on_secret, CREEL_ON_SECRET_RESTART);
	assert_int_equal(out.n_secrets, 1);
	assert_string_equal(out.secret[0].name, "token");
	assert_int_equal(out.secret[0].uid, 1000);
	assert_int_equal(out.secret[0].gid, 1001);
}

static void cut_anywhere_it_is_refused_or_shorter(void **state)
{
	struct creel_buf autoclean(creel_buf_fini) b;

	fill();
	creel_buf_init(&b, CREEL_BOOT_MAX);
	assert_int_equal(creel_boot_encode(&in, &b, &err), 0);
	for (size_t n = 0; n < b.len; n++) {
		/* only between records may it end; then what was not said is missing or refused */
		if (creel_boot_decode(b.data, n, &out, &err) == 0 && b.data[n - 1] != 0)
			fail_msg("cut at %zu was taken", n);
	}
}

#define R(k, len, v) k "\0" len "\0" v "\0"
static void what_is_wrong_is_refused(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = {
#define B(s) {s, sizeof(s) - 1}
		B(""),
		B("creel"),
		B(R("creel", "1", "2")),
		B(R("cell", "1", "a")),
		B(R("creel", "1", "1")), /* no cell */
		B(R("creel", "1", "1") R("cell", "2", "a")),
		B(R("creel", "1", "1") R("cell", "99", "a")),
		B(R("creel", "1", "1") R("cell", "-1", "a")),
		B(R("creel", "1", "1") R("cell", "18446744073709551617", "a")),
		B(R("creel", "1", "1") R("cell", "1", "a") R("sell", "1", "a")),
		B(R("creel", "1", "1") R("cell", "3", "a\0b")),
		B(R("creel", "1", "1") R("cell", "1", "a") R("secrets", "1", "2")),
		B(R("creel", "1", "1") R("cell", "1", "a") R("+volume", "1", "a")),
		B(R("creel", "1", "1") R("cell", "1", "a") R("+file", "1", "a")),
		B(R("creel", "1", "1") R("cell", "1", "a") R("+service", "1", "a")),
		B(R("creel", "1", "1") R("cell", "1", "a") R("+file", "2", "/a") R("mode", "4", "4096")),
		B(R("creel", "1", "1") R("cell", "1", "a") R("+key", "1", "a") R("mode", "1", "4")),
		B(R("creel", "1", "1") R("cell", "1", "a") R("+service", "1", "a") R("arg", "1", "x")
			  R("on-secret", "3", "256")),
		B(R("creel", "1", "1") R("cell", "1", "a") R("+alien", "1", "a")),
	};

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		err = (struct creel_err){0};
		if (creel_boot_decode((const uint8_t *)bad[i].text, bad[i].len, &out, &err) >= 0)
			fail_msg("case %zu was taken", i);
		assert_true(err.msg[0] != '\0');
	}
}

static void there_is_room_for_so_many_and_no_more(void **state)
{
	static const struct {
		const char *text;
		size_t len, room;
	} kinds[] = {
#define K(room, s) {s, sizeof(s) - 1, room}
		K(CREEL_BOOT_ITEMS, R("+volume", "1", "v") R("at", "2", "/v")),
		K(CREEL_BOOT_FILES, R("+file", "2", "/f")),
		K(CREEL_BOOT_ITEMS, R("+service", "1", "s") R("arg", "1", "x")),
		K(CREEL_BOOT_SECRETS, R("+key", "1", "k")),
	};
	static const char head[] = R("creel", "1", "1") R("cell", "1", "a");

	for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
		struct creel_buf autoclean(creel_buf_fini) b;
		creel_buf_init(&b, CREEL_BOOT_MAX);
		assert_int_equal(creel_buf_add(&b, head, sizeof(head) - 1, &err), 0);
		for (size_t n = 0; n < kinds[i].room; n++)
			assert_int_equal(creel_buf_add(&b, kinds[i].text, kinds[i].len, &err), 0);
		assert_int_equal(creel_boot_decode(b.data, b.len, &out, &err), 0);
		assert_int_equal(creel_buf_add(&b, kinds[i].text, kinds[i].len, &err), 0);
		assert_int_equal(creel_boot_decode(b.data, b.len, &out, &err), CREEL_E_TOOBIG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(cut_anywhere_it_is_refused_or_shorter),
		cmocka_unit_test(what_is_wrong_is_refused),
		cmocka_unit_test(there_is_room_for_so_many_and_no_more),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

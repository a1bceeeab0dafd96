#include "base/cleanup.h"
#include "image/aptsources.h"
#include "image/control.h"
#include "image/goversion.h"
#include "linux/idmap.h"
#include "tests/cmocka-all.h"
#include <string.h>

static const struct {
	bool deb822;
	const char *text, *snapshot, *want;
	int r;
} cases[] = {
	{false, "deb http://m/debian bookworm main\n", NULL, "deb [] http://m/debian bookworm main\n", 1},
	{false, "deb [arch=amd64 signed-by=/k.gpg] https://m/d bookworm-updates main contrib\n", NULL,
	 "deb [signed-by=/k.gpg] https://m/d bookworm-updates main contrib\n", 1},
	{false, "deb [trusted=yes] http://m/d bookworm main", NULL,
	 "deb [ trusted=yes] http://m/d bookworm main\n", 1},
	/* other suites, source packages, comments, what is no line of this format */
	{false, "deb http://m/d bookwormish main\ndeb http://v/apt stable main\n", NULL, "", 0},
	{false, "deb-src http://m/d bookworm main\n#deb http://m/d bookworm main\n\n", NULL, "", 0},
	{false, "deb\ndeb \ndeb [\ndeb [x]\ndeb http://m/d\ndeb   http://m/d   bookworm\n", NULL,
	 "deb [] http://m/d bookworm \n", 1},
	{false, "deb http://m/d bookworm main # the usual\n", NULL, "deb [] http://m/d bookworm main\n", 1},
	{false, "", NULL, "", 0},
	{true,
	 "Types: deb\nURIs: http://m/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
	 "Signed-By: /k.gpg\n\nTypes: deb\nURIs: http://v\nSuites: nodistro\nComponents: main\n",
	 NULL,
	 "deb [signed-by=/k.gpg] http://m/debian bookworm main\n"
	 "deb [signed-by=/k.gpg] http://m/debian bookworm-updates main\n",
	 2},
	{true,
	 "types: deb deb-src\r\nuris: http://a http://b\r\nsuites:\r\n bookworm\r\n# no\r\n sid\r\n"
	 "components: main",
	 NULL, "deb [] http://a bookworm main\ndeb [] http://b bookworm main\n", 2},
	{true, "Enabled: no\nTypes: deb\nURIs: http://m\nSuites: bookworm\nComponents: main\n", NULL, "", 0},
	{true, "Types: deb-src\nURIs: http://m\nSuites: bookworm\n", NULL, "", 0},
	{true,
	 "Types: deb\nURIs: http://m\nSuites: bookworm\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n",
	 NULL, "", CREEL_E_UNSUPP},
	{true, " bookworm\n\n# only a comment", NULL, "", 0},
	{true, "Types: deb\nURIs: http://m\nSuites: bookworm bookworm-security\nComponents: main\n",
	 "20260101T000000Z",
	 "deb [ check-valid-until=no] http://snapshot.debian.org/archive/debian/20260101T000000Z bookworm main\n"
	 "deb [ check-valid-until=no] "
	 "http://snapshot.debian.org/archive/debian-security/20260101T000000Z bookworm-security main\n",
	 2},
};

static void sources(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct creel_buf autoclean(creel_buf_fini) out;
		struct creel_err err = {0};
		creel_buf_init(&out, 4096);
		int r = creel_aptsources_pick(cases[i].text, cases[i].deb822, "bookworm", cases[i].snapshot,
					      &out, &err);
		if (r != cases[i].r || (r >= 0 && strcmp(creel_buf_str(&out), cases[i].want) != 0))
			fail_msg("case %zu: r=%d\n%s", i, r, creel_buf_str(&out));
	}
}

static void control(void **state)
{
	const char *at =
		"\nPackage: a\nVersion: 1:2-3\nDescription: x\n Version: 9\nSHA256:\n"
		"Filename: pool/a.deb\n\n\nPackage: b\nArchitecture: all\n"
		"Source: thisnameislongerthananyplacethatwehaveforit-thisnameislongerthananyplacethatwehaveforit-"
		"thisnameislongerthananyplacethatwehaveforit-thisnameislongerthananyplacethatwehaveforit";
	struct creel_control c;

	assert_int_equal(creel_control_next(&at, &c), 1);
	assert_string_equal(c.package, "a");
	assert_string_equal(c.version, "1:2-3");
	assert_string_equal(c.sha256, "");
	assert_string_equal(c.filename, "pool/a.deb");
	assert_int_equal(creel_control_next(&at, &c), 1);
	assert_string_equal(c.package, "b");
	assert_string_equal(c.arch, "all");
	assert_string_equal(c.version, "");
	assert_string_equal(c.source, "");
	assert_int_equal(creel_control_next(&at, &c), 0);
}

static void goversion(void **state)
{
	static const char text[] = "/work/gobin/x: go1.26.8\n\tpath\te/x/cmd/x\n\tmod\te/x\tv1.0.0\th1:a=\n"
				   "\tdep\te/y\tv2.0.0\n\t=>\te/z\tv2.0.1\th1:c=\n\tbuild\tCGO_ENABLED=0\n"
				   "/work/gobin/y: go1.26.8\n";
	struct creel_err err = {0};
	json_t *got = json_array(),
	       *want = json_loads(
		       "[{\"program\":\"x\",\"path\":\"e/x/cmd/x\",\"module\":\"e/x\",\"version\":\"v1.0.0\","
		       "\"sum\":\"h1:a=\",\"deps\":[[\"e/y\",\"v2.0.0\",\"\"],[\"e/z\",\"v2.0.1\",\"h1:c=\"]]},"
		       "{\"program\":\"y\",\"deps\":[]}]",
		       0, NULL);

	assert_int_equal(creel_goversion_parse(text, got, &err), 0);
	assert_true(json_equal(got, want));
	assert_int_equal(creel_goversion_parse("\tpath\tx\n", got, &err), CREEL_E_SYNTAX);
	assert_int_equal(creel_goversion_parse("x: not a program of Go\n", got, &err), CREEL_E_SYNTAX);
	assert_int_equal(creel_goversion_parse("x: go1\n\tpath\t\xff\n", got, &err), CREEL_E_SYNTAX);
	json_decref(got);
	json_decref(want);
}

static void subids(void **state)
{
	static const char text[] =
		"# me\nother:100000:65536\nme:200000:1000\n\nme:300000:65536\n1001:400000:65536\n"
		"far:4294967295:65536\nzero:0:65536\nbad:x:y";

	assert_int_equal(creel_idmap_subid(text, "other", 7), 100000);
	assert_int_equal(creel_idmap_subid(text, "me", 7), 300000); /* the first is too small */
	assert_int_equal(creel_idmap_subid(text, "you", 1001), 400000);
	assert_int_equal(creel_idmap_subid(text, "oth", 7), 0);
	assert_int_equal(creel_idmap_subid(text, "far", 7), 0);
	assert_int_equal(creel_idmap_subid(text, "zero", 7), 0);
	assert_int_equal(creel_idmap_subid(text, "bad", 7), 0);
	assert_int_equal(creel_idmap_subid("", "me", 7), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources),
		cmocka_unit_test(control),
		cmocka_unit_test(goversion),
		cmocka_unit_test(subids),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/cmocka-all.h"
#include "wire/auditmsg.h"
#include "wire/auditrec.h"
#include <linux/audit.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "creel-0123456789ab-"
/* `openclaw-secrets`, an octet 1, PREFIX `staged-r-agent`, as the kernel writes it */
#define KEY_READ \
	"6F70656E636C61772D7365637265747301637265656C2D3031323334353637383961622D7374616765642D722D6167656E74"
#define KEY_STORE_WRITE "6701637265656C2D3031323334353637383961622D73746F72652D77" /* g, PREFIX store-w */

struct rec {
	unsigned type;
	const char *text;
};

/* Recorded from Linux 6.18 (cat of a file, mv of a file to a name with a blank), keys and paths changed. */
static const struct rec cat[] = {
	{AUDIT_SYSCALL, "audit(1795604133.523:4): arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c "
			"a1=7fff5716bac6 a2=0 a3=0 items=1 ppid=2943 pid=2961 auid=1000 uid=7 gid=0 euid=0 "
			"suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4294967295 comm=\"cat\" "
			"exe=\"/usr/bin/cat\" key=" KEY_READ},
	{AUDIT_CWD, "audit(1795604133.523:4): cwd=\"/tmp\""},
	{AUDIT_PATH, "audit(1795604133.523:4): item=0 name=\"/s/run/cells/agent/secrets/tok\" inode=10264719 "
		     "dev=fe:00 mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0"},
	{AUDIT_PROCTITLE, "audit(1795604133.523:4): proctitle=636174002F746D70"},
	{AUDIT_EOE, "audit(1795604133.523:4): "},
};
static const struct rec mv[] = {
	{AUDIT_SYSCALL,
	 "audit(1795604133.523:5): arch=c000003e syscall=316 success=yes exit=0 items=4 "
	 "ppid=2943 pid=2963 auid=4294967295 uid=0 comm=\"mv\" exe=2F612062 key=" KEY_STORE_WRITE},
	{AUDIT_PATH, "audit(1795604133.523:5): item=0 name=\"/s/secrets/agent/\" inode=1 mode=040755 "
		     "nametype=PARENT"},
	{AUDIT_PATH, "audit(1795604133.523:5): item=2 name=\"/s/secrets/agent/.x\" inode=2 mode=0100644 "
		     "nametype=DELETE"},
	{AUDIT_PATH, "audit(1795604133.523:5): item=3 name=2F732F736563726574732F6167656E742F61 inode=2 "
		     "mode=0100644 nametype=CREATE"},
	{AUDIT_EOE, "audit(1795604133.523:5): "},
};

static int feed(struct creel_audit_join *j, const struct rec *r, size_t n, struct creel_audit_access *ret)
{
	struct creel_err err = {0};
	int got = 0;

	for (size_t i = 0; i < n; i++) {
		int rc = creel_audit_join(j, r[i].type, r[i].text, strlen(r[i].text), ret, &err);
		if (rc < 0)
			return rc;
		got += rc;
	}
	return got;
}

static void test_read(void **state)
{
	static struct creel_audit_join j;
	struct creel_audit_access a;
	char secret[65], cell[33];

	creel_audit_join_init(&j, PREFIX);
	assert_int_equal(feed(&j, cat, 5, &a), 1);
	assert_false(a.write);
	assert_false(a.store);
	assert_true(a.success);
	assert_int_equal(a.pid, 2961);
	assert_int_equal(a.uid, 7);
	assert_int_equal(a.auid, 1000);
	assert_int_equal(a.inode, 10264719);
	assert_string_equal(a.exe, "/usr/bin/cat");
	assert_string_equal(a.cell, "agent");
	creel_audit_secret(&a, secret, cell);
	assert_string_equal(secret, "tok");
	assert_string_equal(cell, "agent");
}

static void test_rename(void **state)
{
	static struct creel_audit_join j;
	struct creel_audit_access a;
	char secret[65], cell[33];

	creel_audit_join_init(&j, PREFIX);
	assert_int_equal(feed(&j, mv, 5, &a), 1);
	assert_true(a.write);
	assert_true(a.store);
	assert_string_equal(a.exe, "/a b");
	assert_string_equal(a.path, "/s/secrets/agent/a");
	creel_audit_secret(&a, secret, cell);
	assert_string_equal(secret, "a");
	assert_string_equal(cell, "agent");
}

/* Two at once, record by record. */
static void test_interleaved(void **state)
{
	static struct creel_audit_join j;
	struct creel_audit_access a;

	creel_audit_join_init(&j, PREFIX);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(feed(&j, &cat[i], 1, &a), 0);
		assert_int_equal(feed(&j, &mv[i], 1, &a), 0);
	}
	assert_int_equal(feed(&j, &mv[4], 1, &a), 1);
	assert_true(a.write);
	assert_int_equal(feed(&j, &cat[4], 1, &a), 1);
	assert_false(a.write);
}

static void test_not_ours(void **state)
{
	static const struct {
		const char *what, *key, *exit;
	} cases[] = {
		{"another rule's", "\"openclaw-secrets\"", "3"},
		{"no key", "(null)", "3"},
		{"another creel's", "\"creel-ffffffffffff-staged-r-agent\"", "3"},
		{"no access", "\"" PREFIX "staged-x-agent\"", "3"},
		{"no cell", "\"" PREFIX "staged-r-\"", "3"},
		{"a cell's name that is none", "\"" PREFIX "staged-r-a/b\"", "3"},
		{"a name too long", "\"" PREFIX "staged-r-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", "3"},
		{"odd hexadecimal", "6F7", "3"},
		{"nothing is there", "\"" PREFIX "staged-r-agent\"", "-2"},
	};
	static struct creel_audit_join j;
	struct creel_audit_access a;
	struct creel_err err = {0};
	char text[300];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		creel_audit_join_init(&j, PREFIX);
		(void)snprintf(text, sizeof(text), "audit(1.0:4): success=yes exit=%s pid=1 uid=0 key=%s",
			       cases[i].exit, cases[i].key);
		assert_int_equal(creel_audit_join(&j, AUDIT_SYSCALL, text, strlen(text), &a, &err), 0);
		if (feed(&j, &cat[4], 1, &a) != 0)
			fail_msg("%s", cases[i].what);
	}
	assert_int_equal(creel_audit_join(&j, AUDIT_SYSCALL, "audit(1.0): x", 13, &a, &err), CREEL_E_SYNTAX);
	assert_int_equal(creel_audit_join(&j, AUDIT_SYSCALL, "", 0, &a, &err), CREEL_E_SYNTAX);
}

static void test_secret(void **state)
{
	static const struct {
		bool store, folder;
		const char *path, *secret, *cell;
	} cases[] = {
		{true, false, "/s/secrets/agent/tok", "tok", "agent"},
		{true, false, "agent/tok", "tok", "agent"},
		{true, false, "tok", "tok", ""},
		{true, false, "/s/secrets/.key", "", ""},
		{true, false, "/s/secrets/tok", "", ""},  /* no cell before it */
		{true, false, "/etc/passwd/tok", "", ""}, /* not beneath a store */
		{true, true, "agent", "", ""},            /* a folder */
		{true, false, "/s/secrets/agent/.tok.new", "", ""},
		{false, false, "/anywhere/tok", "tok", "c"},
		{false, false, "tok\033[2J", "", "c"},
		{false, false, "", "", "c"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct creel_audit_access a = {.store = cases[i].store, .folder = cases[i].folder};
		char secret[65], cell[33];
		(void)snprintf(a.path, sizeof(a.path), "%s", cases[i].path);
		if (!a.store)
			a.cell[0] = 'c';
		creel_audit_secret(&a, secret, cell);
		if (strcmp(secret, cases[i].secret) != 0 || strcmp(cell, cases[i].cell) != 0)
			fail_msg("%s: '%s' of '%s'", cases[i].path, secret, cell);
	}
}

/* Accesses whose end never comes make room for others, and are counted. */
static void test_room(void **state)
{
	static struct creel_audit_join j;
	struct creel_audit_access a;
	struct creel_err err = {0};
	char text[300];

	creel_audit_join_init(&j, PREFIX);
	for (int i = 0; i < CREEL_AUDIT_OPEN + 3; i++) {
		(void)snprintf(text, sizeof(text), "audit(1.0:%d): success=yes key=\"" PREFIX "store-r\"", i);
		assert_int_equal(creel_audit_join(&j, AUDIT_SYSCALL, text, strlen(text), &a, &err), 0);
	}
	assert_int_equal(j.dropped, 3);
	assert_int_equal(creel_audit_join(&j, AUDIT_EOE, "audit(1.0:2): ", 14, &a, &err), 0);
	assert_int_equal(creel_audit_join(&j, AUDIT_EOE, "audit(1.0:3): ", 14, &a, &err), 1);
}

static void test_message(void **state)
{
	struct creel_auditmsg m = {.type = CREEL_AUDITMSG_ACCESS,
				   .write = true,
				   .guest = true,
				   .known = true,
				   .pid = 1,
				   .uid = 2,
				   .auid = UINT32_MAX,
				   .count = 4,
				   .cell = "agent",
				   .secret = "tok",
				   .exe = "/x",
				   .path = "p"},
			      out;
	struct creel_err err = {0};
	uint8_t buf[CREEL_AUDITMSG];

	memset(m.path, 'p', sizeof(m.path) - 1);
	creel_auditmsg_encode(&m, buf);
	assert_int_equal(creel_auditmsg_decode(buf, sizeof(buf), &out, &err), 0);
	assert_memory_equal(&m, &out, sizeof(m));
	assert_int_equal(creel_auditmsg_decode(buf, sizeof(buf) - 1, &out, &err), CREEL_E_PROTO);
	buf[643] = 'x'; /* the path without its end */
	assert_int_equal(creel_auditmsg_decode(buf, sizeof(buf), &out, &err), CREEL_E_PROTO);
	buf[643] = 0;
	buf[0] = 9;
	assert_int_equal(creel_auditmsg_decode(buf, sizeof(buf), &out, &err), CREEL_E_PROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),        cmocka_unit_test(test_rename),
		cmocka_unit_test(test_interleaved), cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_secret),      cmocka_unit_test(test_room),
		cmocka_unit_test(test_message),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

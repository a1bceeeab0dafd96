/* Names, addresses and entries: what each text becomes, and what is refused. */
#include "base/cleanup.h"
#include "policy/entry.h"
#include "tests/cmocka-all.h"
#include <arpa/inet.h>
#include <string.h>

#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A63 A50 "aaaaaaaaaaaaa"

static const struct {
	const char *in, *out; /* out NULL: refused */
} names[] = {
	{"example.org", "example.org"},
	{"EXAMPLE.Org.", "example.org"},
	{"a", "a"},
	{"b\303\274cher.de", "xn--bcher-kva.de"},
	{"B\303\234CHER.DE.", "xn--bcher-kva.de"},
	{"xn--bcher-kva.DE", "xn--bcher-kva.de"},
	{"\357\275\205xample.org", "example.org"}, /* a full-width e */
	{"example\343\200\202org", "example.org"}, /* an ideographic full stop */
	{"ex\302\255ample.org", "example.org"},    /* a soft hyphen is dropped */
	{"_srv._tcp.a.b", "_srv._tcp.a.b"},
	{A63 ".b", A63 ".b"},
	{"a" A63 ".b", NULL},
	{A63 "." A63 "." A63 "." A50 "aaaaaaaaaaa", A63 "." A63 "." A63 "." A50 "aaaaaaaaaaa"},
	{A63 "." A63 "." A63 "." A50 "aaaaaaaaaaaa", NULL}, /* 254 */
	{"", NULL},
	{".", NULL},
	{"a..b", NULL},
	{".a", NULL},
	{"a.b..", NULL},
	{"-a.b", NULL},
	{"a-.b", NULL},
	{"a b.c", NULL},
	{"a/b.c", NULL},
	{"a\n.b", NULL},
	{"*.a.b", NULL},
	{"\377.a", NULL},
	{"1.2.3.4", NULL},
	{"127.1", NULL},
	{"0x7f.1", NULL},
	{"a.0x1F", NULL},
	{"1.2.3.4.", NULL},
	{"4.a", "4.a"},
	{"a.0xg", "a.0xg"},
	{"a.1b", "a.1b"},
};

static void names_have_one_form(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		struct creel_name n = {"!"};
		struct creel_err err = {0};
		int r = creel_name_parse(names[i].in, strlen(names[i].in), &n, &err);
		const char *want = names[i].out ? names[i].out : "!";
		if ((r == 0) != (names[i].out != NULL) || strcmp(n.text, want) != 0 || r != err.code)
			fail_msg("case %zu `%s`: %d `%s` %s", i, names[i].in, r, n.text, err.msg);
	}
	struct creel_name n = {"!"};
	struct creel_err err = {0};
	assert_int_equal(creel_name_parse("a.b\0c", 5, &n, &err), CREEL_E_SYNTAX);
	assert_string_equal(n.text, "!");
}

static void below(void **state)
{
	assert_true(creel_name_below("a.b.c", "b.c"));
	assert_true(creel_name_below("x.a.b.c", "b.c"));
	assert_false(creel_name_below("b.c", "b.c"));
	assert_false(creel_name_below("ab.c", "b.c"));
	assert_false(creel_name_below("c", "b.c"));
	assert_false(creel_name_below(".b.c", "b.c"));
}

static const struct {
	const char *text;
	bool deny;
	const char *form; /* "NAME|NET way port", NULL: refused */
} entries[] = {
	{"example.org", false, "example.org tls 443"},
	{"*.Example.ORG.", false, "*.example.org tls 443"},
	{"example.org:80", false, "example.org http 80"},
	{"example.org:8443", false, "example.org tls 8443"},
	{"example.org:22/raw", false, "example.org tcp 22"},
	{"example.org:80/raw", false, "example.org tcp 80"},
	{"example.org:443/udp", false, "example.org udp 443"},
	{"192.0.2.0/24:443", false, "192.0.2.0/24 tcp 443"},
	{"192.0.2.1:53/udp", false, "192.0.2.1/32 udp 53"},
	{"192.0.2.1:53/raw", false, "192.0.2.1/32 tcp 53"},
	{"[2001:db8::/32]:443", false, "2001:db8::/32 tcp 443"},
	{"[2001:db8::1]:53/udp", false, "2001:db8::1/128 udp 53"},
	{"example.org", true, "example.org any 0"},
	{"example.org:25", true, "example.org any 25"},
	{"example.org:25/udp", true, "example.org udp 25"},
	{"192.0.2.0/24", true, "192.0.2.0/24 any 0"},
	{"0.0.0.0/0:25", true, "0.0.0.0/0 any 25"},
	{"2001:db8::/32", true, "2001:db8::/32 any 0"},
	{"[2001:db8::1]", true, "2001:db8::1/128 any 0"},
	{"192.0.2.0/24", false, NULL},
	{"192.0.2.1", false, NULL}, /* an address needs a port */
	{"192.0.2.1/24:443", false, NULL},
	{"192.0.2.0/33:443", false, NULL},
	{"192.0.2.0/:443", false, NULL},
	{"[192.0.2.1:443", false, NULL},
	{"[2001:db8::1]443", false, NULL},
	{"2001:db8::1:443", false, NULL}, /* no port there */
	{"example.org:0", false, NULL},
	{"example.org:65536", false, NULL},
	{"example.org:", false, NULL},
	{"example.org:+1", false, NULL},
	{"example.org:1 ", false, NULL},
	{"example.org/raw", false, NULL},
	{"example.org:22/tcp", false, NULL},
	{"", false, NULL},
	{"*", false, NULL},
	{"*.", false, NULL},
	{"a.*.b", false, NULL},
	{"**.a.b", false, NULL},
	{"*a.b", false, NULL},
	{"localhost", false, NULL},
	{"https://example.org", false, NULL},
	{"example.org/x:443", false, NULL},
	{":443", false, NULL},
	{"*.org", false, "*.org tls 443"},
	{"10.0.0.0/8.example.org:443", false, NULL},
};

static void entries_parse(void **state)
{
	static const char *const ways[] = {"any", "tls", "http", "tcp", "udp"};

	for (size_t i = 0; i < ELEMENTSOF(entries); i++) {
		struct creel_entry e = {.port = 7};
		struct creel_err err = {0};
		char form[400] = "", addr[64];
		int r = creel_entry_parse(entries[i].text, entries[i].deny, &e, &err);
		if (r == 0 && e.net.family)
			snprintf(form, sizeof(form), "%s/%u %s %u",
				 inet_ntop(e.net.family == 4 ? AF_INET : AF_INET6, e.net.addr, addr, 64),
				 e.net.bits, ways[e.way], e.port);
		else if (r == 0)
			snprintf(form, sizeof(form), "%s%s %s %u", e.subdomains ? "*." : "", e.name.text,
				 ways[e.way], e.port);
		else
			assert_int_equal(e.port, 7);
		if ((r == 0) != (entries[i].form != NULL) || r != err.code ||
		    (r == 0 && strcmp(form, entries[i].form) != 0))
			fail_msg("case %zu `%s`: %d `%s` %s", i, entries[i].text, r, form, err.msg);
	}
}

static const struct {
	const char *addr;
	enum creel_range range;
} addrs[] = {
#define PUB CREEL_RANGE_PUBLIC
#define PRI CREEL_RANGE_PRIVATE
#define NEV CREEL_RANGE_NEVER
	{"1.1.1.1", PUB},
	{"192.0.2.1", PUB},
	{"198.51.100.7", PUB},
	{"203.0.113.9", PUB},
	{"0.0.0.0", NEV},
	{"0.255.255.255", NEV},
	{"1.0.0.0", PUB},
	{"10.0.0.0", PRI},
	{"10.255.255.255", PRI},
	{"11.0.0.0", PUB},
	{"9.255.255.255", PUB},
	{"100.63.255.255", PUB},
	{"100.64.0.0", PRI},
	{"100.127.255.255", PRI},
	{"100.128.0.0", PUB},
	{"126.255.255.255", PUB},
	{"127.0.0.1", NEV},
	{"128.0.0.0", PUB},
	{"169.254.169.254", NEV},
	{"169.253.255.255", PUB},
	{"172.15.255.255", PUB},
	{"172.16.0.0", PRI},
	{"172.31.255.255", PRI},
	{"172.32.0.0", PUB},
	{"192.0.0.1", NEV},
	{"192.0.1.0", PUB},
	{"192.167.255.255", PUB},
	{"192.168.83.1", PRI},
	{"192.169.0.0", PUB},
	{"198.17.255.255", PUB},
	{"198.18.0.0", PRI},
	{"198.19.255.255", PRI},
	{"198.20.0.0", PUB},
	{"223.255.255.255", PUB},
	{"224.0.0.1", NEV},
	{"239.255.255.255", NEV},
	{"240.0.0.0", NEV},
	{"255.255.255.255", NEV},
	{"::", NEV},
	{"::1", NEV},
	{"fe80::1", NEV},
	{"febf::1", NEV},
	{"fec0::1", PRI},
	{"fc00::1", PRI},
	{"fdff::1", PRI},
	{"fe00::1", PUB},
	{"ff02::1", NEV},
	{"2606:4700::1111", PUB},
	{"2001:db8::1", PUB},
	{"2001::1", NEV},
	{"2001:1::1", PUB},
	{"::ffff:127.0.0.1", NEV},
	{"::ffff:10.0.0.1", PRI},
	{"::ffff:1.1.1.1", PUB},
	{"64:ff9b::a9fe:a9fe", NEV},
	{"64:ff9b::101:101", PUB},
	{"2002:a00:1::", PRI},
	{"2002:7f00:1::", NEV},
	{"2002:101:101::", PUB},
	{"::7f00:1", NEV},
	{"100::1", NEV},
};

static void ranges(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(addrs); i++) {
		struct creel_net n = {0};
		struct creel_err err = {0};
		assert_int_equal(creel_net_parse(addrs[i].addr, strlen(addrs[i].addr), &n, &err), 0);
		const char *text = "!";
		enum creel_range r = creel_range_of(&n, &text);
		if (r != addrs[i].range || (r == PUB) != (text == NULL))
			fail_msg("%s: %d", addrs[i].addr, (int)r);
	}
}

static const struct {
	const char *text, *form;
} targets[] = {
	{"example.org", "example.org 443"},
	{"Example.org:80", "example.org 80"},
	{"example.org:53/udp", "example.org 53 udp"},
	{"192.0.2.1:443", "192.0.2.1 443"},
	{"[2001:db8::1]:443", "2001:db8::1 443"},
	{"gog:22", "gog 22"},
	{"192.0.2.1", NULL},
	{"2001:db8::1", NULL},
	{"192.0.2.0/24:443", NULL},
	{"*.example.org", NULL},
	{"example.org:22/raw", NULL},
	{"a b", NULL},
	{"", NULL},
	{"0x7f000001:80", NULL},
	{"2130706433:80", NULL},
};

static void targets_parse(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(targets); i++) {
		struct creel_target t = {0};
		struct creel_err err = {0};
		char form[400] = "", addr[64];
		int r = creel_target_parse(targets[i].text, &t, &err);
		if (r == 0)
			snprintf(form, sizeof(form), "%s %u%s",
				 t.addr.family ? inet_ntop(t.addr.family == 4 ? AF_INET : AF_INET6,
							   t.addr.addr, addr, 64)
					       : t.name.text,
				 t.port, t.udp ? " udp" : "");
		if ((r == 0) != (targets[i].form != NULL) || (r == 0 && strcmp(form, targets[i].form) != 0))
			fail_msg("case %zu `%s`: %d `%s` %s", i, targets[i].text, r, form, err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_one_form), cmocka_unit_test(below),
		cmocka_unit_test(entries_parse),       cmocka_unit_test(ranges),
		cmocka_unit_test(targets_parse),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

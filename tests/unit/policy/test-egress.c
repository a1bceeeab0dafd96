/* Decisions: one policy, every mode, a table of questions; and a slow twin over random policies. */
#include "base/cleanup.h"
#include "policy/broker.h"
#include "policy/egress.h"
#include "tests/cmocka-all.h"
#include <string.h>

static const struct creel_rule_text allow[] = {
	{"openrouter.ai", 10, 1},       {"*.discordapp.net", 11, 1},   {"web.example:80", 12, 1},
	{"alt.example:8443", 13, 1},    {"git.example:22/raw", 14, 1}, {"voice.example:3478/udp", 15, 1},
	{"192.0.2.0/24:993", 16, 1},    {"10.1.0.0/16:5432", 17, 1},   {"0.0.0.0/0:853", 18, 1},
	{"*.both.example", 19, 1},      {"ports.example", 20, 1},      {"192.0.2.7:53/udp", 21, 1},
	{"[2001:db8::/32]:443", 22, 1}, {"*.co.example:443", 23, 1},   {"[fd00::/8]:22", 24, 1},
};
static const struct creel_rule_text deny[] = {
	{"*.ngrok.io", 30, 1},         {"bad.both.example", 31, 1}, {"*.worse.both.example", 32, 1},
	{"ports.example:8443", 33, 1}, {"203.0.113.0/24", 34, 1},   {"192.0.2.9", 35, 1},
	{"0.0.0.0/0:25", 36, 1},
};
static const struct creel_rule_reach reach[] = {
	{"gog", 22, 40, false}, {"gog", 8022, 41, false}, {"web", 80, 42, false}};
static const char *const cells[] = {"agent", "gog", "web", "db"};

static struct creel_policy_spec spec_of(enum creel_policy_mode mode)
{
	struct creel_policy_spec s = {
		.mode = mode,
		.mode_line = 5,
		.allow = allow,
		.n_allow = ELEMENTSOF(allow),
		.deny = deny,
		.n_deny = ELEMENTSOF(deny),
		.reach = reach,
		.n_reach = ELEMENTSOF(reach),
		.cells = cells,
		.n_cells = ELEMENTSOF(cells),
		.subnet = {.addr = {192, 168, 83, 0}, .family = 4, .bits = 24},
	};
	return s;
}

/* What each mode answers, none listed ask open: a allowed, q asked, d denied; then the lines. */
static const struct {
	const char *target, *answers;
	unsigned line; /* for listed, ask and open alike; 5 is the mode's */
} cases[] = {
	{"openrouter.ai", "daaa", 10},
	{"OPENROUTER.AI.", "daaa", 10},
	{"openrouter.ai:80", "ddda", 5},
	{"openrouter.ai:443/udp", "ddda", 5},
	{"sub.openrouter.ai", "ddqa", 5},
	{"notopenrouter.ai", "ddqa", 5},
	{"openrouter.ai.evil.example", "ddqa", 5},
	{"cdn.discordapp.net", "daaa", 11},
	{"a.b.c.discordapp.net", "daaa", 11},
	{"discordapp.net", "ddqa", 5},
	{"xdiscordapp.net", "ddqa", 5},
	{"web.example:80", "daaa", 12},
	{"web.example", "ddda", 5},
	{"alt.example:8443", "daaa", 13},
	{"git.example:22", "daaa", 14},
	{"git.example:22/udp", "ddda", 5},
	{"voice.example:3478/udp", "daaa", 15},
	{"voice.example:3478", "ddda", 5},
	{"x.both.example", "daaa", 19},
	{"bad.both.example", "dddd", 31},
	{"x.bad.both.example", "daaa", 19},
	{"y.worse.both.example", "dddd", 32},
	{"worse.both.example", "daaa", 19},
	{"bad.both.example:9999/udp", "dddd", 31},
	{"ports.example", "daaa", 20},
	{"ports.example:8443", "dddd", 33},
	{"ports.example:8443/udp", "dddd", 33},
	{"tunnel.ngrok.io", "dddd", 30},
	{"tunnel.ngrok.io:22", "dddd", 30},
	{"ngrok.io", "ddqa", 5},
	{"new.example", "ddqa", 5},
	{"new.example:22", "ddqa", 5},
	/* by address alone */
	{"192.0.2.1:993", "daaa", 16},
	{"192.0.2.1:443", "ddda", 5},
	{"192.0.2.9:993", "dddd", 35},
	{"192.0.2.7:53/udp", "daaa", 21},
	{"192.0.2.7:53", "ddda", 5},
	{"203.0.113.5:443", "dddd", 34},
	{"198.51.100.1:853", "daaa", 18},
	{"198.51.100.1:443", "ddda", 5},
	{"198.51.100.1:25", "dddd", 36},
	{"10.1.2.3:5432", "daaa", 17},
	{"10.1.2.3:22", "dddd", 5},
	{"10.2.2.3:5432", "dddd", 5},
	{"10.9.9.9:853", "dddd", 5}, /* the wide entry does not open a private range */
	{"169.254.169.254:853", "dddd", 5},
	{"127.0.0.1:853", "dddd", 5},
	{"224.0.0.251:853", "dddd", 5},
	{"192.168.83.3:22", "dddd", 5},
	{"192.168.83.1:853", "dddd", 5},
	{"192.168.84.1:443", "dddd", 5},
	{"[2001:db8::5]:443", "daaa", 22},
	{"[::ffff:192.0.2.1]:993", "daaa", 16},
	{"[::1]:443", "dddd", 5},
	{"[fd00::5]:22", "daaa", 24},
	{"[fc00::5]:22", "dddd", 5},
	{"[::ffff:127.0.0.1]:853", "dddd", 5},
	/* cells: whatever the mode */
	{"gog.creel:22", "aaaa", 40},
	{"gog.creel:8022", "aaaa", 41},
	{"gog.creel:22/udp", "dddd", 41},
	{"gog.creel", "dddd", 41},
	{"web.creel:80", "aaaa", 42},
	{"db.creel:80", "dddd", 5},
	{"agent.creel:22", "dddd", 5},
	{"nosuch.creel:22", "dddd", 5},
	{"x.gog.creel:22", "dddd", 5},
	/* never public */
	{"localhost", "dddd", 5},
	{"a.localhost", "dddd", 5},
	{"printer.local", "dddd", 5},
	{"x.onion", "dddd", 5},
	{"com", "dddd", 5},
	{"b\303\274cher.co.example", "daaa", 23},
};

static void decisions(void **state)
{
	for (size_t m = 0; m < 4; m++) {
		struct creel_policy autoclean(creel_policy_fini) p = {0};
		struct creel_policy_spec spec = spec_of((enum creel_policy_mode)m);
		struct creel_rule_text bad;
		struct creel_err err = {0};
		assert_int_equal(creel_policy_init(&p, &spec, &bad, &err), 0);
		for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
			struct creel_target t = {0};
			struct creel_answer a = {0};
			if (creel_target_parse(cases[i].target, &t, &err) < 0)
				fail_msg("%s: %s", cases[i].target, err.msg);
			struct creel_question q = {t.name.text, t.addr, t.port, t.udp};
			creel_policy_decide(&p, &q, &a);
			char got = creel_decision_name(a.decision)[0] == 'd'   ? 'd'
				   : creel_decision_name(a.decision)[1] == 's' ? 'q'
									       : 'a';
			bool entry = cases[i].line != 5;
			unsigned line = entry && m == 0 && got == 'd' && cases[i].line < 30 ? 5
											    : cases[i].line;
			if (got != cases[i].answers[m] || a.line != line || !a.rule)
				fail_msg("mode %zu %s: %c line %u (%s), wanted %c line %u", m,
					 cases[i].target, got, a.line, a.rule, cases[i].answers[m], line);
		}
	}
}

/* A name that resolved: its entry opens public addresses, never private ones (rebinding). */
static void with_address(void **state)
{
	static const struct {
		const char *name, *addr;
		uint16_t port;
		enum creel_decision want;
	} c[] = {
		{"openrouter.ai", "1.2.3.4:1", 443, CREEL_ALLOW},
		{"openrouter.ai", "1.2.3.4:1", 80, CREEL_DENY},
		{"openrouter.ai", "10.1.2.3:1", 443, CREEL_DENY},
		{"openrouter.ai", "169.254.169.254:1", 443, CREEL_DENY},
		{"openrouter.ai", "192.168.83.3:1", 443, CREEL_DENY},
		{"openrouter.ai", "203.0.113.7:1", 443, CREEL_DENY}, /* deny by CIDR */
		{"openrouter.ai", "10.1.2.3:1", 5432, CREEL_ALLOW},  /* its CIDR entry has it */
		{"openrouter.ai", "1.2.3.4:1", 0, CREEL_ALLOW},
		{"openrouter.ai", "10.1.2.3:1", 0, CREEL_DENY},
		{"openrouter.ai", "203.0.113.7:1", 0, CREEL_DENY},
		{"new.example", "1.2.3.4:1", 443, CREEL_ASK},
		{"ports.example", "1.2.3.4:1", 0, CREEL_ALLOW}, /* denied on one port only */
		{"bad.both.example", "1.2.3.4:1", 0, CREEL_DENY},
	};
	struct creel_policy autoclean(creel_policy_fini) p = {0};
	struct creel_policy_spec spec = spec_of(CREEL_MODE_ASK);
	struct creel_rule_text bad;
	struct creel_err err = {0};

	assert_int_equal(creel_policy_init(&p, &spec, &bad, &err), 0);
	for (size_t i = 0; i < ELEMENTSOF(c); i++) {
		struct creel_target t = {0};
		struct creel_answer a = {0};
		assert_int_equal(creel_target_parse(c[i].addr, &t, &err), 0);
		struct creel_question q = {c[i].name, t.addr, c[i].port, false};
		creel_policy_decide(&p, &q, &a);
		if (a.decision != c[i].want)
			fail_msg("case %zu: %s by %s", i, creel_decision_name(a.decision), a.rule);
	}
}

static void a_bad_entry_is_named(void **state)
{
	static const struct creel_rule_text one[] = {{"good.example", 3, 9}, {"10.0.0.1/8:1", 4, 9}};
	struct creel_policy_spec spec = {.mode = CREEL_MODE_LISTED, .allow = one, .n_allow = 2};
	struct creel_policy p = {.n_rules = 77};
	struct creel_rule_text bad = {0};
	struct creel_err err = {0};

	assert_int_equal(creel_policy_init(&p, &spec, &bad, &err), CREEL_E_INVALID);
	assert_int_equal(bad.line, 4);
	assert_int_equal(p.n_rules, 77);
}

/* The binary search against a plain walk: 300 policies of few labels, every name over them. */
static void search_equals_walk(void **state)
{
	static const char *const pool[] = {"a.b",     "*.a.b", "b.b",   "*.b.b",   "a.a.b",
					   "*.a.a.b", "*.b",   "b.a.b", "a.b:443", "*.b.a.b"};
	static const char *const asked[] = {"a.b",     "b.b",   "a.a.b", "b.a.b", "a.a.a.b",
					    "a.b.a.b", "b.b.b", "aa.b",  "x.a",   "a.b.b"};
	unsigned seed = 12345;

	for (int round = 0; round < 300; round++) {
		struct creel_rule_text rules[2][6];
		struct creel_rule_text bad;
		struct creel_err err = {0};
		for (unsigned k = 0; k < 2; k++)
			for (unsigned i = 0; i < 6; i++) {
				seed = seed * 1103515245 + 12345;
				rules[k][i] = (struct creel_rule_text){pool[(seed >> 16) % ELEMENTSOF(pool)],
								       k * 100 + i + 1, 1};
			}
		struct creel_policy_spec spec = {.mode = CREEL_MODE_ASK,
						 .allow = rules[0],
						 .n_allow = 6,
						 .deny = rules[1],
						 .n_deny = 1 + (unsigned)round % 2};
		struct creel_policy autoclean(creel_policy_fini) p = {0};
		assert_int_equal(creel_policy_init(&p, &spec, &bad, &err), 0);
		for (size_t n = 0; n < ELEMENTSOF(asked); n++) {
			unsigned line = 0;
			for (int k = 1; k >= 0 && line == 0; k--)
				for (size_t i = 0; i < (k ? spec.n_deny : 6) && line == 0; i++) {
					struct creel_entry e;
					assert_int_equal(creel_entry_parse(rules[k][i].s, k, &e, &err), 0);
					if (e.subdomains ? creel_name_below(asked[n], e.name.text)
							 : strcmp(asked[n], e.name.text) == 0)
						line = rules[k][i].line;
				}
			struct creel_question q = {.name = asked[n], .port = 443};
			struct creel_answer a = {0};
			creel_policy_decide(&p, &q, &a);
			if (a.line != line)
				fail_msg("round %d %s: line %u, wanted %u", round, asked[n], a.line, line);
		}
	}
}

static void openings(void **state)
{
	static const struct {
		const char *name;
		bool granted;
		const char *form;
	} c[] = {
		{"openrouter.ai", false, "443 "}, {"openrouter.ai", true, "443 "},
		{"web.example", false, "80 "},    {"voice.example", false, "3478/udp "},
		{"git.example", false, "22 "},    {"bad.both.example", false, ""},
		{"bad.both.example", true, ""},   {"new.example", false, ""},
		{"new.example", true, "443 80 "}, {"x.ngrok.io", true, ""},
	};
	struct creel_policy autoclean(creel_policy_fini) p = {0};
	struct creel_policy_spec spec = spec_of(CREEL_MODE_ASK);
	struct creel_rule_text bad;
	struct creel_err err = {0};

	assert_int_equal(creel_policy_init(&p, &spec, &bad, &err), 0);
	for (size_t i = 0; i < ELEMENTSOF(c); i++) {
		struct creel_opening o[8];
		char form[128] = "";
		size_t n = creel_policy_openings(&p, c[i].name, c[i].granted, o, 8);
		for (size_t k = 0; k < n; k++)
			snprintf(form + strlen(form), sizeof(form) - strlen(form), "%u%s ", o[k].port,
				 o[k].udp ? "/udp" : "");
		if (strcmp(form, c[i].form) != 0)
			fail_msg("%s: `%s`", c[i].name, form);
	}
}

/* A name that a broker has is its broker's on port 443, whatever the mode and the lists say, and nobody's else. */
static void intercepted(void **state)
{
	static const struct creel_brokers brokers = {
		.v = {{.name = "model", .host = "openrouter.ai", .line = 50, .intercept = true},
		      {.name = "pages", .host = "web.example", .line = 51}},
		.n = 2};
	static const struct {
		const char *target;
		enum creel_decision d;
		enum creel_why why;
	} now[] = {{"openrouter.ai", CREEL_ALLOW, CREEL_WHY_REACH},
		   {"openrouter.ai:443/udp", CREEL_DENY, CREEL_WHY_CELL},
		   {"openrouter.ai:22", CREEL_DENY, CREEL_WHY_CELL}};

	for (enum creel_policy_mode m = CREEL_MODE_NONE; m <= CREEL_MODE_OPEN; m++) {
		struct creel_policy_spec spec = spec_of(m);
		struct creel_policy autoclean(creel_policy_fini) p = {0};
		struct creel_rule_text bad;
		struct creel_err err = {0};
		spec.brokers = &brokers;
		assert_int_equal(creel_policy_init(&p, &spec, &bad, &err), 0);
		for (size_t i = 0; i < ELEMENTSOF(now); i++) {
			struct creel_target t = {0};
			struct creel_answer a = {0};
			assert_int_equal(creel_target_parse(now[i].target, &t, &err), 0);
			struct creel_question q = {t.name.text, t.addr, t.port, t.udp};
			creel_policy_decide(&p, &q, &a);
			if (a.decision != now[i].d || a.why != now[i].why || a.line != 50)
				fail_msg("mode %d: %s: %d %d", m, now[i].target, a.decision, a.why);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions),
		cmocka_unit_test(with_address),
		cmocka_unit_test(a_bad_entry_is_named),
		cmocka_unit_test(search_equals_walk),
		cmocka_unit_test(openings),
		cmocka_unit_test(intercepted),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/cleanup.h"
#include "engine/approvals.h"
#include "tests/cmocka-all.h"
#include <stdio.h>
#include <string.h>

static struct creel_approvals all;
static const int64_t T = 1000000000000, TTL = 600000;

static int setup(void **state)
{
	creel_approvals_init(&all);
	return 0;
}

static int teardown(void **state)
{
	creel_approvals_fini(&all);
	return 0;
}

static struct creel_approval *asks(enum creel_approval_kind kind, const char *cell, int what, int wide,
				   int64_t now, bool *is_new, struct creel_err *err)
{
	uint8_t key[32] = {(uint8_t)what, (uint8_t)(what >> 8)}, wide_key[32] = {(uint8_t)wide};
	const struct creel_approval_ask ask = {
		.kind = kind,
		.cell = cell,
		.subject = "thing",
		.key = key,
		.wide = wide_key,
		.detail = json_pack("{s:i}", "what", what),
		.ttl_ms = TTL,
	};
	return creel_approvals_ask(&all, &ask, now, is_new, err);
}

static struct creel_approval *gate(int what, int64_t now)
{
	struct creel_err err = {0};
	bool is_new;
	struct creel_approval *p = asks(CREEL_APPROVAL_GATE, "agent", what, 7, now, &is_new, &err);

	assert_non_null(p);
	return p;
}

static int says(uint32_t id, bool grant, int64_t for_ms, bool wide, int64_t now)
{
	struct creel_err err = {0};
	const struct creel_approval_answer a = {
		.grant = grant, .for_ms = for_ms, .wide = wide, .reason = "because", .by = 1000};
	int r = creel_approvals_answer(&all, id, &a, now, &err);

	assert_int_equal(r, err.code);
	return r;
}

static int uses(uint32_t id, int64_t now)
{
	struct creel_err err = {0};
	return creel_approvals_use(&all, id, now, &err);
}

/* asked again while it waits: the same approval; another thing, kind or cell: another one */
static void dedupe(void **state)
{
	struct creel_err err = {0};
	bool is_new;
	uint32_t first = asks(CREEL_APPROVAL_GATE, "a", 1, 7, T, &is_new, &err)->id;

	assert_true(is_new);
	assert_int_equal(asks(CREEL_APPROVAL_GATE, "a", 1, 7, T + 1, &is_new, &err)->id, first);
	assert_false(is_new);
	assert_int_not_equal(asks(CREEL_APPROVAL_GATE, "a", 2, 7, T, &is_new, &err)->id, first);
	assert_int_not_equal(asks(CREEL_APPROVAL_GATE, "b", 1, 7, T, &is_new, &err)->id, first);
	assert_int_not_equal(asks(CREEL_APPROVAL_EGRESS, "a", 1, 7, T, &is_new, &err)->id, first);
	assert_int_equal(all.n, 4);
}

/* a gate's yes is for one time, and for this thing alone */
static void once(void **state)
{
	uint32_t id = gate(1, T)->id;

	assert_int_equal(uses(id, T), CREEL_E_DENIED);
	assert_int_equal(says(id, true, 0, false, T + 5), 0);
	assert_int_equal(gate(1, T + 6)->id, id); /* the gate died and asks again: the yes is there */
	assert_int_equal(gate(2, T + 6)->state, CREEL_APPROVAL_PENDING);
	assert_int_equal(uses(id, T + 7), 0);
	assert_int_equal(uses(id, T + 8), CREEL_E_DENIED);
	assert_int_equal(gate(1, T + 9)->state, CREEL_APPROVAL_PENDING);
	assert_int_not_equal(gate(1, T + 9)->id, id);
}

/* a yes that nobody used in time */
static void once_late(void **state)
{
	uint32_t id = gate(1, T)->id;

	assert_int_equal(says(id, true, 0, false, T + TTL - 1), 0);
	assert_int_equal(uses(id, T + TTL), CREEL_E_DENIED);
	assert_int_equal(gate(1, T + TTL)->state, CREEL_APPROVAL_PENDING);
}

static void answers(void **state)
{
	uint32_t id = gate(1, T)->id;

	assert_int_equal(says(99, true, 0, false, T), CREEL_E_NOTFOUND);
	assert_int_equal(says(id, true, 0, true, T), CREEL_E_INVALID); /* the whole verb, for ever: no */
	assert_int_equal(says(id, true, -1, false, T), CREEL_E_INVALID);
	assert_int_equal(says(id, true, 0, false, T + TTL), CREEL_E_CLOSED);
	assert_int_equal(says(id, true, 0, false, T + 1), 0);
	assert_int_equal(says(id, true, 0, false, T + 2), CREEL_E_BUSY);  /* twice */
	assert_int_equal(says(id, false, 0, false, T + 2), CREEL_E_BUSY); /* another one says no */
	assert_int_equal(creel_approvals_find(&all, id)->state, CREEL_APPROVAL_GRANTED);
	assert_int_equal(creel_approvals_find(&all, id)->by, 1000);
}

/* a no holds for a while, then it may be asked again */
static void denied(void **state)
{
	uint32_t id = gate(1, T)->id;

	assert_int_equal(says(id, false, 0, false, T), 0);
	assert_int_equal(gate(1, T + 1)->state, CREEL_APPROVAL_DENIED);
	assert_string_equal(gate(1, T + 1)->reason, "because");
	assert_int_equal(gate(1, T + 10 * 60000)->state, CREEL_APPROVAL_PENDING);
}

static void same_verb(void **state)
{
	uint32_t id = gate(1, T)->id;
	struct creel_err err = {0};
	bool is_new;

	assert_int_equal(says(id, true, 60000, true, T), 0);
	struct creel_approval *p = gate(2, T + 59999); /* other arguments, the same wide key */
	assert_int_equal(p->id, id);
	assert_int_equal(uses(id, T + 1), 0);
	assert_int_equal(uses(id, T + 2), 0);
	p = asks(CREEL_APPROVAL_GATE, "agent", 3, 8, T, &is_new, &err); /* another verb or recipient */
	assert_int_equal(p->state, CREEL_APPROVAL_PENDING);
	p = asks(CREEL_APPROVAL_GATE, "other", 2, 7, T, &is_new, &err); /* another cell */
	assert_int_equal(p->state, CREEL_APPROVAL_PENDING);
	assert_int_equal(gate(4, T + 60000)->state, CREEL_APPROVAL_PENDING);
}

/* for a time, but this thing alone */
static void timed(void **state)
{
	uint32_t id = gate(1, T)->id;

	assert_int_equal(says(id, true, 60000, false, T), 0);
	assert_int_equal(gate(1, T + 1)->id, id);
	assert_int_equal(gate(2, T + 1)->state, CREEL_APPROVAL_PENDING);
}

static void name_stands_and_is_withdrawn(void **state)
{
	struct creel_err err = {0};
	bool is_new;
	uint32_t id = asks(CREEL_APPROVAL_EGRESS, "a", 1, 1, T, &is_new, &err)->id;

	assert_int_equal(says(id, true, 0, false, T), 0);
	int64_t later = T + (int64_t)365 * 86400000;
	assert_int_equal(creel_approvals_tick(&all, later, NULL, NULL), CREEL_APPROVAL_EVER);
	assert_int_equal(asks(CREEL_APPROVAL_EGRESS, "a", 1, 1, later, &is_new, &err)->state,
			 CREEL_APPROVAL_GRANTED);
	assert_int_equal(says(id, true, 0, false, later), CREEL_E_BUSY);
	assert_int_equal(says(id, false, 0, false, later), 0);
	assert_int_equal(asks(CREEL_APPROVAL_EGRESS, "a", 1, 1, later, &is_new, &err)->state,
			 CREEL_APPROVAL_DENIED);
}

static void seen(const struct creel_approval *p, void *ctx)
{
	assert_int_equal(p->state, CREEL_APPROVAL_EXPIRED);
	++*(int *)ctx;
}

static void expiry(void **state)
{
	int n = 0;
	uint32_t id = gate(1, T)->id;

	gate(2, T + 5);
	assert_int_equal(creel_approvals_tick(&all, T + TTL - 1, seen, &n), T + TTL);
	assert_int_equal(n, 0);
	assert_int_equal(creel_approvals_tick(&all, T + TTL, seen, &n), T + TTL + 5);
	assert_int_equal(n, 1);
	assert_int_equal(says(id, true, 0, false, T + TTL + 1), CREEL_E_CLOSED);
	(void)creel_approvals_tick(&all, T + TTL + 5, seen, &n);
	assert_int_equal(n, 2);
	(void)creel_approvals_tick(&all, T + 2 * 86400000LL, seen, &n);
	assert_int_equal(all.n, 0);
}

/* a name for one answer, or until its cell starts again */
static void scopes(void **state)
{
	struct creel_approval_answer a = {.grant = true, .once = true};
	struct creel_err err = {0};
	bool is_new;
	int n = 0;
	uint32_t one = asks(CREEL_APPROVAL_EGRESS, "a", 1, 1, T, &is_new, &err)->id;
	uint32_t two = asks(CREEL_APPROVAL_EGRESS, "a", 2, 2, T, &is_new, &err)->id, call = gate(3, T)->id;

	assert_int_equal(creel_approvals_answer(&all, one, &a, T, &err), 0);
	assert_string_equal(creel_approval_scope(creel_approvals_find(&all, one)), "once");
	assert_int_equal(creel_approvals_use(&all, one, T, &err), 0);
	assert_int_equal(creel_approvals_use(&all, one, T, &err), CREEL_E_DENIED);
	err = (struct creel_err){0};
	(void)asks(CREEL_APPROVAL_EGRESS, "a", 1, 1, T, &is_new, &err);
	assert_true(is_new);

	a.session = true;
	assert_int_equal(creel_approvals_answer(&all, two, &a, T, &err), CREEL_E_INVALID); /* both */
	a.once = false;
	assert_int_equal(creel_approvals_answer(&all, call, &a, T, &err), CREEL_E_INVALID); /* a call's */
	assert_int_equal(creel_approvals_answer(&all, two, &a, T, &err), 0);
	/* it is kept over a restart of creeld */
	err = (struct creel_err){0};
	autofree char *text = creel_approvals_encode(&all);
	creel_approvals_fini(&all);
	assert_int_equal(creel_approvals_decode(&all, text, strlen(text), &err), 0);
	assert_string_equal(creel_approval_scope(creel_approvals_find(&all, two)), "session");
	creel_approvals_session_over(&all, "b", seen, &n);
	assert_int_equal(n, 0);
	creel_approvals_session_over(&all, "a", seen, &n);
	assert_int_equal(n, 1);
	(void)asks(CREEL_APPROVAL_EGRESS, "a", 2, 2, T, &is_new, &err);
	assert_true(is_new);
}

/* a cell that asks for everything fills its own list alone, and the whole never loses what waits */
static void flood(void **state)
{
	struct creel_err err = {0};
	bool is_new;

	for (int i = 0; i < CREEL_APPROVALS_PENDING; i++)
		gate(i, T);
	assert_null(asks(CREEL_APPROVAL_GATE, "agent", 99, 7, T, &is_new, &err));
	assert_int_equal(err.code, CREEL_E_TOOBIG);
	assert_int_equal(gate(0, T)->id, 1); /* what waits is still found */
	err = (struct creel_err){0};
	assert_non_null(asks(CREEL_APPROVAL_GATE, "other", 99, 7, T, &is_new, &err));
	for (uint32_t id = 1; id <= CREEL_APPROVALS_PENDING; id++)
		(void)says(id, false, 1, false, T);
	for (int i = 100; i < 100 + 2 * CREEL_APPROVALS; i++) {
		struct creel_approval *p = gate(i, T + 10 + i);
		assert_int_equal(says(p->id, false, 1, false, T + 10 + i), 0);
	}
	assert_true(all.n <= CREEL_APPROVALS);
	assert_int_equal(creel_approvals_find(&all, CREEL_APPROVALS_PENDING + 1)->state,
			 CREEL_APPROVAL_PENDING);
}

static void too_large(void **state)
{
	uint8_t key[32] = {1};
	struct creel_err err = {0};
	bool is_new;
	autofree char *big = malloc(CREEL_APPROVAL_DETAIL + 2);

	memset(big, 'x', CREEL_APPROVAL_DETAIL + 1);
	big[CREEL_APPROVAL_DETAIL + 1] = '\0';
	const struct creel_approval_ask ask = {
		.cell = "a", .subject = "", .key = key, .wide = key, .detail = json_string(big), .ttl_ms = 1};
	assert_null(creel_approvals_ask(&all, &ask, T, &is_new, &err));
	assert_int_equal(err.code, CREEL_E_TOOBIG);
	big[256] = '\0';
	const struct creel_approval_ask long_subject = {
		.cell = "a", .subject = big, .key = key, .wide = key, .detail = json_object(), .ttl_ms = 1};
	err = (struct creel_err){0};
	assert_null(creel_approvals_ask(&all, &long_subject, T, &is_new, &err));
	assert_int_equal(err.code, CREEL_E_TOOBIG);
}

/* everything survives its file */
static void stored(void **state)
{
	static struct creel_approvals other;
	struct creel_err err = {0};

	(void)says(gate(1, T)->id, true, 60000, true, T + 1);
	(void)says(gate(2, T)->id, false, 0, false, T + 2);
	asks(CREEL_APPROVAL_EGRESS, "b", 3, 1, T, &(bool){0}, &err);
	autofree char *one = creel_approvals_encode(&all);
	assert_non_null(one);
	assert_int_equal(creel_approvals_decode(&other, one, strlen(one), &err), 0);
	autofree char *two = creel_approvals_encode(&other);
	assert_string_equal(one, two);
	/* cut anywhere it is refused whole */
	for (size_t i = 0; i < strlen(one); i++) {
		creel_approvals_fini(&other);
		assert_int_equal(creel_approvals_decode(&other, one, i, &err), CREEL_E_BROKEN);
		assert_int_equal(other.n, 0);
	}
	creel_approvals_fini(&other);
}

static void stored_badly(void **state)
{
	static struct creel_approvals other;
	struct creel_err err = {0};
#define K "\"key\":\"0101010101010101010101010101010101010101010101010101010101010101\","
#define W "\"wide\":\"0101010101010101010101010101010101010101010101010101010101010101\","
#define ONE(id, kind)                                                                                      \
	"{\"id\":" id ",\"kind\":\"" kind "\",\"state\":\"pending\",\"cell\":\"a\",\"subject\":\"s\"," K W \
	"\"asked_ms\":1,\"expires_ms\":2,\"detail\":{}}"
#define TOP(next, v) "{\"version\":1,\"next\":" next ",\"approvals\":[" v "]}"
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{TOP("2", ONE("1", "gate")), 0},
		{TOP("3", ONE("1", "gate") "," ONE("2", "egress")), 0},
		{TOP("1", ""), 0},
		{TOP("1", ONE("1", "gate")), CREEL_E_BROKEN}, /* a number that would be given again */
		{TOP("3", ONE("2", "gate") "," ONE("1", "gate")), CREEL_E_BROKEN},
		{TOP("3", ONE("1", "gate") "," ONE("1", "gate")), CREEL_E_BROKEN},
		{TOP("3", ONE("1", "other")), CREEL_E_BROKEN},
		{TOP("3", ONE("0", "gate")), CREEL_E_BROKEN},
		{TOP("0", ""), CREEL_E_BROKEN},
		{TOP("-1", ""), CREEL_E_BROKEN},
		{TOP("3", "{}"), CREEL_E_BROKEN},
		{TOP("3", "1"), CREEL_E_BROKEN},
		{"{\"version\":2,\"next\":1,\"approvals\":[]}", CREEL_E_BROKEN},
		{"[]", CREEL_E_BROKEN},
	};
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		int r = creel_approvals_decode(&other, cases[i].text, strlen(cases[i].text), &err);
		if (r != cases[i].r)
			fail_msg("case %zu: %d", i, r);
		creel_approvals_fini(&other);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(dedupe),       TEST(once),      TEST(once_late), TEST(answers),
		TEST(denied),       TEST(same_verb), TEST(timed),     TEST(name_stands_and_is_withdrawn),
		TEST(expiry),       TEST(flood),     TEST(too_large), TEST(stored),
		TEST(stored_badly), TEST(scopes),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

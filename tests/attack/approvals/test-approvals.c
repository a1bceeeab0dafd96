/*
 * Approvals: wall: src/engine/approvals.c. Each attack is a way to a yes that nobody gave, or to questions that
 * nobody can answer; `weak` says that this is the twin, built with weak-approvals.c, where they work.
 */
#include "base/cleanup.h"
#include "engine/approvals.h"
#include <stdio.h>
#include <string.h>

static struct creel_approvals all;
static const int64_t T = 1000000000000, TTL = 600000;
enum { BOSS = 1000, SECOND = 1001 };

/* @return the approval's number, 0 when there is none; @p ret_granted: a yes stands for it */
static uint32_t ask(const char *cell, int action, int wide, json_t *detail, int64_t now, bool *ret_granted)
{
	uint8_t key[32] = {(uint8_t)action, (uint8_t)(action >> 8)}, wide_key[32] = {(uint8_t)wide};
	struct creel_err err = {0};
	bool is_new;
	const struct creel_approval_ask a = {
		.kind = CREEL_APPROVAL_GATE,
		.cell = cell,
		.subject = "gmail send",
		.key = key,
		.wide = wide_key,
		.detail = detail ? detail : json_object(),
		.ttl_ms = TTL,
	};
	const struct creel_approval *p = creel_approvals_ask(&all, &a, now, &is_new, &err);
	*ret_granted = p && p->state == CREEL_APPROVAL_GRANTED;
	return p ? p->id : 0;
}

static int say(uint32_t id, bool grant, int64_t for_ms, uid_t by, int64_t now)
{
	struct creel_err err = {0};
	const struct creel_approval_answer a = {
		.grant = grant, .for_ms = for_ms, .wide = for_ms > 0, .by = by};
	return creel_approvals_answer(&all, id, &a, now, &err);
}

static bool use(uint32_t id, int64_t now)
{
	struct creel_err err = {0};
	return creel_approvals_use(&all, id, now, &err) == 0;
}

/* A yes to one call of the cell gog. @param for_ms  0: once; else to the whole verb, for that long */
static uint32_t yes(int64_t for_ms)
{
	bool granted;
	uint32_t id = ask("gog", 1, 1, NULL, T, &granted);

	(void)say(id, true, for_ms, BOSS, T);
	return id;
}

static bool stands_for(const char *cell, int action, int wide)
{
	bool granted;

	(void)ask(cell, action, wide, NULL, T + 1, &granted);
	return granted;
}

static bool replay(void)
{
	uint32_t id = yes(0);

	return use(id, T + 1) && use(id, T + 2);
}

static bool replay_after_restart(void)
{
	struct creel_err err = {0};
	uint32_t id = yes(0);
	bool first = use(id, T + 1);

	autofree char *text = creel_approvals_encode(&all);
	creel_approvals_fini(&all);
	return first && text && creel_approvals_decode(&all, text, strlen(text), &err) == 0 && use(id, T + 2);
}

static bool other_argument(void)
{
	(void)yes(0);
	return stands_for("gog", 2, 2);
}

static bool other_recipient(void)
{
	(void)yes(600000);
	return stands_for("gog", 2, 2);
}

static bool other_cell(void)
{
	(void)yes(0);
	return stands_for("another", 1, 1);
}

static bool yes_after_no(void)
{
	bool granted;
	uint32_t id = ask("gog", 1, 1, NULL, T, &granted);

	return say(id, false, 0, BOSS, T) == 0 && say(id, true, 0, SECOND, T + 1) == 0 && use(id, T + 2);
}

static bool late_yes(void)
{
	bool granted;
	uint32_t id = ask("gog", 1, 1, NULL, T, &granted);

	/* for a time: a yes to one call would end with its question */
	return say(id, true, TTL, BOSS, T + TTL + 1) == 0 && use(id, T + TTL + 2);
}

static bool used_late(void)
{
	bool granted;
	uint32_t id = ask("gog", 1, 1, NULL, T, &granted);

	return say(id, true, 0, BOSS, T) == 0 && use(id, T + TTL + 1);
}

static bool flood(void)
{
	bool granted;
	size_t n = 0;

	for (int i = 0; i < 200; i++)
		n += ask("gog", i, i, NULL, T, &granted) != 0;
	return n > CREEL_APPROVALS_PENDING;
}

/* Long questions, each over before the next comes: the file of them must stay one that can be read. */
static bool file_too_large(void)
{
	static char words[CREEL_APPROVAL_DETAIL - 64];
	bool granted;

	memset(words, 'x', sizeof(words) - 1);
	for (int i = 0; i < 100; i++) {
		uint32_t id = ask("gog", i, i, json_pack("{s:s}", "body", words), T + i, &granted);
		(void)say(id, true, 0, BOSS, T + i);
		(void)use(id, T + i);
	}
	autofree char *text = creel_approvals_encode(&all);
	return text && strlen(text) > CREEL_APPROVALS_FILE;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *what;
		bool (*works)(void);
	} attacks[] = {
		{"a yes used twice", replay},
		{"a yes used twice, creeld started anew in between", replay_after_restart},
		{"another argument by a yes", other_argument},
		{"another recipient by a grant for the verb", other_recipient},
		{"another cell's call by a yes", other_cell},
		{"a second person's yes to what the first denied", yes_after_no},
		{"a yes that comes too late", late_yes},
		{"a yes that is used too late", used_late},
		{"a flood of questions", flood},
		{"long questions that make the file unreadable", file_too_large},
	};
	bool weak = argc > 1;

	for (size_t i = 0; i < ELEMENTSOF(attacks); i++) {
		creel_approvals_init(&all);
		bool works = attacks[i].works();
		creel_approvals_fini(&all);
		printf("%sok %zu - %s%s %s\n", works == weak ? "" : "not ", i + 1, weak ? "twin: " : "",
		       attacks[i].what, weak ? "works" : "fails");
	}
	printf("1..%zu\n", ELEMENTSOF(attacks));
	return 0;
}

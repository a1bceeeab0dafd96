#include "base/escape.h"
#include "base/log.h"
#include "engine/approve.h"
#include "engine/engine.h"
#include "policy/policytext.h"
#include "wire/call.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/*
 * What programs in a cell ask (wire/call.h): the gate's question to a human, why something was refused,
 * an event. creel-cell has checked that it is well-formed; all of it is a guest's claim, and who asks is
 * the cell whose channel it came by.
 */
enum { WAITERS = 256, WAIT_MIN_S = 10, WAIT_MAX_S = 24 * 3600 };

/* A gate that waits for a human. */
static struct waiter {
	struct eng_cell *cell; /* NULL: free */
	uint32_t id, approval;
} waiters[WAITERS];

static void answer(struct eng_cell *c, uint32_t id, uint8_t status, const char *text)
{
	struct creel_cellmsg m = {.type = CREEL_CELL_ANSWER, .state = status, .id = id};
	struct creel_err err = {0};

	(void)cells_send(c, &m, text, strnlen(text, CREEL_CALL_REPLY_MAX), -1, &err);
}

/* --- the gate --- */

static void hash_num(struct approve_hash *h, uint64_t n)
{
	approve_hash_add(h, &n, sizeof(n));
}

static void hash_str(struct approve_hash *h, const char *s)
{
	approve_hash_add(h, s, strlen(s));
}

/* Exactly this: every argument, standard input, the files, for this client. */
static void key_make(const struct creel_call_gate *g, uint8_t ret[32])
{
	struct approve_hash h;

	approve_hash_begin(&h);
	hash_str(&h, g->program);
	hash_str(&h, g->client);
	hash_num(&h, g->n_argv);
	for (size_t i = 0; i < g->n_argv; i++)
		hash_str(&h, g->argv[i]);
	hash_num(&h, g->stdin_len);
	approve_hash_add(&h, g->stdin_hash, sizeof(g->stdin_hash));
	hash_num(&h, g->n_files);
	for (size_t i = 0; i < g->n_files; i++) {
		hash_str(&h, g->file[i].name);
		hash_num(&h, g->file[i].len);
		approve_hash_add(&h, g->file[i].hash, sizeof(g->file[i].hash));
	}
	approve_hash_end(&h, ret);
}

/* The verb, with what says whom and what it concerns as it is. */
static void wide_make(const struct creel_call_gate *g, uint8_t ret[32])
{
	struct approve_hash h;

	approve_hash_begin(&h);
	hash_str(&h, g->program);
	hash_str(&h, g->client);
	hash_str(&h, g->verb);
	hash_num(&h, g->n_fixed);
	for (size_t i = 0; i < g->n_fixed; i++)
		hash_str(&h, g->fixed[i]);
	approve_hash_end(&h, ret);
}

static const char *cell_of(const char *address)
{
	for (size_t i = 0; address[0] && i < ENGINE_CELLS; i++)
		if (eng.cells[i].name[0] && strcmp(eng.cells[i].plan.net.address, address) == 0)
			return eng.cells[i].name;
	return address[0] ? address : "unknown";
}

static json_t *strings(const char *const *v, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(a, json_string(v[i])) < 0) {
			json_decref(a);
			return NULL;
		}
	return a;
}

static json_t *lines_json(const struct creel_call_gate *g)
{
	json_t *a = json_array();

	for (size_t i = 0; i < g->n_lines; i++)
		if (json_array_append_new(a, json_sprintf("%s: %s", g->line[i].label, g->line[i].text)) < 0) {
			json_decref(a);
			return NULL;
		}
	return a;
}

static json_t *files_json(const struct creel_call_gate *g)
{
	json_t *a = json_array();
	char hex[65];

	for (size_t i = 0; i < g->n_files; i++) {
		sodium_bin2hex(hex, sizeof(hex), g->file[i].hash, sizeof(g->file[i].hash));
		if (json_array_append_new(a, json_pack("{s:s,s:I,s:s}", "name", g->file[i].name, "octets",
						       (json_int_t)MIN(g->file[i].len, (uint64_t)INT64_MAX),
						       "hash", hex)) < 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

/* NULL: something of it is not UTF-8, or memory is short. */
static json_t *detail_make(const struct creel_call_gate *g, uint32_t uid)
{
	json_t *argv = strings(g->argv, g->n_argv), *fixed = strings(g->fixed, g->n_fixed);
	json_t *lines = lines_json(g), *files = files_json(g);
	char hex[65];

	if (!argv || !fixed || !lines || !files) {
		json_decref(argv);
		json_decref(fixed);
		json_decref(lines);
		json_decref(files);
		return NULL;
	}
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:I,s:o,s:o,s:o,s:o}", "asked_by", cell_of(g->client),
			      "program", g->program, "verb", g->verb, "rule", g->rule, "uid", (json_int_t)uid,
			      "argv", argv, "fixed", fixed, "lines", lines, "files", files);
	if (o && g->stdin_len > 0) {
		sodium_bin2hex(hex, sizeof(hex), g->stdin_hash, sizeof(g->stdin_hash));
		json_object_set_new(o, "stdin_octets",
				    json_integer((json_int_t)MIN(g->stdin_len, (uint64_t)INT64_MAX)));
		json_object_set_new(o, "stdin_hash", json_string(hex));
	}
	return o;
}

/* What was granted is used, and on the record, before the gate hears of it. */
static void finish(struct eng_cell *c, uint32_t id, const struct creel_approval *p)
{
	struct creel_event e = {.kind = CREEL_EV_GATE_EXEC, .cell = c->name, .by_guest = true};
	struct creel_err err = {0};
	char text[CREEL_APPROVAL_REASON + 64];
	uint32_t approval = p->id;

	creel_event_num(&e, "approval", p->id);
	creel_event_str(&e, "verb", p->subject);
	if (p->state == CREEL_APPROVAL_DENIED) {
		e.kind = CREEL_EV_GATE_DENY;
		creel_event_str(&e, "why", "a human said no");
		budget_note(c, &e);
		(void)snprintf(text, sizeof(text), "approval %" PRIu32 " was denied%s%s", p->id,
			       p->reason[0] ? ": " : "", p->reason);
		answer(c, id, CREEL_CALL_DENIED, text);
	} else if (p->state == CREEL_APPROVAL_EXPIRED) {
		(void)snprintf(text, sizeof(text), "nobody answered approval %" PRIu32 " in time", p->id);
		answer(c, id, CREEL_CALL_EXPIRED, text);
	} else if (approve_use(p->id, &err) < 0 || journal_add(&e, &err) < 0) {
		answer(c, id, CREEL_CALL_DENIED, err.msg);
	} else {
		(void)snprintf(text, sizeof(text), "approval %" PRIu32, approval);
		answer(c, id, CREEL_CALL_OK, text);
	}
}

static void changed(const struct creel_approval *p)
{
	for (size_t i = 0; i < WAITERS; i++) {
		struct waiter w = waiters[i];
		if (!w.cell || w.approval != p->id)
			continue;
		waiters[i].cell = NULL;
		finish(w.cell, w.id, p);
	}
}

static void wait_for(struct eng_cell *c, uint32_t id, const struct creel_approval *p)
{
	for (size_t i = 0; i < WAITERS; i++)
		if (!waiters[i].cell) {
			waiters[i] = (struct waiter){c, id, p->id};
			return;
		}
	answer(c, id, CREEL_CALL_AGAIN, "too many wait");
}

static void on_gate(struct eng_cell *c, uint32_t id, uint32_t uid, const struct creel_call_gate *g)
{
	struct creel_event e = {.kind = CREEL_EV_GATE_ASK, .cell = c->name, .by_guest = true};
	struct creel_err err = {0};
	uint8_t key[32], wide[32];

	if (!c->plan.gate) {
		answer(c, id, CREEL_CALL_INVALID, "this cell has no gate");
		return;
	}
	if (journal_ok(&err) < 0) {
		answer(c, id, CREEL_CALL_DENIED, err.msg);
		return;
	}
	if (!budget_spend(c)) {
		answer(c, id, CREEL_CALL_AGAIN, "too many calls");
		return;
	}
	key_make(g, key);
	wide_make(g, wide);
	const struct creel_approval_ask ask = {
		.kind = CREEL_APPROVAL_GATE,
		.cell = c->name,
		.subject = g->verb,
		.key = key,
		.wide = wide,
		.detail = detail_make(g, uid),
		.ttl_ms = (int64_t)MIN(MAX(g->wait_s, (uint32_t)WAIT_MIN_S), (uint32_t)WAIT_MAX_S) * 1000,
	};
	if (!ask.detail) {
		answer(c, id, CREEL_CALL_INVALID, "an argument is not UTF-8");
		return;
	}
	approve_on(CREEL_APPROVAL_GATE, changed);
	const struct creel_approval *p = approve_ask(&ask, &err);
	if (!p) {
		answer(c, id, CREEL_CALL_DENIED, err.msg);
		return;
	}
	uint32_t approval = p->id;
	creel_event_num(&e, "approval", approval);
	creel_event_str(&e, "verb", p->subject);
	creel_event_str(&e, "from", cell_of(g->client));
	creel_event_num(&e, "uid", uid);
	if (journal_add(&e, &err) < 0)
		answer(c, id, CREEL_CALL_DENIED, err.msg);
	else if (p->state == CREEL_APPROVAL_PENDING)
		wait_for(c, id, p);
	else
		finish(c, id, p);
}

/* --- why --- */

static const char *const why_words[] = {
	[CREEL_WHY_ENTRY_ALLOW] = "an entry of `allow` has it",
	[CREEL_WHY_ENTRY_DENY] = "an entry of `deny` has it: no approval opens it",
	[CREEL_WHY_REACH] = "a line of `reach` has this cell and port",
	[CREEL_WHY_MODE] = "no entry has it, so the mode decides",
	[CREEL_WHY_PORT] = "the name is allowed, but not on this port and protocol",
	[CREEL_WHY_RANGE] = "a private, link-local, metadata, multicast or host address",
	[CREEL_WHY_ADDRESS] = "an address asked for by itself: ask for it by its name",
	[CREEL_WHY_SPECIAL] = "the name is never asked of the public DNS",
	[CREEL_WHY_CELL] = "another cell, and no line of `reach` has it with this port",
};

/* What the asker may do about it: nothing here widens what was declared. */
static const char *remedy(const struct creel_answer *a, const struct creel_approval *p)
{
	if (a->decision == CREEL_ALLOW)
		return "nothing: it is allowed";
	if (a->decision == CREEL_ASK && p && p->state == CREEL_APPROVAL_GRANTED)
		return "nothing: a human has allowed it; try again";
	if (a->decision == CREEL_ASK && p && p->state == CREEL_APPROVAL_PENDING)
		return "wait: a human is asked";
	if (a->decision == CREEL_ASK && p && p->state == CREEL_APPROVAL_DENIED)
		return "a human said no: do without it";
	if (a->decision == CREEL_ASK)
		return "resolve the name: a human is asked then";
	if (a->why == CREEL_WHY_ADDRESS)
		return "connect by a name that is allowed";
	return "ask the person who runs this cell to declare it";
}

static const struct creel_approval *approval_of(const struct eng_cell *c, const char *name)
{
	const struct creel_approvals *all = approve_all();
	const struct creel_approval *found = NULL;

	for (size_t i = 0; name[0] && i < all->n; i++)
		if (all->v[i].kind == CREEL_APPROVAL_EGRESS && strcmp(all->v[i].cell, c->name) == 0 &&
		    strcmp(all->v[i].subject, name) == 0)
			found = &all->v[i];
	return found;
}

/* `gog:22` means the cell, as `gog.creel:22` does. */
static void cell_name_complete(const struct creel_policy *p, struct creel_target *t)
{
	for (size_t i = 0; i < p->spec.n_cells; i++)
		if (strcmp(p->spec.cells[i], t->name.text) == 0 &&
		    strlen(t->name.text) + 6 < sizeof(t->name.text)) {
			strcat(t->name.text, ".creel");
			return;
		}
}

static void on_why(struct eng_cell *c, uint32_t id, const char *what)
{
	struct creel_policytext autoclean(creel_policytext_fini) text = {0};
	struct creel_target t = {0};
	struct creel_answer a = {0};
	struct creel_err err = {0};

	if (strcmp(what, "killswitch") == 0) {
		/* asked twice a second by who honours it: it costs nothing of the budget */
		answer(c, id, CREEL_CALL_OK,
		       c->killed_now ? "{\"killswitch\":\"on\"}" : "{\"killswitch\":\"off\"}");
		return;
	}
	/* a line of the record is not written, and costs as much */
	if (!budget_spend(c) || c->ran_policy.len == 0) {
		answer(c, id, CREEL_CALL_AGAIN, "too many calls");
		return;
	}
	if (creel_policytext_read((const char *)c->ran_policy.data, c->ran_policy.len, NULL, NULL, &text,
				  &err) < 0) {
		creel_log_error(&err);
		answer(c, id, CREEL_CALL_INVALID, "the cell's policy cannot be read");
		return;
	}
	if (creel_target_parse(what, &t, &err) < 0) {
		answer(c, id, CREEL_CALL_INVALID, err.msg);
		return;
	}
	const struct creel_policy *policy = &text.policy;
	cell_name_complete(policy, &t);
	const struct creel_question q = {t.name.text, t.addr, t.port, t.udp};
	creel_policy_decide(policy, &q, &a);
	if (c->killed_now)
		a = (struct creel_answer){
			.decision = CREEL_DENY, .why = CREEL_WHY_MODE, .rule = "the kill switch"};
	const struct creel_approval *p = approval_of(c, t.name.text);
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s}", "target", what, "decision",
			      creel_decision_name(a.decision), "rule", a.rule, "why", why_words[a.why],
			      "remedy", remedy(&a, p));
	if (o && p && a.decision == CREEL_ASK)
		json_object_set_new(o, "approval",
				    json_pack("{s:I,s:s,s:s}", "id", (json_int_t)p->id, "state",
					      creel_approval_state_name(p->state), "reason", p->reason));
	autofree char *said = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	answer(c, id, said ? CREEL_CALL_OK : CREEL_CALL_INVALID, said ? said : "the target is not UTF-8");
}

/* --- events --- */

static bool kind_find(const char *name, enum creel_event_kind *ret)
{
	static const enum creel_event_kind may[] = {
		CREEL_EV_GATE_EXEC,         CREEL_EV_GATE_DENY,      CREEL_EV_DEFENDER_WARN,
		CREEL_EV_DEFENDER_SANITIZE, CREEL_EV_DEFENDER_BLOCK, CREEL_EV_DEFENDER_ERROR,
		CREEL_EV_FILE_RESTORE,
	};

	for (size_t i = 0; i < ELEMENTSOF(may); i++)
		if (strcmp(creel_event_kinds[may[i]].name, name) == 0) {
			*ret = may[i];
			return true;
		}
	return false;
}

static bool key_taken(const char *key)
{
	static const char *const ours[] = {"seq", "time", "cell", "kind", "by", "prev", "hash", "uid"};

	for (size_t i = 0; i < ELEMENTSOF(ours); i++)
		if (strcmp(ours[i], key) == 0)
			return true;
	return false;
}

static void on_event(struct eng_cell *c, uint32_t id, uint32_t uid, const struct creel_call_event *told)
{
	struct creel_event e = {.cell = c->name, .by_guest = true};
	struct creel_err err = {0};

	if (!kind_find(told->kind, &e.kind)) {
		answer(c, id, CREEL_CALL_INVALID, "no program in a cell causes this kind of event");
		return;
	}
	bool gate = e.kind == CREEL_EV_GATE_EXEC || e.kind == CREEL_EV_GATE_DENY;
	for (size_t i = 0; i < told->n_fields; i++) {
		if (key_taken(told->field[i].key) || strlen(told->field[i].value) > CREEL_EVENT_STRING) {
			answer(c, id, CREEL_CALL_INVALID, "a field's name or length");
			return;
		}
		creel_event_str(&e, told->field[i].key, told->field[i].value);
	}
	creel_event_num(&e, "uid", uid);
	if (!gate) {
		budget_note(c, &e);
		answer(c, id, CREEL_CALL_OK, "");
	} else if (!c->plan.gate) {
		answer(c, id, CREEL_CALL_INVALID, "this cell has no gate");
	} else if (!budget_spend(c)) {
		/* the gate waits a moment and tells it again: what runs is on the record, each */
		answer(c, id, CREEL_CALL_AGAIN, "too many calls");
	} else if (journal_ok(&err) < 0 || journal_add(&e, &err) < 0) {
		answer(c, id, CREEL_CALL_DENIED, err.msg);
	} else {
		answer(c, id, CREEL_CALL_OK, "");
	}
}

/* --- all of them --- */

void calls_take(struct eng_cell *c, const struct creel_cellmsg *m, const uint8_t *payload, size_t len)
{
	static struct creel_call_gate g;
	struct creel_call_event e;
	struct creel_err err = {0};
	const char *why;

	if (m->state == CREEL_CALL_CANCEL) {
		for (size_t i = 0; i < WAITERS; i++)
			if (waiters[i].cell == c && waiters[i].id == m->id)
				waiters[i].cell = NULL;
		return;
	}
	if (m->state == CREEL_CALL_GATE && creel_call_gate_decode(payload, len, &g, &err) == 0)
		on_gate(c, m->id, m->a, &g);
	else if (m->state == CREEL_CALL_WHY && creel_call_why_decode(payload, len, &why, &err) == 0)
		on_why(c, m->id, why);
	else if (m->state == CREEL_CALL_EVENT && creel_call_event_decode(payload, len, &e, &err) == 0)
		on_event(c, m->id, m->a, &e);
	else
		answer(c, m->id, CREEL_CALL_INVALID, "not understood");
}

bool calls_wait(uint32_t approval)
{
	for (size_t i = 0; i < WAITERS; i++)
		if (waiters[i].cell && waiters[i].approval == approval)
			return true;
	return false;
}

void calls_end_cell(struct eng_cell *c)
{
	for (size_t i = 0; i < WAITERS; i++)
		if (waiters[i].cell == c)
			waiters[i].cell = NULL;
}

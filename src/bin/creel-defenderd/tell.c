#include "tell.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "linux/hostcall.h"
#include "wire/call.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALUE = 512, RULES = 8, ANSWER_MS = 30000, END_MS = 2000, PAUSE_S = 1 };

struct tell_event {
	struct tell_event *next;
	const char *kind;
	char rules[VALUE], score[16], source[VALUE], tool[VALUE], why[VALUE];
};

/* Foreign text for a field: whole characters, and no more than it holds. */
static void text_put(char ret[VALUE], const char *s)
{
	size_t n = s ? strnlen(s, VALUE - 1) : 0;

	while (n > 0 && s[n] && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	if (n > 0)
		memcpy(ret, s, n);
	ret[n] = '\0';
}

static struct creel_call_event wire(const struct tell_event *e)
{
	const char *const field[][2] = {{"where", "creel-defenderd"}, {"rules", e->rules},
					{"score", e->score},          {"why", e->why},
					{"source", e->source},        {"tool", e->tool}};
	struct creel_call_event c = {.kind = e->kind};

	for (size_t i = 0; i < ELEMENTSOF(field); i++)
		if (field[i][1][0]) {
			c.field[c.n_fields].key = field[i][0];
			c.field[c.n_fields++].value = field[i][1];
		}
	return c;
}

/* @return is it done with? When the host cannot be asked it is not. */
static bool send_one(const struct tell *t, const struct tell_event *e, int timeout_ms)
{
	struct creel_buf autoclean(creel_buf_fini) payload, autoclean(creel_buf_fini) text;
	struct creel_call_event c = wire(e);
	struct creel_err err = {0};

	creel_buf_init(&payload, CREEL_CALL_MAX);
	creel_buf_init(&text, CREEL_CALL_REPLY_MAX);
	if (creel_call_event_encode(&c, &payload, &err) < 0)
		return true;
	int r = creel_hostcall(t->socket, CREEL_CALL_EVENT, &payload, timeout_ms, &text, &err);
	if (r >= 0 && r != CREEL_CALL_OK)
		creel_log_warn("%s is not on the record: %s", e->kind, creel_buf_str(&text));
	return r >= 0;
}

/* With the lock: the first event leaves the queue, and what was lost before it takes its place. */
static void first_done(struct tell *t)
{
	struct tell_event *e = t->first;

	t->first = e->next;
	t->n--;
	if (!t->first)
		t->last = &t->first;
	if (t->lost == 0) {
		free(e);
		return;
	}
	*e = (struct tell_event){.kind = "defender.error", .next = t->first};
	(void)snprintf(e->why, sizeof(e->why), "%lu findings were not told", t->lost);
	t->lost = 0;
	t->first = e;
	t->n++;
	if (!e->next)
		t->last = &e->next;
}

/* With the lock; let go meanwhile. */
static void pause_one(struct tell *t)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PAUSE_S;
	(void)pthread_cond_timedwait(&t->more, &t->lock, &until);
}

static void *teller(void *arg)
{
	struct tell *t = arg;
	bool done = true;

	pthread_mutex_lock(&t->lock);
	while (!t->ended || (t->first && done)) {
		if (!t->first) {
			pthread_cond_wait(&t->more, &t->lock);
			continue;
		}
		struct tell_event *e = t->first;
		int timeout_ms = t->ended ? END_MS : ANSWER_MS;
		pthread_mutex_unlock(&t->lock);
		done = send_one(t, e, timeout_ms);
		pthread_mutex_lock(&t->lock);
		if (done)
			first_done(t);
		else if (!t->ended)
			pause_one(t);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

int tell_start(struct tell *t, const char *socket, struct creel_err *err)
{
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->more, NULL);
	t->socket = socket;
	t->last = &t->first;
	int r = socket ? pthread_create(&t->thread, NULL, teller, t) : 0;
	if (r != 0)
		return creel_err_set(err, CREEL_E_OS, r, "start a thread");
	t->started = socket != NULL;
	return 0;
}

static void put(struct tell *t, struct tell_event *e)
{
	pthread_mutex_lock(&t->lock);
	bool room = e && t->n < TELL_MAX && !t->ended;
	if (room) {
		*t->last = e;
		t->last = &e->next;
		t->n++;
		pthread_cond_signal(&t->more);
	} else
		t->lost++;
	pthread_mutex_unlock(&t->lock);
	if (!room)
		free(e);
}

static struct tell_event *event_new(const char *kind, const struct ask *a)
{
	struct tell_event *e = calloc(1, sizeof(*e));

	if (e) {
		e->kind = kind;
		text_put(e->source, a->ctx.source);
		text_put(e->tool, a->ctx.tool);
	}
	return e;
}

static void failures_tell(struct tell *t, const struct ask *a, const struct creel_defender_result *r)
{
	const struct creel_defender_verdict *v;
	size_t n = creel_defender_result_verdicts(r, &v);

	for (size_t i = 0; i < n; i++) {
		struct tell_event *e = v[i].failed ? event_new("defender.error", a) : NULL;
		if (e)
			text_put(e->why, v[i].error);
		if (v[i].failed)
			put(t, e);
	}
}

/* The first few rules, each once. */
static void rules_put(char ret[VALUE], const struct creel_defender_result *r)
{
	const struct creel_defender_finding *f;
	size_t n = creel_defender_result_findings(r, &f), at = 0, said = 0;

	for (size_t i = 0; i < n && said < RULES; i++) {
		bool again = false;
		for (size_t k = 0; k < i && !again; k++)
			again = strcmp(f[k].rule, f[i].rule) == 0;
		size_t len = strlen(f[i].rule);
		if (again || at + len + 2 > VALUE)
			continue;
		at += (size_t)snprintf(ret + at, VALUE - at, "%s%s", said++ > 0 ? " " : "", f[i].rule);
	}
}

void tell_found(struct tell *t, const struct ask *a)
{
	static const char *const kinds[] = {[CREEL_DEFENDER_WARN] = "defender.warn",
					    [CREEL_DEFENDER_SANITIZE] = "defender.sanitize",
					    [CREEL_DEFENDER_BLOCK] = "defender.block"};

	for (size_t i = 0; t->started && i < a->n; i++) {
		const struct creel_defender_result *r = a->text[i].r;
		enum creel_defender_action action = creel_defender_result_action(r);
		failures_tell(t, a, r);
		if (action < CREEL_DEFENDER_WARN)
			continue;
		struct tell_event *e = event_new(kinds[action], a);
		if (e) {
			rules_put(e->rules, r);
			(void)snprintf(e->score, sizeof(e->score), "%.2f", creel_defender_result_score(r));
		}
		put(t, e);
	}
}

void tell_end(struct tell *t)
{
	pthread_mutex_lock(&t->lock);
	t->ended = true;
	pthread_cond_broadcast(&t->more);
	pthread_mutex_unlock(&t->lock);
	if (t->started)
		pthread_join(t->thread, NULL);
	if (t->n + t->lost > 0)
		creel_log_warn("%lu findings were not told to the host", t->n + t->lost);
	while (t->first) {
		struct tell_event *e = t->first;
		t->first = e->next;
		free(e);
	}
	pthread_cond_destroy(&t->more);
	pthread_mutex_destroy(&t->lock);
}

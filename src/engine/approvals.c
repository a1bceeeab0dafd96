#include "engine/approvals.h"
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DENIED_MS = 10 * 60 * 1000, KEEP_MS = 24 * 3600 * 1000 };

static const char *const kinds[] = {[CREEL_APPROVAL_EGRESS] = "egress", [CREEL_APPROVAL_GATE] = "gate"};
static const char *const states[] = {
	[CREEL_APPROVAL_PENDING] = "pending", [CREEL_APPROVAL_GRANTED] = "granted",
	[CREEL_APPROVAL_USED] = "used",       [CREEL_APPROVAL_DENIED] = "denied",
	[CREEL_APPROVAL_EXPIRED] = "expired",
};

const char *creel_approval_kind_name(enum creel_approval_kind k)
{
	return kinds[k];
}

const char *creel_approval_state_name(enum creel_approval_state s)
{
	return states[s];
}

void creel_approvals_init(struct creel_approvals *a)
{
	memset(a, 0, sizeof(*a));
	a->next_id = 1;
}

void creel_approvals_fini(struct creel_approvals *a)
{
	for (size_t i = 0; i < a->n; i++)
		json_decref(a->v[i].detail);
	creel_approvals_init(a);
}

struct creel_approval *creel_approvals_find(struct creel_approvals *a, uint32_t id)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].id == id)
			return &a->v[i];
	return NULL;
}

static void drop(struct creel_approvals *a, size_t i)
{
	json_decref(a->v[i].detail);
	a->n--;
	memmove(&a->v[i], &a->v[i + 1], (a->n - i) * sizeof(a->v[0]));
}

static bool over(const struct creel_approval *p, int64_t now_ms)
{
	return p->state == CREEL_APPROVAL_USED || p->state == CREEL_APPROVAL_EXPIRED ||
	       (p->state == CREEL_APPROVAL_DENIED && p->until_ms <= now_ms);
}

static size_t octets_of(const json_t *detail)
{
	return json_dumpb(detail, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
}

/*
 * Room for one more: what is over goes, the oldest first. What waits or stands is never dropped. A cell that
 * asked long questions all day must not leave a file that is too large to be read.
 */
static bool room(struct creel_approvals *a, size_t octets, int64_t now_ms)
{
	size_t held = octets;

	for (size_t i = 0; i < a->n; i++)
		held += a->v[i].octets;
	for (size_t i = 0; i < a->n && (a->n == CREEL_APPROVALS || held > CREEL_APPROVALS_OCTETS);) {
		if (!over(&a->v[i], now_ms)) {
			i++;
			continue;
		}
		held -= a->v[i].octets;
		drop(a, i);
	}
	return a->n < CREEL_APPROVALS && held <= CREEL_APPROVALS_OCTETS;
}

static bool stands(const struct creel_approval *p, int64_t now_ms)
{
	return p->state == CREEL_APPROVAL_GRANTED && p->until_ms > now_ms;
}

static struct creel_approval *known(struct creel_approvals *a, const struct creel_approval_ask *ask,
				    int64_t now_ms)
{
	struct creel_approval *found = NULL;

	for (size_t i = 0; i < a->n; i++) {
		struct creel_approval *p = &a->v[i];
		if (p->kind != ask->kind || strcmp(p->cell, ask->cell) != 0)
			continue;
		bool same = memcmp(p->key, ask->key, sizeof(p->key)) == 0;
		bool wide = p->wide_grant && memcmp(p->wide, ask->wide, sizeof(p->wide)) == 0;
		/* a yes that stands comes before a question, and the newest word before an older one */
		if (stands(p, now_ms) && (same || wide))
			found = p;
		else if (same && p->state == CREEL_APPROVAL_PENDING && p->expires_ms > now_ms)
			found = p;
		else if (same && p->state == CREEL_APPROVAL_DENIED && p->until_ms > now_ms)
			found = p;
	}
	return found;
}

struct creel_approval *creel_approvals_ask(struct creel_approvals *a, const struct creel_approval_ask *ask,
					   int64_t now_ms, bool *ret_new, struct creel_err *err)
{
	struct creel_approval *p = known(a, ask, now_ms);
	size_t pending = 0;

	*ret_new = false;
	if (p) {
		json_decref(ask->detail);
		return p;
	}
	for (size_t i = 0; i < a->n; i++)
		pending += a->v[i].state == CREEL_APPROVAL_PENDING && strcmp(a->v[i].cell, ask->cell) == 0;
	size_t octets = ask->detail ? octets_of(ask->detail) : 0;
	if (!ask->detail)
		creel_err_nomem(err);
	else if (strlen(ask->subject) >= sizeof(p->subject)) /* what is read first is never cut */
		creel_err_set(err, CREEL_E_TOOBIG, 0, "a subject of %zu octets", strlen(ask->subject));
	else if (octets > CREEL_APPROVAL_DETAIL)
		creel_err_set(err, CREEL_E_TOOBIG, 0, "a question of %zu octets", octets);
	else if (pending >= CREEL_APPROVALS_PENDING)
		creel_err_set(err, CREEL_E_TOOBIG, 0, "cell '%s' has %zu questions open: answer those first",
			      ask->cell, pending);
	else if (!room(a, octets, now_ms))
		creel_err_set(err, CREEL_E_TOOBIG, 0,
			      "no room for a question of %zu octets beside %zu that wait or stand", octets,
			      a->n);
	else if (a->next_id == UINT32_MAX)
		creel_err_set(err, CREEL_E_TOOBIG, 0, "no number is left for an approval");
	if (err->code < 0) {
		json_decref(ask->detail);
		return NULL;
	}
	p = &a->v[a->n++];
	*p = (struct creel_approval){
		.id = a->next_id++,
		.kind = ask->kind,
		.detail = ask->detail,
		.octets = octets,
		.asked_ms = now_ms,
		.expires_ms = now_ms + ask->ttl_ms,
	};
	(void)snprintf(p->cell, sizeof(p->cell), "%s", ask->cell);
	(void)snprintf(p->subject, sizeof(p->subject), "%s", ask->subject);
	memcpy(p->key, ask->key, sizeof(p->key));
	memcpy(p->wide, ask->wide, sizeof(p->wide));
	*ret_new = true;
	return p;
}

static int answered(const struct creel_approval *p, struct creel_err *err)
{
	char when[32] = "";
	time_t t = p->answered_ms / 1000;
	struct tm tm;

	if (gmtime_r(&t, &tm))
		(void)strftime(when, sizeof(when), "%H:%M:%S UTC", &tm);
	return creel_err_set(err, CREEL_E_BUSY, 0, "approval %" PRIu32 " was %s by uid %u at %s", p->id,
			     p->state == CREEL_APPROVAL_DENIED ? "denied" : "granted", (unsigned)p->by, when);
}

int creel_approvals_answer(struct creel_approvals *a, uint32_t id, const struct creel_approval_answer *answer,
			   int64_t now_ms, struct creel_err *err)
{
	struct creel_approval *p = creel_approvals_find(a, id);

	if (!p)
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "there is no approval %" PRIu32, id);
	if (p->state == CREEL_APPROVAL_EXPIRED ||
	    (p->state == CREEL_APPROVAL_PENDING && p->expires_ms <= now_ms))
		return creel_err_set(err, CREEL_E_CLOSED, 0,
				     "approval %" PRIu32 " has expired: the cell has to ask again", id);
	bool withdraw = !answer->grant && !p->once && stands(p, now_ms);
	if (p->state != CREEL_APPROVAL_PENDING && !withdraw)
		return answered(p, err);
	if (answer->for_ms < 0 || (answer->wide && (answer->for_ms == 0 || !answer->grant)))
		return creel_err_set(err, CREEL_E_INVALID, 0,
				     "a grant of the whole verb needs a time: --for");
	if ((answer->once || answer->session) &&
	    (!answer->grant || answer->for_ms || (answer->once && answer->session)))
		return creel_err_set(err, CREEL_E_INVALID, 0, "one of once, session and a time");
	if (answer->session && p->kind == CREEL_APPROVAL_GATE)
		return creel_err_set(err, CREEL_E_INVALID, 0,
				     "a call's yes is for one time, or for a time: --for");
	p->answered_ms = now_ms;
	p->by = answer->by;
	p->wide_grant = answer->wide;
	p->once = answer->grant && answer->for_ms == 0 && (p->kind == CREEL_APPROVAL_GATE || answer->once);
	p->session = answer->session;
	(void)snprintf(p->reason, sizeof(p->reason), "%s", answer->reason ? answer->reason : "");
	int64_t for_ms = answer->for_ms;
	if (!answer->grant) {
		p->state = CREEL_APPROVAL_DENIED;
		p->until_ms = now_ms + (for_ms ? for_ms : DENIED_MS);
		return 0;
	}
	p->state = CREEL_APPROVAL_GRANTED;
	/* a yes to one action holds as long as its question did: who asked may be gone and come again */
	p->until_ms = for_ms ? (now_ms > CREEL_APPROVAL_EVER - for_ms ? CREEL_APPROVAL_EVER : now_ms + for_ms)
		      : p->once ? p->expires_ms
				: CREEL_APPROVAL_EVER;
	return 0;
}

const char *creel_approval_scope(const struct creel_approval *p)
{
	return p->once                              ? "once"
	       : p->session                         ? "session"
	       : p->until_ms == CREEL_APPROVAL_EVER ? "always"
						    : "time";
}

void creel_approvals_session_over(struct creel_approvals *a, const char *cell,
				  void (*each)(const struct creel_approval *, void *ctx), void *ctx)
{
	for (size_t i = 0; i < a->n; i++) {
		struct creel_approval *p = &a->v[i];
		if (p->state != CREEL_APPROVAL_GRANTED || !p->session || strcmp(p->cell, cell) != 0)
			continue;
		p->state = CREEL_APPROVAL_EXPIRED;
		each(p, ctx);
	}
}

int creel_approvals_use(struct creel_approvals *a, uint32_t id, int64_t now_ms, struct creel_err *err)
{
	struct creel_approval *p = creel_approvals_find(a, id);

	if (!p || !stands(p, now_ms))
		return creel_err_set(err, CREEL_E_DENIED, 0,
				     "approval %" PRIu32 " is not granted, or was used", id);
	if (p->once)
		p->state = CREEL_APPROVAL_USED;
	return 0;
}

int64_t creel_approvals_tick(struct creel_approvals *a, int64_t now_ms,
			     void (*each)(const struct creel_approval *, void *ctx), void *ctx)
{
	int64_t next = CREEL_APPROVAL_EVER;

	for (size_t i = 0; i < a->n;) {
		struct creel_approval *p = &a->v[i];
		int64_t end = p->state == CREEL_APPROVAL_PENDING   ? p->expires_ms
			      : p->state == CREEL_APPROVAL_GRANTED ? p->until_ms
								   : CREEL_APPROVAL_EVER;
		if (end <= now_ms) {
			p->state = CREEL_APPROVAL_EXPIRED;
			if (each)
				each(p, ctx);
		} else if (end < next) {
			next = end;
		}
		int64_t last = MAX(p->answered_ms, p->asked_ms);
		if (over(p, now_ms) && now_ms - last > KEEP_MS)
			drop(a, i);
		else
			i++;
	}
	return next;
}

json_t *creel_approval_json(const struct creel_approval *p)
{
	json_t *o = json_pack("{s:I,s:s,s:s,s:s,s:s,s:I,s:I,s:O}", "id", (json_int_t)p->id, "kind",
			      kinds[p->kind], "state", states[p->state], "cell", p->cell, "subject",
			      p->subject, "asked_ms", (json_int_t)p->asked_ms, "expires_ms",
			      (json_int_t)p->expires_ms, "detail", p->detail);
	bool is_answered = p->answered_ms > 0;
	int r = o ? 0 : -1;

	if (r == 0 && is_answered)
		r = json_object_set_new(o, "answered_ms", json_integer((json_int_t)p->answered_ms)) |
		    json_object_set_new(o, "until_ms", json_integer((json_int_t)p->until_ms)) |
		    json_object_set_new(o, "by", json_integer((json_int_t)p->by)) |
		    json_object_set_new(o, "once", json_boolean(p->once)) |
		    json_object_set_new(o, "session", json_boolean(p->session)) |
		    json_object_set_new(o, "same_verb", json_boolean(p->wide_grant)) |
		    json_object_set_new(o, "reason", json_string(p->reason));
	if (r == 0)
		return o;
	json_decref(o);
	return NULL;
}

char *creel_approvals_encode(const struct creel_approvals *a)
{
	json_t *all = json_array(), *o;
	char hex[65];

	for (size_t i = 0; i < a->n; i++) {
		o = creel_approval_json(&a->v[i]);
		json_object_set_new(o, "key", json_string(sodium_bin2hex(hex, sizeof(hex), a->v[i].key, 32)));
		json_object_set_new(o, "wide",
				    json_string(sodium_bin2hex(hex, sizeof(hex), a->v[i].wide, 32)));
		if (json_object_size(o) < 10 || json_array_append_new(all, o) < 0) {
			json_decref(all);
			return NULL;
		}
	}
	o = json_pack("{s:i,s:I,s:o}", "version", 1, "next", (json_int_t)a->next_id, "approvals", all);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}

static bool word(const json_t *o, const char *key, const char *const *list, size_t n, int *ret)
{
	const char *s = json_string_value(json_object_get(o, key));

	for (size_t i = 0; s && i < n; i++)
		if (strcmp(s, list[i]) == 0) {
			*ret = (int)i;
			return true;
		}
	return false;
}

static bool text(const json_t *o, const char *key, char *ret, size_t size)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s && (size_t)snprintf(ret, size, "%s", s) < size;
}

static bool hash(const json_t *o, const char *key, uint8_t ret[32])
{
	const char *s = json_string_value(json_object_get(o, key));
	size_t n = 0;

	return s && strlen(s) == 64 && sodium_hex2bin(ret, 32, s, 64, NULL, &n, NULL) == 0 && n == 32;
}

static bool number(const json_t *o, const char *key, int64_t *ret)
{
	const json_t *v = json_object_get(o, key);

	*ret = json_integer_value(v);
	return json_is_integer(v) && *ret >= 0;
}

static bool one_read(const json_t *o, struct creel_approval *p)
{
	int kind, state;
	int64_t id, by;

	if (!word(o, "kind", kinds, ELEMENTSOF(kinds), &kind) ||
	    !word(o, "state", states, ELEMENTSOF(states), &state) || !number(o, "id", &id) || id == 0 ||
	    id >= UINT32_MAX || !text(o, "cell", p->cell, sizeof(p->cell)) ||
	    !text(o, "subject", p->subject, sizeof(p->subject)) || !hash(o, "key", p->key) ||
	    !hash(o, "wide", p->wide) || !number(o, "asked_ms", &p->asked_ms) ||
	    !number(o, "expires_ms", &p->expires_ms) || !json_object_get(o, "detail"))
		return false;
	p->id = (uint32_t)id;
	p->kind = (enum creel_approval_kind)kind;
	p->state = (enum creel_approval_state)state;
	if (json_object_get(o, "answered_ms")) {
		if (!number(o, "answered_ms", &p->answered_ms) || !number(o, "until_ms", &p->until_ms) ||
		    !number(o, "by", &by) || !text(o, "reason", p->reason, sizeof(p->reason)))
			return false;
		p->by = (uid_t)by;
		p->once = json_is_true(json_object_get(o, "once"));
		p->session = json_is_true(json_object_get(o, "session"));
		p->wide_grant = json_is_true(json_object_get(o, "same_verb"));
	}
	p->detail = json_incref(json_object_get(o, "detail"));
	p->octets = octets_of(p->detail);
	return true;
}

int creel_approvals_decode(struct creel_approvals *a, const char *data, size_t len, struct creel_err *err)
{
	json_t *top = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL), *v;
	json_t *all = json_object_get(top, "approvals");
	int64_t next = 0, last = 0;
	bool good = json_integer_value(json_object_get(top, "version")) == 1 && number(top, "next", &next) &&
		    next > 0 && next < UINT32_MAX && json_is_array(all) &&
		    json_array_size(all) <= CREEL_APPROVALS;
	size_t i;

	creel_approvals_init(a);
	json_array_foreach (all, i, v) {
		good = good && one_read(v, &a->v[a->n]) && a->v[a->n].id > last && a->v[a->n].id < next;
		if (!good)
			break;
		last = a->v[a->n++].id;
	}
	json_decref(top);
	if (!good) {
		json_decref(a->n < CREEL_APPROVALS ? a->v[a->n].detail : NULL);
		creel_approvals_fini(a);
		return creel_err_set(err, CREEL_E_BROKEN, 0, "the file of approvals is damaged");
	}
	a->next_id = (uint32_t)next;
	return 0;
}

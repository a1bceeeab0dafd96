#include "engine/approve.h"
#include "base/log.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char file_name[] = "approvals.json", file_tmp[] = "approvals.json.new";
enum { FLOOD_MS = 60000 };

static struct creel_approvals all;
static int folder = -1;
static struct event *timer;
static void (*listeners[CREEL_APPROVAL_KINDS])(const struct creel_approval *);

int64_t approve_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int save(struct creel_err *err)
{
	autofree char *text = creel_approvals_encode(&all);

	if (!text)
		return creel_err_nomem(err);
	size_t len = strlen(text);
	autofd int fd = openat(folder, file_tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, len) != (ssize_t)len || fsync(fd) < 0 ||
	    renameat(folder, file_tmp, folder, file_name) < 0 || fsync(folder) < 0) {
		int e = errno ? errno : EIO;
		(void)unlinkat(folder, file_tmp, 0);
		return creel_err_set(err, CREEL_E_OS, e, "keep the approvals on disk");
	}
	return 0;
}

static int load(struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text = {0};
	char buf[65536];
	ssize_t n = 0;

	creel_approvals_init(&all);
	autofd int fd = openat(folder, file_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0
				       : creel_err_set(err, CREEL_E_OS, errno, "open the file of approvals");
	creel_buf_init(&text, CREEL_APPROVALS_FILE);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (creel_buf_add(&text, buf, (size_t)n, err) < 0)
			return err->code;
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read the file of approvals");
	return creel_approvals_decode(&all, creel_buf_str(&text), text.len, err);
}

static int note(enum creel_event_kind kind, const struct creel_approval *p, struct creel_err *err)
{
	struct creel_event e = {.kind = kind, .cell = p->cell};

	creel_event_num(&e, "id", p->id);
	creel_event_str(&e, "what", creel_approval_kind_name(p->kind));
	creel_event_str(&e, "subject", p->subject);
	if (kind == CREEL_EV_APPROVAL_GRANT) {
		creel_event_num(&e, "uid", p->by);
		creel_event_num(&e, "for_s",
				p->until_ms == CREEL_APPROVAL_EVER
					? -1
					: (p->once ? 0 : (p->until_ms - p->answered_ms) / 1000));
		creel_event_str(&e, "scope", creel_approval_scope(p));
		creel_event_num(&e, "same_verb", p->wide_grant);
	} else if (kind == CREEL_EV_APPROVAL_DENY) {
		creel_event_num(&e, "uid", p->by);
		creel_event_str(&e, "reason", p->reason);
	} else if (kind == CREEL_EV_APPROVAL_ASK) {
		char hex[65];
		sodium_bin2hex(hex, sizeof(hex), p->key, sizeof(p->key));
		creel_event_str(&e, "action", hex);
		creel_event_num(&e, "wait_s", (p->expires_ms - p->asked_ms) / 1000);
		return journal_add(&e, err);
	}
	return journal_add(&e, err);
}

static void tell(const struct creel_approval *p)
{
	if (listeners[p->kind])
		listeners[p->kind](p);
}

static void expired(const struct creel_approval *p, void *ctx)
{
	struct creel_err err = {0};

	if (note(CREEL_EV_APPROVAL_EXPIRE, p, &err) < 0)
		creel_log_error(&err);
	*(bool *)ctx = true;
	tell(p);
}

static void schedule(void)
{
	struct creel_err err = {0};
	bool changed = false;
	int64_t now = approve_now_ms(), next = creel_approvals_tick(&all, now, expired, &changed);

	if (changed && save(&err) < 0)
		creel_log_error(&err);
	(void)evtimer_del(timer);
	if (next == CREEL_APPROVAL_EVER)
		return;
	/* a clock that is set meanwhile is met within the hour */
	int64_t wait = MIN(MAX(next - now, 1), 3600 * 1000);
	const struct timeval tv = {.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000};
	(void)evtimer_add(timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	schedule();
}

int approve_open(int dirfd, struct creel_err *err)
{
	folder = dirfd;
	int r = load(err);
	if (r < 0)
		return r;
	timer = evtimer_new(eng.base, on_timer, NULL);
	if (!timer)
		return creel_err_nomem(err);
	schedule();
	return 0;
}

void approve_close(void)
{
	if (timer)
		event_free(timer);
	timer = NULL;
	creel_approvals_fini(&all);
}

void approve_on(enum creel_approval_kind kind, void (*changed)(const struct creel_approval *p))
{
	listeners[kind] = changed;
}

const struct creel_approvals *approve_all(void)
{
	return &all;
}

/* A flood is one event: it is over when its cell asked nothing too much for a minute. */
static void flood(const char *cell)
{
	struct creel_event e = {.kind = CREEL_EV_APPROVAL_FLOOD, .cell = cell};
	struct eng_cell *c = cells_find(cell);
	int64_t now = approve_now_ms(), last = c ? c->flood_ms : 0;

	if (c)
		c->flood_ms = now;
	if (now - last < FLOOD_MS && now >= last)
		return;
	creel_event_num(&e, "open", CREEL_APPROVALS_PENDING);
	journal_note(&e);
}

void approve_session_over(const char *cell)
{
	struct creel_err err = {0};
	bool changed = false;

	creel_approvals_session_over(&all, cell, expired, &changed);
	if (changed && save(&err) < 0)
		creel_log_error(&err);
}

const struct creel_approval *approve_ask(const struct creel_approval_ask *ask, struct creel_err *err)
{
	bool is_new = false;
	struct creel_approval *p = creel_approvals_ask(&all, ask, approve_now_ms(), &is_new, err);

	if (!p && err->code == CREEL_E_TOOBIG)
		flood(ask->cell);
	if (!p || !is_new)
		return p;
	int r = note(CREEL_EV_APPROVAL_ASK, p, err);
	if (r == 0)
		r = save(err);
	if (r < 0) {
		/* nobody was told of it: it was never asked */
		json_decref(p->detail);
		all.n--;
		return NULL;
	}
	schedule();
	return creel_approvals_find(&all, p->id);
}

int approve_use(uint32_t id, struct creel_err *err)
{
	struct creel_approval *p = creel_approvals_find(&all, id);
	enum creel_approval_state was = p ? p->state : CREEL_APPROVAL_PENDING;
	int r = creel_approvals_use(&all, id, approve_now_ms(), err);

	/* used up on disk before it is used: a crash may lose a yes, and never doubles one */
	if (r == 0 && (r = save(err)) < 0)
		p->state = was;
	return r;
}

static int answer_take(uint32_t id, const struct creel_approval_answer *answer, struct creel_err *err)
{
	struct creel_approval *p = creel_approvals_find(&all, id);
	struct creel_approval before = p ? *p : (struct creel_approval){0};
	int r = creel_approvals_answer(&all, id, answer, approve_now_ms(), err);

	if (r < 0)
		return r;
	r = note(answer->grant ? CREEL_EV_APPROVAL_GRANT : CREEL_EV_APPROVAL_DENY, p, err);
	if (r == 0)
		r = save(err);
	if (r < 0) {
		*p = before;
		return r;
	}
	tell(p);
	schedule();
	return 0;
}

static_assert(sizeof(struct approve_hash) >= sizeof(crypto_generichash_state), "room for libsodium's state");

void approve_hash_begin(struct approve_hash *h)
{
	crypto_generichash_init((crypto_generichash_state *)(void *)h->state, NULL, 0, 32);
}

void approve_hash_add(struct approve_hash *h, const void *part, size_t len)
{
	uint8_t n[8];

	for (size_t i = 0; i < 8; i++)
		n[i] = (uint8_t)((uint64_t)len >> 8 * i);
	crypto_generichash_update((crypto_generichash_state *)(void *)h->state, n, sizeof(n));
	crypto_generichash_update((crypto_generichash_state *)(void *)h->state, part, len);
}

void approve_hash_end(struct approve_hash *h, uint8_t ret[32])
{
	crypto_generichash_final((crypto_generichash_state *)(void *)h->state, ret, 32);
}

/* --- the API --- */

/* The last events of the cell that asks, and of the one that had it ask (a gate's caller), for whoever is to judge:
 * from the end of the file, oldest first. */
static json_t *context(const char *cell, const char *caller)
{
	enum { TAIL = 65536, LINES = 6 };
	autofd int fd = openat(folder, "events.jsonl", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autofree char *buf = malloc(TAIL);
	json_t *out = json_array();
	struct stat st;

	if (fd < 0 || !buf || fstat(fd, &st) < 0)
		return out;
	off_t from = st.st_size > TAIL ? st.st_size - TAIL : 0;
	ssize_t n = pread(fd, buf, TAIL, from);
	for (ssize_t end = n; end > 0 && json_array_size(out) < LINES;) {
		const char *nl = memrchr(buf, '\n', (size_t)end);
		ssize_t stop = nl ? nl - buf : 0;
		const char *before = stop > 0 ? memrchr(buf, '\n', (size_t)stop) : NULL;
		ssize_t begin = before ? before - buf + 1 : 0;
		if (!nl || (begin == 0 && from > 0))
			break;
		json_t *e = json_loadb(buf + begin, (size_t)(stop - begin), 0, NULL);
		const char *whose = json_string_value(json_object_get(e, "cell"));
		const char *kind = json_string_value(json_object_get(e, "kind"));
		bool theirs = whose && (strcmp(whose, cell) == 0 || (caller && strcmp(whose, caller) == 0));
		if (theirs && kind && strncmp(kind, "approval.", 9) != 0) {
			json_object_del(e, "prev");
			json_object_del(e, "hash");
			json_array_insert_new(out, 0, e);
		} else {
			json_decref(e);
		}
		end = begin > 0 ? begin : 0;
	}
	return out;
}

static json_t *shown(const struct creel_approval *p)
{
	json_t *o = creel_approval_json(p);

	if (o && p->state == CREEL_APPROVAL_PENDING)
		json_object_set_new(
			o, "context",
			context(p->cell, json_string_value(json_object_get(p->detail, "asked_by"))));
	if (o && p->state == CREEL_APPROVAL_PENDING && p->kind == CREEL_APPROVAL_GATE)
		json_object_set_new(o, "waiting", json_boolean(calls_wait(p->id)));
	return o;
}

static int op_list(struct evhttp_request *req)
{
	json_t *list = json_array();

	for (size_t i = 0; i < all.n; i++)
		json_array_append_new(list, shown(&all.v[i]));
	api_answer(req, 200,
		   json_pack("{s:I,s:o}", "now_ms", (json_int_t)approve_now_ms(), "approvals", list));
	return 0;
}

static int op_answer(struct evhttp_request *req, uint32_t id, bool grant, struct creel_err *err)
{
	json_t *body = api_body(req, err);
	const json_t *for_s = json_object_get(body, "for_s"), *reason = json_object_get(body, "reason"),
		     *scope = json_object_get(body, "scope");
	const char *word = json_string_value(scope);
	struct creel_approval_answer a = {
		.grant = grant,
		.wide = json_is_true(json_object_get(body, "same_verb")),
		.once = word && strcmp(word, "once") == 0,
		.session = word && strcmp(word, "session") == 0,
		.reason = json_string_value(reason),
		.by = api_peer(req).uid,
	};
	int r = body ? 0 : err->code;

	if (r == 0 &&
	    ((for_s && (!json_is_integer(for_s) || json_integer_value(for_s) < 1 ||
			json_integer_value(for_s) > 366 * 86400)) ||
	     (reason && (!json_is_string(reason) || json_string_length(reason) >= CREEL_APPROVAL_REASON))))
		r = creel_err_set(err, CREEL_E_INVALID, 0,
				  "`for_s` is 1 to %d seconds, `reason` at most %d octets", 366 * 86400,
				  CREEL_APPROVAL_REASON - 1);
	if (r == 0 && scope && !a.once && !a.session)
		r = creel_err_set(err, CREEL_E_INVALID, 0, "`scope` is once or session");
	a.for_ms = (int64_t)json_integer_value(for_s) * 1000;
	if (r == 0)
		r = answer_take(id, &a, err);
	json_decref(body);
	if (r == 0)
		api_answer(req, 200, shown(creel_approvals_find(&all, id)));
	return r;
}

int approve_api(struct evhttp_request *req, const char *rest, struct creel_err *err)
{
	enum evhttp_cmd_type method = evhttp_request_get_command(req);
	uint32_t id = 0;
	int used = 0;

	if (rest[0] == '\0')
		return method == EVHTTP_REQ_GET
			       ? op_list(req)
			       : creel_err_set(err, CREEL_E_UNSUPP, 0, "not with this method");
	if (sscanf(rest, "/%9" SCNu32 "%n", &id, &used) != 1 || rest[1] == '0' || rest[1] == '+')
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no such path");
	rest += used;
	const struct creel_approval *p = creel_approvals_find(&all, id);
	if (!p)
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "there is no approval %" PRIu32, id);
	bool grant = strcmp(rest, "/grant") == 0;
	if (rest[0] == '\0' && method == EVHTTP_REQ_GET) {
		api_answer(req, 200, shown(p));
		return 0;
	}
	if ((grant || strcmp(rest, "/deny") == 0) && method == EVHTTP_REQ_POST)
		return op_answer(req, id, grant, err);
	return creel_err_set(err, rest[0] == '\0' || grant ? CREEL_E_UNSUPP : CREEL_E_NOTFOUND, 0,
			     "no such path");
}

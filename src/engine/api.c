#include "base/log.h"
#include "engine/approve.h"
#include "engine/engine.h"
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* HTTP and JSON on the unix socket; docs/openapi.yaml describes it. */
enum { BODY_MAX = 1 << 20, HEAD_MAX = 16384, WAIT_S = 30, PATH_MAX_PARTS = 5, RECIPE_MAX = 4096 };

static const char *const states[] = {"stopped", "starting", "ready", "stopping"};
static const char *const service_states[] = {"waiting", "started", "ready", "exited", "given up"};

void api_answer(struct evhttp_request *req, int status, json_t *body)
{
	struct evbuffer *out = evhttp_request_get_output_buffer(req);
	autofree char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", "application/json");
	evbuffer_add_printf(out, "%s\n", text ? text : "{\"error\":\"out of memory\"}");
	evhttp_send_reply(req, text ? status : 500, status < 400 ? "OK" : "Failed", NULL);
}

static void answer_err(struct evhttp_request *req, const struct creel_err *err)
{
	static const struct {
		int code, status;
	} map[] = {
		{CREEL_E_NOTFOUND, 404}, {CREEL_E_INVALID, 400}, {CREEL_E_SYNTAX, 400}, {CREEL_E_DENIED, 403},
		{CREEL_E_BUSY, 409},     {CREEL_E_CLOSED, 409},  {CREEL_E_TOOBIG, 413}, {CREEL_E_UNSUPP, 405},
	};
	int status = 500;

	for (size_t i = 0; i < ELEMENTSOF(map); i++)
		if (map[i].code == err->code)
			status = map[i].status;
	/* a message may hold foreign octets: as JSON it must be UTF-8 */
	json_t *msg = json_string(err->msg);
	if (!msg)
		msg = json_string("(not printable)");
	api_answer(req, status, json_pack("{s:o,s:s}", "error", msg, "code", creel_code_name(err->code)));
}

static json_t *text(const char *s)
{
	json_t *j = json_string(s);
	return j ? j : json_string("(not printable)");
}

static json_t *cell_json(const struct eng_cell *c)
{
	json_t *services = json_array(), *ports = json_array();
	struct timespec now;
	char port[80];

	for (size_t i = 0; i < c->n_services; i++)
		json_array_append_new(services,
				      json_pack("{s:o,s:s,s:i}", "name", text(c->services[i].name), "state",
						c->services[i].state < ELEMENTSOF(service_states)
							? service_states[c->services[i].state]
							: "unknown",
						"status", (int)c->services[i].a));
	for (size_t i = 0; i < c->plan.n_ports; i++) {
		const char *a = c->plan.ports[i].address;
		(void)snprintf(port, sizeof(port), strchr(a, ':') ? "[%s]:%u:%u" : "%s:%u:%u", a,
			       c->plan.ports[i].host, c->plan.ports[i].guest);
		json_array_append_new(ports,
				      json_pack("{s:s,s:b}", "port", port, "open", c->ports[i].fd >= 0));
	}
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	bool up = c->state != ENG_STOPPED && c->started_ns && ns > c->started_ns;
	bool same = memcmp(c->plan_hash, c->ran_hash, sizeof(c->plan_hash)) == 0;
	return json_pack("{s:s,s:s,s:I,s:s,s:s,s:i,s:i,s:I,s:I,s:I,s:s,s:s,s:b,s:b,s:o,s:o,s:o}", "cell",
			 c->name, "state", states[c->applying ? ENG_STARTING : c->state], "serial",
			 (json_int_t)c->serial, "recipe", c->plan.recipe, "image", c->plan.image, "cpus",
			 (int)c->plan.cpus, "memory_mib", (int)c->plan.memory_mib, "used_kb",
			 (json_int_t)(c->state == ENG_STOPPED ? 0 : c->memory_kb), "uptime_ms",
			 (json_int_t)(up ? (ns - c->started_ns) / 1000000 : 0), "pid", (json_int_t)c->pid,
			 "accelerator", c->accel, "isolation", c->reduced ? "reduced" : "full", "current",
			 c->state == ENG_STOPPED || same, "killswitch", c->killed_now, "services", services,
			 "publish", ports, "why", text(c->why));
}

/* --- long polls: GET /v1/cells/NAME?after=SERIAL --- */

static void waiter_free(struct eng_waiter *w)
{
	for (struct eng_waiter **at = &w->cell->waiters; *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
	if (w->timer)
		event_free(w->timer);
	free(w);
}

static void waiter_answer(struct eng_waiter *w)
{
	struct evhttp_request *req = w->req;

	evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
	json_t *j = cell_json(w->cell);
	waiter_free(w);
	api_answer(req, 200, j);
}

static void waiter_timeout(evutil_socket_t fd, short what, void *ctx)
{
	waiter_answer(ctx);
}

static void waiter_closed(struct evhttp_connection *conn, void *ctx)
{
	waiter_free(ctx);
}

void api_waiters_answer(struct eng_cell *c)
{
	while (c->waiters)
		waiter_answer(c->waiters);
}

static void wait_for(struct evhttp_request *req, struct eng_cell *c)
{
	static const struct timeval patience = {.tv_sec = WAIT_S};
	struct eng_waiter *w = calloc(1, sizeof(*w));
	struct creel_err err = {0};

	if (w)
		w->timer = event_new(eng.base, -1, 0, waiter_timeout, w);
	if (!w || !w->timer || event_add(w->timer, &patience) < 0) {
		free(w);
		creel_err_nomem(&err);
		answer_err(req, &err);
		return;
	}
	w->req = req;
	w->cell = c;
	w->next = c->waiters;
	c->waiters = w;
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), waiter_closed, w);
}

struct ucred api_peer(struct evhttp_request *req)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(req));
	struct ucred who = {.uid = (uid_t)-1, .pid = -1};
	socklen_t n = sizeof(who);

	(void)getsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_PEERCRED, &who, &n);
	/* rootless, 0 is that user's number in our namespace; the record has the host's */
	if (eng.rootless && who.uid == 0)
		who.uid = eng.owner;
	return who;
}

json_t *api_body(struct evhttp_request *req, struct creel_err *err)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	size_t n = evbuffer_get_length(in);
	json_error_t why;

	if (n == 0)
		return json_object();
	json_t *j = json_loadb((const char *)evbuffer_pullup(in, -1), n, JSON_REJECT_DUPLICATES, &why);
	if (!j)
		creel_err_set(err, CREEL_E_SYNTAX, 0, "the request's body: %s", why.text);
	return j;
}

/* --- the operations --- */

static int op_status(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	json_t *cells = json_array();

	for (size_t i = 0; i < ENGINE_CELLS; i++)
		if (eng.cells[i].name[0])
			json_array_append_new(cells, cell_json(&eng.cells[i]));
	api_answer(req, 200,
		   json_pack("{s:s,s:I,s:I,s:s,s:b,s:o}", "version", CREEL_VERSION, "seq",
			     (json_int_t)eng.record.committed.seq, "signed_seq", (json_int_t)eng.signed_seq,
			     "record", journal_state(), "ending", (int)eng.quitting, "cells", cells));
	return 0;
}

static int op_cell(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	struct evkeyvalq query = {0};

	if (evhttp_parse_query(evhttp_request_get_uri(req), &query) < 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "the query");
	const char *after = evhttp_find_header(&query, "after");
	bool wait = after && strtoull(after, NULL, 10) == c->serial;
	evhttp_clear_headers(&query);
	if (wait)
		wait_for(req, c);
	else
		api_answer(req, 200, cell_json(c));
	return 0;
}

/* What was handed over last, as it was: it holds no secret's value. */
static int op_plan(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;

	creel_buf_init(&text, CREEL_PLAN_MAX);
	int r = creel_plan_encode(&c->plan, &text, err);
	json_t *j = r < 0 ? NULL : json_loadb((const char *)text.data, text.len, 0, NULL);
	if (r == 0 && !j)
		r = creel_err_nomem(err);
	if (r == 0)
		api_answer(req, 200, j);
	return r;
}

/* What the cell runs under, as text (policy/policytext.h): `creel plan` says how a file differs from it. */
static int op_policy(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	const struct creel_buf *b = &c->ran_policy;

	if (c->state == ENG_STOPPED || b->len == 0)
		return creel_err_set(err, CREEL_E_CLOSED, 0, "cell '%s' runs under no policy", c->name);
	json_t *text = json_stringn((const char *)b->data, b->len);
	if (!text)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "its policy is not UTF-8");
	api_answer(req, 200, json_pack("{s:o}", "policy", text));
	return 0;
}

static int op_start(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	int r = eng.quitting ? creel_err_set(err, CREEL_E_BUSY, 0, "creeld is ending")
			     : cells_start(c, api_peer(req).uid, err);
	if (r == 0)
		api_answer(req, 202, cell_json(c));
	return r;
}

static int op_restart(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	if (c->state == ENG_STOPPED)
		return op_start(req, c, err);
	c->again = true;
	int r = c->state == ENG_STOPPING ? 0 : cells_stop(c, false, err);
	if (r == 0)
		api_answer(req, 202, cell_json(c));
	return r;
}

static int op_stop(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	c->again = false;
	int r = cells_stop(c, false, err);
	if (r == 0)
		api_answer(req, 202, cell_json(c));
	return r;
}

static int op_kill(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	c->again = false;
	int r = cells_stop(c, true, err);
	if (r == 0)
		api_answer(req, 202, cell_json(c));
	return r;
}

/* On the record first, then done: the answer says what was so far, a later one that it is. */
static int op_killswitch(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	struct creel_event e = {.kind = CREEL_EV_KILLSWITCH_SET, .cell = c->name};
	json_t *body = api_body(req, err), *on = json_object_get(body, "on");
	bool want = json_is_true(on), sane = json_is_boolean(on);

	json_decref(body);
	if (!body)
		return err->code;
	if (!sane)
		return creel_err_set(err, CREEL_E_INVALID, 0, "on: true or false");
	creel_event_str(&e, "state", want ? "on" : "off");
	creel_event_num(&e, "uid", api_peer(req).uid);
	int r = journal_add(&e, err);
	/* a disk that is full holds nobody back from cutting a cell off */
	if (r < 0 && !want)
		return r;
	*err = (struct creel_err){0};
	c->why[0] = '\0';
	if (engine_ask(CREEL_MON_SWITCH, c->name, want) < 0)
		return creel_err_set(err, CREEL_E_OS, 0, "the monitor cannot be asked");
	api_answer(req, 202, cell_json(c));
	return 0;
}

static int op_drop(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	if (c->state != ENG_STOPPED)
		return creel_err_set(err, CREEL_E_BUSY, 0, "cell '%s' runs", c->name);
	if (engine_ask(CREEL_MON_DROP, c->name, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, 0, "the monitor cannot be asked");
	api_waiters_answer(c);
	c->name[0] = '\0';
	api_answer(req, 200, json_object());
	return 0;
}

/* A secret was stored: on the record, and before the cell when it runs with it. */
static int op_secret(struct evhttp_request *req, struct eng_cell *none, struct creel_err *err)
{
	struct creel_event e = {.kind = CREEL_EV_SECRET_SET};
	json_t *body = api_body(req, err);
	int r = body ? 0 : err->code;
	bool staged = false;

	const char *cell = json_string_value(json_object_get(body, "cell"));
	const char *name = json_string_value(json_object_get(body, "name"));
	if (r == 0 && (!cell || !name || !creel_plan_name_ok(cell, 32) || !creel_plan_name_ok(name, 64)))
		r = creel_err_set(err, CREEL_E_INVALID, 0, "`cell` and `name` are wanted");
	if (r == 0) {
		e.cell = cell;
		creel_event_str(&e, "secret", name);
		creel_event_num(&e, "uid", api_peer(req).uid);
		r = journal_add(&e, err);
	}
	struct eng_cell *c = r == 0 ? cells_find(cell) : NULL;
	for (size_t i = 0; c && c->state != ENG_STOPPED && i < c->plan.n_secrets; i++)
		if (c->plan.secrets[i].source == CREEL_SOURCE_STORE &&
		    strcmp(c->plan.secrets[i].name, name) == 0)
			staged = engine_ask_text(CREEL_MON_STAGE, cell, name) == 0;
	json_decref(body);
	if (r == 0)
		api_answer(req, 200, json_pack("{s:b}", "staged", staged));
	return r;
}

/* An image was built: by the user's own creel, before its cell starts or by itself. */
static int op_image(struct evhttp_request *req, struct eng_cell *none, struct creel_err *err)
{
	struct creel_event e = {.kind = CREEL_EV_IMAGE_BUILD, .cell = ""};
	json_t *body = api_body(req, err);
	int r = body ? 0 : err->code;

	const char *image = json_string_value(json_object_get(body, "image"));
	const char *recipe = json_string_value(json_object_get(body, "recipe"));
	const json_t *ms = json_object_get(body, "ms");
	if (r == 0 && (!image || strlen(image) != 64 || strspn(image, "0123456789abcdef") != 64 || !recipe ||
		       !recipe[0] || strlen(recipe) > RECIPE_MAX || !json_is_integer(ms)))
		r = creel_err_set(err, CREEL_E_INVALID, 0, "`recipe`, `image` and `ms` are wanted");
	if (r == 0) {
		creel_event_str(&e, "recipe", recipe);
		creel_event_str(&e, "image", image);
		creel_event_str(&e, "by_lock", json_is_true(json_object_get(body, "pinned")) ? "yes" : "no");
		creel_event_num(&e, "ms", json_integer_value(ms));
		creel_event_num(&e, "uid", api_peer(req).uid);
		r = journal_add(&e, err);
	}
	json_decref(body);
	if (r == 0)
		api_answer(req, 200, json_object());
	return r;
}

static int op_shutdown(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	if (cells_any_running())
		return creel_err_set(err, CREEL_E_BUSY, 0, "cells run");
	engine_quit();
	api_answer(req, 202, json_object());
	return 0;
}

static const struct {
	enum evhttp_cmd_type method;
	bool of_cell;
	const char *path; /* below /v1, or below /v1/cells/NAME */
	int (*run)(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err);
} ops[] = {
	{EVHTTP_REQ_GET, false, "/status", op_status},
	{EVHTTP_REQ_POST, false, "/secrets", op_secret},
	{EVHTTP_REQ_POST, false, "/images", op_image},
	{EVHTTP_REQ_POST, false, "/shutdown", op_shutdown},
	{EVHTTP_REQ_GET, true, "", op_cell},
	{EVHTTP_REQ_DELETE, true, "", op_drop},
	{EVHTTP_REQ_GET, true, "/plan", op_plan},
	{EVHTTP_REQ_GET, true, "/policy", op_policy},
	{EVHTTP_REQ_POST, true, "/start", op_start},
	{EVHTTP_REQ_POST, true, "/restart", op_restart},
	{EVHTTP_REQ_POST, true, "/stop", op_stop},
	{EVHTTP_REQ_POST, true, "/kill", op_kill},
	{EVHTTP_REQ_POST, true, "/kill-switch", op_killswitch},
	{EVHTTP_REQ_POST, true, "/exec", api_exec},
	{EVHTTP_REQ_GET, true, "/logs", api_logs},
	{EVHTTP_REQ_POST, true, "/forward", api_forward},
};

static int route(struct evhttp_request *req, struct creel_err *err)
{
	static const char prefix[] = "/v1", cells[] = "/v1/cells/";
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	struct eng_cell *c = NULL;
	bool known = false;

	if (!path || strncmp(path, prefix, sizeof(prefix) - 1) != 0)
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no such path; the API is below /v1");
	const char *rest = path + sizeof(prefix) - 1;
	if (strncmp(rest, "/approvals", 10) == 0 && (rest[10] == '\0' || rest[10] == '/'))
		return approve_api(req, rest + 10, err);
	if (strncmp(path, cells, sizeof(cells) - 1) == 0) {
		char name[CREEL_PLAN_NAME] = "";
		rest = path + sizeof(cells) - 1;
		size_t n = strcspn(rest, "/");
		if (n < sizeof(name))
			memcpy(name, rest, n);
		rest += n;
		if ((c = cells_find(name)) == NULL)
			return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no cell '%.40s' is known", name);
	}
	for (size_t i = 0; i < ELEMENTSOF(ops); i++) {
		if (ops[i].of_cell != (c != NULL) || strcmp(rest, ops[i].path) != 0)
			continue;
		known = true;
		if (ops[i].method == evhttp_request_get_command(req))
			return ops[i].run(req, c, err);
	}
	if (known)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "not with this method");
	return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no such path");
}

static void on_request(struct evhttp_request *req, void *ctx)
{
	struct creel_err err = {0};

	/* a browser can be made to speak to many things; to none of ours does it say Origin */
	if (evhttp_find_header(evhttp_request_get_input_headers(req), "Origin"))
		creel_err_set(&err, CREEL_E_DENIED, 0, "requests from pages are refused");
	else
		(void)route(req, &err);
	if (err.code < 0)
		answer_err(req, &err);
}

int api_open(int listener, struct creel_err *err)
{
	eng.http = evhttp_new(eng.base);
	if (!eng.http)
		return creel_err_nomem(err);
	/* those that no operation has are let through to be refused in JSON like the rest */
	evhttp_set_allowed_methods(eng.http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_DELETE |
						     EVHTTP_REQ_PUT | EVHTTP_REQ_PATCH);
	evhttp_set_max_body_size(eng.http, BODY_MAX);
	evhttp_set_max_headers_size(eng.http, HEAD_MAX);
	evhttp_set_gencb(eng.http, on_request, NULL);
	if (evhttp_accept_socket(eng.http, listener) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "serve the API");
	return 0;
}

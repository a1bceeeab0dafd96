#include "web.h"
#include "base/buf.h"
#include "page-css.h"
#include "page-html.h"
#include "page-js.h"
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * `creel approvals --web`: a page for whoever has this run's token. It listens on an address of the
 * loopback that no published port has, so that no page of a cell is of its site; a request must name
 * exactly that Host, an Origin must be exactly this page's, the token is sent as a header that no other
 * origin may send, there is no cookie, and nobody may frame it. What comes in goes to creeld as a request
 * of the user who runs this.
 */
enum { BODY_MAX = 4096, TAIL = 262144, EVENTS = 100, TOKEN = 32 };
#define ADDRESS "127.0.83.1"

static struct web {
	struct creel_client *client;
	struct event_base *base;
	char host[64], origin[80];
	char token[sodium_base64_ENCODED_LEN(TOKEN, sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
} web;

static void reply(struct evhttp_request *req, int status, const char *type, const void *data, size_t len)
{
	struct evkeyvalq *h = evhttp_request_get_output_headers(req);
	struct evbuffer *out = evbuffer_new();

	(void)evhttp_add_header(h, "Content-Type", type);
	(void)evhttp_add_header(
		h, "Content-Security-Policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
	(void)evhttp_add_header(h, "X-Frame-Options", "DENY");
	(void)evhttp_add_header(h, "X-Content-Type-Options", "nosniff");
	(void)evhttp_add_header(h, "Referrer-Policy", "no-referrer");
	(void)evhttp_add_header(h, "Cross-Origin-Resource-Policy", "same-origin");
	(void)evhttp_add_header(h, "Cross-Origin-Opener-Policy", "same-origin");
	(void)evhttp_add_header(h, "Cache-Control", "no-store");
	if (out)
		(void)evbuffer_add(out, data, len);
	evhttp_send_reply(req, status, NULL, out);
	if (out)
		evbuffer_free(out);
}

static void send_json(struct evhttp_request *req, int status, json_t *j)
{
	autofree char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

	json_decref(j);
	reply(req, text ? status : 500, "application/json", text ? text : "{}", text ? strlen(text) : 2);
}

static void refuse(struct evhttp_request *req, int status, const char *why)
{
	send_json(req, status, json_pack("{s:s}", "error", why));
}

/* One of that name, and exactly this. */
static bool header_is(struct evhttp_request *req, const char *name, const char *want, bool needed)
{
	const struct evkeyvalq *h = evhttp_request_get_input_headers(req);
	const struct evkeyval *kv;
	size_t n = 0, same = 0;

	for (kv = h->tqh_first; kv; kv = kv->next.tqe_next)
		if (strcasecmp(kv->key, name) == 0) {
			n++;
			same += strlen(kv->value) == strlen(want) &&
				sodium_memcmp(kv->value, want, strlen(want)) == 0;
		}
	return n == same && (n == 1 || (n == 0 && !needed));
}

/* The newest events: the end of the file, whole lines. */
static void op_events(struct evhttp_request *req)
{
	json_t *list = json_array();
	char path[PATH_MAX + 32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/record/events.jsonl", web.client->state);
	autofd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autofree char *buf = malloc(TAIL + 1);
	ssize_t n = -1;
	off_t from = 0;
	if (fd >= 0 && buf && fstat(fd, &st) == 0) {
		from = st.st_size > TAIL ? st.st_size - TAIL : 0;
		n = pread(fd, buf, TAIL, from);
	}
	char *at = buf, *end = n > 0 ? buf + n : buf;
	if (from > 0 && n > 0 && (at = memchr(buf, '\n', (size_t)n)))
		at++;
	for (char *nl; at && at < end && (nl = memchr(at, '\n', (size_t)(end - at))); at = nl + 1) {
		json_t *e = json_loadb(at, (size_t)(nl - at), 0, NULL);
		(void)json_object_del(e, "prev");
		(void)json_object_del(e, "hash");
		if (e)
			json_array_append_new(list, e);
		if (json_array_size(list) > EVENTS)
			json_array_remove(list, 0);
	}
	send_json(req, 200, json_pack("{s:o}", "events", list));
}

static void pass(struct evhttp_request *req, const char *method, const char *path, json_t *body)
{
	struct creel_err err = {0};
	json_t *j = NULL;

	if (client_call(web.client, method, path, body, &j, &err) < 0)
		refuse(req, 409, err.msg);
	else
		send_json(req, 200, j);
}

static void op_answer(struct evhttp_request *req, const char *rest)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	size_t len = evbuffer_get_length(in);
	unsigned id = 0;
	char op[8] = "", path[64];
	int used = 0;

	if (sscanf(rest, "%9u/%5[a-z]%n", &id, op, &used) != 2 || rest[used] != '\0' ||
	    (strcmp(op, "grant") != 0 && strcmp(op, "deny") != 0)) {
		refuse(req, 404, "no such path");
		return;
	}
	json_t *body = len <= BODY_MAX ? json_loadb((const char *)evbuffer_pullup(in, -1), len, 0, NULL)
				       : NULL;
	if (!json_is_object(body)) {
		json_decref(body);
		refuse(req, 400, "the body is no JSON object");
		return;
	}
	(void)snprintf(path, sizeof(path), "/v1/approvals/%u/%s", id, op);
	pass(req, "POST", path, body);
}

static void serve(struct evhttp_request *req, void *ctx)
{
	const char *uri = evhttp_request_get_uri(req);
	bool post = evhttp_request_get_command(req) == EVHTTP_REQ_POST;

	if (!header_is(req, "Host", web.host, true) || !header_is(req, "Origin", web.origin, post)) {
		refuse(req, 403, "not from here");
		return;
	}
	if (!post && strcmp(uri, "/") == 0) {
		reply(req, 200, "text/html; charset=utf-8", page_html, sizeof(page_html));
	} else if (!post && strcmp(uri, "/page.js") == 0) {
		reply(req, 200, "text/javascript; charset=utf-8", page_js, sizeof(page_js));
	} else if (!post && strcmp(uri, "/page.css") == 0) {
		reply(req, 200, "text/css; charset=utf-8", page_css, sizeof(page_css));
	} else if (!header_is(req, "X-Creel-Token", web.token, true)) {
		refuse(req, 401,
		       "the token of this run is missing: open the address that `creel approvals --web` printed");
	} else if (!post && strcmp(uri, "/api/approvals") == 0) {
		pass(req, "GET", "/v1/approvals", NULL);
	} else if (!post && strcmp(uri, "/api/status") == 0) {
		pass(req, "GET", "/v1/status", NULL);
	} else if (!post && strcmp(uri, "/api/events") == 0) {
		op_events(req);
	} else if (post && strncmp(uri, "/api/approvals/", 15) == 0) {
		op_answer(req, uri + 15);
	} else {
		refuse(req, 404, "no such path");
	}
}

static void on_signal(evutil_socket_t sig, short what, void *ctx)
{
	(void)event_base_loopbreak(web.base);
}

static int listen_on(struct evhttp *http, struct creel_err *err)
{
	struct evhttp_bound_socket *s = evhttp_bind_socket_with_handle(http, ADDRESS, 0);
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	if (!s || getsockname(evhttp_bound_socket_get_fd(s), (struct sockaddr *)&a, &len) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "listen on " ADDRESS);
	(void)snprintf(web.host, sizeof(web.host), ADDRESS ":%u", ntohs(a.sin_port));
	(void)snprintf(web.origin, sizeof(web.origin), "http://%s", web.host);
	return 0;
}

int web_run(struct creel_client *client, struct creel_err *err)
{
	uint8_t raw[TOKEN];

	if (sodium_init() < 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "libsodium does not start");
	web.client = client;
	web.base = event_base_new();
	struct evhttp *http = web.base ? evhttp_new(web.base) : NULL;
	struct event *sig[] = {web.base ? evsignal_new(web.base, SIGINT, on_signal, NULL) : NULL,
			       web.base ? evsignal_new(web.base, SIGTERM, on_signal, NULL) : NULL};
	if (!http || !sig[0] || !sig[1] || event_add(sig[0], NULL) < 0 || event_add(sig[1], NULL) < 0)
		return creel_err_nomem(err);
	randombytes_buf(raw, sizeof(raw));
	sodium_bin2base64(web.token, sizeof(web.token), raw, sizeof(raw),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
	evhttp_set_max_body_size(http, BODY_MAX);
	evhttp_set_max_headers_size(http, 16384);
	evhttp_set_timeout(http, 30);
	evhttp_set_gencb(http, serve, NULL);
	int r = listen_on(http, err);
	if (r == 0) {
		printf("%s/#%s\n", web.origin, web.token);
		if (fflush(stdout) != 0)
			r = creel_err_set(err, CREEL_E_OS, errno, "write standard output");
		else
			(void)event_base_dispatch(web.base);
	}
	evhttp_free(http);
	event_free(sig[0]);
	event_free(sig[1]);
	event_base_free(web.base);
	return r;
}

#include "base/log.h"
#include "engine/engine.h"
#include "wire/execio.h"
#include "wire/le.h"
#include "wire/mux.h"
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/keyvalq_struct.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Operations of the API whose connection becomes a stream of a cell's channel: exec, logs, forward. */

static void connection_drop(evutil_socket_t fd, short what, void *ctx)
{
	evhttp_connection_free(ctx);
}

/*
 * Answer 101 and take the socket; the server's own descriptor becomes an empty socket, as closing it
 * would shut the real one down for both.
 */
static int take(struct evhttp_request *req, const char *protocol, struct creel_err *err)
{
	static const struct timeval now = {0};
	struct evhttp_connection *conn = evhttp_request_get_connection(req);
	struct bufferevent *bev = evhttp_connection_get_bufferevent(conn);
	int fd = bufferevent_getfd(bev);
	char head[160];

	if (evbuffer_get_length(bufferevent_get_input(bev)) > 0)
		return creel_err_set(err, CREEL_E_INVALID, 0, "octets came before the answer");
	autofd int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	autofd int dummy = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (own < 0 || dummy < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "take the connection");
	bufferevent_disable(bev, EV_READ | EV_WRITE);
	if (dup3(dummy, fd, O_CLOEXEC) < 0 ||
	    event_base_once(eng.base, -1, EV_TIMEOUT, connection_drop, conn, &now) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "take the connection");
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
			 protocol);
	(void)!send(own, head, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
	return steal_fd(&own);
}

static bool upgrades(struct evhttp_request *req, const char *protocol)
{
	const char *v = evhttp_find_header(evhttp_request_get_input_headers(req), "Upgrade");
	return v && strcmp(v, protocol) == 0;
}

static int words(json_t *a, const char **ret, size_t max, const char *what, struct creel_err *err)
{
	size_t i;
	json_t *v;

	if (a && (!json_is_array(a) || json_array_size(a) > max))
		return creel_err_set(err, CREEL_E_INVALID, 0, "%s: a list of at most %zu strings", what, max);
	json_array_foreach (a, i, v) {
		if (!json_is_string(v))
			return creel_err_set(err, CREEL_E_INVALID, 0, "%s: not a string", what);
		ret[i] = json_string_value(v);
	}
	return 0;
}

static int exec_spec(json_t *j, struct creel_buf *out, struct creel_err *err)
{
	struct creel_execspec spec = {.user = "", .dir = ""};
	json_t *argv = NULL, *env = NULL;
	int tty = 0, rows = 24, cols = 80;
	json_error_t why;

	if (json_unpack_ex(j, &why, 0, "{s:o,s?o,s?s,s?s,s?b,s?i,s?i!}", "argv", &argv, "env", &env, "user",
			   &spec.user, "dir", &spec.dir, "tty", &tty, "rows", &rows, "cols", &cols) < 0)
		return creel_err_set(err, CREEL_E_INVALID, 0, "exec: %s", why.text);
	int r = words(argv, spec.argv, 255, "argv", err);
	if (r == 0)
		r = words(env, spec.env, 255, "env", err);
	if (r == 0 && (!spec.argv[0] || rows < 0 || rows > 65535 || cols < 0 || cols > 65535))
		r = creel_err_set(err, CREEL_E_INVALID, 0, "exec: argv is empty, or a size is out of range");
	spec.tty = tty;
	spec.rows = (uint16_t)rows;
	spec.cols = (uint16_t)cols;
	return r < 0 ? r : creel_execspec_encode(&spec, out, err);
}

static int exec_record(struct eng_cell *c, json_t *j, struct ucred who, struct creel_err *err)
{
	struct creel_event e = {.kind = CREEL_EV_EXEC_START, .cell = c->name};
	autofree char *argv = json_dumps(json_object_get(j, "argv"), JSON_COMPACT);

	if (!argv)
		return creel_err_nomem(err);
	if (strlen(argv) > 4000)
		memcpy(argv + 4000, "...", 4);
	creel_event_str(&e, "argv", argv);
	const char *user = json_string_value(json_object_get(j, "user"));
	creel_event_str(&e, "user", user && user[0] ? user : "root");
	creel_event_num(&e, "uid", who.uid);
	if (who.pid > 0) /* 0: of another PID namespace than the engine's */
		creel_event_num(&e, "pid", who.pid);
	creel_event_num(&e, "stream", streams_next()); /* exec.end has the same */
	return journal_add(&e, err);
}

int api_exec(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) spec;

	creel_buf_init(&spec, 32768);
	if (!upgrades(req, "creel-exec"))
		return creel_err_set(err, CREEL_E_INVALID, 0, "exec needs `Upgrade: creel-exec`");
	json_t *j = api_body(req, err);
	int r = j ? exec_spec(j, &spec, err) : err->code;
	if (r == 0 && c->fd < 0)
		r = creel_err_set(err, CREEL_E_CLOSED, 0, "cell '%s' is not running", c->name);
	if (r == 0)
		r = journal_ok(err);
	if (r == 0)
		r = exec_record(c, j, api_peer(req), err);
	json_decref(j);
	autofd int fd = r < 0 ? r : take(req, "creel-exec", err);
	if (fd < 0)
		return fd;
	if (streams_open(c, CREEL_MUX_EXEC, spec.data, spec.len, fd, true, NULL, err) < 0)
		creel_log_error(err); /* the client sees its connection end */
	return 0;
}

int api_logs(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	struct evkeyvalq query = {0};
	uint8_t spec[9 + 64];

	if (!upgrades(req, "creel-logs"))
		return creel_err_set(err, CREEL_E_INVALID, 0, "logs needs `Upgrade: creel-logs`");
	if (evhttp_parse_query(evhttp_request_get_uri(req), &query) < 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "the query");
	const char *service = evhttp_find_header(&query, "service");
	const char *follow = evhttp_find_header(&query, "follow");
	const char *since = evhttp_find_header(&query, "since_ns");
	size_t n = service ? strlen(service) : 0;
	int r = n > 64 ? creel_err_set(err, CREEL_E_INVALID, 0, "the service's name is too long") : 0;
	spec[0] = follow && strcmp(follow, "1") == 0;
	creel_put_le64(spec + 1, since ? strtoull(since, NULL, 10) : 0);
	if (r == 0 && n > 0)
		memcpy(spec + 9, service, n);
	evhttp_clear_headers(&query);
	if (r == 0 && c->fd < 0)
		r = creel_err_set(err, CREEL_E_CLOSED, 0, "cell '%s' is not running", c->name);
	autofd int fd = r < 0 ? r : take(req, "creel-logs", err);
	if (fd < 0)
		return fd;
	if (streams_open(c, CREEL_MUX_LOGS, spec, 9 + n, fd, false, NULL, err) < 0)
		creel_log_error(err);
	return 0;
}

int api_forward(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err)
{
	uint8_t spec[2];
	int port = 0;

	if (!upgrades(req, "creel-tcp"))
		return creel_err_set(err, CREEL_E_INVALID, 0, "forward needs `Upgrade: creel-tcp`");
	json_t *j = api_body(req, err);
	int r = j ? 0 : err->code;
	if (r == 0 && (json_unpack(j, "{s:i!}", "port", &port) < 0 || port < 1 || port > 65535))
		r = creel_err_set(err, CREEL_E_INVALID, 0, "forward: {\"port\": 1 to 65535}");
	json_decref(j);
	if (r == 0 && c->fd < 0)
		r = creel_err_set(err, CREEL_E_CLOSED, 0, "cell '%s' is not running", c->name);
	autofd int fd = r < 0 ? r : take(req, "creel-tcp", err);
	if (fd < 0)
		return fd;
	creel_put_le16(spec, (uint16_t)port);
	if (streams_open(c, CREEL_MUX_TCP, spec, sizeof(spec), fd, false, NULL, err) < 0)
		creel_log_error(err);
	return 0;
}

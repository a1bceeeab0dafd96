#include "server.h"
#include "base/cleanup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const double edges[] = {0.0001, 0.001, 0.01, 0.1, 1, 10};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void reply(struct server *s, struct evhttp_request *req, int status, const char *type,
		  const char *body)
{
	struct evkeyvalq *h = evhttp_request_get_output_headers(req);
	struct evbuffer *out = evhttp_request_get_output_buffer(req);

	evhttp_add_header(h, "Content-Type", type);
	evhttp_add_header(h, "X-Content-Type-Options", "nosniff");
	if (s->draining)
		evhttp_add_header(h, "Connection", "close");
	if (status == 503)
		evhttp_add_header(h, "Retry-After", "1");
	evbuffer_add(out, body, strlen(body));
	s->codes[status / 100]++;
	evhttp_send_reply(req, status, status < 400 ? "OK" : "Failed", NULL);
}

static void reply_detail(struct server *s, struct evhttp_request *req, int status, const char *why)
{
	char body[256];

	(void)snprintf(body, sizeof(body), "{\"detail\":\"%s\"}", why); /* our own words */
	reply(s, req, status, "application/json", body);
}

static void drain_check(struct server *s)
{
	/* the last answer may still be in its buffer */
	const struct timeval moment = {0, 200000};

	if (s->draining && s->open == 0)
		(void)event_base_loopexit(s->base, &moment);
}

/* Whoever asked is gone: the job goes on, its answer is dropped. */
static void on_gone(struct evhttp_connection *c, void *arg)
{
	struct job *j = arg;

	j->req = NULL;
}

static void latency_add(struct server *s, uint64_t us)
{
	size_t i = 0;

	while (i < ELEMENTSOF(edges) && (double)us / 1e6 > edges[i])
		i++;
	s->bucket[i]++;
	s->sum_us += us;
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	struct job *j;
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	while ((j = pool_done(s->pool))) {
		s->open--;
		latency_add(s, now_us() - j->from_us);
		if (j->req) {
			struct evhttp_request *req = j->req;
			evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
			reply(s, req, j->status, "application/json",
			      j->answer ? j->answer : "{\"detail\":\"out of memory\"}");
		} else {
			s->gone++;
		}
		job_free(j);
	}
	drain_check(s);
}

/*
 * A page of some other site can make a browser speak to a loopback address: it says so in Origin, or, after
 * rebinding a name, in Host.
 */
static bool foreign(struct evhttp_request *req)
{
	static const char *const ours[] = {"localhost", "127.0.0.1", "[::1]"};
	struct evkeyvalq *h = evhttp_request_get_input_headers(req);
	const char *host = evhttp_find_header(h, "Host");
	size_t n = host ? strlen(host) : 0;

	if (evhttp_find_header(h, "Origin") || evhttp_find_header(h, "Sec-Fetch-Site"))
		return true;
	if (!host)
		return false; /* HTTP/1.0: no browser */
	const char *colon = memrchr(host, ':', n);
	if (colon && colon[1 + strspn(colon + 1, "0123456789")] == '\0')
		n = (size_t)(colon - host);
	for (size_t i = 0; i < ELEMENTSOF(ours); i++)
		if (strlen(ours[i]) == n && strncasecmp(host, ours[i], n) == 0)
			return false;
	return true;
}

static void ask(struct server *s, struct evhttp_request *req, enum ask_kind kind)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	size_t n = evbuffer_get_length(in);
	struct job *j;

	if (evhttp_request_get_command(req) != EVHTTP_REQ_POST) {
		reply_detail(s, req, 405, "POST");
		return;
	}
	if (s->draining) {
		reply_detail(s, req, 503, "shutting down");
		return;
	}
	j = calloc(1, sizeof(*j));
	if (j)
		j->body = malloc(n + 1);
	if (!j || !j->body) {
		job_free(j);
		reply_detail(s, req, 500, "out of memory");
		return;
	}
	j->kind = kind;
	j->body_len = n;
	evbuffer_remove(in, j->body, n);
	j->body[n] = '\0';
	j->req = req;
	j->from_us = now_us();
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), on_gone, j);
	if (pool_put(s->pool, j)) {
		s->open++;
		return;
	}
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
	job_free(j);
	s->busy++;
	reply_detail(s, req, 503, "too much is waiting");
}

static void health(struct server *s, struct evhttp_request *req)
{
	char body[256];

	(void)snprintf(body, sizeof(body),
		       "{\"status\":\"%s\",\"model\":\"creel-defender %s\",\"device\":\"cpu\",\"judge\":%s}",
		       s->draining ? "draining" : "ok", creel_defender_version(),
		       s->pool->judge ? "true" : "false");
	reply(s, req, s->draining ? 503 : 200, "application/json", body);
}

static void metrics_judge(const struct creel_judge *judge, struct evbuffer *b)
{
	struct creel_judge_stats j = {.size = sizeof(j)};

	creel_judge_stats(judge, &j);
	const struct {
		const char *name;
		uint64_t n;
	} rows[] = {
		{"questions", j.questions}, {"cached", j.cached},           {"requests", j.requests},
		{"retries", j.retries},     {"failed", j.failed},           {"steered", j.steered},
		{"busy", j.busy},           {"over_budget", j.over_budget},
	};
	for (size_t i = 0; i < ELEMENTSOF(rows); i++)
		evbuffer_add_printf(b,
				    "# TYPE creel_defender_judge_%s_total counter\n"
				    "creel_defender_judge_%s_total %llu\n",
				    rows[i].name, rows[i].name, (unsigned long long)rows[i].n);
	evbuffer_add_printf(b,
			    "# TYPE creel_defender_judge_seconds_total counter\n"
			    "creel_defender_judge_seconds_total %.6f\n",
			    (double)j.micros / 1e6);
}

/* Prometheus' text form, version 0.0.4. */
static void metrics(struct server *s, struct evhttp_request *req)
{
	struct pool_counts *c = &s->pool->counts;
	struct evbuffer *b = evbuffer_new();
	unsigned long long sum = 0;

	if (!b) {
		reply_detail(s, req, 500, "out of memory");
		return;
	}
	evbuffer_add_printf(b, "# HELP creel_defender_answers_total Answers by status.\n"
			       "# TYPE creel_defender_answers_total counter\n");
	for (int i = 2; i < 6; i++)
		evbuffer_add_printf(b, "creel_defender_answers_total{code=\"%dxx\"} %llu\n", i,
				    (unsigned long long)s->codes[i]);
	evbuffer_add_printf(b, "# HELP creel_defender_texts_total Texts scanned, by action.\n"
			       "# TYPE creel_defender_texts_total counter\n");
	for (unsigned i = 0; i < ELEMENTSOF(c->texts); i++)
		evbuffer_add_printf(b, "creel_defender_texts_total{action=\"%s\"} %lu\n",
				    creel_defender_action_name((enum creel_defender_action)i), c->texts[i]);
	evbuffer_add_printf(b,
			    "# HELP creel_defender_layer_failures_total Times that a layer did not answer.\n"
			    "# TYPE creel_defender_layer_failures_total counter\n");
	for (int i = 2; i < 4; i++)
		evbuffer_add_printf(b, "creel_defender_layer_failures_total{layer=\"%d\"} %lu\n", i,
				    c->failed[i]);
	evbuffer_add_printf(b,
			    "# TYPE creel_defender_text_octets_total counter\n"
			    "creel_defender_text_octets_total %lu\n"
			    "# HELP creel_defender_gone_total Answers that nobody waited for.\n"
			    "# TYPE creel_defender_gone_total counter\ncreel_defender_gone_total %llu\n"
			    "# TYPE creel_defender_refused_total counter\ncreel_defender_refused_total %llu\n"
			    "# TYPE creel_defender_busy_total counter\ncreel_defender_busy_total %llu\n"
			    "# TYPE creel_defender_under_way gauge\ncreel_defender_under_way %u\n"
			    "# HELP creel_defender_seconds From a request's end to its answer.\n"
			    "# TYPE creel_defender_seconds histogram\n",
			    c->octets, (unsigned long long)s->gone, (unsigned long long)s->refused,
			    (unsigned long long)s->busy, s->open);
	for (size_t i = 0; i <= ELEMENTSOF(edges); i++) {
		sum += s->bucket[i];
		if (i < ELEMENTSOF(edges))
			evbuffer_add_printf(b, "creel_defender_seconds_bucket{le=\"%g\"} %llu\n", edges[i],
					    sum);
	}
	evbuffer_add_printf(
		b,
		"creel_defender_seconds_bucket{le=\"+Inf\"} %llu\ncreel_defender_seconds_sum %.6f\n"
		"creel_defender_seconds_count %llu\n",
		sum, (double)s->sum_us / 1e6, sum);
	if (s->pool->judge)
		metrics_judge(s->pool->judge, b);
	evbuffer_add(b, "", 1);
	reply(s, req, 200, "text/plain; version=0.0.4; charset=utf-8", (const char *)evbuffer_pullup(b, -1));
	evbuffer_free(b);
}

static void on_request(struct evhttp_request *req, void *arg)
{
	static const char *const asks[] = {"/classify", "/scan", "/intent"};
	struct server *s = arg;
	const struct evhttp_uri *u = evhttp_request_get_evhttp_uri(req);
	const char *path = u ? evhttp_uri_get_path(u) : NULL;

	if (foreign(req)) {
		s->refused++;
		reply_detail(s, req, 403, "not for pages of other sites");
		return;
	}
	for (size_t i = 0; path && i < ELEMENTSOF(asks); i++)
		if (strcmp(path, asks[i]) == 0) {
			ask(s, req, (enum ask_kind)i);
			return;
		}
	if (path && strcmp(path, "/health") == 0)
		health(s, req);
	else if (path && strcmp(path, "/metrics") == 0)
		metrics(s, req);
	else
		reply_detail(s, req, 404, "Not Found");
}

/*
 * evhttp counts no connections. Each has an event pending while it waits for octets or sends some (and the
 * others are `open`, which the queues bound); above the limit no more are accepted for a moment.
 */
static struct bufferevent *on_accept(struct event_base *base, void *arg)
{
	const struct timeval moment = {0, 50000};
	struct server *s = arg;

	if (event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED) > (int)s->connections_max) {
		(void)evconnlistener_disable(evhttp_bound_socket_get_listener(s->bound));
		(void)event_add(s->accept_again, &moment);
	}
	return NULL; /* the usual one */
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval moment = {0, 50000};
	struct server *s = arg;

	if (s->draining)
		return;
	if (event_base_get_num_events(s->base, EVENT_BASE_COUNT_ADDED) > (int)s->connections_max)
		(void)event_add(s->accept_again, &moment);
	else
		(void)evconnlistener_enable(evhttp_bound_socket_get_listener(s->bound));
}

static int loopback(const char *address, char host[64], uint16_t *port, struct creel_err *err)
{
	const char *colon = strrchr(address, ':');
	char *end;
	struct in_addr a;
	size_t n = colon ? (size_t)(colon - address) : 0;
	unsigned long p = colon ? strtoul(colon + 1, &end, 10) : 65536;

	if (!colon || n >= 64 || n < 2 || p > 65535 || end == colon + 1 || *end)
		return creel_err_set(err, CREEL_E_USAGE, 0, "--listen wants ADDRESS:PORT: %.80s", address);
	memcpy(host, address, n);
	host[n] = '\0';
	if (strcmp(host, "[::1]") == 0)
		strcpy(host, "::1");
	else if (inet_pton(AF_INET, host, &a) != 1 || ntohl(a.s_addr) >> 24 != 127)
		return creel_err_set(err, CREEL_E_USAGE, 0, "--listen wants a loopback address: %.80s",
				     address);
	*port = (uint16_t)p;
	return 0;
}

int server_start(struct server *s, const char *address, size_t body_max, unsigned timeout_s,
		 struct creel_err *err)
{
	char host[64];
	uint16_t port;
	int r = loopback(address, host, &port, err);

	if (r < 0)
		return r;
	s->http = evhttp_new(s->base);
	s->done = event_new(s->base, s->pool->done_fd, EV_READ | EV_PERSIST, on_done, s);
	s->accept_again = evtimer_new(s->base, on_accept_again, s);
	if (!s->http || !s->done || !s->accept_again || event_add(s->done, NULL) < 0)
		return creel_err_nomem(err);
	evhttp_set_max_body_size(s->http, (ev_ssize_t)body_max);
	evhttp_set_max_headers_size(s->http, 16384);
	evhttp_set_timeout(s->http, (int)timeout_s);
	evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD);
	evhttp_set_gencb(s->http, on_request, s);
	evhttp_set_bevcb(s->http, on_accept, s);
	s->bound = evhttp_bind_socket_with_handle(s->http, host, port);
	if (!s->bound)
		return creel_err_set(err, CREEL_E_OS, errno, "listen on %.80s", address);
	return 0;
}

unsigned server_port(const struct server *s)
{
	struct sockaddr_in6 a = {0};
	socklen_t len = sizeof(a);

	/* the port stands at the same place for both families */
	if (getsockname(evhttp_bound_socket_get_fd(s->bound), (struct sockaddr *)&a, &len) < 0)
		return 0;
	return ntohs(a.sin6_port);
}

static void on_drain_end(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)event_base_loopbreak(s->base);
}

void server_drain(struct server *s)
{
	const struct timeval most = {(time_t)s->drain_s, 0};

	if (s->draining)
		return;
	s->draining = true;
	(void)event_del(s->accept_again);
	evhttp_del_accept_socket(s->http, s->bound);
	s->drain_end = evtimer_new(s->base, on_drain_end, s);
	if (s->drain_end)
		(void)event_add(s->drain_end, &most);
	drain_check(s);
}

void server_end(struct server *s)
{
	if (s->http)
		evhttp_free(s->http); /* with its connections: their jobs learn that nobody waits */
	if (s->done)
		event_free(s->done);
	if (s->accept_again)
		event_free(s->accept_again);
	if (s->drain_end)
		event_free(s->drain_end);
}

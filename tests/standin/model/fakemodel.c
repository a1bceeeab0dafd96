#include "fakemodel.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

struct visit {
	struct fake_model *f;
	int fd;
};

static void die(const char *what)
{
	perror(what);
	abort();
}

void fake_model_check(const char *system, char ret[64])
{
	const char *p = strstr(system, "(exactly \"");
	size_t n = p ? strcspn(p + 10, "\"") : 0;

	n = n < 63 ? n : 63;
	if (p)
		memcpy(ret, p + 10, n);
	ret[n] = '\0';
}

json_t *fake_model_verdict(const char *system, const char *verdict, double confidence)
{
	char check[64];

	fake_model_check(system, check);
	return json_pack("{s:s,s:s,s:f,s:s}", "reason", "as the script says", "verdict", verdict,
			 "confidence", confidence, "check", check);
}

static json_t *say(struct fake_model *f, const json_t *asked)
{
	const json_t *m = json_object_get(asked, "messages");
	const char *system = json_string_value(json_object_get(asked, "system"));
	const char *user = json_string_value(
		json_object_get(json_array_get(m, json_array_size(m) - 1), "content"));

	if (!system)
		system = json_string_value(json_object_get(json_array_get(m, 0), "content"));
	if (!system || !user)
		return NULL;
	if (f->say)
		return f->say(asked, system, user);
	bool call = strstr(system, "misaligned") != NULL, bad = strstr(user, "attack") != NULL;
	return fake_model_verdict(
		system, bad ? (call ? "misaligned" : "injection") : (call ? "aligned" : "benign"), 0.96);
}

static char *envelope(struct fake_model *f, json_t *v, enum fake_fault fault)
{
	autofree char *content = fault == FAKE_WORDS ? strdup("I think that it is benign.")
						     : json_dumps(v, JSON_COMPACT);
	json_t *b;

	if (f->anthropic)
		b = json_pack("{s:s,s:s,s:[{s:s,s:s,s:s,s:O}],s:s}", "type", "message", "role", "assistant",
			      "content", "type", "tool_use", "id", "toolu_1", "name", "verdict", "input", v,
			      "stop_reason", fault == FAKE_LENGTH ? "max_tokens" : "tool_use");
	else
		b = json_pack("{s:s,s:[{s:i,s:{s:s,s:s},s:s}]}", "object", "chat.completion", "choices",
			      "index", 0, "message", "role", "assistant", "content", content, "finish_reason",
			      fault == FAKE_LENGTH ? "length" : "stop");
	char *text = json_dumps(b, JSON_COMPACT);
	json_decref(b);
	json_decref(v);
	return text;
}

static void send_all(int fd, const char *s, size_t n)
{
	while (n > 0) {
		ssize_t k = send(fd, s, n, MSG_NOSIGNAL);
		if (k <= 0)
			return;
		s += k;
		n -= (size_t)k;
	}
}

static void answer(struct visit *v, const char *body, enum fake_fault fault)
{
	static const char shape[] = "{\"choices\":[1,2],\"object\":\"another\"}";
	int status = fault == FAKE_STATUS ? v->f->status : 200, wait = v->f->retry_after;
	char head[256], extra[64] = "", part[4096];
	autofree char *text = NULL;

	if (fault == FAKE_CLOSE)
		return;
	if (fault == FAKE_SLOW) {
		int ms = v->f->ms;
		struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
		nanosleep(&t, NULL);
	}
	if (fault == FAKE_STATUS) {
		text = strdup("{\"error\":{\"message\":\"as the script says\"}}");
	} else if (fault == FAKE_GARBAGE) {
		text = strdup("\x7f\x01<html>{]not json");
	} else if (fault == FAKE_SHAPE) {
		text = strdup(shape);
	} else {
		json_t *asked = json_loads(body, 0, NULL);
		json_t *w = say(v->f, asked);
		text = w ? envelope(v->f, w, fault) : strdup("{\"error\":\"not understood\"}");
		json_decref(asked);
	}
	if (!text)
		abort();
	if (wait)
		(void)snprintf(extra, sizeof(extra), "Retry-After: %d\r\n", wait);
	size_t n = strlen(text);
	int h = snprintf(head, sizeof(head),
			 "HTTP/1.1 %d Said\r\nContent-Type: application/json\r\n%sConnection: close\r\n"
			 "Content-Length: %zu\r\n\r\n",
			 status, extra, fault == FAKE_ENDLESS ? (size_t)1 << 30 : n);
	send_all(v->fd, head, (size_t)h);
	if (fault == FAKE_ENDLESS) {
		memset(part, ' ', sizeof(part));
		for (int i = 0; i < 1024; i++)
			send_all(v->fd, part, sizeof(part));
		return;
	}
	send_all(v->fd, text, fault == FAKE_CUT ? n / 2 : n);
}

static void header(const char *head, const char *name, char *ret, size_t size)
{
	const char *p = strcasestr(head, name);
	size_t n = 0;

	if (p) {
		p += strlen(name);
		n = strcspn(p, "\r\n");
		n = n < size - 1 ? n : size - 1;
		memcpy(ret, p, n);
	}
	ret[n] = '\0';
}

static void *visit(void *arg)
{
	struct visit *v = arg;
	struct creel_buf autoclean(creel_buf_fini) b;
	struct creel_err err = {0};
	char part[65536], len[32];
	const char *end = NULL;

	creel_buf_init(&b, 32u << 20);
	for (ssize_t n; (n = recv(v->fd, part, sizeof(part), 0)) > 0;) {
		if (creel_buf_add(&b, part, (size_t)n, &err) < 0)
			break;
		end = strstr(creel_buf_str(&b), "\r\n\r\n");
		if (!end)
			continue;
		header(creel_buf_str(&b), "\r\nContent-Length: ", len, sizeof(len));
		if (b.len >= (size_t)(end + 4 - creel_buf_str(&b)) + strtoul(len, NULL, 10))
			break;
	}
	if (end) {
		struct fake_model *f = v->f;
		f->requests++;
		(void)sscanf(creel_buf_str(&b), "POST %127s", f->last_path);
		header(creel_buf_str(&b),
		       f->anthropic ? "\r\nx-api-key: " : "\r\nAuthorization: ", f->last_auth,
		       sizeof(f->last_auth));
		enum fake_fault fault = f->fault;
		int left = f->times;
		if (left == 0)
			fault = FAKE_OK;
		else if (left > 0)
			f->times--;
		answer(v, end + 4, fault);
	}
	shutdown(v->fd, SHUT_WR);
	while (recv(v->fd, part, sizeof(part), 0) > 0) {
	}
	close(v->fd);
	free(v);
	return NULL;
}

static void *serve(void *arg)
{
	struct fake_model *f = arg;

	for (;;) {
		int fd = accept(f->fd, NULL, NULL);
		struct visit *v = fd < 0 ? NULL : malloc(sizeof(*v));
		pthread_t t;
		if (!v)
			return NULL;
		*v = (struct visit){f, fd};
		if (pthread_create(&t, NULL, visit, v) != 0)
			die("thread");
		pthread_detach(t);
	}
}

void fake_model_start(struct fake_model *f)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	pthread_t t;

	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->fd < 0 || bind(f->fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(f->fd, 64) < 0 ||
	    getsockname(f->fd, (struct sockaddr *)&a, &len) < 0)
		die("loopback");
	f->port = ntohs(a.sin_port);
	(void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u/v1", f->port);
	if (pthread_create(&t, NULL, serve, f) != 0)
		die("thread");
	pthread_detach(t);
}

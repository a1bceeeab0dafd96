#include "httpd.h"
#include "base/cleanup.h"
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

const char *httpd_dir;
struct event_base *httpd_base;
static const char *www;
static FILE *out;
static SSL_CTX *tls_good, *tls_evil;

static void log_line(json_t *line)
{
	if (json_dumpf(line, out, JSON_COMPACT | JSON_ENSURE_ASCII) == 0)
		putc('\n', out);
	(void)fflush(out);
	json_decref(line);
}

static void addresses(int fd, struct visit *v)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	(void)getsockname(fd, (struct sockaddr *)&a, &len);
	(void)inet_ntop(AF_INET, &a.sin_addr, v->to, sizeof(v->to));
	v->port = ntohs(a.sin_port);
	len = sizeof(a);
	(void)getpeername(fd, (struct sockaddr *)&a, &len);
	(void)inet_ntop(AF_INET, &a.sin_addr, v->from, sizeof(v->from));
}

void reply_text(struct visit *v, int code, const char *type, const char *text)
{
	struct evbuffer *b = evbuffer_new();

	(void)evhttp_add_header(evhttp_request_get_output_headers(v->req), "Content-Type", type);
	(void)evbuffer_add(b, text, strlen(text));
	evhttp_send_reply(v->req, code, NULL, b);
	evbuffer_free(b);
}

void reply_json(struct visit *v, int code, json_t *json)
{
	autofree char *text = json_dumps(json, JSON_COMPACT);

	reply_text(v, code, "application/json", text ? text : "{}");
	json_decref(json);
}

json_t *folder_json(const char *file)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", httpd_dir, file);
	return json_load_file(path, 0, NULL);
}

/* www/HOST/PATH, of the source or of DIR/www, which a test may fill */
static bool file_serve(struct visit *v, const char *root)
{
	char path[700];
	struct stat st;
	size_t len = strcspn(v->path, "?");

	if (strstr(v->path, "..") || strchr(v->host, '/'))
		return false;
	(void)snprintf(path, sizeof(path), "%s/%s%.*s%s", root, v->host, (int)MIN(len, (size_t)300), v->path,
		       len > 0 && v->path[len - 1] == '/' ? "index.html" : "");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			(void)close(fd);
		return false;
	}
	struct evbuffer *b = evbuffer_new();
	(void)evbuffer_add_file(b, fd, 0, st.st_size); /* closes fd */
	const char *dot = strrchr(path, '.');
	(void)evhttp_add_header(evhttp_request_get_output_headers(v->req), "Content-Type",
				dot && strcmp(dot, ".html") == 0 ? "text/html; charset=utf-8" : "text/plain");
	evhttp_send_reply(v->req, 200, NULL, b);
	evbuffer_free(b);
	return true;
}

/* What any other page is: what this end saw of the request. */
static void facts(struct visit *v)
{
	reply_json(v, 200,
		   json_pack("{s:s, s:s, s:s, s:i, s:b, s:s, s:i}", "host", v->host, "path", v->path, "to",
			     v->to, "port", (int)v->port, "tls", v->tls, "sni", v->sni, "body",
			     (int)v->body_len));
}

static void web_serve(struct visit *v)
{
	char mine[600];
	unsigned long n = 0;

	(void)snprintf(mine, sizeof(mine), "%s/www", httpd_dir);
	if (sscanf(v->path, "/bytes/%lu", &n) == 1 && n <= 1UL << 30) {
		struct evbuffer *b = evbuffer_new();
		char block[16384];
		memset(block, 'x', sizeof(block));
		for (unsigned long left = n; left > 0; left -= MIN(left, sizeof(block)))
			(void)evbuffer_add(b, block, MIN(left, sizeof(block)));
		evhttp_send_reply(v->req, 200, NULL, b);
		evbuffer_free(b);
	} else if (strncmp(v->path, "/redirect?to=", 13) == 0) {
		char *to = evhttp_uridecode(v->path + 13, 0, NULL);
		if (to && !strpbrk(to, "\r\n"))
			(void)evhttp_add_header(evhttp_request_get_output_headers(v->req), "Location", to);
		free(to);
		reply_text(v, 302, "text/plain", "elsewhere\n");
	} else if (!file_serve(v, mine) && !file_serve(v, www)) {
		facts(v);
	}
}

static void visit_log(struct visit *v, const char *method)
{
	const char *auth = evhttp_find_header(evhttp_request_get_input_headers(v->req), "Authorization");

	json_t *body = json_stringn(v->body, MIN(v->body_len, (size_t)2000));
	log_line(json_pack("{s:s, s:s, s:i, s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:o}", "event", "request",
			   "to", v->to, "port", (int)v->port, "from", v->from, "tls", v->tls, "sni", v->sni,
			   "host", v->host, "method", method, "path", v->path, "auth", auth ? auth : "",
			   "body", body ? body : json_string("(not text)")));
}

static const char *method_name(struct evhttp_request *req)
{
	switch ((int)evhttp_request_get_command(req)) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_HEAD:
		return "HEAD";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	default:
		return "OTHER";
	}
}

static void requested(struct evhttp_request *req, void *arg)
{
	struct visit v = {.req = req, .path = evhttp_request_get_uri(req)};
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(req));
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	SSL *ssl = arg ? bufferevent_openssl_get_ssl(bev) : NULL;
	const char *host = evhttp_request_get_host(req),
		   *sni = ssl ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;

	addresses(bufferevent_getfd(bev), &v);
	v.tls = ssl != NULL;
	(void)snprintf(v.host, sizeof(v.host), "%s", host ? host : "");
	(void)snprintf(v.sni, sizeof(v.sni), "%s", sni ? sni : "");
	v.body_len = evbuffer_get_length(in);
	(void)evbuffer_add(in, "", 1);
	v.body = (const char *)evbuffer_pullup(in, -1);
	visit_log(&v, method_name(req));
	(void)evhttp_add_header(evhttp_request_get_output_headers(req), "Server", "test-internet");
	if (strcmp(v.host, "model.example") == 0)
		model_serve(&v);
	else if (strlen(v.host) > 15 && strcmp(v.host + strlen(v.host) - 15, ".googleapis.com") == 0)
		google_serve(&v);
	else if (strcmp(v.host, "discord.com") == 0)
		reply_text(&v, 401, "application/json", "{\"message\":\"401: Unauthorized\",\"code\":0}");
	else
		web_serve(&v);
}

static int hello(SSL *ssl, int *alert, void *arg)
{
	struct visit v = {0};
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	addresses(SSL_get_fd(ssl), &v);
	log_line(json_pack("{s:s, s:s, s:i, s:s, s:s}", "event", "hello", "to", v.to, "port", (int)v.port,
			   "from", v.from, "sni", sni ? sni : ""));
	if (strcmp(v.to, "198.51.100.66") == 0)
		(void)SSL_set_SSL_CTX(ssl, tls_evil);
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *tls_load(const char *name)
{
	char cert[512], key[512];
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	(void)snprintf(cert, sizeof(cert), "%s/tls/%s.pem", httpd_dir, name);
	(void)snprintf(key, sizeof(key), "%s/tls/%s.key", httpd_dir, name);
	if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
		fprintf(stderr, "httpd: cannot load %s\n", cert);
		exit(1);
	}
	(void)SSL_CTX_set_tlsext_servername_callback(ctx, hello);
	return ctx;
}

static struct bufferevent *tls_new(struct event_base *base, void *arg)
{
	return bufferevent_openssl_socket_new(base, -1, SSL_new(tls_good), BUFFEREVENT_SSL_ACCEPTING,
					      BEV_OPT_CLOSE_ON_FREE);
}

static void listen_on(uint16_t port, bool tls)
{
	struct evhttp *h = evhttp_new(httpd_base);

	evhttp_set_allowed_methods(h, 0xffff);
	evhttp_set_gencb(h, requested, tls ? h : NULL);
	if (tls)
		evhttp_set_bevcb(h, tls_new, NULL);
	if (evhttp_bind_socket(h, "0.0.0.0", port) < 0) {
		perror("httpd: bind");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	char path[512];

	if (argc != 3)
		return 2;
	httpd_dir = argv[1];
	www = argv[2];
	(void)snprintf(path, sizeof(path), "%s/log/http.jsonl", httpd_dir);
	out = fopen(path, "ae");
	httpd_base = event_base_new();
	if (!out || !httpd_base)
		return 1;
	(void)signal(SIGPIPE, SIG_IGN);
	tls_good = tls_load("good");
	tls_evil = tls_load("evil");
	listen_on(80, false);
	listen_on(8080, false);
	listen_on(443, true);
	listen_on(8443, true);
	return event_base_dispatch(httpd_base) < 0;
}

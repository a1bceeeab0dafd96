#pragma once
#include <event2/http.h>
#include <jansson.h>
#include <stdbool.h>

/*
 * httpd: the web, the model and the accounts of the test internet. One process, every address, ports 80
 * and 8080 (HTTP), 443 and 8443 (TLS); the Host says which site answers. Each request is a line of
 * log/http.jsonl:
 *   {"event":"request","to":ADDR,"port":N,"from":ADDR,"tls":bool,"sni":NAME,"host":NAME,"method":...,
 *    "path":...,"auth":Authorization,"body":first 2000 octets}
 * and each TLS hello one too, with event "hello", whatever comes after it.
 */
struct visit {
	struct evhttp_request *req;
	char to[46], from[46], sni[256], host[256];
	unsigned port;
	bool tls;
	const char *path; /* with the query */
	const char *body; /* NUL-terminated */
	size_t body_len;
};

extern const char *httpd_dir; /* the test internet's folder */
extern struct event_base *httpd_base;

/** Answer with text or with JSON (which is taken over). */
void reply_text(struct visit *v, int code, const char *type, const char *text);
void reply_json(struct visit *v, int code, json_t *json);
/** Parse FILE of the folder, anew each time: a test may change it. NULL when it is not JSON. */
json_t *folder_json(const char *file);

void model_serve(struct visit *v);
void google_serve(struct visit *v);

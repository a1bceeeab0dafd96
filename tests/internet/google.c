/*
 * A stand-in for the few calls of Google's interfaces that the tool cell's program makes: token refresh,
 * Gmail (list with a search, get, thread, send, labels), Calendar (lists, events, insert). What there is
 * stands in DIR/google.json, read anew each time; what is sent is a line of log/sent.jsonl. A request
 * without `Authorization: Bearer test-...` is refused with 401, as there.
 */
#include "base/cleanup.h"
#include "httpd.h"
#include <event2/keyvalq_struct.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

static void error(struct visit *v, int code, const char *why)
{
	reply_json(v, code,
		   json_pack("{s:{s:i, s:s, s:s}}", "error", "code", code, "message", why, "status", why));
}

static void keep(struct visit *v)
{
	char path[512];
	json_t *line = json_pack("{s:s, s:s}", "path", v->path, "body", v->body);

	(void)snprintf(path, sizeof(path), "%s/log/sent.jsonl", httpd_dir);
	autofile FILE *f = fopen(path, "ae");
	if (f && line && json_dumpf(line, f, JSON_COMPACT) == 0)
		putc('\n', f);
	json_decref(line);
}

static const char *field(const json_t *m, const char *name)
{
	const char *s = json_string_value(json_object_get(m, name));

	return s ? s : "";
}

/* As Gmail shows it: headers, a snippet, and the text in base64url. */
static json_t *message(const json_t *m)
{
	const char *text = field(m, "text");
	size_t max = sodium_base64_encoded_len(strlen(text), sodium_base64_VARIANT_URLSAFE);
	autofree char *b64 = malloc(max);

	if (!b64)
		abort();
	(void)sodium_bin2base64(b64, max, (const unsigned char *)text, strlen(text),
				sodium_base64_VARIANT_URLSAFE);
	json_t *headers = json_pack("[{s:s,s:s},{s:s,s:s},{s:s,s:s},{s:s,s:s}]", "name", "From", "value",
				    field(m, "from"), "name", "To", "value", field(m, "to"), "name",
				    "Subject", "value", field(m, "subject"), "name", "Date", "value",
				    "Mon, 2 Nov 2026 10:00:00 +0000");
	return json_pack("{s:s, s:s, s:[s], s:s, s:s, s:{s:s, s:o, s:{s:i, s:s}}}", "id", field(m, "id"),
			 "threadId", field(m, "id"), "labelIds", "INBOX", "snippet", field(m, "subject"),
			 "internalDate", "1793613600000", "payload", "mimeType", "text/plain", "headers",
			 headers, "body", "size", (int)strlen(text), "data", b64);
}

/* A search here is words that all stand in the message; `in:`, `is:` and the like are passed over. */
static bool matches(const json_t *m, const char *query)
{
	autofree char *words = strdup(query);
	char *save = words, *w;

	while (save && (w = strsep(&save, " ")) != NULL) {
		char *colon = strchr(w, ':');
		const char *in = NULL;
		if (colon && strncmp(w, "from:", 5) == 0)
			in = "from";
		else if (colon && strncmp(w, "subject:", 8) == 0)
			in = "subject";
		else if (colon)
			continue;
		const char *what = colon ? colon + 1 : w;
		if (in ? !strcasestr(field(m, in), what)
		       : !strcasestr(field(m, "text"), what) && !strcasestr(field(m, "subject"), what))
			return false;
	}
	return true;
}

static void list(struct visit *v, const json_t *mails, const char *key)
{
	struct evkeyvalq q;
	json_t *found = json_array(), *m;
	size_t i;
	const char *query = NULL;

	TAILQ_INIT(&q);
	if (evhttp_parse_query_str(strchr(v->path, '?') ? strchr(v->path, '?') + 1 : "", &q) == 0)
		query = evhttp_find_header(&q, "q");
	json_array_foreach (mails, i, m) {
		if (!query || matches(m, query))
			(void)json_array_append_new(found, json_pack("{s:s, s:s, s:s}", "id", field(m, "id"),
								     "threadId", field(m, "id"), "snippet",
								     field(m, "subject")));
	}
	evhttp_clear_headers(&q);
	reply_json(v, 200,
		   json_pack("{s:o, s:i}", key, found, "resultSizeEstimate", (int)json_array_size(found)));
}

static void gmail(struct visit *v, const char *path, const json_t *all)
{
	const json_t *mails = json_object_get(all, "mail");
	bool post = evhttp_request_get_command(v->req) == EVHTTP_REQ_POST;
	bool thread = strncmp(path, "threads", 7) == 0;
	char id[64] = "";
	size_t i;
	json_t *m;

	if (post && (strncmp(path, "messages/send", 13) == 0 || strncmp(path, "drafts", 6) == 0)) {
		keep(v);
		reply_json(v, 200,
			   json_pack("{s:s, s:s, s:[s]}", "id", "sent-1", "threadId", "sent-1", "labelIds",
				     "SENT"));
	} else if (strcmp(path, "messages") == 0 || strncmp(path, "messages?", 9) == 0) {
		list(v, mails, "messages");
	} else if (strcmp(path, "threads") == 0 || strncmp(path, "threads?", 8) == 0) {
		list(v, mails, "threads");
	} else if (strncmp(path, "labels", 6) == 0) {
		reply_json(v, 200,
			   json_pack("{s:[{s:s, s:s, s:s}]}", "labels", "id", "INBOX", "name", "INBOX",
				     "type", "system"));
	} else if (strncmp(path, "profile", 7) == 0) {
		reply_json(v, 200, json_pack("{s:s}", "emailAddress", "me@example.com"));
	} else if (sscanf(path, "messages/%63[^/?]", id) == 1 || sscanf(path, "threads/%63[^/?]", id) == 1) {
		json_array_foreach (mails, i, m) {
			if (strcmp(field(m, "id"), id) != 0)
				continue;
			reply_json(v, 200,
				   thread ? json_pack("{s:s, s:[o]}", "id", id, "messages", message(m))
					  : message(m));
			return;
		}
		error(v, 404, "NOT_FOUND");
	} else {
		error(v, 404, "NOT_FOUND");
	}
}

static void calendar(struct visit *v, const char *path, const json_t *all)
{
	bool post = evhttp_request_get_command(v->req) == EVHTTP_REQ_POST;

	if (strstr(path, "/calendarList")) {
		reply_json(v, 200,
			   json_pack("{s:s, s:[{s:s, s:s, s:b, s:s, s:s}]}", "kind", "calendar#calendarList",
				     "items", "id", "me@example.com", "summary", "me@example.com", "primary",
				     1, "accessRole", "owner", "timeZone", "UTC"));
	} else if (post) {
		keep(v);
		json_t *e = json_loads(v->body, 0, NULL);
		if (!e)
			e = json_object();
		(void)json_object_set_new(e, "id", json_string("made-1"));
		(void)json_object_set_new(e, "status", json_string("confirmed"));
		reply_json(v, 200, e);
	} else if (strstr(path, "/events")) {
		json_t *items = json_object_get(all, "events");
		reply_json(v, 200, json_pack("{s:s, s:O}", "kind", "calendar#events", "items", items));
	} else {
		reply_json(v, 200,
			   json_pack("{s:s, s:s, s:s}", "id", "me@example.com", "summary", "me", "timeZone",
				     "UTC"));
	}
}

void google_serve(struct visit *v)
{
	const char *auth = evhttp_find_header(evhttp_request_get_input_headers(v->req), "Authorization");

	if (strcmp(v->host, "oauth2.googleapis.com") == 0) {
		if (!strstr(v->body, "refresh_token=test-") && !strstr(v->body, "code="))
			reply_json(v, 400,
				   json_pack("{s:s, s:s}", "error", "invalid_grant", "error_description",
					     "Bad Request"));
		else
			reply_json(v, 200,
				   json_pack("{s:s, s:i, s:s, s:s}", "access_token", "test-access-token",
					     "expires_in", 3599, "token_type", "Bearer", "scope",
					     "https://mail.google.com/"));
		return;
	}
	if (!auth || strncmp(auth, "Bearer test-", 12) != 0) {
		error(v, 401, "UNAUTHENTICATED");
		return;
	}
	json_t *all = folder_json("google.json");
	char user[128];
	int n = 0;
	if (sscanf(v->path, "/gmail/v1/users/%127[^/]/%n", user, &n) == 1 && n > 0)
		gmail(v, v->path + n, all);
	else if (strncmp(v->path, "/calendar/v3/", 13) == 0)
		calendar(v, v->path + 12, all);
	else
		error(v, 404, "NOT_FOUND");
	json_decref(all);
}

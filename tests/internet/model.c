/*
 * The model: OpenAI-compatible, scripted by DIR/model.json, a list of rules. The first whose "when" is
 * in the last message (of the role "role", if it is said) answers, if "system", when it is said, stands in
 * a message of the role system (or developer):
 *   {"when": "weather", "role": "user", "text": "It rains."}
 *   {"when": "fetch", "tool": "web_fetch", "arguments": {"url": "https://web.example/"}}
 * "{last}" in text becomes the last message. "fault" instead of, or beside, them:
 *   "429" "500"  that status, an error object
 *   "slow"       half a second before each piece
 *   "cut"        the connection ends after the first piece
 *   "garbage"    octets that are no JSON
 *   "schema"     JSON of another shape
 */
#include "base/cleanup.h"
#include "httpd.h"
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

/* A streamed answer under way: pieces still to be sent, one a tick. */
struct stream {
	struct evhttp_request *req;
	struct event *timer;
	json_t *pieces;
	size_t at;
	bool cut;
	struct timeval every;
};

static const char *text_of(const json_t *content)
{
	const json_t *first = json_array_get(content,
					     json_array_size(content) ? json_array_size(content) - 1 : 0);
	const char *s = json_string_value(content);

	if (!s)
		s = json_string_value(json_object_get(first, "text"));
	return s ? s : "";
}

/* OpenClaw ends a conversation with a user's message of its own, behind the tool's: it is not what is answered */
static json_t *last_of(json_t *messages)
{
	for (size_t i = json_array_size(messages); i-- > 0;) {
		json_t *m = json_array_get(messages, i);
		if (!strstr(text_of(json_object_get(m, "content")), "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>"))
			return m;
	}
	return NULL;
}

static bool told(const json_t *messages, const char *what)
{
	size_t i;
	json_t *m;

	json_array_foreach (messages, i, m) {
		const char *role = json_string_value(json_object_get(m, "role"));
		if (role && (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0) &&
		    strstr(text_of(json_object_get(m, "content")), what))
			return true;
	}
	return false;
}

static const json_t *rule_for(const json_t *rules, const json_t *messages, const char *last, const char *role)
{
	size_t i;
	json_t *r;

	json_array_foreach (rules, i, r) {
		const char *when = json_string_value(json_object_get(r, "when"));
		const char *of = json_string_value(json_object_get(r, "role"));
		const char *system = json_string_value(json_object_get(r, "system"));
		if ((!when || strstr(last, when)) && (!of || strcmp(of, role) == 0) &&
		    (!system || told(messages, system)))
			return r;
	}
	return NULL;
}

static char *say(const json_t *rule, const char *last)
{
	const char *t = json_string_value(json_object_get(rule, "text"));
	const char *p = t ? strstr(t, "{last}") : NULL;
	char *s = NULL;

	if (p && asprintf(&s, "%.*s%s%s", (int)(p - t), t, last, p + 6) < 0)
		return NULL;
	return p ? s : strdup(t ? t : "");
}

static json_t *call_of(const json_t *rule, bool index)
{
	autofree char *args = json_dumps(json_object_get(rule, "arguments"), JSON_COMPACT);
	json_t *c = json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", "call_1", "type", "function", "function",
			      "name", json_string_value(json_object_get(rule, "tool")), "arguments",
			      args ? args : "{}");

	if (index)
		(void)json_object_set_new(c, "index", json_integer(0));
	return json_pack("[o]", c);
}

static json_t *chunk(json_t *delta, const char *finish)
{
	return json_pack("{s:s, s:s, s:i, s:s, s:[{s:i, s:o, s:o}]}", "id", "chatcmpl-1", "object",
			 "chat.completion.chunk", "created", 1, "model", "mock-1", "choices", "index", 0,
			 "delta", delta, "finish_reason", finish ? json_string(finish) : json_null());
}

static void stream_free(struct evhttp_connection *c, void *arg)
{
	struct stream *s = arg;

	if (c)
		evhttp_connection_set_closecb(c, NULL, NULL);
	event_free(s->timer);
	json_decref(s->pieces);
	free(s);
}

static void tick(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	struct evhttp_connection *c = evhttp_request_get_connection(s->req);
	struct evbuffer *b = evbuffer_new();

	if (s->cut && s->at == 1) {
		stream_free(c, s);
		evhttp_connection_free(c);
		evbuffer_free(b);
		return;
	}
	if (s->at == json_array_size(s->pieces)) {
		(void)evbuffer_add_printf(b, "data: [DONE]\n\n");
		evhttp_send_reply_chunk(s->req, b);
		struct evhttp_request *req = s->req;
		stream_free(c, s);
		evhttp_send_reply_end(req);
	} else {
		autofree char *text = json_dumps(json_array_get(s->pieces, s->at++), JSON_COMPACT);
		(void)evbuffer_add_printf(b, "data: %s\n\n", text);
		evhttp_send_reply_chunk(s->req, b);
		(void)evtimer_add(s->timer, &s->every);
	}
	evbuffer_free(b);
}

static void stream_start(struct visit *v, json_t *pieces, const char *fault)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->req = v->req;
	s->pieces = pieces;
	s->cut = strcmp(fault, "cut") == 0;
	s->every.tv_usec = strcmp(fault, "slow") == 0 ? 500000 : 1000;
	s->timer = evtimer_new(httpd_base, tick, s);
	(void)evhttp_add_header(evhttp_request_get_output_headers(v->req), "Content-Type",
				"text/event-stream");
	evhttp_connection_set_closecb(evhttp_request_get_connection(v->req), stream_free, s);
	evhttp_send_reply_start(v->req, 200, "OK");
	(void)evtimer_add(s->timer, &s->every);
}

/* The text in two pieces, so that whoever reads it has to put it together. */
static json_t *pieces_of(const json_t *rule, const char *text)
{
	json_t *p = json_array();
	size_t half = strlen(text) / 2;

	while (half > 0 && ((unsigned char)text[half] & 0xc0) == 0x80)
		half--;
	if (json_object_get(rule, "tool")) {
		(void)json_array_append_new(p, chunk(json_pack("{s:s, s:o}", "role", "assistant",
							       "tool_calls", call_of(rule, true)),
						     NULL));
		(void)json_array_append_new(p, chunk(json_object(), "tool_calls"));
		return p;
	}
	(void)json_array_append_new(
		p, chunk(json_pack("{s:s, s:o}", "role", "assistant", "content", json_stringn(text, half)),
			 NULL));
	(void)json_array_append_new(p, chunk(json_pack("{s:s}", "content", text + half), NULL));
	(void)json_array_append_new(p, chunk(json_object(), "stop"));
	return p;
}

static void whole(struct visit *v, const json_t *rule, const char *text)
{
	bool tool = json_object_get(rule, "tool") != NULL;
	json_t *m = json_pack("{s:s, s:o}", "role", "assistant", "content",
			      tool ? json_null() : json_string(text));

	if (tool)
		(void)json_object_set_new(m, "tool_calls", call_of(rule, false));
	reply_json(v, 200,
		   json_pack("{s:s, s:s, s:i, s:s, s:[{s:i, s:o, s:s}], s:{s:i, s:i, s:i}}", "id",
			     "chatcmpl-1", "object", "chat.completion", "created", 1, "model", "mock-1",
			     "choices", "index", 0, "message", m, "finish_reason",
			     tool ? "tool_calls" : "stop", "usage", "prompt_tokens", 1, "completion_tokens",
			     1, "total_tokens", 2));
}

void model_serve(struct visit *v)
{
	if (strcmp(v->path, "/v1/models") == 0) {
		reply_json(v, 200,
			   json_pack("{s:s, s:[{s:s, s:s}]}", "object", "list", "data", "id", "mock-1",
				     "object", "model"));
		return;
	}
	json_t *asked = json_loads(v->body, 0, NULL), *rules = folder_json("model.json");
	json_t *messages = json_object_get(asked, "messages");
	json_t *last = last_of(messages);
	const char *text = text_of(json_object_get(last, "content"));
	const char *role = json_string_value(json_object_get(last, "role"));
	const json_t *rule = last ? rule_for(rules, messages, text, role ? role : "") : NULL;
	const char *fault = json_string_value(json_object_get(rule, "fault"));
	autofree char *answer = rule ? say(rule, text) : NULL;

	if (!fault)
		fault = "";
	if (strcmp(v->path, "/v1/chat/completions") != 0 || !rule || !answer)
		reply_json(v, last ? 404 : 400,
			   json_pack("{s:{s:s}}", "error", "message", "no rule of model.json answers this"));
	else if (strcmp(fault, "429") == 0 || strcmp(fault, "500") == 0)
		reply_json(v, atoi(fault),
			   json_pack("{s:{s:s, s:s}}", "error", "message", "as the script says", "type",
				     *fault == '4' ? "rate_limit_exceeded" : "server_error"));
	else if (strcmp(fault, "garbage") == 0)
		reply_text(v, 200, "application/json", "\x7f\x01<html>{]not json");
	else if (strcmp(fault, "schema") == 0)
		reply_json(v, 200, json_pack("{s:[i, i], s:s}", "choices", 1, 2, "object", "another"));
	else if (json_is_true(json_object_get(asked, "stream")) || strcmp(fault, "cut") == 0)
		stream_start(v, pieces_of(rule, answer), fault);
	else
		whole(v, rule, answer);
	json_decref(asked);
	json_decref(rules);
}

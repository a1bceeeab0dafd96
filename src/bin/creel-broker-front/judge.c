#include "front.h"
#include "wire/httppath.h"
#include <string.h>

bool judge_piece(size_t *at, const char *p, size_t n)
{
	static const char word[] = FRONT_PLACEHOLDER;

	for (size_t i = 0; i < n; i++) {
		/* of this word no proper beginning is also an end, but its first octet */
		if (p[i] == word[*at])
			(*at)++;
		else
			*at = p[i] == word[0];
		if (*at == sizeof(word) - 1)
			return true;
	}
	return false;
}

static bool holds(struct creel_span s)
{
	return memmem(s.p, s.n, FRONT_PLACEHOLDER, sizeof(FRONT_PLACEHOLDER) - 1) != NULL;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* The query as its reader decodes it. */
static bool query_holds(struct creel_span q)
{
	size_t at = 0;

	for (size_t i = 0; i < q.n; i++) {
		char c = q.p[i];
		if (c == '%' && i + 2 < q.n && hex(q.p[i + 1]) >= 0 && hex(q.p[i + 2]) >= 0) {
			c = (char)(hex(q.p[i + 1]) << 4 | hex(q.p[i + 2]));
			i += 2;
		}
		if (judge_piece(&at, &c, 1))
			return true;
	}
	return false;
}

static bool broker_find(const struct front *f, const char *host, size_t *ret)
{
	static const char end[] = ".broker.creel";
	size_t n = strlen(host), e = sizeof(end) - 1;

	for (size_t i = 0; i < f->pt->brokers->n; i++) {
		const char *name = f->pt->brokers->v[i].name;
		if (n == strlen(name) + e && memcmp(host, name, n - e) == 0 &&
		    strcmp(host + n - e, end) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* Names of fields that Connection adds to those of this connection. */
static bool hop(const char *text, const struct creel_httphead *h, struct creel_span name)
{
	struct creel_span n, v;
	size_t at = h->fields_at;

	while (creel_httphead_field(text, h, &at, &n, &v) > 0)
		if (creel_httpfield_is(n, "Connection") && creel_httpfield_has(v, name))
			return true;
	return false;
}

static enum creel_broker_reason fields(const char *text, const struct creel_httphead *h,
				       const struct creel_broker *b, struct creel_brokerreq *ret)
{
	struct creel_span name, value;
	size_t at = h->fields_at;

	while (creel_httphead_field(text, h, &at, &name, &value) > 0) {
		enum creel_broker_field is = creel_broker_request_field(b, name);
		if (is == CREEL_FIELD_DENY)
			return CREEL_BROKER_OVERRIDE;
		/* in the declared header its own stands for the credential, whatever else stands there */
		if (is == CREEL_FIELD_CARRIER ? !creel_broker_placeholder_own(b, value)
					      : holds(name) || holds(value))
			return CREEL_BROKER_PLACEHOLDER;
		if (is != CREEL_FIELD_PASS || hop(text, h, name))
			continue;
		if (ret->n_fields == CREEL_BROKER_FIELDS)
			return CREEL_BROKER_REQUEST;
		ret->fields[ret->n_fields++] = (struct creel_broker_kv){name, value};
	}
	return CREEL_BROKER_OK;
}

enum creel_broker_reason judge(const struct front *f, const struct creel_broker *by, const char *text,
			       const struct creel_httphead *h, struct creel_brokerreq *ret,
			       struct creel_httppath *path, size_t *ret_broker)
{
	static char stripped[CREEL_HTTPHEAD_MAX];
	struct creel_err err = {0};
	size_t i;

	memset(ret, 0, sizeof(*ret));
	if (h->minor == 0)
		return CREEL_BROKER_REQUEST;
	if (by ? !creel_broker_host_is(by, h->host) : !broker_find(f, h->host, &i))
		return CREEL_BROKER_HOST;
	if (h->port != 0 && h->port != (by ? 443 : 80))
		return CREEL_BROKER_HOST;
	if (by)
		i = (size_t)(by - f->pt->brokers->v);
	const struct creel_broker *b = &f->pt->brokers->v[i];
	*ret_broker = i;
	if (h->upgrade && (!b->websocket || !ws_asked(text, h)))
		return CREEL_BROKER_UPGRADE;
	/* an absolute target says the host a second time */
	if (h->target.p[0] != '/' || creel_httppath_parse(h->target, path, &err) < 0)
		return CREEL_BROKER_BADPATH;
	enum creel_broker_reason why = creel_broker_decide(b, h->method, path->path);
	if (why != CREEL_BROKER_OK)
		return why;
	struct creel_span query = creel_broker_query_strip(b, path->query, stripped);
	if (holds(creel_span_of(path->path)) || query_holds(query))
		return CREEL_BROKER_PLACEHOLDER;
	if (creel_broker_query_has(b, query))
		return CREEL_BROKER_CREDENTIAL;
	if (h->body == CREEL_HTTP_BODY_LENGTH && h->length > b->body_max)
		return CREEL_BROKER_SIZE;
	ret->broker = creel_span_of(b->name);
	ret->method = h->method;
	ret->path = creel_span_of(path->path);
	ret->query = query;
	ret->has_query = query.n > 0 || (path->has_query && path->query.n == 0);
	ret->intercepted = by != NULL;
	ret->body = (uint8_t)h->body;
	ret->length = h->length;
	ret->websocket = h->upgrade;
	why = fields(text, h, b, ret);
	return why == CREEL_BROKER_OK && h->upgrade && !creel_broker_websocket_ok(ret) ? CREEL_BROKER_UPGRADE
										       : why;
}

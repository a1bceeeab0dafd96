#include "policy/broker.h"
#include "wire/httppath.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const auths[] = {"header", "basic", "query"};

/* --- as text ---------------------------------------------------------------------------------- */

static int words_write(const char *word, const char *name, const char *const *v, size_t n,
		       struct creel_buf *out, struct creel_err *err)
{
	for (size_t i = 0; i < n; i++) {
		int r = strpbrk(v[i], " \r\n")
				? creel_err_set(err, CREEL_E_INVALID, 0, "a blank in `%.60s`", v[i])
				: creel_buf_addf(out, err, "%s %s %s\n", word, name, v[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int creel_broker_write(const struct creel_broker *b, struct creel_buf *out, struct creel_err *err)
{
	if (strpbrk(b->prefix, "\r\n"))
		return creel_err_set(err, CREEL_E_INVALID, 0, "a line's end in a prefix");
	int r = creel_buf_addf(out, err, "broker %s %u %s %u %s %s %s %llu %u\n", b->name, b->line, b->host,
			       b->port, auths[b->auth], b->carrier, b->secret,
			       (unsigned long long)b->body_max, b->rate);
	if (r == 0 && b->prefix[0])
		r = creel_buf_addf(out, err, "broker-prefix %s %s\n", b->name, b->prefix);
	if (r == 0 && b->ca)
		r = creel_buf_addf(out, err, "broker-ca %s %s\n", b->name, b->ca);
	if (r == 0 && b->intercept)
		r = creel_buf_addf(out, err, "broker-intercept %s yes\n", b->name);
	if (r == 0 && b->websocket)
		r = creel_buf_addf(out, err, "broker-websocket %s yes\n", b->name);
	if (r == 0)
		r = words_write("broker-method", b->name, b->methods, b->n_methods, out, err);
	return r < 0 ? r : words_write("broker-path", b->name, b->paths, b->n_paths, out, err);
}

static int number(const char *w, uint64_t max, uint64_t *ret)
{
	char *end;

	if (!w || *w < '0' || *w > '9' || strlen(w) > 18)
		return -1;
	*ret = strtoull(w, &end, 10);
	return *end || *ret > max ? -1 : 0;
}

static bool name_ok(const char *s, size_t max)
{
	return s && *s && strlen(s) < max && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == strlen(s);
}

static bool host_ok(const char *s)
{
	return *s && strlen(s) < 254 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(s);
}

static int head_line(struct creel_brokers *all, char *rest, struct creel_err *err)
{
	enum { NAME, LINE, HOST, PORT, AUTH, CARRIER, SECRET, BODY, RATE, WORDS };
	const char *w[WORDS] = {NULL};
	uint64_t line, port, body, rate;
	size_t auth = 0;

	if (all->n == CREEL_BROKERS)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "more than %d brokers", CREEL_BROKERS);
	for (size_t i = 0; i < WORDS; i++)
		w[i] = strsep(&rest, " ");
	while (w[AUTH] && auth < ELEMENTSOF(auths) && strcmp(w[AUTH], auths[auth]) != 0)
		auth++;
	if (rest || !w[RATE] || !name_ok(w[NAME], CREEL_BROKER_NAME) || !host_ok(w[HOST]) || !*w[CARRIER] ||
	    strlen(w[CARRIER]) > 100 || !*w[SECRET] || strlen(w[SECRET]) > 64 || auth == ELEMENTSOF(auths) ||
	    number(w[LINE], UINT32_MAX, &line) < 0 || number(w[PORT], 65535, &port) < 0 || port == 0 ||
	    number(w[BODY], INT64_MAX, &body) < 0 || number(w[RATE], 1000000, &rate) < 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "not as in `broker NAME LINE HOST PORT ...`");
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->v[i].name, w[NAME]) == 0)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "two brokers of one name");
	all->v[all->n++] = (struct creel_broker){.name = w[NAME],
						 .host = w[HOST],
						 .secret = w[SECRET],
						 .carrier = w[CARRIER],
						 .prefix = "",
						 .body_max = body,
						 .rate = (uint32_t)rate,
						 .line = (uint32_t)line,
						 .port = (uint16_t)port,
						 .auth = (enum creel_broker_auth)auth};
	return 1;
}

int creel_broker_line(struct creel_brokers *all, const char *word, char *rest, struct creel_err *err)
{
	if (strncmp(word, "broker", 6) != 0)
		return 0;
	if (strcmp(word, "broker") == 0)
		return head_line(all, rest, err);
	const char *name = strsep(&rest, " ");
	struct creel_broker *b = all->n > 0 ? &all->v[all->n - 1] : NULL;
	if (!b || !rest || !*rest || strcmp(b->name, name) != 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "`%.20s` of no broker", word);
	if (strcmp(word, "broker-prefix") == 0) {
		b->prefix = rest;
	} else if (strcmp(word, "broker-ca") == 0) {
		b->ca = rest;
	} else if (strcmp(word, "broker-intercept") == 0) {
		b->intercept = strcmp(rest, "yes") == 0;
	} else if (strcmp(word, "broker-websocket") == 0) {
		b->websocket = strcmp(rest, "yes") == 0;
	} else if (strcmp(word, "broker-method") == 0) {
		if (b->n_methods == CREEL_BROKER_METHODS)
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "too many methods");
		b->methods[b->n_methods++] = rest;
	} else if (strcmp(word, "broker-path") == 0) {
		if (b->n_paths == CREEL_BROKER_PATHS || !creel_broker_pattern_ok(rest))
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "a path, or too many");
		b->paths[b->n_paths++] = rest;
	} else {
		return 0;
	}
	return 1;
}

/* --- methods and paths ------------------------------------------------------------------------ */

bool creel_broker_pattern_ok(const char *pattern)
{
	autofree struct creel_httppath *p = malloc(sizeof(*p));
	struct creel_err err = {0};
	const char *deep = strstr(pattern, "**");

	return p && creel_httppath_parse((struct creel_span){pattern, strlen(pattern)}, p, &err) == 0 &&
	       !p->has_query && strcmp(p->path, pattern) == 0 && (!deep || (deep[-1] == '/' && !deep[2]));
}

/* `*` is any octets, none too; both without a '/' */
static bool segment(const char *p, size_t np, const char *s, size_t ns)
{
	size_t pi = 0, si = 0, star = SIZE_MAX, mark = 0;

	while (si < ns) {
		if (pi < np && p[pi] == '*') {
			star = pi++;
			mark = si;
		} else if (pi < np && p[pi] == s[si]) {
			pi++;
			si++;
		} else if (star != SIZE_MAX) {
			pi = star + 1;
			si = ++mark;
		} else {
			return false;
		}
	}
	while (pi < np && p[pi] == '*')
		pi++;
	return pi == np;
}

bool creel_broker_pattern_match(const char *pattern, const char *path)
{
	while (*pattern == '/' && *path == '/') {
		size_t np = strcspn(++pattern, "/"), ns = strcspn(++path, "/");
		if (np == 2 && pattern[0] == '*' && pattern[1] == '*')
			return true;
		/* a name that is any is not none */
		if (!segment(pattern, np, path, ns) || (np > 0 && ns == 0))
			return false;
		pattern += np;
		path += ns;
	}
	return !*pattern && !*path;
}

static bool span_is(struct creel_span s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

enum creel_broker_reason creel_broker_decide(const struct creel_broker *b, struct creel_span method,
					     const char *path)
{
	bool known = false;

	for (size_t i = 0; i < b->n_methods; i++)
		known |= span_is(method, b->methods[i]);
	if (!known)
		return CREEL_BROKER_METHOD;
	for (size_t i = 0; i < b->n_paths; i++)
		if (creel_broker_pattern_match(b->paths[i], path))
			return CREEL_BROKER_OK;
	return CREEL_BROKER_PATH;
}

/* --- fields ----------------------------------------------------------------------------------- */

static bool named(struct creel_span s, const char *name)
{
	size_t i = 0;

	for (; i < s.n && name[i]; i++) {
		char c = s.p[i] == '_' ? '-' : s.p[i];
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		char want = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
		if (c != want)
			return false;
	}
	return i == s.n && !name[i];
}

static bool one_of(struct creel_span s, const char *const *names)
{
	for (; *names; names++)
		if (named(s, *names))
			return true;
	return false;
}

enum creel_broker_field creel_broker_request_field(const struct creel_broker *b, struct creel_span name)
{
	/* of this connection, or said anew by the broker */
	static const char *const own[] = {
		"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer",
		"upgrade", "expect", "accept-encoding", "proxy-connection", "proxy-authenticate",
		"sec-websocket-extensions", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip",
		"via", "http2-settings",
		/* credentials that are not the declared one */
		"authorization", "proxy-authorization", "cookie", "cookie2", "x-api-key", "api-key",
		"x-goog-api-key", "x-auth-token", "x-amz-security-token", NULL};
	/* servers and frameworks take these for another method, path or host */
	static const char *const other[] = {
		"x-http-method-override", "x-http-method",      "x-method-override",
		"x-original-url",         "x-original-uri",     "x-rewrite-url",
		"x-forwarded-host",       "x-forwarded-server", "x-forwarded-port",
		"x-forwarded-prefix",     "x-forwarded-uri",    "x-host",
		"x-http-host-override",   "x-original-host",    NULL};

	if (b->auth != CREEL_BROKER_QUERY && named(name, b->carrier))
		return CREEL_FIELD_CARRIER;
	return one_of(name, other) ? CREEL_FIELD_DENY
	       : one_of(name, own) ? CREEL_FIELD_DROP
				   : CREEL_FIELD_PASS;
}

/* Base64 of 16 octets: 22 digits, of which the last has four bits that are none, and `==` */
static bool key_ok(struct creel_span v)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < 22 && v.n == 24; i++)
		if (!v.p[i] || !strchr(i < 21 ? digits : "AQgw", v.p[i]))
			return false;
	return v.n == 24 && memcmp(v.p + 22, "==", 2) == 0;
}

bool creel_broker_websocket_ok(const struct creel_brokerreq *q)
{
	size_t keys = 0, versions = 0, protocols = 0;

	for (size_t i = 0; i < q->n_fields; i++) {
		const struct creel_broker_kv *f = &q->fields[i];
		if (named(f->name, "Sec-WebSocket-Key"))
			keys += key_ok(f->value) ? 1 : 2;
		else if (named(f->name, "Sec-WebSocket-Version"))
			versions += span_is(f->value, "13") ? 1 : 2;
		else if (named(f->name, "Sec-WebSocket-Protocol"))
			protocols++;
	}
	return span_is(q->method, "GET") && q->body == CREEL_HTTP_BODY_NONE && keys == 1 && versions == 1 &&
	       protocols <= 1;
}

bool creel_broker_response_field(struct creel_span name)
{
	static const char *const drop[] = {
		"connection", "keep-alive", "transfer-encoding", "content-length", "trailer", "upgrade",
		"proxy-authenticate", "proxy-authentication-info", "proxy-connection",
		/* a session that the credential opened is a credential */
		"set-cookie", "set-cookie2",
		/* of the host, not of where the guest believes it is */
		"alt-svc", "strict-transport-security", "sec-websocket-extensions", NULL};

	return !one_of(name, drop);
}

const struct creel_broker *creel_broker_intercepts(const struct creel_brokers *all, const char *host)
{
	for (size_t i = 0; all && i < all->n; i++)
		if (all->v[i].intercept && strcmp(all->v[i].host, host) == 0)
			return &all->v[i];
	return NULL;
}

bool creel_broker_host_is(const struct creel_broker *b, const char *host)
{
	return strcmp(b->host, host) == 0;
}

bool creel_broker_placeholder_own(const struct creel_broker *b, struct creel_span v)
{
	static const char word[] = CREEL_BROKER_PLACEHOLDER_WORD;
	static const char more[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	const char *end = v.p + v.n;
	size_t n = strlen(b->secret);

	for (const char *p = v.p; (p = memmem(p, (size_t)(end - p), word, sizeof(word) - 1)) != NULL;) {
		p += sizeof(word) - 1;
		if ((size_t)(end - p) < n || memcmp(p, b->secret, n) != 0 ||
		    ((size_t)(end - p) > n && p[n] && strchr(more, p[n])))
			return false;
	}
	return true;
}

struct creel_span creel_broker_query_strip(const struct creel_broker *b, struct creel_span q, char *buf)
{
	char own[200];
	size_t n = 0;
	bool taken = false;
	size_t len = (size_t)snprintf(own, sizeof(own), "%s=" CREEL_BROKER_PLACEHOLDER_WORD "%s", b->carrier,
				      b->secret);

	if (b->auth != CREEL_BROKER_QUERY || len >= sizeof(own))
		return q;
	for (const char *p = q.p, *end = q.p + q.n; p < end;) {
		const char *stop = memchr(p, '&', (size_t)(end - p));
		size_t part = (size_t)((stop ? stop : end) - p);
		if (part == len && memcmp(p, own, len) == 0) {
			taken = true;
		} else {
			if (n > 0)
				buf[n++] = '&';
			memcpy(buf + n, p, part);
			n += part;
		}
		p += part + 1;
	}
	return taken ? (struct creel_span){buf, n} : q;
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

bool creel_broker_query_has(const struct creel_broker *b, struct creel_span q)
{
	const char *end = q.p + q.n;

	if (b->auth != CREEL_BROKER_QUERY)
		return false;
	for (const char *p = q.p; p < end;) {
		const char *want = b->carrier;
		bool same = true;
		/* a parameter's name: to `=`, `[`, or its end; decoded as it is compared */
		while (p < end && !strchr("=&;[", *p)) {
			char c = *p++;
			if (c == '%' && end - p >= 2 && hex(p[0]) >= 0 && hex(p[1]) >= 0) {
				c = (char)(hex(p[0]) << 4 | hex(p[1]));
				p += 2;
			}
			same = same && *want && strncasecmp(&c, want, 1) == 0;
			want += *want != '\0';
		}
		if (same && !*want)
			return true;
		while (p < end && *p != '&' && *p != ';')
			p++;
		p += p < end;
	}
	return false;
}

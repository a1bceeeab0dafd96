#include "wire/hostcheck.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static enum creel_hostcheck refuse(struct creel_err *err, const char *why)
{
	creel_err_set(err, CREEL_E_DENIED, 0, "%s", why);
	return CREEL_HOSTCHECK_REFUSE;
}

/* HOST[:PORT], where HOST is localhost or an address literal */
static bool authority_ok(const char *s, size_t len, uint16_t port)
{
	char text[80], *end = NULL;
	uint8_t raw[16];

	if (len == 0 || len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	char *host = text, *colon = strrchr(text, ':');
	bool six = text[0] == '[';
	if (six) {
		char *close = strchr(text, ']');
		if (!close)
			return false;
		colon = close[1] == ':' ? close + 1 : NULL;
		if (close[1] && !colon)
			return false;
		host = text + 1;
		*close = '\0';
	}
	unsigned long n = 80;
	if (colon) {
		*colon = '\0';
		if (colon[1] < '0' || colon[1] > '9')
			return false;
		n = strtoul(colon + 1, &end, 10);
		if (*end)
			return false;
	}
	if (n != port)
		return false;
	if (six)
		return inet_pton(AF_INET6, host, raw) == 1;
	return strcasecmp(host, "localhost") == 0 || inet_pton(AF_INET, host, raw) == 1;
}

static bool origin_ok(const char *s, size_t len, uint16_t port)
{
	if (len > 7 && strncasecmp(s, "http://", 7) == 0)
		return authority_ok(s + 7, len - 7, port);
	if (len > 8 && strncasecmp(s, "https://", 8) == 0)
		return authority_ok(s + 8, len - 8, port);
	return false;
}

/* Does it begin as an HTTP/1 request does? @return 1 yes, 0 no, -1 too short to tell */
static int is_http(const uint8_t *buf, size_t len)
{
	size_t n = 0;

	while (n < len && n < 20 && buf[n] >= 'A' && buf[n] <= 'Z')
		n++;
	if (n == len && n < 20)
		return -1;
	return n > 0 && n < 20 && buf[n] == ' ';
}

static bool is_field(const char *line, size_t len, const char *name, const char **ret_value, size_t *ret_len)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return false;
	const char *v = line + n + 1, *end = line + len;
	while (v < end && (*v == ' ' || *v == '\t'))
		v++;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*ret_value = v;
	*ret_len = (size_t)(end - v);
	return true;
}

enum creel_hostcheck creel_hostcheck(const uint8_t *buf, size_t len, uint16_t port, struct creel_err *err)
{
	const char *text = (const char *)buf, *value = NULL;
	size_t at = 0, n_hosts = 0, n = 0;
	int http = is_http(buf, len);

	if (http <= 0)
		return http < 0 ? CREEL_HOSTCHECK_MORE : CREEL_HOSTCHECK_PASS;
	if (len >= 4 && memcmp(buf, "PRI ", 4) == 0)
		return refuse(err, "HTTP/2 without TLS is not passed on");
	for (size_t line = 0;; line++) {
		const uint8_t *nl = memchr(buf + at, '\n', len - at);
		if (!nl)
			return len >= CREEL_HOSTCHECK_MAX ? refuse(err, "the request's head is too long")
							  : CREEL_HOSTCHECK_MORE;
		size_t ll = (size_t)(nl - buf) - at;
		if (ll > 0 && text[at + ll - 1] == '\r')
			ll--;
		if (ll == 0)
			break;
		if (line > 0 && (text[at] == ' ' || text[at] == '\t'))
			return refuse(err, "a folded header line");
		/* an absolute target would take Host's place (RFC 9112 3.2.2) */
		const char *target = line == 0 ? memchr(text + at, ' ', ll) : NULL;
		if (line == 0 && target && target[1] != '/' && target[1] != '*')
			return refuse(err, "the request's target is not a path");
		if (line > 0 && is_field(text + at, ll, "host", &value, &n)) {
			if (++n_hosts > 1 || !authority_ok(value, n, port))
				return refuse(err, "Host names another machine");
		}
		if (line > 0 && is_field(text + at, ll, "origin", &value, &n) && !origin_ok(value, n, port))
			return refuse(err, "Origin is another site");
		at = (size_t)(nl - buf) + 1;
	}
	return n_hosts == 1 ? CREEL_HOSTCHECK_PASS : refuse(err, "a request without Host");
}

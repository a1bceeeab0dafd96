#include "policy/entry.h"
#include <arpa/inet.h>
#include <string.h>

/* A text cut into its parts; nothing is copied. */
struct parts {
	const char *host;
	size_t host_len;
	bool bracketed;
	unsigned port;      /* 0: none written */
	const char *suffix; /* "", "raw", "udp" */
};

static int port_read(const char *s, size_t len, unsigned *ret, struct creel_err *err)
{
	unsigned v = 0;

	if (len == 0 || len > 5)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "a port is a number of 1 to 65535");
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "a port is a number of 1 to 65535");
		v = v * 10 + (unsigned)(s[i] - '0');
	}
	if (v == 0 || v > 65535)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "a port is a number of 1 to 65535");
	*ret = v;
	return 0;
}

static int cut(const char *text, struct parts *ret, struct creel_err *err)
{
	struct parts p = {.host = text, .suffix = ""};
	size_t len = strlen(text);
	const char *end = text + len, *colon = NULL;

	if (len > 1024)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "an entry of %zu octets", len);
	if (len > 4 && (strcmp(end - 4, "/raw") == 0 || strcmp(end - 4, "/udp") == 0)) {
		p.suffix = end - 3;
		end -= 4;
	}
	if (text[0] == '[') {
		const char *close = memchr(text, ']', (size_t)(end - text));
		if (!close || (close + 1 != end && close[1] != ':'))
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "`[` without `]`");
		p.host = text + 1;
		p.host_len = (size_t)(close - p.host);
		p.bracketed = true;
		colon = close + 1 == end ? NULL : close + 1;
	} else {
		colon = memrchr(text, ':', (size_t)(end - text));
		if (colon && memchr(text, ':', (size_t)(colon - text)))
			colon = NULL; /* an IPv6 address without a port */
		p.host_len = (size_t)((colon ? colon : end) - text);
	}
	if (colon) {
		int r = port_read(colon + 1, (size_t)(end - colon - 1), &p.port, err);
		if (r < 0)
			return r;
	} else if (p.suffix[0]) {
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "`/%s` stands behind a port", p.suffix);
	}
	if (p.host_len == 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "no name and no address");
	*ret = p;
	return 0;
}

int creel_net_parse(const char *text, size_t len, struct creel_net *ret_net, struct creel_err *err)
{
	char copy[64];
	struct creel_net n = {0};
	unsigned bits = 0;

	if (len >= sizeof(copy))
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "not an address");
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (strlen(copy) != len)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "not an address");
	char *slash = strchr(copy, '/');
	if (slash)
		*slash = '\0';
	n.family = inet_pton(AF_INET, copy, n.addr) == 1 ? 4 : inet_pton(AF_INET6, copy, n.addr) == 1 ? 6 : 0;
	if (n.family == 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "not an address");
	unsigned max = n.family == 4 ? 32 : 128;
	bits = max;
	if (slash) {
		bits = 0;
		size_t digits = strspn(slash + 1, "0123456789");
		if (digits == 0 || digits > 3 || slash[1 + digits])
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "a CIDR's length is a number");
		for (const char *d = slash + 1; *d; d++)
			bits = bits * 10 + (unsigned)(*d - '0');
		if (bits > max)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "a CIDR's length is at most %u", max);
	}
	for (unsigned i = bits; i < max; i++)
		if (n.addr[i / 8] & (0x80 >> i % 8))
			return creel_err_set(err, CREEL_E_INVALID, 0, "bits are set behind its /%u", bits);
	n.bits = (uint8_t)bits;
	*ret_net = n;
	return 0;
}

/* Could it be nothing but an address? Then an address's error is the one to report. */
static bool like_address(const struct parts *p)
{
	return p->bracketed || memchr(p->host, ':', p->host_len) || memchr(p->host, '/', p->host_len);
}

int creel_entry_parse(const char *text, bool deny, struct creel_entry *ret_entry, struct creel_err *err)
{
	struct creel_entry e = {0};
	struct creel_err ignored = {0};
	struct parts p;
	int r = cut(text, &p, err);

	if (r < 0)
		return r;
	r = creel_net_parse(p.host, p.host_len, &e.net, like_address(&p) ? err : &ignored);
	if (r < 0 && like_address(&p))
		return r;
	if (r < 0) {
		e.net = (struct creel_net){0};
		e.subdomains = p.host_len > 2 && p.host[0] == '*' && p.host[1] == '.';
		r = creel_name_parse(p.host + 2 * e.subdomains, p.host_len - 2 * e.subdomains, &e.name, err);
		if (r < 0)
			return r;
		if (!e.subdomains && !strchr(e.name.text, '.'))
			return creel_err_set(err, CREEL_E_SYNTAX, 0,
					     "a name has two labels or more, such as example.org");
	} else if (!deny && p.port == 0) {
		return creel_err_set(err, CREEL_E_INVALID, 0,
				     "an address needs a port, such as 192.0.2.1:443");
	}
	e.port = (uint16_t)p.port;
	if (strcmp(p.suffix, "udp") == 0)
		e.way = CREEL_WAY_UDP;
	else if (strcmp(p.suffix, "raw") == 0)
		e.way = CREEL_WAY_TCP;
	else if (deny)
		e.way = CREEL_WAY_ANY;
	else if (e.net.family)
		e.way = CREEL_WAY_TCP;
	else
		e.way = p.port == 80 ? CREEL_WAY_HTTP : CREEL_WAY_TLS;
	if (!deny && e.port == 0)
		e.port = 443;
	*ret_entry = e;
	return 0;
}

int creel_target_parse(const char *text, struct creel_target *ret_target, struct creel_err *err)
{
	struct creel_target t = {0};
	struct creel_err ignored = {0};
	struct parts p;
	int r = cut(text, &p, err);

	if (r < 0)
		return r;
	if (strcmp(p.suffix, "raw") == 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "`/raw` is for entries; ask for NAME:PORT");
	t.udp = p.suffix[0] != '\0';
	r = creel_net_parse(p.host, p.host_len, &t.addr, like_address(&p) ? err : &ignored);
	if (r < 0 && like_address(&p))
		return r;
	if (r < 0) {
		t.addr = (struct creel_net){0};
		r = creel_name_parse(p.host, p.host_len, &t.name, err);
		if (r < 0)
			return r;
	} else if (p.port == 0) {
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "an address needs a port: ADDR:PORT");
	} else if (memchr(p.host, '/', p.host_len)) {
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "one address, not a network");
	}
	t.port = p.port ? (uint16_t)p.port : 443;
	*ret_target = t;
	return 0;
}

#include "image/proxy.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int addrs_parse(const char *text, struct creel_proxy_host *h)
{
	while (*text) {
		char one[64];
		size_t n = strcspn(text, ",");
		if (n >= sizeof(one) || h->n_addrs == CREEL_PROXY_ADDRS)
			return -1;
		memcpy(one, text, n);
		one[n] = '\0';
		int len = sizeof(h->addrs[0].addr);
		if (evutil_parse_sockaddr_port(one, (struct sockaddr *)&h->addrs[h->n_addrs].addr, &len) < 0)
			return -1;
		const struct sockaddr_storage *a = &h->addrs[h->n_addrs].addr;
		if ((a->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)a)->sin6_port
					      : ((const struct sockaddr_in *)a)->sin_port) == 0)
			return -1;
		h->addrs[h->n_addrs++].len = (socklen_t)len;
		text += n + (text[n] == ',');
	}
	return 0;
}

int creel_proxy_host_parse(const char *text, struct creel_proxy_host *ret, struct creel_err *err)
{
	struct creel_proxy_host h = {0};
	const char *equals = strchr(text, '=');
	char left[300];
	char *colon;

	if (!equals || (size_t)(equals - text) >= sizeof(left))
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "registry '%.80s'", text);
	memcpy(left, text, (size_t)(equals - text));
	left[equals - text] = '\0';
	for (char *slash; (slash = strrchr(left, '/')) != NULL; *slash = '\0') {
		h.tls |= strcmp(slash, "/tls") == 0;
		h.parent |= strcmp(slash, "/parent") == 0;
		if (strcmp(slash, "/tls") != 0 && strcmp(slash, "/parent") != 0)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "registry '%.80s'", text);
	}
	colon = strrchr(left, ':');
	unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
	if (!colon || colon == left || (size_t)(colon - left) >= sizeof(h.name) || port == 0 || port > 65535)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "registry '%.80s'", text);
	if (strspn(left, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") !=
	    (size_t)(colon - left))
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "registry '%.80s': name", text);
	for (char *p = left; p < colon; p++)
		h.name[p - left] = (char)tolower((unsigned char)*p);
	h.port = (uint16_t)port;
	if (addrs_parse(equals + 1, &h) < 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "registry '%.80s': addresses", text);
	*ret = h;
	return 0;
}

int creel_proxy_host_print(const struct creel_proxy_host *h, char *ret, size_t size, struct creel_err *err)
{
	int n = snprintf(ret, size, "%s:%u%s%s=", h->name, h->port, h->tls ? "/tls" : "",
			 h->parent ? "/parent" : "");

	for (size_t i = 0; i < h->n_addrs && n > 0 && (size_t)n < size; i++) {
		char ip[INET6_ADDRSTRLEN];
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&h->addrs[i].addr;
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&h->addrs[i].addr;
		bool six = h->addrs[i].addr.ss_family == AF_INET6;
		if (!inet_ntop(six ? AF_INET6 : AF_INET, six ? (const void *)&v6->sin6_addr : &v4->sin_addr,
			       ip, sizeof(ip)))
			continue;
		n += snprintf(ret + n, size - (size_t)n, six ? "%s[%s]:%u" : "%s%s:%u", i ? "," : "", ip,
			      ntohs(six ? v6->sin6_port : v4->sin_port));
	}
	if (n < 0 || (size_t)n >= size)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "registry %s: too long", h->name);
	return 0;
}

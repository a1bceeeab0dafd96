#include "config/keys.h"
#include <arpa/inet.h>
#include <string.h>

static int number(const char **s, int64_t *ret)
{
	int64_t v = 0;
	const char *p = *s;

	if (*p < '0' || *p > '9')
		return -1;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
			return -1;
	*s = p;
	*ret = v;
	return 0;
}

struct unit {
	const char *name;
	int64_t factor;
};

static int with_unit(const char *s, const struct unit *units, int64_t *ret)
{
	int64_t v;

	if (number(&s, &v) < 0)
		return -1;
	s += *s == ' ';
	for (; units->name; units++)
		if (strcmp(s, units->name) == 0)
			return __builtin_mul_overflow(v, units->factor, ret) ? -1 : 0;
	return -1;
}

int creel_parse_size(const char *s, int64_t *ret)
{
	static const struct unit units[] = {
		{"KiB", 1LL << 10}, {"MiB", 1LL << 20}, {"GiB", 1LL << 30}, {"TiB", 1LL << 40}, {NULL, 0}};
	return with_unit(s, units, ret);
}

int creel_parse_duration(const char *s, int64_t *ret_ms)
{
	static const struct unit units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
					    {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
	return with_unit(s, units, ret_ms);
}

int creel_parse_cidr(const char *s, struct creel_cidr *ret, bool *ret_hostbits)
{
	struct creel_cidr c = {0};
	const char *slash = strchr(s, '/');
	char addr[64];
	int64_t bits;

	if (!slash || (size_t)(slash - s) >= sizeof(addr))
		return -1;
	memcpy(addr, s, (size_t)(slash - s));
	addr[slash - s] = 0;
	c.family = strchr(addr, ':') ? 6 : 4;
	if (inet_pton(c.family == 6 ? AF_INET6 : AF_INET, addr, c.addr) != 1)
		return -1;
	s = slash + 1;
	if (number(&s, &bits) < 0 || *s || bits > (c.family == 6 ? 128 : 32))
		return -1;
	c.bits = (uint8_t)bits;
	*ret_hostbits = false;
	for (unsigned i = c.bits; i < (c.family == 6 ? 128u : 32u); i++)
		if (c.addr[i / 8] & (0x80u >> (i % 8)))
			*ret_hostbits = true;
	*ret = c;
	return 0;
}

static int port(const char *s, uint16_t *ret)
{
	int64_t v;

	if (number(&s, &v) < 0 || *s || v < 1 || v > 65535)
		return -1;
	*ret = (uint16_t)v;
	return 0;
}

int creel_parse_publish(const char *s, struct creel_publish *ret)
{
	struct creel_publish p = {0};
	char t[80], *guest, *host;
	uint8_t a[16];
	const char *addr = "127.0.0.1";

	if (strlen(s) >= sizeof(t))
		return -1;
	strcpy(t, s);
	if (!(guest = strrchr(t, ':')))
		return -1;
	*guest++ = 0;
	if ((host = strrchr(t, ':')) != NULL) {
		*host++ = 0;
		addr = t;
		if (t[0] == '[') {
			size_t n = strlen(t);
			if (t[n - 1] != ']')
				return -1;
			t[n - 1] = 0;
			addr = t + 1;
			if (inet_pton(AF_INET6, addr, a) != 1 ||
			    !inet_ntop(AF_INET6, a, p.address, sizeof(p.address)))
				return -1;
		}
	} else {
		host = t;
	}
	if (!p.address[0] &&
	    (inet_pton(AF_INET, addr, a) != 1 || !inet_ntop(AF_INET, a, p.address, sizeof(p.address))))
		return -1;
	if (port(host, &p.host) < 0 || port(guest, &p.guest) < 0)
		return -1;
	*ret = p;
	return 0;
}

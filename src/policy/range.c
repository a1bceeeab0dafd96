#include "policy/range.h"
#include "base/cleanup.h"
#include "base/mapped.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* The text is what a person reads; the octets are made from it once a call: the list is short. */
static const struct {
	const char *net;
	enum creel_range range;
} ranges[] = {
	{"0.0.0.0/8", CREEL_RANGE_NEVER},       {"127.0.0.0/8", CREEL_RANGE_NEVER},
	{"169.254.0.0/16", CREEL_RANGE_NEVER},  {"192.0.0.0/24", CREEL_RANGE_NEVER},
	{"224.0.0.0/4", CREEL_RANGE_NEVER},     {"240.0.0.0/4", CREEL_RANGE_NEVER},
	{"10.0.0.0/8", CREEL_RANGE_PRIVATE},    {"100.64.0.0/10", CREEL_RANGE_PRIVATE},
	{"172.16.0.0/12", CREEL_RANGE_PRIVATE}, {"192.168.0.0/16", CREEL_RANGE_PRIVATE},
	{"198.18.0.0/15", CREEL_RANGE_PRIVATE}, {"::/128", CREEL_RANGE_NEVER},
	{"::1/128", CREEL_RANGE_NEVER},         {"100::/64", CREEL_RANGE_NEVER},
	{"2001::/32", CREEL_RANGE_NEVER},       {"fe80::/10", CREEL_RANGE_NEVER},
	{"ff00::/8", CREEL_RANGE_NEVER},        {"fc00::/7", CREEL_RANGE_PRIVATE},
	{"fec0::/10", CREEL_RANGE_PRIVATE},
};

const char *creel_range_at(unsigned i, enum creel_range *ret_range)
{
	if (i >= ELEMENTSOF(ranges))
		return NULL;
	*ret_range = ranges[i].range;
	return ranges[i].net;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

struct creel_net creel_net_of(const uint8_t addr[16])
{
	bool four = creel_mapped_four(addr);
	struct creel_net n = {.family = four ? 4 : 6, .bits = four ? 32 : 128};

	memcpy(n.addr, addr + (four ? 12 : 0), four ? 4 : 16);
	return n;
}

static struct creel_net unmapped(const struct creel_net *a)
{
	return a->family == 6 && creel_mapped_four(a->addr) ? creel_net_of(a->addr) : *a;
}

bool creel_net_has(const struct creel_net *net, const struct creel_net *a)
{
	struct creel_net plain = unmapped(a);

	return net->family == plain.family && same_bits(net->addr, plain.addr, net->bits);
}

bool creel_net_within(const struct creel_net *inner, const struct creel_net *outer)
{
	return inner->family == outer->family && inner->bits >= outer->bits &&
	       same_bits(inner->addr, outer->addr, outer->bits);
}

static struct creel_net parse(const char *text)
{
	struct creel_net n = {.family = strchr(text, ':') ? 6 : 4};
	char addr[48];
	const char *slash = strchr(text, '/');

	memcpy(addr, text, (size_t)(slash - text));
	addr[slash - text] = '\0';
	(void)inet_pton(n.family == 4 ? AF_INET : AF_INET6, addr, n.addr);
	n.bits = (uint8_t)atoi(slash + 1);
	return n;
}

/* The IPv4 address that an IPv6 one carries; family 0: none. */
static struct creel_net carried(const struct creel_net *a)
{
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b}, compat[12] = {0};
	struct creel_net v4 = {.bits = 32};
	const uint8_t *at = NULL;

	if (a->family != 6)
		return v4;
	if (memcmp(a->addr, nat64, 12) == 0 || memcmp(a->addr, compat, 12) == 0)
		at = a->addr + 12;
	else if (a->addr[0] == 0x20 && a->addr[1] == 0x02) /* 6to4, RFC 3056 */
		at = a->addr + 2;
	if (!at)
		return v4;
	v4.family = 4;
	memcpy(v4.addr, at, 4);
	return v4;
}

enum creel_range creel_range_of(const struct creel_net *a, const char **ret_net)
{
	struct creel_net plain = unmapped(a), inner = carried(&plain);
	enum creel_range worst = CREEL_RANGE_PUBLIC;
	const char *text = NULL;

	for (size_t i = 0; i < ELEMENTSOF(ranges); i++) {
		struct creel_net net = parse(ranges[i].net);
		if ((creel_net_has(&net, &plain) || (inner.family && creel_net_has(&net, &inner))) &&
		    ranges[i].range > worst) {
			worst = ranges[i].range;
			text = ranges[i].net;
		}
	}
	if (ret_net)
		*ret_net = text;
	return worst;
}

bool creel_range_private(const struct creel_net *net)
{
	for (size_t i = 0; i < ELEMENTSOF(ranges); i++) {
		struct creel_net outer = parse(ranges[i].net);
		if (ranges[i].range == CREEL_RANGE_PRIVATE && creel_net_within(net, &outer))
			return true;
	}
	return false;
}

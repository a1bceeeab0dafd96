#include "net/nftbatch.h"
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <stdlib.h>
#include <string.h>

/*
 * Where no cell may go by IPv6, as two sets of intervals: one rule a cell in place of some fifty. Beside
 * the networks of policy/range.h, those whose addresses carry an IPv4 address of that range, which a
 * translator on the way would lead there: so that creel_range_of() and the filter say the same.
 */
enum { KEY_ADDR6 = 8, NETS = 128 };

static const char *set_name(enum creel_range range)
{
	return range == CREEL_RANGE_NEVER ? "never6" : "private6";
}

struct nets {
	struct {
		uint8_t first[16], end[16]; /* the first behind it; zero: there is none */
	} v[NETS];
	size_t n;
};

static void add(struct nets *all, const uint8_t addr[16], unsigned bits)
{
	uint8_t *end = all->v[all->n].end;
	unsigned at = (bits - 1) / 8, carry = 1U << (7 - (bits - 1) % 8);

	if (all->n == NETS)
		abort(); /* the table is ours */
	memcpy(all->v[all->n].first, addr, 16);
	memcpy(end, addr, 16);
	for (;; at--) {
		carry += end[at];
		end[at] = (uint8_t)carry;
		carry >>= 8;
		if (carry == 0 || at == 0)
			break;
	}
	all->n++;
}

/* mapped, compatible (RFC 4291, 2.5.5), NAT64 (RFC 6052, 2.1), 6to4 (RFC 3056, 2) */
static void carried(struct nets *all, const uint8_t v4[4], unsigned bits)
{
	static const struct {
		uint8_t prefix[12];
		unsigned len;
	} forms[] = {{{[10] = 0xff, [11] = 0xff}, 12},
		     {{0}, 12},
		     {{0x00, 0x64, 0xff, 0x9b}, 12},
		     {{0x20, 0x02}, 2}};

	for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
		uint8_t addr[16] = {0};
		memcpy(addr, forms[i].prefix, forms[i].len);
		memcpy(addr + forms[i].len, v4, 4);
		add(all, addr, forms[i].len * 8 + bits);
	}
}

static int by_first(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

/* Sorted; what touches or lies in another is one with it. */
static void merge(struct nets *all)
{
	static const uint8_t last[16];
	size_t n = 0;

	qsort(all->v, all->n, sizeof(all->v[0]), by_first);
	for (size_t i = 1; i < all->n; i++) {
		bool open = memcmp(all->v[n].end, last, 16) == 0;
		if (!open && memcmp(all->v[i].first, all->v[n].end, 16) > 0)
			all->v[++n] = all->v[i];
		else if (!open && (memcmp(all->v[i].end, all->v[n].end, 16) > 0 ||
				   memcmp(all->v[i].end, last, 16) == 0))
			memcpy(all->v[n].end, all->v[i].end, 16);
	}
	all->n = all->n ? n + 1 : 0;
}

static void collect(struct nets *all, enum creel_range want)
{
	enum creel_range range;
	const char *text;

	for (unsigned i = 0; (text = creel_range_at(i, &range)) != NULL; i++) {
		uint8_t addr[16] = {0};
		char copy[64];
		if (range != want)
			continue;
		size_t len = strcspn(text, "/");
		memcpy(copy, text, len);
		copy[len] = '\0';
		unsigned bits = (unsigned)atoi(text + len + 1);
		if (inet_pton(AF_INET6, copy, addr) == 1)
			add(all, addr, bits);
		else if (inet_pton(AF_INET, copy, addr) == 1)
			carried(all, addr, bits);
	}
	merge(all);
}

static void element(struct nftb *b, struct nftnl_set *s, const uint8_t key[16], uint32_t flags)
{
	struct nftnl_set_elem *e = nftnl_set_elem_alloc();

	if (!e) {
		b->nomem = true;
		return;
	}
	nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, key, 16);
	if (flags)
		nftnl_set_elem_set_u32(e, NFTNL_SET_ELEM_FLAGS, flags);
	nftnl_set_elem_add(s, e);
}

void nftb_range6_set(struct nftb *b, enum creel_range range)
{
	static const uint8_t none[16];
	struct nets all = {.n = 0};

	collect(&all, range);
	nftb_set_add(b, set_name(range), NFT_SET_INTERVAL, KEY_ADDR6, 16, 0);
	struct nftnl_set *s = nftb_set(b, set_name(range));
	if (!s)
		return;
	for (size_t i = 0; i < all.n; i++) {
		element(b, s, all.v[i].first, 0);
		if (memcmp(all.v[i].end, none, 16) != 0)
			element(b, s, all.v[i].end, NFT_SET_ELEM_INTERVAL_END);
	}
	if (!b->nomem && !b->full) {
		nftnl_set_elems_nlmsg_build_payload(nftb_message(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE), s);
		nftb_next(b);
	}
	nftnl_set_free(s);
}

struct nftb_rule nftb_range6(struct nftb *b, const char *chain, enum creel_range range)
{
	struct nftb_rule r = nftb_rule(b, chain);

	nftb_is_ipv4(&r, NFT_CMP_NEQ);
	nftb_payload(&r, NFT_PAYLOAD_NETWORK_HEADER, 24, 16, REG_A);
	nftb_lookup(&r, set_name(range), false);
	return r;
}

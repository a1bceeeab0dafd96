#include "base/mapped.h"
#include "net/nftbatch.h"
#include <libnftnl/common.h>
#include <stdio.h>
#include <string.h>

/* The elements of a cell's pins: LINK and LINK.6, and LINK.names and LINK.names6 for those whose name is
 * checked on the wire. */
static void names_set(char ret[32], const char *link, bool six)
{
	(void)snprintf(ret, 32, "%.15s.names%s", link, six ? "6" : "");
}

static void plain_set(char ret[32], const char *link, bool six)
{
	(void)snprintf(ret, 32, "%.15s%s", link, six ? ".6" : "");
}

static bool is_six(const struct creel_nft_edit *e)
{
	return !IN6_IS_ADDR_UNSPECIFIED(&e->addr6);
}

static bool is_checked(const struct creel_opening *o)
{
	return o->way == CREEL_WAY_TLS || o->way == CREEL_WAY_HTTP;
}

enum step { STEP_ADD, STEP_DELETE, STEP_AGAIN };

static struct nftnl_set_elem *element(const struct creel_nft_edit *e, enum step step)
{
	struct nftnl_set_elem *el = nftnl_set_elem_alloc();
	uint8_t key[24] = {0}, comment[256] = {0};
	size_t at = is_six(e) ? 16 : 4;

	if (!el)
		return NULL;
	memcpy(key, is_six(e) ? (const void *)&e->addr6 : &e->addr, at);
	key[at] = e->opening.udp ? IPPROTO_UDP : IPPROTO_TCP;
	key[at + 4] = (uint8_t)(e->opening.port >> 8);
	key[at + 5] = (uint8_t)e->opening.port;
	nftnl_set_elem_set(el, NFTNL_SET_ELEM_KEY, key, (uint32_t)at + 8);
	if (step == STEP_DELETE)
		return el;
	nftnl_set_elem_set_u64(el, NFTNL_SET_ELEM_TIMEOUT, (uint64_t)MAX(e->ttl, 1U) * 1000);
	/* the name, as nft(8) keeps a comment: type, length, text with its NUL */
	size_t len = strnlen(e->name, sizeof(comment) - 3);
	comment[1] = (uint8_t)(len + 1);
	memcpy(comment + 2, e->name, len);
	nftnl_set_elem_set(el, NFTNL_SET_ELEM_USERDATA, comment, (uint32_t)len + 3);
	return el;
}

/* A set's elements travel in one attribute, whose length has 16 bits: so many at once. */
static void elements(struct nftb *b, const char *set, bool checked, bool six, enum step step,
		     const struct creel_nft_edit *edits, size_t n)
{
	uint16_t type = step == STEP_DELETE ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM;
	uint16_t flags = step == STEP_DELETE ? 0 : NLM_F_CREATE;

	for (size_t i = 0; i < n;) {
		struct nftnl_set *s = nftb_set(b, set);
		size_t put = 0;
		for (; s && i < n && put < 128; i++) {
			if (is_checked(&edits[i].opening) != checked || is_six(&edits[i]) != six ||
			    (step == STEP_AGAIN && edits[i].ttl == 0))
				continue;
			struct nftnl_set_elem *e = element(&edits[i], step);
			if (e)
				nftnl_set_elem_add(s, e);
			else
				b->nomem = true;
			put++;
		}
		if (s && put > 0 && !b->nomem && !b->full) {
			nftnl_set_elems_nlmsg_build_payload(nftb_message(b, type, flags), s);
			nftb_next(b);
		}
		if (!s)
			return;
		nftnl_set_free(s);
	}
}

/* Add, delete, add: an element that is there keeps its old end otherwise, and one that is not there cannot
 * be deleted. */
void nftb_edit(struct nftb *b, const char *link, const struct creel_nft_edit *edits, size_t n)
{
	char plain[32], names[32];

	for (enum step step = STEP_ADD; step <= STEP_AGAIN; step++)
		for (int six = 0; six < 2; six++) {
			plain_set(plain, link, six);
			names_set(names, link, six);
			elements(b, plain, false, six, step, edits, n);
			elements(b, names, true, six, step, edits, n);
		}
}

static bool same_element(const struct creel_nft_edit *a, const struct creel_nft_edit *b)
{
	return a->addr.s_addr == b->addr.s_addr && IN6_ARE_ADDR_EQUAL(&a->addr6, &b->addr6) &&
	       a->opening.port == b->opening.port && a->opening.udp == b->opening.udp &&
	       is_checked(&a->opening) == is_checked(&b->opening);
}

int creel_nft_pin_all(struct creel_nft *nft, const char *link, const struct creel_nft_edit *edits, size_t n,
		      struct creel_err *err)
{
	struct creel_nft_edit once[512];
	size_t n_once = 0;
	struct nftb b;

	if (n > ELEMENTSOF(once))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "%zu elements at once", n);
	/* two names on one address are one element, which cannot be deleted twice: the later one stands */
	for (size_t i = 0; i < n; i++) {
		size_t k = i + 1;
		while (k < n && !same_element(&edits[i], &edits[k]))
			k++;
		if (k == n)
			once[n_once++] = edits[i];
	}
	if (n_once == 0)
		return 0;
	nftb_begin(&b, nft, CREEL_NFT_TABLE);
	nftb_edit(&b, link, once, n_once);
	int r = nftb_send(&b, err);
	return r < 0 ? creel_err_add(err, "pin for %.15s", link) : 0;
}

int creel_nft_pin(struct creel_nft *nft, const char *link, const char *name, const struct in_addr *addrs,
		  size_t n, const struct creel_opening *openings, size_t n_openings, uint32_t ttl,
		  struct creel_err *err)
{
	struct creel_nft_edit edits[512];

	if (n == 0 || n_openings == 0)
		return 0;
	if (n > 64 || n_openings > 16 || n * n_openings > ELEMENTSOF(edits))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "%zu addresses, %zu openings", n, n_openings);
	for (size_t k = 0; k < n * n_openings; k++)
		edits[k] = (struct creel_nft_edit){.addr = addrs[k / n_openings],
						   .opening = openings[k % n_openings],
						   .name = name,
						   .ttl = ttl};
	return creel_nft_pin_all(nft, link, edits, n * n_openings, err);
}

struct listing {
	void (*each)(void *ctx, const char *name, const uint8_t addr[16], uint32_t ttl);
	void *ctx;
};

static int element_told(struct nftnl_set_elem *e, void *ctx)
{
	struct listing *l = ctx;
	uint32_t key_len = 0, data_len = 0;
	const uint8_t *key = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &key_len);
	const uint8_t *data = nftnl_set_elem_get(e, NFTNL_SET_ELEM_USERDATA, &data_len);
	uint8_t a[16];

	if (!key || (key_len != 12 && key_len != 24) || !data || data_len < 3 || data[data_len - 1] != '\0')
		return 0;
	if (key_len == 24)
		memcpy(a, key, 16);
	else
		creel_mapped_put(a, key);
	uint64_t left = nftnl_set_elem_get_u64(e, NFTNL_SET_ELEM_EXPIRATION);
	l->each(l->ctx, (const char *)data + 2, a, (uint32_t)(left / 1000));
	return 0;
}

static int set_told(const struct nlmsghdr *h, void *ctx)
{
	struct nftnl_set *s = nftnl_set_alloc();

	if (s && nftnl_set_elems_nlmsg_parse(h, s) == 0)
		(void)nftnl_set_elem_foreach (s, element_told, ctx);
	if (s)
		nftnl_set_free(s);
	return MNL_CB_OK;
}

int creel_nft_pins(struct creel_nft *nft, const char *link,
		   void (*each)(void *ctx, const char *name, const uint8_t addr[16], uint32_t ttl), void *ctx,
		   struct creel_err *err)
{
	char sets[4][32];
	struct listing l = {each, ctx};

	for (int six = 0; six < 2; six++) {
		plain_set(sets[2 * six], link, six);
		names_set(sets[2 * six + 1], link, six);
	}
	for (size_t i = 0; i < ELEMENTSOF(sets); i++) {
		struct nftnl_set *s = nftnl_set_alloc();
		struct nlmsghdr *h = nftnl_nlmsg_build_hdr(nft->buf, NFT_MSG_GETSETELEM, NFPROTO_INET,
							   NLM_F_DUMP, ++nft->seq);
		if (!s)
			return creel_err_nomem(err);
		nftnl_set_set_str(s, NFTNL_SET_TABLE, CREEL_NFT_TABLE);
		nftnl_set_set_str(s, NFTNL_SET_NAME, sets[i]);
		nftnl_set_elems_nlmsg_build_payload(h, s);
		nftnl_set_free(s);
		int r = nftb_list(nft, h, set_told, &l, err);
		if (r == CREEL_E_NOTFOUND && i >= 2) { /* it has no IPv6 */
			*err = (struct creel_err){0};
			r = 0;
		}
		if (r < 0)
			return creel_err_add(err, "set %s", sets[i]);
	}
	return 0;
}

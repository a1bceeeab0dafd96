#include "net/nft.h"
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define TABLE "creel"
#define BATCH_MAX (1 << 20)
/* the concatenation's registers: 4 octets each, numbered from 8 */
#define REG_A 8
#define REG_B 9
#define REG_C 10

/* A batch under way: the first error stays, and then nothing is sent. */
struct batch {
	struct creel_nft *nft;
	struct mnl_nlmsg_batch *b;
	bool nomem, full;
};

int creel_nft_open(struct creel_nft *nft, struct creel_err *err)
{
	struct creel_nft out = {.seq = (uint32_t)time(NULL)};
	int size = 4 * BATCH_MAX;

	out.buf = malloc(BATCH_MAX + 131072); /* the message that does not fit is still written */
	if (!out.buf)
		return creel_err_nomem(err);
	out.sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!out.sock || mnl_socket_bind(out.sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		int os = errno;
		creel_nft_close(&out);
		return creel_err_set(err, CREEL_E_OS, os, "open netfilter's netlink");
	}
	/* a batch is one message to the kernel */
	(void)setsockopt(mnl_socket_get_fd(out.sock), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	(void)setsockopt(mnl_socket_get_fd(out.sock), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	*nft = out;
	return 0;
}

void creel_nft_close(struct creel_nft *nft)
{
	if (!nft)
		return;
	if (nft->sock)
		mnl_socket_close(nft->sock);
	free(nft->buf);
	*nft = (struct creel_nft){0};
}

static void next(struct batch *b)
{
	if (!mnl_nlmsg_batch_next(b->b))
		b->full = true;
}

static void batch_begin(struct batch *b, struct creel_nft *nft)
{
	*b = (struct batch){.nft = nft, .b = mnl_nlmsg_batch_start(nft->buf, BATCH_MAX)};
	b->nomem = !b->b;
	if (b->nomem)
		return;
	nftnl_batch_begin(mnl_nlmsg_batch_current(b->b), nft->seq++);
	next(b);
}

static struct nlmsghdr *message(struct batch *b, uint16_t type, uint16_t flags)
{
	return nftnl_nlmsg_build_hdr(mnl_nlmsg_batch_current(b->b), type, NFPROTO_INET, flags,
				     b->nft->seq++);
}

/*
 * The kernel works a batch off before sendto() returns and has then queued an error for each message
 * that it refused; if there is none, all of it holds.
 */
static int batch_send(struct batch *b, struct creel_err *err)
{
	char in[8192];
	int os = 0, r = 0;

	if (b->b && !b->full) {
		nftnl_batch_end(mnl_nlmsg_batch_current(b->b), b->nft->seq++);
		next(b);
	}
	if (b->nomem)
		r = creel_err_nomem(err);
	else if (b->full)
		r = creel_err_set(err, CREEL_E_TOOBIG, 0, "a change of over %d octets", BATCH_MAX);
	else if (mnl_socket_sendto(b->nft->sock, mnl_nlmsg_batch_head(b->b), mnl_nlmsg_batch_size(b->b)) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "send to netfilter");
	if (b->b)
		mnl_nlmsg_batch_stop(b->b);
	if (r < 0)
		return r;
	for (;;) {
		ssize_t n = recv(mnl_socket_get_fd(b->nft->sock), in, sizeof(in), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "netfilter's answer");
		int left = (int)n;
		for (struct nlmsghdr *h = (void *)in; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
			if (h->nlmsg_type == NLMSG_ERROR && e->error && !os)
				os = -e->error;
		}
	}
	if (os)
		return creel_err_set(err, os == ENOENT ? CREEL_E_NOTFOUND : os == EEXIST ? CREEL_E_EXISTS : CREEL_E_OS,
				     os, "netfilter refused the change");
	return 0;
}

/* --- rules ---------------------------------------------------------------------------------- */

struct rule {
	struct batch *b;
	struct nftnl_rule *r;
};

static struct rule rule_begin(struct batch *b, const char *chain)
{
	struct rule r = {b, b->nomem ? NULL : nftnl_rule_alloc()};

	if (!r.r) {
		b->nomem = true;
		return r;
	}
	nftnl_rule_set_u32(r.r, NFTNL_RULE_FAMILY, NFPROTO_INET);
	nftnl_rule_set_str(r.r, NFTNL_RULE_TABLE, TABLE);
	nftnl_rule_set_str(r.r, NFTNL_RULE_CHAIN, chain);
	return r;
}

static struct nftnl_expr *expr(struct rule *r, const char *name)
{
	struct nftnl_expr *e = r->r ? nftnl_expr_alloc(name) : NULL;

	if (e)
		nftnl_rule_add_expr(r->r, e);
	else
		r->b->nomem = true;
	return e;
}

static void rule_end(struct rule *r)
{
	if (r->r && !r->b->nomem && !r->b->full) {
		struct nlmsghdr *h = message(r->b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
		nftnl_rule_nlmsg_build_payload(h, r->r);
		next(r->b);
	}
	if (r->r)
		nftnl_rule_free(r->r);
}

static void meta(struct rule *r, uint32_t key, uint32_t reg)
{
	struct nftnl_expr *e = expr(r, "meta");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, reg);
}

static void payload(struct rule *r, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
	struct nftnl_expr *e = expr(r, "payload");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

static void cmp(struct rule *r, uint32_t op, const void *data, uint32_t len)
{
	struct nftnl_expr *e = expr(r, "cmp");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, REG_A);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len);
}

static void mask(struct rule *r, const void *bits, uint32_t len)
{
	static const uint8_t zero[16];
	struct nftnl_expr *e = expr(r, "bitwise");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, REG_A);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, REG_A);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, bits, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, zero, len);
}

static void verdict(struct rule *r, int code, const char *chain)
{
	struct nftnl_expr *e = NULL;

	if (code == NF_DROP)
		(void)expr(r, "counter"); /* what was dropped is counted */
	e = expr(r, "immediate");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)code);
	if (chain)
		nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain);
	rule_end(r);
}

/* The table sees IPv4 and IPv6: what reads an IPv4 header says so first. */
static void is_ipv4(struct rule *r, uint32_t op)
{
	uint8_t v4 = NFPROTO_IPV4;

	meta(r, NFT_META_NFPROTO, REG_A);
	cmp(r, op, &v4, 1);
}

static void interface(struct rule *r, uint32_t key, const char *name)
{
	char padded[16] = {0};

	memcpy(padded, name, strnlen(name, sizeof(padded) - 1));
	meta(r, key, REG_A);
	cmp(r, NFT_CMP_EQ, padded, sizeof(padded));
}

static void address(struct rule *r, bool source, uint32_t op, struct in_addr a)
{
	payload(r, NFT_PAYLOAD_NETWORK_HEADER, source ? 12 : 16, 4, REG_A);
	cmp(r, op, &a, 4);
}

static void network(struct rule *r, const struct creel_net *n)
{
	uint32_t m = n->bits ? htonl(UINT32_MAX << (32 - n->bits)) : 0;

	payload(r, NFT_PAYLOAD_NETWORK_HEADER, 16, 4, REG_A);
	if (n->bits < 32)
		mask(r, &m, 4);
	cmp(r, NFT_CMP_EQ, n->addr, 4);
}

static void port(struct rule *r, uint8_t proto, uint16_t number)
{
	uint16_t be = htons(number);

	meta(r, NFT_META_L4PROTO, REG_A);
	cmp(r, NFT_CMP_EQ, &proto, 1);
	if (number == 0)
		return;
	payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, REG_A);
	cmp(r, NFT_CMP_EQ, &be, 2);
}

static void established(struct batch *b, const char *chain)
{
	struct rule r = rule_begin(b, chain);
	uint32_t bit = NF_CT_STATE_BIT(IP_CT_ESTABLISHED), zero = 0;
	struct nftnl_expr *e = expr(&r, "ct");

	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_STATE);
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, REG_A);
	}
	mask(&r, &bit, 4);
	cmp(&r, NFT_CMP_NEQ, &zero, 4);
	verdict(&r, NF_ACCEPT, NULL);
}

static void drop_all(struct batch *b, const char *chain)
{
	struct rule r = rule_begin(b, chain);
	verdict(&r, NF_DROP, NULL);
}

/* --- table, chains, sets --------------------------------------------------------------------- */

static void table(struct batch *b, uint16_t type, uint16_t flags)
{
	struct nftnl_table *t = b->nomem ? NULL : nftnl_table_alloc();

	if (!t) {
		b->nomem = true;
		return;
	}
	nftnl_table_set_u32(t, NFTNL_TABLE_FAMILY, NFPROTO_INET);
	nftnl_table_set_str(t, NFTNL_TABLE_NAME, TABLE);
	nftnl_table_nlmsg_build_payload(message(b, type, flags), t);
	next(b);
	nftnl_table_free(t);
}

/* @p hook -1: a chain that is jumped to */
static void chain(struct batch *b, const char *name, int hook, const char *type, int32_t prio,
		  uint32_t policy)
{
	struct nftnl_chain *c = b->nomem ? NULL : nftnl_chain_alloc();

	if (!c) {
		b->nomem = true;
		return;
	}
	nftnl_chain_set_u32(c, NFTNL_CHAIN_FAMILY, NFPROTO_INET);
	nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, TABLE);
	nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, name);
	if (hook >= 0) {
		nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, type);
		nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, (uint32_t)hook);
		nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, prio);
		nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, policy);
	}
	nftnl_chain_nlmsg_build_payload(message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE), c);
	next(b);
	nftnl_chain_free(c);
}

static void chain_flush(struct batch *b, const char *name)
{
	struct rule r = rule_begin(b, name);

	if (!r.r)
		return;
	nftnl_rule_nlmsg_build_payload(message(b, NFT_MSG_DELRULE, 0), r.r);
	next(b);
	nftnl_rule_free(r.r);
}

static struct nftnl_set *set_named(struct batch *b, const char *name)
{
	struct nftnl_set *s = b->nomem ? NULL : nftnl_set_alloc();

	if (!s) {
		b->nomem = true;
		return NULL;
	}
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_INET);
	nftnl_set_set_str(s, NFTNL_SET_TABLE, TABLE);
	nftnl_set_set_str(s, NFTNL_SET_NAME, name);
	return s;
}

static void ranges(struct batch *b, const char *name, enum creel_range want)
{
	enum creel_range range;
	const char *text;

	for (unsigned i = 0; (text = creel_range_at(i, &range)) != NULL; i++) {
		struct creel_net n = {0};
		char copy[64];
		if (range != want || strchr(text, ':'))
			continue;
		size_t len = strcspn(text, "/");
		memcpy(copy, text, len);
		copy[len] = '\0';
		(void)inet_pton(AF_INET, copy, n.addr);
		n.bits = (uint8_t)atoi(text + len + 1);
		struct rule r = rule_begin(b, name);
		network(&r, &n);
		verdict(&r, NF_DROP, NULL);
	}
}

static void loopback(struct batch *b, const char *name, uint32_t key)
{
	struct rule r = rule_begin(b, name);

	interface(&r, key, "lo");
	verdict(&r, NF_ACCEPT, NULL);
}

int creel_nft_table(struct creel_nft *nft, uid_t dns_uid, const char *uplink, struct creel_err *err)
{
	static const uint8_t protos[] = {IPPROTO_UDP, IPPROTO_TCP};
	struct batch b;

	batch_begin(&b, nft);
	/* add, delete, add: in one transaction, whether it was there or not */
	table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	table(&b, NFT_MSG_DELTABLE, 0);
	table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	chain(&b, "never", -1, NULL, 0, 0);
	chain(&b, "private", -1, NULL, 0, 0);
	chain(&b, "cells", -1, NULL, 0, 0);
	chain(&b, "cells-in", -1, NULL, 0, 0);
	chain(&b, "input", NF_INET_LOCAL_IN, "filter", 0, NF_DROP);
	chain(&b, "forward", NF_INET_FORWARD, "filter", 0, NF_DROP);
	chain(&b, "output", NF_INET_LOCAL_OUT, "filter", 0, NF_DROP);
	ranges(&b, "never", CREEL_RANGE_NEVER);
	ranges(&b, "private", CREEL_RANGE_PRIVATE);
	established(&b, "forward");
	struct rule r = rule_begin(&b, "forward");
	verdict(&r, NFT_JUMP, "cells");
	drop_all(&b, "forward");
	established(&b, "input");
	loopback(&b, "input", NFT_META_IIFNAME);
	r = rule_begin(&b, "input");
	verdict(&r, NFT_JUMP, "cells-in");
	drop_all(&b, "input");
	established(&b, "output");
	loopback(&b, "output", NFT_META_OIFNAME);
	for (size_t i = 0; i < ELEMENTSOF(protos); i++) {
		uint32_t uid = dns_uid;
		r = rule_begin(&b, "output");
		meta(&r, NFT_META_SKUID, REG_A);
		cmp(&r, NFT_CMP_EQ, &uid, 4);
		port(&r, protos[i], 53);
		verdict(&r, NF_ACCEPT, NULL);
	}
	drop_all(&b, "output");
	if (uplink) {
		chain(&b, "uplink", NF_INET_POST_ROUTING, "nat", 100, NF_ACCEPT);
		r = rule_begin(&b, "uplink");
		is_ipv4(&r, NFT_CMP_EQ);
		interface(&r, NFT_META_OIFNAME, uplink);
		(void)expr(&r, "masq");
		rule_end(&r);
	}
	return batch_send(&b, err);
}

int creel_nft_remove(struct creel_nft *nft, struct creel_err *err)
{
	struct batch b;

	batch_begin(&b, nft);
	table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	table(&b, NFT_MSG_DELTABLE, 0);
	return batch_send(&b, err);
}

/* --- a cell ---------------------------------------------------------------------------------- */

static void entry(struct batch *b, const char *name, const struct creel_entry *e, int code)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};

	if (e->way == CREEL_WAY_ANY && e->port == 0) {
		struct rule r = rule_begin(b, name);
		network(&r, &e->net);
		verdict(&r, code, NULL);
		return;
	}
	for (size_t i = 0; i < ELEMENTSOF(protos); i++) {
		if (e->way != CREEL_WAY_ANY && (e->way == CREEL_WAY_UDP) != (protos[i] == IPPROTO_UDP))
			continue;
		struct rule r = rule_begin(b, name);
		network(&r, &e->net);
		port(&r, protos[i], e->port);
		verdict(&r, code, NULL);
	}
}

enum part {
	PART_DENY,
	PART_PRIVATE, /* allowed, and wholly in a private range */
	PART_PUBLIC,
};

static void entries(struct batch *b, const char *name, const struct creel_policy *p, enum part part)
{
	struct creel_entry e;
	bool deny;

	for (size_t i = 0; creel_policy_net_at(p, i, &e, &deny); i++) {
		enum part is = deny ? PART_DENY : creel_range_private(&e.net) ? PART_PRIVATE : PART_PUBLIC;
		if (e.net.family == 4 && is == part)
			entry(b, name, &e, deny ? NF_DROP : NF_ACCEPT);
	}
}

static void pins_lookup(struct batch *b, const char *name)
{
	struct rule r = rule_begin(b, name);

	payload(&r, NFT_PAYLOAD_NETWORK_HEADER, 16, 4, REG_A);
	meta(&r, NFT_META_L4PROTO, REG_B);
	payload(&r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, REG_C);
	struct nftnl_expr *e = expr(&r, "lookup");
	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, REG_A);
		nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, name);
	}
	verdict(&r, NF_ACCEPT, NULL);
}

static void cell_rules(struct batch *b, const struct creel_nft_cell *c)
{
	const char *name = c->link;
	const struct creel_policy *p = c->policy;
	bool none = p->spec.mode == CREEL_MODE_NONE;
	struct rule r = rule_begin(b, name);

	is_ipv4(&r, NFT_CMP_NEQ);
	verdict(&r, NF_DROP, NULL);
	r = rule_begin(b, name);
	address(&r, true, NFT_CMP_NEQ, c->addr);
	verdict(&r, NF_DROP, NULL);
	r = rule_begin(b, name);
	payload(&r, NFT_PAYLOAD_LL_HEADER, 6, 6, REG_A);
	cmp(&r, NFT_CMP_NEQ, c->mac, 6);
	verdict(&r, NF_DROP, NULL);
	r = rule_begin(b, name);
	verdict(&r, NFT_JUMP, "never");
	for (size_t i = 0; i < c->n_reach; i++) {
		r = rule_begin(b, name);
		address(&r, false, NFT_CMP_EQ, c->reach[i].addr);
		port(&r, IPPROTO_TCP, c->reach[i].port);
		verdict(&r, NF_ACCEPT, NULL);
	}
	entries(b, name, p, PART_DENY);
	if (p->spec.subnet.family == 4) {
		r = rule_begin(b, name);
		network(&r, &p->spec.subnet);
		verdict(&r, NF_DROP, NULL);
	}
	if (!none)
		entries(b, name, p, PART_PRIVATE);
	r = rule_begin(b, name);
	verdict(&r, NFT_JUMP, "private");
	if (!none) {
		entries(b, name, p, PART_PUBLIC);
		pins_lookup(b, name);
	}
	if (p->spec.mode == CREEL_MODE_OPEN) {
		r = rule_begin(b, name);
		verdict(&r, NF_ACCEPT, NULL);
	}
	drop_all(b, name);
}

int creel_nft_cell_add(struct creel_nft *nft, const struct creel_nft_cell *c, struct creel_err *err)
{
	static const uint8_t protos[] = {IPPROTO_UDP, IPPROTO_TCP};
	struct batch b;

	batch_begin(&b, nft);
	struct nftnl_set *s = set_named(&b, c->link);
	if (s) {
		nftnl_set_set_u32(s, NFTNL_SET_ID, 1);
		nftnl_set_set_u32(s, NFTNL_SET_FLAGS, NFT_SET_TIMEOUT);
		/* ipv4_addr . inet_proto . inet_service, for who lists it with nft */
		nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, 7U << 12 | 12U << 6 | 13U);
		nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, 12);
		nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, 100000);
		nftnl_set_nlmsg_build_payload(message(&b, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL), s);
		next(&b);
		nftnl_set_free(s);
	}
	chain(&b, c->link, -1, NULL, 0, 0);
	cell_rules(&b, c);
	struct rule r = rule_begin(&b, "cells");
	interface(&r, NFT_META_IIFNAME, c->link);
	verdict(&r, NFT_GOTO, c->link);
	for (size_t i = 0; i < ELEMENTSOF(protos); i++) {
		r = rule_begin(&b, "cells-in");
		is_ipv4(&r, NFT_CMP_EQ);
		interface(&r, NFT_META_IIFNAME, c->link);
		address(&r, true, NFT_CMP_EQ, c->addr);
		address(&r, false, NFT_CMP_EQ, c->gateway);
		port(&r, protos[i], 53);
		verdict(&r, NF_ACCEPT, NULL);
	}
	int e = batch_send(&b, err);
	return e < 0 ? creel_err_add(err, "add %.15s", c->link) : 0;
}

int creel_nft_cell_change(struct creel_nft *nft, const struct creel_nft_cell *c, struct creel_err *err)
{
	struct batch b;

	batch_begin(&b, nft);
	chain_flush(&b, c->link);
	cell_rules(&b, c);
	int e = batch_send(&b, err);
	return e < 0 ? creel_err_add(err, "change %.15s", c->link) : 0;
}

int creel_nft_pin(struct creel_nft *nft, const char *link, const struct in_addr *addrs, size_t n,
		  const struct creel_opening *openings, size_t n_openings, uint32_t ttl,
		  struct creel_err *err)
{
	/* add, delete, add: an element that is there keeps its old end otherwise */
	static const struct {
		uint16_t type, flags;
	} steps[] = {{NFT_MSG_NEWSETELEM, NLM_F_CREATE}, {NFT_MSG_DELSETELEM, 0}, {NFT_MSG_NEWSETELEM, NLM_F_CREATE}};
	struct batch b;

	if (n == 0 || n_openings == 0)
		return 0;
	/* a set's elements travel in one attribute, whose length has 16 bits */
	if (n > 64 || n_openings > 16 || n * n_openings > 512)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "%zu addresses, %zu openings", n, n_openings);
	batch_begin(&b, nft);
	for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
		struct nftnl_set *s = set_named(&b, link);
		for (size_t k = 0; s && k < n * n_openings; k++) {
			const struct creel_opening *o = &openings[k % n_openings];
			uint8_t key[12] = {0};
			struct nftnl_set_elem *e = nftnl_set_elem_alloc();
			if (!e) {
				b.nomem = true;
				break;
			}
			memcpy(key, &addrs[k / n_openings], 4);
			key[4] = o->udp ? IPPROTO_UDP : IPPROTO_TCP;
			key[8] = (uint8_t)(o->port >> 8);
			key[9] = (uint8_t)o->port;
			nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, key, sizeof(key));
			if (steps[i].type == NFT_MSG_NEWSETELEM)
				nftnl_set_elem_set_u64(e, NFTNL_SET_ELEM_TIMEOUT, (uint64_t)ttl * 1000);
			nftnl_set_elem_add(s, e);
		}
		if (s && !b.nomem && !b.full) {
			nftnl_set_elems_nlmsg_build_payload(message(&b, steps[i].type, steps[i].flags), s);
			next(&b);
		}
		if (s)
			nftnl_set_free(s);
	}
	int r = batch_send(&b, err);
	return r < 0 ? creel_err_add(err, "pin for %.15s", link) : 0;
}

#include "net/nftbatch.h"
#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH_MAX (1 << 20)

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
	if (setsockopt(mnl_socket_get_fd(out.sock), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(mnl_socket_get_fd(out.sock), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
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

/* mnl_cb_run() would leave off at the first message that says so. */
static bool interrupted(void *buf, size_t len)
{
	int left = (int)len;
	bool any = false;

	for (struct nlmsghdr *h = buf; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		any |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		h->nlmsg_flags &= (uint16_t)~NLM_F_DUMP_INTR;
	}
	return any;
}

int nftb_list(struct creel_nft *nft, const struct nlmsghdr *h, mnl_cb_t each, void *ctx,
	      struct creel_err *err)
{
	bool changed = false;
	int more = mnl_socket_sendto(nft->sock, h, h->nlmsg_len) < 0 ? -1 : MNL_CB_OK;

	while (more > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(nft->sock, nft->buf, 65536);
		changed |= n > 0 && interrupted(nft->buf, (size_t)n);
		more = n < 0 ? -1 : mnl_cb_run(nft->buf, (size_t)n, nft->seq, 0, each, ctx);
	}
	if (more < 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno,
				     "list what netfilter has");
	return changed ? creel_err_set(err, CREEL_E_BUSY, EINTR, "list what netfilter has") : 0;
}

void nftb_next(struct nftb *b)
{
	if (!mnl_nlmsg_batch_next(b->b))
		b->full = true;
}

void nftb_begin(struct nftb *b, struct creel_nft *nft, const char *table)
{
	*b = (struct nftb){.nft = nft, .table = table, .b = mnl_nlmsg_batch_start(nft->buf, BATCH_MAX)};
	b->nomem = !b->b;
	if (b->nomem)
		return;
	nftnl_batch_begin(mnl_nlmsg_batch_current(b->b), nft->seq++);
	nftb_next(b);
}

struct nlmsghdr *nftb_message(struct nftb *b, uint16_t type, uint16_t flags)
{
	return nftnl_nlmsg_build_hdr(mnl_nlmsg_batch_current(b->b), type, NFPROTO_INET, flags, b->nft->seq++);
}

/*
 * The kernel works a batch off before sendto() returns and has then queued an error for each message
 * that it refused; if there is none, all of it holds.
 */
int nftb_send(struct nftb *b, struct creel_err *err)
{
	char in[8192];
	int os = 0, r = 0;

	if (b->b && !b->full) {
		nftnl_batch_end(mnl_nlmsg_batch_current(b->b), b->nft->seq++);
		nftb_next(b);
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
		return creel_err_set(err,
				     os == ENOENT   ? CREEL_E_NOTFOUND
				     : os == EEXIST ? CREEL_E_EXISTS
						    : CREEL_E_OS,
				     os, "netfilter refused the change");
	return 0;
}

struct nftb_rule nftb_rule(struct nftb *b, const char *chain)
{
	struct nftb_rule r = {b, b->nomem ? NULL : nftnl_rule_alloc()};

	if (!r.r) {
		b->nomem = true;
		return r;
	}
	nftnl_rule_set_u32(r.r, NFTNL_RULE_FAMILY, NFPROTO_INET);
	nftnl_rule_set_str(r.r, NFTNL_RULE_TABLE, b->table);
	nftnl_rule_set_str(r.r, NFTNL_RULE_CHAIN, chain);
	return r;
}

struct nftnl_expr *nftb_expr(struct nftb_rule *r, const char *name)
{
	struct nftnl_expr *e = r->r ? nftnl_expr_alloc(name) : NULL;

	if (e)
		nftnl_rule_add_expr(r->r, e);
	else
		r->b->nomem = true;
	return e;
}

void nftb_rule_end(struct nftb_rule *r)
{
	if (r->r && !r->b->nomem && !r->b->full) {
		struct nlmsghdr *h = nftb_message(r->b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
		nftnl_rule_nlmsg_build_payload(h, r->r);
		nftb_next(r->b);
	}
	if (r->r)
		nftnl_rule_free(r->r);
}

void nftb_meta(struct nftb_rule *r, uint32_t key, uint32_t reg)
{
	struct nftnl_expr *e = nftb_expr(r, "meta");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, reg);
}

void nftb_payload(struct nftb_rule *r, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
	struct nftnl_expr *e = nftb_expr(r, "payload");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

void nftb_cmp(struct nftb_rule *r, uint32_t op, const void *data, uint32_t len)
{
	struct nftnl_expr *e = nftb_expr(r, "cmp");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, REG_A);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len);
}

void nftb_mask(struct nftb_rule *r, const void *bits, uint32_t len)
{
	static const uint8_t zero[16];
	struct nftnl_expr *e = nftb_expr(r, "bitwise");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, REG_A);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, REG_A);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, bits, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, zero, len);
}

void nftb_verdict(struct nftb_rule *r, int code, const char *chain)
{
	struct nftnl_expr *e = NULL;

	if (code == NF_DROP)
		(void)nftb_expr(r, "counter"); /* what was dropped is counted */
	e = nftb_expr(r, "immediate");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)code);
	if (chain)
		nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain);
	nftb_rule_end(r);
}

void nftb_is_ipv4(struct nftb_rule *r, uint32_t op)
{
	uint8_t v4 = NFPROTO_IPV4;

	nftb_meta(r, NFT_META_NFPROTO, REG_A);
	nftb_cmp(r, op, &v4, 1);
}

static void is_ipv6(struct nftb_rule *r)
{
	uint8_t v6 = NFPROTO_IPV6;

	nftb_meta(r, NFT_META_NFPROTO, REG_A);
	nftb_cmp(r, NFT_CMP_EQ, &v6, 1);
}

void nftb_interface(struct nftb_rule *r, uint32_t key, const char *name)
{
	char padded[16] = {0};

	memcpy(padded, name, strnlen(name, sizeof(padded) - 1));
	nftb_meta(r, key, REG_A);
	nftb_cmp(r, NFT_CMP_EQ, padded, sizeof(padded));
}

void nftb_address(struct nftb_rule *r, bool source, uint32_t op, struct in_addr a)
{
	nftb_is_ipv4(r, NFT_CMP_EQ);
	nftb_payload(r, NFT_PAYLOAD_NETWORK_HEADER, source ? 12 : 16, 4, REG_A);
	nftb_cmp(r, op, &a, 4);
}

void nftb_address6(struct nftb_rule *r, bool source, uint32_t op, const struct in6_addr *a)
{
	is_ipv6(r);
	nftb_payload(r, NFT_PAYLOAD_NETWORK_HEADER, source ? 8 : 24, 16, REG_A);
	nftb_cmp(r, op, a, 16);
}

void nftb_network(struct nftb_rule *r, const struct creel_net *n)
{
	bool six = n->family == 6;
	uint32_t len = six ? 16 : 4;
	uint8_t m[16] = {0};

	for (unsigned i = 0; i < n->bits; i++)
		m[i / 8] |= (uint8_t)(0x80 >> i % 8);
	if (six)
		is_ipv6(r);
	else
		nftb_is_ipv4(r, NFT_CMP_EQ);
	nftb_payload(r, NFT_PAYLOAD_NETWORK_HEADER, six ? 24 : 16, len, REG_A);
	if (n->bits < len * 8)
		nftb_mask(r, m, len);
	nftb_cmp(r, NFT_CMP_EQ, n->addr, len);
}

void nftb_port(struct nftb_rule *r, uint8_t proto, uint16_t number)
{
	uint16_t be = htons(number);

	nftb_meta(r, NFT_META_L4PROTO, REG_A);
	nftb_cmp(r, NFT_CMP_EQ, &proto, 1);
	if (number == 0)
		return;
	nftb_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, REG_A);
	nftb_cmp(r, NFT_CMP_EQ, &be, 2);
}

void nftb_ct_state(struct nftb_rule *r, uint32_t bits)
{
	uint32_t zero = 0;
	struct nftnl_expr *e = nftb_expr(r, "ct");

	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_STATE);
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, REG_A);
	}
	nftb_mask(r, &bits, 4);
	nftb_cmp(r, NFT_CMP_NEQ, &zero, 4);
}

void nftb_ct_status(struct nftb_rule *r, uint32_t op, uint32_t bits)
{
	struct nftnl_expr *e = nftb_expr(r, "ct");
	uint32_t zero = 0;

	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_STATUS);
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, REG_A);
	}
	nftb_mask(r, &bits, 4);
	nftb_cmp(r, op, &zero, 4);
}

void nftb_redirect(struct nftb_rule *r, uint16_t port)
{
	struct nftnl_expr *e = nftb_expr(r, "immediate");
	uint16_t be = htons(port);

	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, REG_A);
		nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, &be, sizeof(be));
	}
	e = nftb_expr(r, "redir");
	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_REDIR_REG_PROTO_MIN, REG_A);
		nftnl_expr_set_u32(e, NFTNL_EXPR_REDIR_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
	}
	nftb_rule_end(r);
}

void nftb_log(struct nftb_rule *r, uint16_t group, const char *prefix)
{
	(void)nftb_expr(r, "counter");
	struct nftnl_expr *e = nftb_expr(r, "log");

	if (e) {
		nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_GROUP, group);
		nftnl_expr_set_str(e, NFTNL_EXPR_LOG_PREFIX, prefix);
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOG_SNAPLEN, 64); /* the header and the ports */
		nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_QTHRESHOLD, 0);
	}
	nftb_rule_end(r);
}

void nftb_established(struct nftb *b, const char *chain)
{
	struct nftb_rule r = nftb_rule(b, chain);

	nftb_ct_state(&r, NFTB_ESTABLISHED);
	nftb_verdict(&r, NF_ACCEPT, NULL);
}

void nftb_drop(struct nftb *b, const char *chain)
{
	struct nftb_rule r = nftb_rule(b, chain);
	nftb_verdict(&r, NF_DROP, NULL);
}

void nftb_table(struct nftb *b, uint16_t type, uint16_t flags)
{
	struct nftnl_table *t = b->nomem ? NULL : nftnl_table_alloc();

	if (!t) {
		b->nomem = true;
		return;
	}
	nftnl_table_set_u32(t, NFTNL_TABLE_FAMILY, NFPROTO_INET);
	nftnl_table_set_str(t, NFTNL_TABLE_NAME, b->table);
	nftnl_table_nlmsg_build_payload(nftb_message(b, type, flags), t);
	nftb_next(b);
	nftnl_table_free(t);
}

/* @p hook -1: a chain that is jumped to */
void nftb_chain(struct nftb *b, const char *name, int hook, const char *type, int32_t prio, uint32_t policy)
{
	struct nftnl_chain *c = b->nomem ? NULL : nftnl_chain_alloc();

	if (!c) {
		b->nomem = true;
		return;
	}
	nftnl_chain_set_u32(c, NFTNL_CHAIN_FAMILY, NFPROTO_INET);
	nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, b->table);
	nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, name);
	if (hook >= 0) {
		nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, type);
		nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, (uint32_t)hook);
		nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, prio);
		nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, policy);
	}
	nftnl_chain_nlmsg_build_payload(nftb_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE), c);
	nftb_next(b);
	nftnl_chain_free(c);
}

void nftb_chain_flush(struct nftb *b, const char *name)
{
	struct nftb_rule r = nftb_rule(b, name);

	if (!r.r)
		return;
	nftnl_rule_nlmsg_build_payload(nftb_message(b, NFT_MSG_DELRULE, 0), r.r);
	nftb_next(b);
	nftnl_rule_free(r.r);
}

struct nftnl_set *nftb_set(struct nftb *b, const char *name)
{
	struct nftnl_set *s = b->nomem ? NULL : nftnl_set_alloc();

	if (!s) {
		b->nomem = true;
		return NULL;
	}
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_INET);
	nftnl_set_set_str(s, NFTNL_SET_TABLE, b->table);
	nftnl_set_set_str(s, NFTNL_SET_NAME, name);
	return s;
}

void nftb_chain_delete(struct nftb *b, const char *name)
{
	struct nftnl_chain *c = b->nomem ? NULL : nftnl_chain_alloc();

	if (!c) {
		b->nomem = true;
		return;
	}
	nftnl_chain_set_u32(c, NFTNL_CHAIN_FAMILY, NFPROTO_INET);
	nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, b->table);
	nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, name);
	nftnl_chain_nlmsg_build_payload(nftb_message(b, NFT_MSG_DELCHAIN, 0), c);
	nftb_next(b);
	nftnl_chain_free(c);
}

void nftb_set_add(struct nftb *b, const char *name, uint32_t flags, uint32_t key_type, uint32_t key_len,
		  uint32_t size)
{
	/* for nft(8), which shows the keys: type (the key's order of octets), length, this host's */
	static const uint32_t host_order = 1;
	struct nftnl_set *s = nftb_set(b, name);
	uint8_t shown[2 + sizeof(host_order)] = {0, sizeof(host_order)};

	if (!s)
		return;
	memcpy(shown + 2, &host_order, sizeof(host_order));
	if (key_type == NFTB_KEY_IFNAME || key_type == NFTB_KEY_UID)
		nftnl_set_set_data(s, NFTNL_SET_USERDATA, shown, sizeof(shown));
	nftnl_set_set_u32(s, NFTNL_SET_ID, ++b->sets);
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, flags);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, key_type);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, key_len);
	if (size)
		nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, size);
	if (flags & NFT_SET_MAP)
		nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, NFT_DATA_VERDICT);
	nftnl_set_nlmsg_build_payload(nftb_message(b, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL), s);
	nftb_next(b);
	nftnl_set_free(s);
}

void nftb_set_delete(struct nftb *b, const char *name)
{
	struct nftnl_set *s = nftb_set(b, name);

	if (!s)
		return;
	nftnl_set_nlmsg_build_payload(nftb_message(b, NFT_MSG_DELSET, 0), s);
	nftb_next(b);
	nftnl_set_free(s);
}

void nftb_map_put(struct nftb *b, const char *map, const void *key, uint32_t len, const char *chain)
{
	struct nftnl_set *s = nftb_set(b, map);
	struct nftnl_set_elem *e = s ? nftnl_set_elem_alloc() : NULL;

	if (!e) {
		b->nomem = true;
		if (s)
			nftnl_set_free(s);
		return;
	}
	nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, key, len);
	if (chain) {
		nftnl_set_elem_set_u32(e, NFTNL_SET_ELEM_VERDICT, (uint32_t)NFT_GOTO);
		nftnl_set_elem_set_str(e, NFTNL_SET_ELEM_CHAIN, chain);
	}
	nftnl_set_elem_add(s, e);
	if (chain)
		nftnl_set_elems_nlmsg_build_payload(
			nftb_message(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL), s);
	else
		nftnl_set_elems_nlmsg_build_payload(nftb_message(b, NFT_MSG_DELSETELEM, 0), s);
	nftb_next(b);
	nftnl_set_free(s);
}

void nftb_lookup(struct nftb_rule *r, const char *set, bool map)
{
	struct nftnl_expr *e = nftb_expr(r, "lookup");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, REG_A);
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, set);
	if (map)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
}

void nftb_pinned(struct nftb_rule *r, const char *set, bool six)
{
	if (six)
		is_ipv6(r);
	else
		nftb_is_ipv4(r, NFT_CMP_EQ);
	nftb_payload(r, NFT_PAYLOAD_NETWORK_HEADER, six ? 24 : 16, six ? 16 : 4, REG_A);
	nftb_meta(r, NFT_META_L4PROTO, six ? REG_E : REG_B);
	nftb_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, six ? REG_F : REG_C);
	nftb_lookup(r, set, false);
}

void nftb_routed6(struct nftb_rule *r)
{
	const uint8_t yes = 1;

	is_ipv6(r);
	struct nftnl_expr *e = nftb_expr(r, "exthdr");
	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_DREG, REG_A);
		nftnl_expr_set_u8(e, NFTNL_EXPR_EXTHDR_TYPE, IPPROTO_ROUTING);
		nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OFFSET, 0);
		nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_LEN, 1);
		nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_FLAGS, NFT_EXTHDR_F_PRESENT);
	}
	nftb_cmp(r, NFT_CMP_EQ, &yes, 1);
}

#pragma once
#include "net/nft.h"
#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

/*
 * A change of one nftables table (family inet) as one batch, which the kernel takes whole or not at
 * all. For the files of this folder alone. Rules are put together expression by expression, as
 * nft(8) would compile them; a failed allocation or a batch that grew too large is kept in the batch
 * and told by nftb_send().
 */
enum {
	/* the concatenation's registers: 4 octets each, numbered from 8 */
	REG_A = 8,
	REG_B = 9,
	REG_C = 10,
	REG_E = 12, /* behind an IPv6 address in A */
	REG_F = 13,
};
#define CREEL_NFT_TABLE  "creel"
#define NFTB_ESTABLISHED 2U /* NF_CT_STATE_BIT(IP_CT_ESTABLISHED) */
#define NFTB_RELATED     4U
#define NFTB_INVALID     1U /* NF_CT_STATE_INVALID_BIT */
/* types of sets' keys, for who lists them with nft(8) */
#define NFTB_KEY_IFNAME 41U
#define NFTB_KEY_UID    24U

struct nftb {
	struct creel_nft *nft;
	const char *table;
	struct mnl_nlmsg_batch *b;
	uint32_t sets;
	bool nomem, full;
};
struct nftb_rule {
	struct nftb *b;
	struct nftnl_rule *r;
};

void nftb_begin(struct nftb *b, struct creel_nft *nft, const char *table);
/** @return 0, CREEL_E_NOTFOUND, CREEL_E_EXISTS, CREEL_E_TOOBIG, CREEL_E_NOMEM, CREEL_E_OS */
int nftb_send(struct nftb *b, struct creel_err *err);
/**
 * List what nftables has: send @p h, which stands in nft->buf, and give each message of the answer to @p each.
 * The answer is read to its end, so that the next one begins with its own.
 * @return 0, CREEL_E_NOTFOUND, CREEL_E_BUSY (it changed meanwhile: not all of it may have been given),
 *         CREEL_E_OS
 */
int nftb_list(struct creel_nft *nft, const struct nlmsghdr *h, mnl_cb_t each, void *ctx,
	      struct creel_err *err);
struct nlmsghdr *nftb_message(struct nftb *b, uint16_t type, uint16_t flags);
void nftb_next(struct nftb *b);

void nftb_table(struct nftb *b, uint16_t type, uint16_t flags);
/** @param hook  NF_INET_*; -1: a chain that is jumped to */
void nftb_chain(struct nftb *b, const char *name, int hook, const char *type, int32_t prio, uint32_t policy);
void nftb_chain_flush(struct nftb *b, const char *name);
void nftb_chain_delete(struct nftb *b, const char *name);
/** A set of this name in the batch's table, to be filled and built; NULL: no memory. */
struct nftnl_set *nftb_set(struct nftb *b, const char *name);
/** @param flags  NFT_SET_*; a map is one of verdicts */
void nftb_set_add(struct nftb *b, const char *name, uint32_t flags, uint32_t key_type, uint32_t key_len,
		  uint32_t size);
void nftb_set_delete(struct nftb *b, const char *name);
/** A map's element: goto @p chain; NULL removes it. */
void nftb_map_put(struct nftb *b, const char *map, const void *key, uint32_t len, const char *chain);

/** Begin a rule; nftb_verdict() or nftb_rule_end() appends it to its chain. */
struct nftb_rule nftb_rule(struct nftb *b, const char *chain);
struct nftnl_expr *nftb_expr(struct nftb_rule *r, const char *name);
void nftb_rule_end(struct nftb_rule *r);
/** Drops are counted. @param chain  of NFT_JUMP and NFT_GOTO, else NULL */
void nftb_verdict(struct nftb_rule *r, int code, const char *chain);
void nftb_meta(struct nftb_rule *r, uint32_t key, uint32_t reg);
void nftb_payload(struct nftb_rule *r, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg);
/** Compare and mask register A. */
void nftb_cmp(struct nftb_rule *r, uint32_t op, const void *data, uint32_t len);
void nftb_mask(struct nftb_rule *r, const void *bits, uint32_t len);
void nftb_is_ipv4(struct nftb_rule *r, uint32_t op);
/** The table sees both families: what reads a header of one says so first, as these do themselves. */
void nftb_interface(struct nftb_rule *r, uint32_t key, const char *name);
void nftb_address(struct nftb_rule *r, bool source, uint32_t op, struct in_addr a);
void nftb_address6(struct nftb_rule *r, bool source, uint32_t op, const struct in6_addr *a);
/** The destination is in this network. */
void nftb_network(struct nftb_rule *r, const struct creel_net *n);
/** The destination's port; 0: the protocol alone. */
void nftb_port(struct nftb_rule *r, uint8_t proto, uint16_t number);
void nftb_ct_state(struct nftb_rule *r, uint32_t bits);
/** Some of these bits of the flow's status are set (NFT_CMP_NEQ), or none is (NFT_CMP_EQ). */
void nftb_ct_status(struct nftb_rule *r, uint32_t op, uint32_t bits);
/** To a port of this host; ends the rule. */
void nftb_redirect(struct nftb_rule *r, uint16_t port);
/** Count and tell NFLOG; ends the rule. */
void nftb_log(struct nftb_rule *r, uint16_t group, const char *prefix);
/** It has an IPv6 routing header. */
void nftb_routed6(struct nftb_rule *r);
/** Look register A up in a set, or in a map of verdicts. */
void nftb_lookup(struct nftb_rule *r, const char *set, bool map);
/** Its destination and port are an element of a set of pins, of IPv6 or of IPv4 ones. */
void nftb_pinned(struct nftb_rule *r, const char *set, bool six);
void nftb_established(struct nftb *b, const char *chain);
void nftb_drop(struct nftb *b, const char *chain);

/** nftranges.c: the IPv6 networks of a range, with those that carry an IPv4 address of it, as a set. */
void nftb_range6_set(struct nftb *b, enum creel_range range);
/** A rule that begins with: it goes to one of them. */
struct nftb_rule nftb_range6(struct nftb *b, const char *chain, enum creel_range range);

/** nftpins.c: what creel_nft_cell_change() does to the pins, as a part of a batch. */
void nftb_edit(struct nftb *b, const char *link, const struct creel_nft_edit *edits, size_t n);

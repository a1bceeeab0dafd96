#include "net/nftbatch.h"
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE CREEL_NFT_TABLE
/* types of sets' keys, for who lists them with nft(8) */
#define KEY_ADDR_PROTO_PORT  (7U << 12 | 12U << 6 | 13U)
#define KEY_ADDR6_PROTO_PORT (8U << 12 | 12U << 6 | 13U)
#define KEY_PORT             13U
enum { FLOWS_MAX = 4096, PINS_MAX = 200000 };

/* @p chain  of NFT_GOTO, else NULL */
static void ranges(struct nftb *b, const char *name, enum creel_range want, int code, const char *chain)
{
	enum creel_range range;
	const char *text;

	for (unsigned i = 0; (text = creel_range_at(i, &range)) != NULL; i++) {
		struct creel_net n = {.family = 4};
		char copy[64];
		if (range != want || strchr(text, ':'))
			continue;
		size_t len = strcspn(text, "/");
		memcpy(copy, text, len);
		copy[len] = '\0';
		(void)inet_pton(AF_INET, copy, n.addr);
		n.bits = (uint8_t)atoi(text + len + 1);
		struct nftb_rule r = nftb_rule(b, name);
		nftb_network(&r, &n);
		nftb_verdict(&r, code, chain);
	}
	struct nftb_rule six = nftb_range6(b, name, want);
	nftb_verdict(&six, code, chain);
}

static void loopback(struct nftb *b, const char *name, uint32_t key)
{
	struct nftb_rule r = nftb_rule(b, name);

	nftb_interface(&r, key, "lo");
	nftb_verdict(&r, NF_ACCEPT, NULL);
}

/* A packet's interface, or its sender's user, leads to the chain of the cell. */
static void dispatch(struct nftb *b, const char *chain, uint32_t key, const char *map)
{
	struct nftb_rule r = nftb_rule(b, chain);

	nftb_meta(&r, key, REG_A);
	nftb_lookup(&r, map, true);
	nftb_rule_end(&r);
}

/* ICMP errors about a flow that was let out, from where it went. */
static void related_from(struct nftb *b, const char *chain, const char *uplink)
{
	struct nftb_rule r = nftb_rule(b, chain);

	nftb_interface(&r, NFT_META_IIFNAME, uplink);
	nftb_ct_state(&r, NFTB_RELATED);
	nftb_verdict(&r, NF_ACCEPT, NULL);
}

int creel_nft_table(struct creel_nft *nft, const char *uplink, struct creel_err *err)
{
	static const struct {
		const char *name;
		uint32_t type, len;
	} maps[] = {{"cells", NFTB_KEY_IFNAME, 16},     {"cells-in", NFTB_KEY_IFNAME, 16},
		    {"cells-pre", NFTB_KEY_IFNAME, 16}, {"cells-names", NFTB_KEY_IFNAME, 16},
		    {"users", NFTB_KEY_UID, 4},         {"ticks", KEY_PORT, 2}};
	struct nftb b;

	nftb_begin(&b, nft, TABLE);
	nftb_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
	for (size_t i = 0; i < ELEMENTSOF(maps); i++)
		nftb_set_add(&b, maps[i].name, NFT_SET_MAP, maps[i].type, maps[i].len, 0);
	nftb_range6_set(&b, CREEL_RANGE_NEVER);
	nftb_range6_set(&b, CREEL_RANGE_PRIVATE);
	nftb_chain(&b, "never", -1, NULL, 0, 0);
	nftb_chain(&b, "private", -1, NULL, 0, 0);
	nftb_chain(&b, "pre", NF_INET_PRE_ROUTING, "filter", -300, NF_ACCEPT);
	nftb_chain(&b, "input", NF_INET_LOCAL_IN, "filter", 0, NF_DROP);
	nftb_chain(&b, "forward", NF_INET_FORWARD, "filter", 0, NF_DROP);
	nftb_chain(&b, "output", NF_INET_LOCAL_OUT, "filter", 0, NF_DROP);
	ranges(&b, "never", CREEL_RANGE_NEVER, NF_DROP, NULL);
	ranges(&b, "private", CREEL_RANGE_PRIVATE, NF_DROP, NULL);
	dispatch(&b, "pre", NFT_META_IIFNAME, "cells-pre");
	nftb_chain(&b, "names", NF_INET_PRE_ROUTING, "nat", -100, NF_ACCEPT);
	dispatch(&b, "names", NFT_META_IIFNAME, "cells-names");
	nftb_established(&b, "forward");
	if (uplink)
		related_from(&b, "forward", uplink);
	dispatch(&b, "forward", NFT_META_IIFNAME, "cells");
	nftb_drop(&b, "forward");
	nftb_established(&b, "input");
	if (uplink)
		related_from(&b, "input", uplink);
	loopback(&b, "input", NFT_META_IIFNAME);
	dispatch(&b, "input", NFT_META_IIFNAME, "cells-in");
	nftb_drop(&b, "input");
	/* creel-flowlog's ticks: to a port of loopback that is a cell's group. They make no flow */
	nftb_chain(&b, "ticks", NF_INET_LOCAL_OUT, "filter", -300, NF_ACCEPT);
	struct nftb_rule r = nftb_rule(&b, "ticks");
	nftb_interface(&r, NFT_META_OIFNAME, "lo");
	nftb_port(&r, IPPROTO_UDP, 0);
	nftb_payload(&r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, REG_A);
	nftb_lookup(&r, "ticks", true);
	nftb_rule_end(&r);
	nftb_established(&b, "output");
	loopback(&b, "output", NFT_META_OIFNAME);
	dispatch(&b, "output", NFT_META_SKUID, "users");
	nftb_drop(&b, "output");
	if (uplink) {
		nftb_chain(&b, "uplink", NF_INET_POST_ROUTING, "nat", 100, NF_ACCEPT);
		r = nftb_rule(&b, "uplink");
		nftb_interface(&r, NFT_META_OIFNAME, uplink);
		(void)nftb_expr(&r, "masq");
		nftb_rule_end(&r);
	}
	int e = nftb_send(&b, err);
	return e < 0 ? creel_err_add(err, "table inet %s", TABLE) : 0;
}

int creel_nft_remove(struct creel_nft *nft, struct creel_err *err)
{
	struct nftb b;

	nftb_begin(&b, nft, TABLE);
	nftb_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	nftb_table(&b, NFT_MSG_DELTABLE, 0);
	return nftb_send(&b, err);
}

/* --- a cell ---------------------------------------------------------------------------------- */

/*
 * The names of what a cell has: chains LINK, LINK.in, LINK.pre, LINK.dns, the set LINK; LINK.names, the
 * set of the pins whose name is checked and the chain that redirects to them; LINK.flow, for what
 * creel-flow sends; LINK.ok, LINK.reach, LINK.no and LINK.tick, which tell NFLOG. The sets of a cell's
 * IPv6 pins are LINK.6 and LINK.names6.
 */
struct names {
	char in[32], pre[32], dns[32], broker[32], names[32], flow[32], ok[32], reach[32], no[32], tick[32];
	char six[32], names6[32];
};

static struct names names_of(const char *link)
{
	struct names n;

	(void)snprintf(n.in, sizeof(n.in), "%.15s.in", link);
	(void)snprintf(n.pre, sizeof(n.pre), "%.15s.pre", link);
	(void)snprintf(n.dns, sizeof(n.dns), "%.15s.dns", link);
	(void)snprintf(n.broker, sizeof(n.broker), "%.15s.broker", link);
	(void)snprintf(n.names, sizeof(n.names), "%.15s.names", link);
	(void)snprintf(n.flow, sizeof(n.flow), "%.15s.flow", link);
	(void)snprintf(n.ok, sizeof(n.ok), "%.15s.ok", link);
	(void)snprintf(n.reach, sizeof(n.reach), "%.15s.reach", link);
	(void)snprintf(n.no, sizeof(n.no), "%.15s.no", link);
	(void)snprintf(n.tick, sizeof(n.tick), "%.15s.tick", link);
	(void)snprintf(n.six, sizeof(n.six), "%.15s.6", link);
	(void)snprintf(n.names6, sizeof(n.names6), "%.15s.names6", link);
	return n;
}

/* A cell's packet passes or not: by the chain that tells of it, if it is told. */
static void let(struct nftb_rule *r, const struct creel_nft_cell *c, bool yes)
{
	struct names n = names_of(c->link);

	if (c->log_group)
		nftb_verdict(r, NFT_GOTO, yes ? n.ok : n.no);
	else
		nftb_verdict(r, yes ? NF_ACCEPT : NF_DROP, NULL);
}

/* The end of a cell's chain. */
static void no_more(struct nftb *b, const struct creel_nft_cell *c, const char *chain)
{
	struct nftb_rule r = nftb_rule(b, chain);

	let(&r, c, false);
}

static void entry(struct nftb *b, const struct creel_nft_cell *c, const char *name,
		  const struct creel_entry *e, bool yes)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};

	if (e->way == CREEL_WAY_ANY && e->port == 0) {
		struct nftb_rule r = nftb_rule(b, name);
		nftb_network(&r, &e->net);
		let(&r, c, yes);
		return;
	}
	for (size_t i = 0; i < ELEMENTSOF(protos); i++) {
		if (e->way != CREEL_WAY_ANY && (e->way == CREEL_WAY_UDP) != (protos[i] == IPPROTO_UDP))
			continue;
		struct nftb_rule r = nftb_rule(b, name);
		nftb_network(&r, &e->net);
		nftb_port(&r, protos[i], e->port);
		let(&r, c, yes);
	}
}

enum part {
	PART_DENY,
	PART_PRIVATE, /* allowed, and wholly in a private range */
	PART_PUBLIC,
};

static void entries(struct nftb *b, const struct creel_nft_cell *c, const char *name, enum part part)
{
	const struct creel_policy *p = c->policy;
	struct creel_entry e;
	bool deny;

	for (size_t i = 0; creel_policy_net_at(p, i, &e, &deny); i++) {
		enum part is = deny ? PART_DENY : creel_range_private(&e.net) ? PART_PRIVATE : PART_PUBLIC;
		if ((e.net.family == 4 || c->six) && is == part)
			entry(b, c, name, &e, !deny);
	}
}

/* What goes to a pin of the cell, whose name is checked on the wire or is not, leaves by @p end. */
static void pinned(struct nftb *b, const struct creel_nft_cell *c, const char *chain, bool checked,
		   void (*end)(struct nftb_rule *r, const struct creel_nft_cell *c))
{
	struct names n = names_of(c->link);

	for (int six = 0; six <= c->six; six++) {
		struct nftb_rule r = nftb_rule(b, chain);
		nftb_pinned(&r, checked ? six ? n.names6 : n.names : six ? n.six : c->link, six);
		end(&r, c);
	}
}

static void let_yes(struct nftb_rule *r, const struct creel_nft_cell *c)
{
	let(r, c, true);
}

static void to_flow(struct nftb_rule *r, const struct creel_nft_cell *c)
{
	nftb_redirect(r, c->flow_port);
}

static void out(struct nftb_rule *r, const struct creel_nft_cell *c)
{
	nftb_verdict(r, NF_ACCEPT, NULL);
}

static void ranges_drop(struct nftb *b, const struct creel_nft_cell *c, const char *name,
			enum creel_range range)
{
	struct names n = names_of(c->link);
	struct nftb_rule r;

	if (c->log_group) {
		ranges(b, name, range, NFT_GOTO, n.no);
		return;
	}
	r = nftb_rule(b, name);
	nftb_verdict(&r, NFT_JUMP, range == CREEL_RANGE_NEVER ? "never" : "private");
}

/* New TCP connections to names that are checked: to creel-flow. In mode open nothing is. */
static void names_rules(struct nftb *b, const struct creel_nft_cell *c, const char *name)
{
	if (!c->flow_port || c->policy->spec.mode == CREEL_MODE_OPEN ||
	    c->policy->spec.mode == CREEL_MODE_NONE)
		return;
	pinned(b, c, name, true, to_flow);
}

/* What creel-flow itself may open: what it was asked for, whatever it says. */
static void flow_rules(struct nftb *b, const struct creel_nft_cell *c, const struct names *n)
{
	struct nftb_rule r = nftb_rule(b, n->flow);

	nftb_verdict(&r, NFT_JUMP, "never");
	r = nftb_rule(b, n->flow);
	nftb_verdict(&r, NFT_JUMP, "private");
	pinned(b, c, n->flow, true, out);
	nftb_drop(b, n->flow);
}

static void log_rules(struct nftb *b, const struct creel_nft_cell *c, const struct names *n)
{
	const struct {
		const char *chain, *prefix;
		bool yes;
	} rows[] = {{n->ok, CREEL_NFT_LOG_ALLOW, true},
		    {n->reach, CREEL_NFT_LOG_REACH, true},
		    {n->no, CREEL_NFT_LOG_DENY, false},
		    {n->tick, CREEL_NFT_LOG_TICK, false}};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		struct nftb_rule r = nftb_rule(b, rows[i].chain);
		/* a flow is told once: it is confirmed when its first packet has left */
		if (rows[i].yes)
			nftb_ct_status(&r, NFT_CMP_EQ, IPS_CONFIRMED);
		nftb_log(&r, c->log_group, rows[i].prefix);
		r = nftb_rule(b, rows[i].chain);
		nftb_verdict(&r, rows[i].yes ? NF_ACCEPT : NF_DROP, NULL);
	}
}

/* Who sends under another cell's address makes no flow at all: before conntrack sees it. */
static void pre_rules(struct nftb *b, const struct creel_nft_cell *c, const char *name)
{
	struct nftb_rule r = nftb_rule(b, name);

	if (c->six)
		nftb_address6(&r, true, NFT_CMP_NEQ, &c->addr6);
	else
		nftb_is_ipv4(&r, NFT_CMP_NEQ);
	let(&r, c, false);
	r = nftb_rule(b, name);
	nftb_address(&r, true, NFT_CMP_NEQ, c->addr);
	let(&r, c, false);
	r = nftb_rule(b, name);
	nftb_payload(&r, NFT_PAYLOAD_LL_HEADER, 6, 6, REG_A);
	nftb_cmp(&r, NFT_CMP_NEQ, c->mac, 6);
	let(&r, c, false);
	/* nobody here forwards or takes multicast: it would end without being told */
	static const struct creel_net multicast = {.addr = {224}, .family = 4, .bits = 4},
				      multicast6 = {.addr = {0xff}, .family = 6, .bits = 8};
	r = nftb_rule(b, name);
	nftb_network(&r, &multicast);
	let(&r, c, false);
	if (!c->six)
		return;
	r = nftb_rule(b, name);
	nftb_network(&r, &multicast6);
	let(&r, c, false);
	/* nor follows a route that the sender wrote, wherever the packet is opened */
	r = nftb_rule(b, name);
	nftb_routed6(&r);
	let(&r, c, false);
}

static void destination(struct nftb_rule *r, const struct creel_nft_reach *to)
{
	if (IN6_IS_ADDR_UNSPECIFIED(&to->addr6))
		nftb_address(r, false, NFT_CMP_EQ, to->addr);
	else
		nftb_address6(r, false, NFT_CMP_EQ, &to->addr6);
}

/* To a resolver, by UDP and TCP. */
static void queries(struct nftb *b, const char *name, const struct creel_nft_reach *to)
{
	static const uint8_t protos[] = {IPPROTO_UDP, IPPROTO_TCP};

	for (size_t i = 0; i < ELEMENTSOF(protos); i++) {
		struct nftb_rule r = nftb_rule(b, name);
		destination(&r, to);
		nftb_port(&r, protos[i], to->port);
		nftb_verdict(&r, NF_ACCEPT, NULL);
	}
}

static void in_rules(struct nftb *b, const struct creel_nft_cell *c, const char *name)
{
	const struct creel_nft_reach dns = {.addr = c->gateway, .port = 53},
				     dns6 = {.addr6 = c->gateway6, .port = 53};

	queries(b, name, &dns);
	if (c->six)
		queries(b, name, &dns6);
	if (c->flow_port) {
		/* by the redirect alone, not by itself */
		struct nftb_rule r = nftb_rule(b, name);
		nftb_ct_status(&r, NFT_CMP_NEQ, IPS_DST_NAT);
		nftb_port(&r, IPPROTO_TCP, c->flow_port);
		nftb_verdict(&r, NF_ACCEPT, NULL);
	}
	for (size_t i = 0; c->n_broker_ports > 0 && i < 1U + c->intercepts; i++) {
		struct nftb_rule r = nftb_rule(b, name);
		nftb_address(&r, false, NFT_CMP_EQ, c->gateway);
		nftb_port(&r, IPPROTO_TCP, i == 0 ? 80 : 443);
		nftb_verdict(&r, NF_ACCEPT, NULL);
	}
	no_more(b, c, name);
}

/* Our own processes that need no IPv6 have none. @return the next rule */
static struct nftb_rule four_alone(struct nftb *b, const char *name)
{
	struct nftb_rule r = nftb_rule(b, name);

	nftb_is_ipv4(&r, NFT_CMP_NEQ);
	nftb_verdict(&r, NF_DROP, NULL);
	return nftb_rule(b, name);
}

/* What the holder of the cell's credentials may open: it proves by TLS whom it speaks to. */
static void broker_rules(struct nftb *b, const struct creel_nft_cell *c, const char *name)
{
	struct nftb_rule r = four_alone(b, name);

	nftb_verdict(&r, NFT_JUMP, "never");
	r = nftb_rule(b, name);
	nftb_verdict(&r, NFT_JUMP, "private");
	for (size_t i = 0; i < c->n_broker_ports; i++) {
		r = nftb_rule(b, name);
		nftb_port(&r, IPPROTO_TCP, c->broker_ports[i]);
		nftb_verdict(&r, NF_ACCEPT, NULL);
	}
	nftb_drop(b, name);
}

/* What the cell's resolver may ask: its upstreams, or port 53 of whatever is public. */
static void dns_rules(struct nftb *b, const struct creel_nft_cell *c, const char *name)
{
	static const uint8_t protos[] = {IPPROTO_UDP, IPPROTO_TCP};

	for (size_t k = 0; k < c->n_resolvers; k++)
		queries(b, name, &c->resolvers[k]);
	if (c->n_resolvers == 0) {
		struct nftb_rule r = four_alone(b, name);
		nftb_verdict(&r, NFT_JUMP, "never");
		r = nftb_rule(b, name);
		nftb_verdict(&r, NFT_JUMP, "private");
		for (size_t i = 0; i < ELEMENTSOF(protos); i++) {
			r = nftb_rule(b, name);
			nftb_port(&r, protos[i], 53);
			nftb_verdict(&r, NF_ACCEPT, NULL);
		}
	}
	nftb_drop(b, name);
}

/* One cell's flood does not fill the host's table of flows. */
static void flows_bound(struct nftb *b, const struct creel_nft_cell *c, const char *name)
{
	struct nftb_rule r = nftb_rule(b, name);
	struct nftnl_expr *e = nftb_expr(&r, "connlimit");

	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_CONNLIMIT_COUNT, FLOWS_MAX);
		nftnl_expr_set_u32(e, NFTNL_EXPR_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV);
	}
	let(&r, c, false);
}

/* An ICMP error that a cell sends is let through when the flow that it quotes is the cell's own. */
static void related_own(struct nftb *b, const char *name, uint32_t key, const void *own, uint32_t len)
{
	struct nftb_rule r = nftb_rule(b, name);

	nftb_ct_state(&r, NFTB_RELATED);
	struct nftnl_expr *e = nftb_expr(&r, "ct");
	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, key);
		nftnl_expr_set_u8(e, NFTNL_EXPR_CT_DIR, 0 /* IP_CT_DIR_ORIGINAL */);
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, REG_A);
	}
	nftb_cmp(&r, NFT_CMP_EQ, own, len);
	nftb_verdict(&r, NF_ACCEPT, NULL);
}

static void cell_rules(struct nftb *b, const struct creel_nft_cell *c)
{
	const char *name = c->link;
	const struct creel_policy *p = c->policy;
	struct names n = names_of(name);
	bool none = p->spec.mode == CREEL_MODE_NONE;
	struct nftb_rule r;

	related_own(b, name, NFT_CT_SRC_IP, &c->addr, 4);
	if (c->six)
		related_own(b, name, NFT_CT_SRC_IP6, &c->addr6, 16);
	/* of no flow that is known: bad checksums, the midst of a connection whose permission was withdrawn */
	r = nftb_rule(b, name);
	nftb_ct_state(&r, NFTB_INVALID);
	let(&r, c, false);
	flows_bound(b, c, name);
	ranges_drop(b, c, name, CREEL_RANGE_NEVER);
	for (size_t i = 0; i < c->n_reach; i++) {
		r = nftb_rule(b, name);
		/* where that cell is down the uplink's route would have it */
		if (c->reach[i].link[0])
			nftb_interface(&r, NFT_META_OIFNAME, c->reach[i].link);
		destination(&r, &c->reach[i]);
		nftb_port(&r, IPPROTO_TCP, c->reach[i].port);
		if (c->log_group)
			nftb_verdict(&r, NFT_GOTO, n.reach);
		else
			nftb_verdict(&r, NF_ACCEPT, NULL);
	}
	entries(b, c, name, PART_DENY);
	if (p->spec.subnet.family == 4) {
		r = nftb_rule(b, name);
		nftb_network(&r, &p->spec.subnet);
		let(&r, c, false);
	}
	if (c->six) {
		/* other cells by `reach` alone, whatever network is allowed */
		struct creel_net own = {.family = 6, .bits = 48};
		memcpy(own.addr, &c->addr6, 6);
		r = nftb_rule(b, name);
		nftb_network(&r, &own);
		let(&r, c, false);
	}
	if (!none)
		entries(b, c, name, PART_PRIVATE);
	ranges_drop(b, c, name, CREEL_RANGE_PRIVATE);
	if (!none) {
		entries(b, c, name, PART_PUBLIC);
		pinned(b, c, name, false, let_yes);
		if (!c->flow_port)
			pinned(b, c, name, true, let_yes);
	}
	if (p->spec.mode == CREEL_MODE_OPEN) {
		r = nftb_rule(b, name);
		let(&r, c, true);
	}
	no_more(b, c, name);
}

static void ifname(char ret[16], const char *link)
{
	memset(ret, 0, 16);
	memcpy(ret, link, strnlen(link, 15));
}

int creel_nft_cell_add(struct creel_nft *nft, const struct creel_nft_cell *c, struct creel_err *err)
{
	struct names n = names_of(c->link);
	uint32_t uid = c->dns_uid;
	char key[16];
	struct nftb b;

	nftb_begin(&b, nft, TABLE);
	nftb_set_add(&b, c->link, NFT_SET_TIMEOUT, KEY_ADDR_PROTO_PORT, 12, PINS_MAX);
	nftb_set_add(&b, n.names, NFT_SET_TIMEOUT, KEY_ADDR_PROTO_PORT, 12, PINS_MAX);
	if (c->six) {
		nftb_set_add(&b, n.six, NFT_SET_TIMEOUT, KEY_ADDR6_PROTO_PORT, 24, PINS_MAX);
		nftb_set_add(&b, n.names6, NFT_SET_TIMEOUT, KEY_ADDR6_PROTO_PORT, 24, PINS_MAX);
	}
	nftb_chain(&b, n.ok, -1, NULL, 0, 0);
	nftb_chain(&b, n.reach, -1, NULL, 0, 0);
	nftb_chain(&b, n.no, -1, NULL, 0, 0);
	nftb_chain(&b, n.tick, -1, NULL, 0, 0);
	if (c->log_group) {
		uint16_t port = htons(c->log_group);
		log_rules(&b, c, &n);
		nftb_map_put(&b, "ticks", &port, 2, n.tick);
	}
	nftb_chain(&b, c->link, -1, NULL, 0, 0);
	cell_rules(&b, c);
	nftb_chain(&b, n.names, -1, NULL, 0, 0);
	names_rules(&b, c, n.names);
	nftb_chain(&b, n.flow, -1, NULL, 0, 0);
	flow_rules(&b, c, &n);
	nftb_chain(&b, n.pre, -1, NULL, 0, 0);
	pre_rules(&b, c, n.pre);
	nftb_chain(&b, n.in, -1, NULL, 0, 0);
	in_rules(&b, c, n.in);
	nftb_chain(&b, n.dns, -1, NULL, 0, 0);
	dns_rules(&b, c, n.dns);
	nftb_chain(&b, n.broker, -1, NULL, 0, 0);
	broker_rules(&b, c, n.broker);
	ifname(key, c->link);
	nftb_map_put(&b, "cells-pre", key, 16, n.pre);
	nftb_map_put(&b, "cells-in", key, 16, n.in);
	nftb_map_put(&b, "cells", key, 16, c->link);
	nftb_map_put(&b, "cells-names", key, 16, n.names);
	if (uid)
		nftb_map_put(&b, "users", &uid, 4, n.dns);
	uid = c->flow_uid;
	if (uid)
		nftb_map_put(&b, "users", &uid, 4, n.flow);
	uid = c->front_uid;
	if (uid)
		nftb_map_put(&b, "users", &uid, 4, n.dns);
	uid = c->broker_uid;
	if (uid)
		nftb_map_put(&b, "users", &uid, 4, n.broker);
	int e = nftb_send(&b, err);
	return e < 0 ? creel_err_add(err, "add %.15s", c->link) : 0;
}

int creel_nft_cell_remove(struct creel_nft *nft, const struct creel_nft_cell *c, struct creel_err *err)
{
	struct names n = names_of(c->link);
	const char *const chains[] = {c->link, n.pre,   n.in, n.dns,  n.names, n.flow,
				      n.ok,    n.reach, n.no, n.tick, n.broker};
	uint32_t uid = c->dns_uid;
	char key[16];
	struct nftb b;

	nftb_begin(&b, nft, TABLE);
	ifname(key, c->link);
	nftb_map_put(&b, "cells", key, 16, NULL);
	nftb_map_put(&b, "cells-in", key, 16, NULL);
	nftb_map_put(&b, "cells-pre", key, 16, NULL);
	nftb_map_put(&b, "cells-names", key, 16, NULL);
	if (uid)
		nftb_map_put(&b, "users", &uid, 4, NULL);
	uid = c->flow_uid;
	if (uid)
		nftb_map_put(&b, "users", &uid, 4, NULL);
	uid = c->front_uid;
	if (uid)
		nftb_map_put(&b, "users", &uid, 4, NULL);
	uid = c->broker_uid;
	if (uid)
		nftb_map_put(&b, "users", &uid, 4, NULL);
	if (c->log_group) {
		uint16_t port = htons(c->log_group);
		nftb_map_put(&b, "ticks", &port, 2, NULL);
	}
	/* a chain goes when no rule leads to it */
	for (size_t i = 0; i < ELEMENTSOF(chains); i++)
		nftb_chain_flush(&b, chains[i]);
	for (size_t i = 0; i < ELEMENTSOF(chains); i++)
		nftb_chain_delete(&b, chains[i]);
	nftb_set_delete(&b, c->link);
	nftb_set_delete(&b, n.names);
	if (c->six) {
		nftb_set_delete(&b, n.six);
		nftb_set_delete(&b, n.names6);
	}
	int e = nftb_send(&b, err);
	return e < 0 ? creel_err_add(err, "remove %.15s", c->link) : 0;
}

int creel_nft_cell_change(struct creel_nft *nft, const struct creel_nft_cell *c,
			  const struct creel_nft_edit *edits, size_t n_edits, struct creel_err *err)
{
	struct names n = names_of(c->link);
	struct nftb b;

	nftb_begin(&b, nft, TABLE);
	nftb_chain_flush(&b, c->link);
	cell_rules(&b, c);
	nftb_chain_flush(&b, n.dns);
	dns_rules(&b, c, n.dns);
	nftb_chain_flush(&b, n.in);
	in_rules(&b, c, n.in);
	nftb_chain_flush(&b, n.broker);
	broker_rules(&b, c, n.broker);
	nftb_chain_flush(&b, n.names);
	names_rules(&b, c, n.names);
	nftb_edit(&b, c->link, edits, n_edits);
	int e = nftb_send(&b, err);
	return e < 0 ? creel_err_add(err, "change %.15s", c->link) : 0;
}

/* One message about the elements of one set: those of the openings that are checked, or the others. */

#include "net/uplink.h"
#include "base/cleanup.h"
#include "net/link.h"
#include "net/netns.h"
#include "net/nftbatch.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PREFIX = 30, DEFAULTS = 8 };

void creel_uplink_init(struct creel_uplink *u, const char key[9], int run_fd)
{
	unsigned long h = strtoul(key, NULL, 16);
	/* 169.254.1.0 to 169.254.254.255 are to be had (RFC 3927, 2.1) */
	uint32_t base = 0xa9fe0000U | (1 + h % 254) << 8 | (h >> 8 & 0xfc);

	*u = (struct creel_uplink){.host = {htonl(base + 1)}, .cells = {htonl(base + 2)}, .run_fd = run_fd};
	(void)snprintf(u->table, sizeof(u->table), "creel-%.8s", key);
	(void)snprintf(u->host_if, sizeof(u->host_if), "creel-%.8s", key);
}

/* @return whether it is on, or negative: there is none */
static int forwarding(const char *ifname, const char *set)
{
	char path[80], was = '0';

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%.15s/forwarding", ifname);
	autofd int fd = open(path, (set ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0 || read(fd, &was, 1) != 1 || (set && pwrite(fd, set, 1, 0) != 1))
		return -1;
	return was == '1';
}

/* Interfaces with a default route: what leaves by them comes back by them. */
static size_t defaults(char ret[DEFAULTS][16])
{
	autofile FILE *f = fopen("/proc/thread-self/net/route", "re");
	char line[256], name[32];
	unsigned long dst, gw, flags;
	size_t n = 0;

	while (f && n < DEFAULTS && fgets(line, sizeof(line), f))
		if (sscanf(line, "%31s %lx %lx %lx", name, &dst, &gw, &flags) == 4 && dst == 0 &&
		    strlen(name) < 16)
			memcpy(ret[n++], name, strlen(name) + 1);
	return n;
}

/* What we turned on, from the file: a name a line. */
static size_t opened_read(const struct creel_uplink *u, char ret[DEFAULTS][16])
{
	autofd int fd = openat(u->run_fd, "uplink", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[64];
	size_t n = 0;

	if (f)
		(void)steal_fd(&fd);
	while (f && n < DEFAULTS && fgets(line, sizeof(line), f))
		if (sscanf(line, "%15s", ret[n]) == 1)
			n++;
	return n;
}

static bool among(char names[DEFAULTS][16], size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* The chain of what comes in by an interface that was opened. Each creeld of this host that counts on one
 * has it, in a table of its own, so the last of them knows that it is the last. */
static void chain_name(char ret[32], const char *ifname)
{
	(void)snprintf(ret, 32, "opened-%.15s", ifname);
}

struct chain_wanted {
	const char *table, *chain;
	bool elsewhere;
};

static int chain_told(const struct nlmsghdr *h, void *ctx)
{
	struct chain_wanted *w = ctx;
	struct nftnl_chain *c = nftnl_chain_alloc();

	if (c && nftnl_chain_nlmsg_parse(h, c) == 0) {
		const char *table = nftnl_chain_get_str(c, NFTNL_CHAIN_TABLE);
		const char *name = nftnl_chain_get_str(c, NFTNL_CHAIN_NAME);
		if (table && name && strcmp(name, w->chain) == 0 && strncmp(table, "creel-", 6) == 0 &&
		    strcmp(table, w->table) != 0)
			w->elsewhere = true;
	}
	if (c)
		nftnl_chain_free(c);
	return MNL_CB_OK;
}

/* Does another creeld count on what creel opened here? @return 1, 0, or negative */
static int elsewhere(struct creel_nft *nft, const struct creel_uplink *u, const char *ifname,
		     struct creel_err *err)
{
	char chain[32];
	struct chain_wanted w = {u->table, chain, false};
	int r = CREEL_E_BUSY;

	chain_name(chain, ifname);
	/* while others change theirs, some may be passed over */
	for (int tries = 0; r == CREEL_E_BUSY && tries < 16; tries++)
		r = nftb_list(nft,
			      nftnl_nlmsg_build_hdr(nft->buf, NFT_MSG_GETCHAIN, NFPROTO_INET, NLM_F_DUMP,
						    ++nft->seq),
			      chain_told, &w, err);
	if (r < 0 && !w.elsewhere)
		return creel_err_add(err, "the chains of this host");
	*err = (struct creel_err){0};
	return w.elsewhere;
}

/* Noted before it is done: whatever ends us, it can be put back. */
static int note(const struct creel_uplink *u, const char *ifname, struct creel_err *err)
{
	autofd int fd = openat(u->run_fd, "uplink", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
			       0600);

	if (fd < 0 || dprintf(fd, "%s\n", ifname) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "note that %s forwards now", ifname);
	return 0;
}

/*
 * Which interfaces are to forward for us that otherwise would not; the table is written before they do.
 * Where the host forwards for itself by now (as Docker and libvirt make it), it has taken over: nothing is
 * ours to close, or to put back.
 */
static int forward_plan(const struct creel_uplink *u, struct creel_nft *nft, char opened[DEFAULTS][16],
			size_t *n, struct creel_err *err)
{
	char all[DEFAULTS][16];
	size_t n_all = defaults(all);

	*n = 0;
	if (forwarding("all", NULL) == 1) {
		(void)unlinkat(u->run_fd, "uplink", 0);
		return 0;
	}
	*n = opened_read(u, opened);
	for (size_t i = 0; i < n_all && *n < DEFAULTS; i++) {
		int r = forwarding(all[i], NULL);
		if (r < 0 || among(opened, *n, all[i]))
			continue;
		if (r == 1 && (r = elsewhere(nft, u, all[i], err)) <= 0) {
			if (r < 0)
				return r;
			continue; /* the host's own wish, for this interface alone */
		}
		if ((r = note(u, all[i], err)) < 0)
			return r;
		memcpy(opened[(*n)++], all[i], 16);
	}
	return 0;
}

static int forward_on(const struct creel_uplink *u, char opened[DEFAULTS][16], size_t n,
		      struct creel_err *err)
{
	/* each write is told to whoever follows these switches, so nothing is written twice */
	for (size_t i = 0; i < n; i++)
		if (forwarding(opened[i], NULL) == 0 && forwarding(opened[i], "1") < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "let %s forward", opened[i]);
	if (forwarding(u->host_if, NULL) == 0 && forwarding(u->host_if, "1") < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "let %s forward", u->host_if);
	return 0;
}

static void not_local(struct nftb *b, const struct creel_uplink *u)
{
	struct nftb_rule r = nftb_rule(b, "pre");
	uint32_t local = RTN_LOCAL;

	nftb_interface(&r, NFT_META_IIFNAME, u->host_if);
	struct nftnl_expr *e = nftb_expr(&r, "fib");
	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
		nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
		nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, REG_A);
	}
	nftb_cmp(&r, NFT_CMP_EQ, &local, 4);
	nftb_verdict(&r, NF_DROP, NULL);
}

/*
 * An interface that forwards only because of creel forwards nothing new from there. What a flow that began
 * here is answered passes: another creeld's cells have such flows, and whoever makes this host forward
 * later. So does what this host's own rules have given another destination (a port that Docker publishes).
 */
static void opened_write(struct nftb *b, const char *ifname)
{
	char chain[32];

	chain_name(chain, ifname);
	nftb_chain(b, chain, -1, NULL, 0, 0);
	struct nftb_rule q = nftb_rule(b, chain);
	nftb_ct_state(&q, NFTB_ESTABLISHED | NFTB_RELATED);
	nftb_verdict(&q, NFT_RETURN, NULL);
	q = nftb_rule(b, chain);
	nftb_ct_status(&q, NFT_CMP_NEQ, IPS_DST_NAT);
	nftb_verdict(&q, NFT_RETURN, NULL);
	nftb_drop(b, chain);
	/* by IPv6 we turn nothing on */
	q = nftb_rule(b, "forward");
	nftb_is_ipv4(&q, NFT_CMP_EQ);
	nftb_interface(&q, NFT_META_IIFNAME, ifname);
	nftb_verdict(&q, NFT_JUMP, chain);
}

static int table_write(const struct creel_uplink *u, struct creel_nft *nft, char opened[DEFAULTS][16],
		       size_t n, struct creel_err *err)
{
	struct nftb b;

	nftb_begin(&b, nft, u->table);
	nftb_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	nftb_table(&b, NFT_MSG_DELTABLE, 0);
	nftb_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	nftb_chain(&b, "pre", NF_INET_PRE_ROUTING, "filter", -150, NF_ACCEPT);
	nftb_chain(&b, "input", NF_INET_LOCAL_IN, "filter", 0, NF_ACCEPT);
	nftb_chain(&b, "forward", NF_INET_FORWARD, "filter", 0, NF_ACCEPT);
	nftb_chain(&b, "post", NF_INET_POST_ROUTING, "nat", 100, NF_ACCEPT);
	struct nftb_rule q;
	if (!u->nat6) {
		q = nftb_rule(&b, "pre");
		nftb_is_ipv4(&q, NFT_CMP_NEQ);
		nftb_interface(&q, NFT_META_IIFNAME, u->host_if);
		nftb_verdict(&q, NF_DROP, NULL);
	}
	not_local(&b, u);
	q = nftb_rule(&b, "input");
	nftb_interface(&q, NFT_META_IIFNAME, u->host_if);
	nftb_verdict(&q, NF_DROP, NULL);
	q = nftb_rule(&b, "forward");
	nftb_interface(&q, NFT_META_OIFNAME, u->host_if);
	nftb_ct_state(&q, NFTB_ESTABLISHED | NFTB_RELATED);
	nftb_verdict(&q, NF_ACCEPT, NULL);
	q = nftb_rule(&b, "forward");
	nftb_interface(&q, NFT_META_OIFNAME, u->host_if);
	nftb_verdict(&q, NF_DROP, NULL);
	/* to us was decided above: what is left would be forwarded for somebody else */
	for (size_t i = 0; i < n; i++)
		opened_write(&b, opened[i]);
	q = nftb_rule(&b, "post");
	nftb_address(&q, true, NFT_CMP_EQ, u->cells);
	(void)nftb_expr(&q, "masq");
	nftb_rule_end(&q);
	if (u->nat6) {
		q = nftb_rule(&b, "post");
		nftb_address6(&q, true, NFT_CMP_EQ, &u->cells6);
		(void)nftb_expr(&q, "masq");
		nftb_rule_end(&q);
	}
	int r = nftb_send(&b, err);
	return r < 0 ? creel_err_add(err, "table inet %s", u->table) : 0;
}

static int cells_side(const struct creel_uplink *u, int ns_fd, bool check, struct creel_err *err)
{
	struct creel_rtnl nl = {0};
	int back, index, r = creel_netns_enter(ns_fd, &back, err);

	if (r < 0)
		return r;
	r = index = creel_rtnl_index(CREEL_UPLINK_IF, err);
	if (r > 0 && !check) {
		r = creel_rtnl_open(&nl, err);
		if (r == 0)
			r = creel_rtnl_link_up(&nl, index, 0, NULL, err);
		if (r == 0)
			r = creel_rtnl_addr_add(&nl, index, u->cells, PREFIX, err);
		if (r == 0)
			r = creel_rtnl_default(&nl, index, u->host, err);
		creel_rtnl_close(&nl);
	}
	creel_netns_leave(back);
	return r;
}

static int pair_up(const struct creel_uplink *u, int ns_fd, struct creel_err *err)
{
	struct creel_rtnl nl = {0};
	struct creel_err none = {0};
	int r = creel_rtnl_open(&nl, err), index;

	if (r < 0)
		return r;
	index = creel_rtnl_index(u->host_if, &none);
	/* one end without the other is of a namespace that is gone */
	if (index > 0 && cells_side(u, ns_fd, true, &none) < 0) {
		r = creel_rtnl_link_del(&nl, index, err);
		index = -1;
	}
	if (r == 0 && index < 0) {
		r = creel_rtnl_veth(&nl, u->host_if, CREEL_UPLINK_IF, ns_fd, err);
		if (r == 0)
			r = index = creel_rtnl_index(u->host_if, err);
	}
	if (r >= 0) {
		if (!u->nat6)
			(void)creel_ipv6_set(u->host_if, "disable_ipv6", "1", &none);
		r = creel_rtnl_link_up(&nl, index, 0, NULL, err);
	}
	if (r == 0)
		r = creel_rtnl_addr_add(&nl, index, u->host, PREFIX, err);
	creel_rtnl_close(&nl);
	return r < 0 ? r : cells_side(u, ns_fd, false, err);
}

/* Noted, written, then done: an interface never forwards without its rules. */
static int forward_all(const struct creel_uplink *u, struct creel_nft *nft, struct creel_err *err)
{
	char opened[DEFAULTS][16];
	size_t n = 0;
	int r = forward_plan(u, nft, opened, &n, err);

	if (r == 0)
		r = table_write(u, nft, opened, n, err);
	return r < 0 ? r : forward_on(u, opened, n, err);
}

int creel_uplink_up(const struct creel_uplink *u, int ns_fd, struct creel_err *err)
{
	char opened[DEFAULTS][16];
	struct creel_nft nft = {0};
	int r = creel_nft_open(&nft, err);

	/* the table first: the interface never stands without it */
	if (r == 0)
		r = table_write(u, &nft, opened, opened_read(u, opened), err);
	if (r == 0)
		r = pair_up(u, ns_fd, err);
	if (r == 0)
		r = forward_all(u, &nft, err);
	creel_nft_close(&nft);
	if (r < 0)
		return creel_err_add(err, "uplink %s", u->host_if);
	r = u->six ? creel_uplink6_up(u, ns_fd, err) : 0;
	return r < 0 ? creel_err_add(err, "uplink %s, IPv6", u->host_if) : 0;
}

int creel_uplink_again(const struct creel_uplink *u, struct creel_err *err)
{
	char before[DEFAULTS][16], opened[DEFAULTS][16];
	size_t was = opened_read(u, before), n = 0;
	struct creel_nft nft = {0};
	int r = creel_nft_open(&nft, err);

	if (r == 0)
		r = forward_plan(u, &nft, opened, &n, err);
	if (r == 0 && n != was)
		r = table_write(u, &nft, opened, n, err);
	if (r == 0)
		r = forward_on(u, opened, n, err);
	creel_nft_close(&nft);
	return r < 0 ? creel_err_add(err, "uplink %s", u->host_if) : 0;
}

static int table_remove(const struct creel_uplink *u, struct creel_nft *nft, struct creel_err *err)
{
	struct nftb b;

	nftb_begin(&b, nft, u->table);
	nftb_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	nftb_table(&b, NFT_MSG_DELTABLE, 0);
	return nftb_send(&b, err);
}

int creel_uplink_down(const struct creel_uplink *u, struct creel_err *err)
{
	char opened[DEFAULTS][16];
	size_t n = opened_read(u, opened);
	struct creel_err none = {0};
	struct creel_rtnl nl = {0};
	struct creel_nft nft = {0};
	int index = creel_rtnl_index(u->host_if, &none);
	int r = index < 0 ? 0 : creel_rtnl_open(&nl, err);

	if (r == 0 && index > 0)
		r = creel_rtnl_link_del(&nl, index, err);
	creel_rtnl_close(&nl);
	/* what was opened is shut before its rules go, unless somebody else counts on it by now */
	if (r == 0)
		r = creel_nft_open(&nft, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (forwarding("all", NULL) == 0 && elsewhere(&nft, u, opened[i], &none) == 0)
			(void)forwarding(opened[i], "0");
	if (r == 0)
		r = table_remove(u, &nft, err);
	creel_nft_close(&nft);
	if (r == 0)
		(void)unlinkat(u->run_fd, "uplink", 0);
	return r < 0 ? creel_err_add(err, "uplink %s", u->host_if) : 0;
}

#include "net/hostwall.h"
#include "net/nftbatch.h"
#include "net/rtnl.h"
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>

static const char table[] = "creel-uplink", chain[] = "host";

struct listing {
	struct creel_net *ret;
	size_t max, n;
	bool full;
};

static int route_told(const struct nlmsghdr *h, void *ctx)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct listing *l = ctx;
	struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_family != AF_INET || m->rtm_dst_len > 32 ||
	    m->rtm_table != RT_TABLE_LOCAL || (m->rtm_type != RTN_LOCAL && m->rtm_type != RTN_BROADCAST))
		return MNL_CB_OK;
	struct creel_net net = {.family = 4, .bits = m->rtm_dst_len};
	mnl_attr_for_each(a, h,
			  sizeof(*m)) if (mnl_attr_get_type(a) == RTA_DST && mnl_attr_get_payload_len(a) == 4)
		memcpy(net.addr, mnl_attr_get_payload(a), 4);
	l->full |= l->n == l->max;
	if (!l->full)
		l->ret[l->n++] = net;
	return MNL_CB_OK;
}

int creel_hostwall_list(struct creel_net *ret, size_t max, size_t *ret_n, struct creel_err *err)
{
	struct listing l = {.ret = ret, .max = max};
	struct creel_rtnl nl = {0};
	uint32_t space[16384 / 4]; /* what the kernel fills at a time */
	struct nlmsghdr *h = mnl_nlmsg_put_header(space);
	int r = creel_rtnl_open(&nl, err), more = MNL_CB_OK;

	if (r < 0)
		return r;
	h->nlmsg_type = RTM_GETROUTE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = ++nl.seq;
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->rtm_family = AF_INET;
	if (mnl_socket_sendto(nl.sock, h, h->nlmsg_len) < 0)
		more = -1;
	while (more > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(nl.sock, space, sizeof(space));
		more = n < 0 ? -1 : mnl_cb_run(space, (size_t)n, nl.seq, 0, route_told, &l);
	}
	if (more < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "list this host's addresses");
	else if (l.full)
		r = creel_err_set(err, CREEL_E_TOOBIG, 0, "this host has over %zu addresses", max);
	creel_rtnl_close(&nl);
	if (r == 0)
		*ret_n = l.n;
	return r;
}

static void from(struct nftb *b, const char *name, int hook, const char *uplink)
{
	/* before the cells' own filter */
	nftb_chain(b, name, hook, "filter", -10, NF_ACCEPT);
	struct nftb_rule r = nftb_rule(b, name);
	nftb_interface(&r, NFT_META_OIFNAME, uplink);
	nftb_verdict(&r, NFT_JUMP, chain);
}

int creel_hostwall_write(const char *uplink, const struct creel_net *nets, size_t n, struct creel_err *err)
{
	struct creel_nft nft = {0};
	struct nftb b;
	int r = creel_nft_open(&nft, err);

	if (r < 0)
		return r;
	nftb_begin(&b, &nft, table);
	nftb_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	nftb_table(&b, NFT_MSG_DELTABLE, 0);
	nftb_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	nftb_chain(&b, chain, -1, NULL, 0, 0);
	from(&b, "forward", NF_INET_FORWARD, uplink);
	from(&b, "output", NF_INET_LOCAL_OUT, uplink);
	for (size_t i = 0; i < n; i++) {
		struct nftb_rule q = nftb_rule(&b, chain);
		nftb_network(&q, &nets[i]);
		nftb_verdict(&q, NF_DROP, NULL);
	}
	r = nftb_send(&b, err);
	creel_nft_close(&nft);
	return r < 0 ? creel_err_add(err, "table inet %s", table) : 0;
}

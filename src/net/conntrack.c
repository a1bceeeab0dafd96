#include "net/conntrack.h"
#include "base/cleanup.h"
#include "base/mapped.h"
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct cutting {
	const uint8_t *src;
	bool (*keep)(void *ctx, const struct creel_ct_flow *flow);
	void *ctx;
	struct creel_ct_flow *cut;
	size_t n, cap;
	bool nomem;
};

/* The attributes of a nest by type; what is longer than the table is passed over. */
struct attrs {
	const struct nlattr *of[CTA_PROTO_MAX + CTA_IP_MAX + CTA_TUPLE_MAX + 1];
};

static int attr_take(const struct nlattr *a, void *data)
{
	struct attrs *t = data;

	if (mnl_attr_get_type(a) < ELEMENTSOF(t->of))
		t->of[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

static bool has(const struct nlattr *a, size_t len)
{
	return a && mnl_attr_get_payload_len(a) >= len;
}

static bool address_read(uint8_t ret[16], const struct nlattr *four, const struct nlattr *six)
{
	if (has(four, 4)) {
		creel_mapped_put(ret, mnl_attr_get_payload(four));
		return true;
	}
	if (has(six, 16))
		memcpy(ret, mnl_attr_get_payload(six), 16);
	return has(six, 16);
}

static bool tuple_read(const struct nlattr *tuple, struct creel_ct_flow *f)
{
	struct attrs t = {0}, ip = {0}, proto = {0};

	if (mnl_attr_parse_nested(tuple, attr_take, &t) < 0 || !t.of[CTA_TUPLE_IP] ||
	    !t.of[CTA_TUPLE_PROTO] || mnl_attr_parse_nested(t.of[CTA_TUPLE_IP], attr_take, &ip) < 0 ||
	    mnl_attr_parse_nested(t.of[CTA_TUPLE_PROTO], attr_take, &proto) < 0 ||
	    !address_read(f->src, ip.of[CTA_IP_V4_SRC], ip.of[CTA_IP_V6_SRC]) ||
	    !address_read(f->dst, ip.of[CTA_IP_V4_DST], ip.of[CTA_IP_V6_DST]) ||
	    !has(proto.of[CTA_PROTO_NUM], 1) || !has(proto.of[CTA_PROTO_SRC_PORT], 2) ||
	    !has(proto.of[CTA_PROTO_DST_PORT], 2))
		return false;
	f->proto = mnl_attr_get_u8(proto.of[CTA_PROTO_NUM]);
	f->sport = ntohs(mnl_attr_get_u16(proto.of[CTA_PROTO_SRC_PORT]));
	f->dport = ntohs(mnl_attr_get_u16(proto.of[CTA_PROTO_DST_PORT]));
	return f->proto == IPPROTO_TCP || f->proto == IPPROTO_UDP;
}

static int flow_told(const struct nlmsghdr *h, void *data)
{
	struct cutting *c = data;
	struct creel_ct_flow f;
	struct attrs top = {0};

	if (mnl_attr_parse(h, sizeof(struct nfgenmsg), attr_take, &top) < 0 || !top.of[CTA_TUPLE_ORIG] ||
	    !tuple_read(top.of[CTA_TUPLE_ORIG], &f) || memcmp(f.src, c->src, 16) != 0 || c->keep(c->ctx, &f))
		return MNL_CB_OK;
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 64;
		struct creel_ct_flow *more = reallocarray(c->cut, cap, sizeof(*more));
		if (!more) {
			c->nomem = true;
			return MNL_CB_OK;
		}
		c->cut = more;
		c->cap = cap;
	}
	c->cut[c->n++] = f;
	return MNL_CB_OK;
}

static struct nlmsghdr *message(void *buf, uint16_t type, uint16_t flags, uint32_t seq, bool four)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g;

	h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = seq;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = four ? AF_INET : AF_INET6;
	g->version = NFNETLINK_V0;
	return h;
}

static int answers(struct mnl_socket *sock, uint32_t seq, mnl_cb_t cb, void *ctx)
{
	static char buf[65536];
	int r;

	do {
		ssize_t n = mnl_socket_recvfrom(sock, buf, sizeof(buf));
		r = n < 0 ? -1 : mnl_cb_run(buf, (size_t)n, seq, 0, cb, ctx);
	} while (r > MNL_CB_STOP);
	return r;
}

static int flow_delete(struct mnl_socket *sock, uint32_t seq, const struct creel_ct_flow *f)
{
	char buf[512] __attribute__((aligned(8)));
	bool four = creel_mapped_four(f->src);
	struct nlmsghdr *h = message(buf, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, seq, four);
	struct nlattr *tuple = mnl_attr_nest_start(h, CTA_TUPLE_ORIG);
	struct nlattr *ip = mnl_attr_nest_start(h, CTA_TUPLE_IP);

	mnl_attr_put(h, four ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, four ? 4 : 16, f->src + (four ? 12 : 0));
	mnl_attr_put(h, four ? CTA_IP_V4_DST : CTA_IP_V6_DST, four ? 4 : 16, f->dst + (four ? 12 : 0));
	mnl_attr_nest_end(h, ip);
	struct nlattr *proto = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(h, CTA_PROTO_NUM, f->proto);
	mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, htons(f->sport));
	mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, htons(f->dport));
	mnl_attr_nest_end(h, proto);
	mnl_attr_nest_end(h, tuple);
	return mnl_socket_sendto(sock, h, h->nlmsg_len) < 0 ? -1 : answers(sock, seq, NULL, NULL);
}

static int cut_all(struct mnl_socket *sock, struct cutting *c, uint64_t *ret_cut, struct creel_err *err)
{
	char buf[64] __attribute__((aligned(8)));
	uint32_t seq = (uint32_t)time(NULL);
	struct nlmsghdr *h = message(buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, seq, creel_mapped_four(c->src));

	if (mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(sock, h, h->nlmsg_len) < 0 || answers(sock, seq, flow_told, c) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "list the flows");
	*ret_cut = 0;
	for (size_t i = 0; i < c->n; i++) {
		/* one that ended by itself meanwhile is no error */
		if (flow_delete(sock, ++seq, &c->cut[i]) == 0)
			(*ret_cut)++;
		else if (errno != ENOENT)
			return creel_err_set(err, CREEL_E_OS, errno, "cut a flow");
	}
	return c->nomem ? creel_err_nomem(err) : 0;
}

int creel_ct_cut(const uint8_t src[16], bool (*keep)(void *ctx, const struct creel_ct_flow *flow), void *ctx,
		 uint64_t *ret_cut, struct creel_err *err)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	struct cutting c = {.src = src, .keep = keep, .ctx = ctx};

	if (!sock)
		return creel_err_set(err, CREEL_E_OS, errno, "open conntrack's netlink");
	int r = cut_all(sock, &c, ret_cut, err);
	free(c.cut);
	mnl_socket_close(sock);
	return r;
}

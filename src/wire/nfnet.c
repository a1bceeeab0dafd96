#include "wire/nfnet.h"
#include "base/mapped.h"
#include "wire/be.h"
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>

/* A part of a message that is read attribute by attribute. */
struct attrs {
	const uint8_t *p;
	size_t n;
};

/* @return false: the end, or what cannot be an attribute */
static bool next(struct attrs *a, uint16_t *type, struct attrs *value)
{
	struct nlattr h;

	if (a->n < sizeof(h))
		return false;
	memcpy(&h, a->p, sizeof(h));
	if (h.nla_len < sizeof(h) || h.nla_len > a->n)
		return false;
	*type = h.nla_type & NLA_TYPE_MASK;
	*value = (struct attrs){a->p + sizeof(h), h.nla_len - sizeof(h)};
	size_t step = NLA_ALIGN(h.nla_len);
	step = step < a->n ? step : a->n;
	a->p += step;
	a->n -= step;
	return true;
}

static uint64_t be64(struct attrs v)
{
	return v.n < 8 ? 0 : (uint64_t)creel_be32(v.p) << 32 | creel_be32(v.p + 4);
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
}

static void ip_packet(struct attrs p, struct creel_nfnet *m)
{
	size_t head = 0;
	bool first = true;

	if (p.n >= 20 && p.p[0] >> 4 == 4 && (p.p[0] & 15) >= 5) {
		m->family = 4;
		m->proto = p.p[9];
		creel_mapped_put(m->src, p.p + 12);
		creel_mapped_put(m->dst, p.p + 16);
		head = (size_t)(p.p[0] & 15) * 4;
		first = (creel_be16(p.p + 6) & 0x1fff) == 0;
	} else if (p.n >= 40 && p.p[0] >> 4 == 6) {
		m->family = 6;
		m->proto = p.p[6];
		memcpy(m->src, p.p + 8, 16);
		memcpy(m->dst, p.p + 24, 16);
		head = 40;
	}
	if (head && first && has_ports(m->proto) && p.n >= head + 4) {
		m->sport = creel_be16(p.p + head);
		m->dport = creel_be16(p.p + head + 2);
	}
}

static void log_packet(struct attrs a, struct creel_nfnet *m)
{
	struct attrs v;
	uint16_t type;

	m->type = CREEL_NFNET_PACKET;
	while (next(&a, &type, &v)) {
		if (type == NFULA_PREFIX) {
			size_t n = strnlen((const char *)v.p, v.n);
			memcpy(m->prefix, v.p, n < sizeof(m->prefix) ? n : sizeof(m->prefix) - 1);
		} else if (type == NFULA_SEQ && v.n >= 4) {
			m->seq = creel_be32(v.p);
		} else if (type == NFULA_PAYLOAD) {
			ip_packet(v, m);
		}
	}
}

static void tuple_ip(struct attrs a, struct creel_nfnet *m)
{
	struct attrs v;
	uint16_t type;

	while (next(&a, &type, &v)) {
		if (type == CTA_IP_V4_SRC && v.n >= 4)
			creel_mapped_put(m->src, v.p);
		else if (type == CTA_IP_V4_DST && v.n >= 4)
			creel_mapped_put(m->dst, v.p);
		else if (type == CTA_IP_V6_SRC && v.n >= 16)
			memcpy(m->src, v.p, 16);
		else if (type == CTA_IP_V6_DST && v.n >= 16)
			memcpy(m->dst, v.p, 16);
		else
			continue;
		m->family = type == CTA_IP_V4_SRC || type == CTA_IP_V4_DST ? 4 : 6;
	}
}

static void tuple_proto(struct attrs a, struct creel_nfnet *m)
{
	struct attrs v;
	uint16_t type;

	while (next(&a, &type, &v)) {
		if (type == CTA_PROTO_NUM && v.n >= 1)
			m->proto = v.p[0];
		else if (type == CTA_PROTO_SRC_PORT && v.n >= 2)
			m->sport = creel_be16(v.p);
		else if (type == CTA_PROTO_DST_PORT && v.n >= 2)
			m->dport = creel_be16(v.p);
	}
}

static void counters(struct attrs a, struct creel_nfnet *m, unsigned way)
{
	struct attrs v;
	uint16_t type;

	while (next(&a, &type, &v)) {
		if (type == CTA_COUNTERS_PACKETS)
			m->packets[way] = be64(v);
		else if (type == CTA_COUNTERS_BYTES)
			m->bytes[way] = be64(v);
	}
}

static void flow(struct attrs a, struct creel_nfnet *m)
{
	struct attrs v, w;
	uint16_t type, inner;

	m->type = CREEL_NFNET_FLOW;
	while (next(&a, &type, &v)) {
		if (type == CTA_TUPLE_ORIG) {
			while (next(&v, &inner, &w)) {
				if (inner == CTA_TUPLE_IP)
					tuple_ip(w, m);
				else if (inner == CTA_TUPLE_PROTO)
					tuple_proto(w, m);
			}
		} else if (type == CTA_STATUS && v.n >= 4) {
			m->status = creel_be32(v.p);
		} else if (type == CTA_COUNTERS_ORIG || type == CTA_COUNTERS_REPLY) {
			counters(v, m, type == CTA_COUNTERS_REPLY);
		} else if (type == CTA_TIMESTAMP) {
			while (next(&v, &inner, &w)) {
				if (inner == CTA_TIMESTAMP_START)
					m->start = be64(w);
				else if (inner == CTA_TIMESTAMP_STOP)
					m->stop = be64(w);
			}
		}
	}
}

int creel_nfnet_next(const uint8_t *buf, size_t len, size_t *at, struct creel_nfnet *ret,
		     struct creel_err *err)
{
	struct creel_nfnet m = {.type = CREEL_NFNET_OTHER};
	struct nlmsghdr h;

	if (*at >= len)
		return 0;
	if (len - *at < sizeof(h))
		return creel_err_set(err, CREEL_E_PROTO, 0, "a netlink message cut");
	memcpy(&h, buf + *at, sizeof(h));
	if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len - *at)
		return creel_err_set(err, CREEL_E_PROTO, 0, "a netlink message of %u octets", h.nlmsg_len);
	size_t skip = sizeof(h) + sizeof(struct nfgenmsg);
	if (h.nlmsg_len >= skip) {
		struct attrs a = {buf + *at + skip, h.nlmsg_len - skip};
		if (h.nlmsg_type == (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
			log_packet(a, &m);
		else if (h.nlmsg_type == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE) ||
			 h.nlmsg_type == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW))
			flow(a, &m);
	}
	size_t step = NLMSG_ALIGN(h.nlmsg_len);
	*at += step < len - *at ? step : len - *at;
	*ret = m;
	return 1;
}

#include "net/rtnl.h"
#include "base/cleanup.h"
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <time.h>

int creel_rtnl_open(struct creel_rtnl *nl, struct creel_err *err)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!sock)
		return creel_err_set(err, CREEL_E_OS, errno, "open route netlink");
	if (mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		int os = errno;
		mnl_socket_close(sock);
		return creel_err_set(err, CREEL_E_OS, os, "bind route netlink");
	}
	*nl = (struct creel_rtnl){.sock = sock, .seq = (uint32_t)time(NULL)};
	return 0;
}

void creel_rtnl_close(struct creel_rtnl *nl)
{
	if (nl && nl->sock)
		mnl_socket_close(nl->sock);
	if (nl)
		nl->sock = NULL;
}

int creel_rtnl_index(const char *name, struct creel_err *err)
{
	unsigned i = if_nametoindex(name);

	if (i == 0)
		return creel_err_set(err, CREEL_E_NOTFOUND, errno, "interface %s", name);
	return (int)i;
}

/* Send @p h and wait for the kernel's acknowledgement. */
static int talk(struct creel_rtnl *nl, struct nlmsghdr *h, const char *what, struct creel_err *err)
{
	char buf[8192];
	ssize_t n;

	h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = ++nl->seq;
	if (mnl_socket_sendto(nl->sock, h, h->nlmsg_len) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "%s", what);
	for (;;) {
		n = mnl_socket_recvfrom(nl->sock, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "%s", what);
		int r = mnl_cb_run(buf, (size_t)n, h->nlmsg_seq, mnl_socket_get_portid(nl->sock), NULL, NULL);
		if (r < 0 && (errno == ENODEV || errno == ESRCH))
			return creel_err_set(err, CREEL_E_NOTFOUND, errno, "%s", what);
		if (r < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "%s", what);
		if (r == MNL_CB_STOP)
			return 0;
	}
}

int creel_rtnl_link_up(struct creel_rtnl *nl, int ifindex, uint32_t mtu, const uint8_t *mac,
		       struct creel_err *err)
{
	char buf[1024] __attribute__((aligned(8)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *m;

	h->nlmsg_type = RTM_NEWLINK;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifi_family = AF_UNSPEC;
	m->ifi_index = ifindex;
	m->ifi_flags = IFF_UP;
	m->ifi_change = IFF_UP;
	if (mtu)
		mnl_attr_put_u32(h, IFLA_MTU, mtu);
	if (mac)
		mnl_attr_put(h, IFLA_ADDRESS, 6, mac);
	return talk(nl, h, "bring the link up", err);
}

int creel_rtnl_link_del(struct creel_rtnl *nl, int ifindex, struct creel_err *err)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *m;

	h->nlmsg_type = RTM_DELLINK;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifi_index = ifindex;
	return talk(nl, h, "delete the link", err);
}

/* An address of either family, as the messages hold it. */
struct address {
	uint8_t family, bits;
	const void *octets;
};

static struct address four(const struct in_addr *a)
{
	return (struct address){AF_INET, 32, a};
}

static struct address six(const struct in6_addr *a)
{
	return (struct address){AF_INET6, 128, a};
}

static void put(struct nlmsghdr *h, uint16_t type, struct address a)
{
	mnl_attr_put(h, type, a.bits / 8, a.octets);
}

static int addr_add(struct creel_rtnl *nl, int ifindex, struct address a, uint8_t prefix,
		    struct creel_err *err)
{
	char buf[512] __attribute__((aligned(8)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *m;
	int r;

	h->nlmsg_type = RTM_NEWADDR;
	h->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifa_family = a.family;
	m->ifa_prefixlen = prefix;
	m->ifa_flags = a.family == AF_INET6 ? IFA_F_NODAD : 0; /* nobody else is there to have it */
	m->ifa_scope = RT_SCOPE_UNIVERSE;
	m->ifa_index = (unsigned)ifindex;
	put(h, IFA_LOCAL, a);
	put(h, IFA_ADDRESS, a);
	r = talk(nl, h, "add the address", err);
	if (r < 0 && err->os == EEXIST) {
		*err = (struct creel_err){0};
		return 0;
	}
	return r;
}

int creel_rtnl_addr_add(struct creel_rtnl *nl, int ifindex, struct in_addr addr, uint8_t prefix,
			struct creel_err *err)
{
	return addr_add(nl, ifindex, four(&addr), prefix, err);
}

int creel_rtnl_addr6_add(struct creel_rtnl *nl, int ifindex, const struct in6_addr *addr, uint8_t prefix,
			 struct creel_err *err)
{
	return addr_add(nl, ifindex, six(addr), prefix, err);
}

/* @p dst, @p via, @p src  NULL octets: without it; @p dst without: all */
static int route(struct creel_rtnl *nl, int ifindex, struct address dst, struct address via,
		 struct address src, const char *what, struct creel_err *err)
{
	char buf[512] __attribute__((aligned(8)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct rtmsg *m;

	h->nlmsg_type = RTM_NEWROUTE;
	h->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->rtm_family = dst.octets ? dst.family : via.family;
	m->rtm_dst_len = dst.octets ? dst.bits : 0;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_scope = via.octets ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	m->rtm_type = RTN_UNICAST;
	if (dst.octets)
		put(h, RTA_DST, dst);
	if (src.octets)
		put(h, RTA_PREFSRC, src);
	if (via.octets)
		put(h, RTA_GATEWAY, via);
	mnl_attr_put_u32(h, RTA_OIF, (uint32_t)ifindex);
	return talk(nl, h, what, err);
}

int creel_rtnl_host_route(struct creel_rtnl *nl, int ifindex, struct in_addr dst, struct in_addr src,
			  struct creel_err *err)
{
	return route(nl, ifindex, four(&dst), (struct address){0}, four(&src), "add the route", err);
}

int creel_rtnl_host_route6(struct creel_rtnl *nl, int ifindex, const struct in6_addr *dst,
			   struct creel_err *err)
{
	return route(nl, ifindex, six(dst), (struct address){0}, (struct address){0}, "add the IPv6 route",
		     err);
}

int creel_rtnl_default(struct creel_rtnl *nl, int ifindex, struct in_addr via, struct creel_err *err)
{
	return route(nl, ifindex, (struct address){0}, four(&via), (struct address){0},
		     "add the default route", err);
}

int creel_rtnl_default6(struct creel_rtnl *nl, int ifindex, const struct in6_addr *via, struct creel_err *err)
{
	return route(nl, ifindex, (struct address){0}, six(via), (struct address){0},
		     "add the default IPv6 route", err);
}

static int neigh(struct creel_rtnl *nl, int ifindex, struct address a, const uint8_t mac[6],
		 struct creel_err *err)
{
	char buf[512] __attribute__((aligned(8)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ndmsg *m;

	h->nlmsg_type = RTM_NEWNEIGH;
	h->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ndm_family = a.family;
	m->ndm_ifindex = ifindex;
	m->ndm_state = NUD_PERMANENT;
	put(h, NDA_DST, a);
	mnl_attr_put(h, NDA_LLADDR, 6, mac);
	return talk(nl, h, "pin the neighbour", err);
}

int creel_rtnl_neigh(struct creel_rtnl *nl, int ifindex, struct in_addr addr, const uint8_t mac[6],
		     struct creel_err *err)
{
	return neigh(nl, ifindex, four(&addr), mac, err);
}

int creel_rtnl_neigh6(struct creel_rtnl *nl, int ifindex, const struct in6_addr *addr, const uint8_t mac[6],
		      struct creel_err *err)
{
	return neigh(nl, ifindex, six(addr), mac, err);
}

int creel_rtnl_veth(struct creel_rtnl *nl, const char *name, const char *peer, int peer_ns,
		    struct creel_err *err)
{
	char buf[1024] __attribute__((aligned(8)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = RTM_NEWLINK;
	h->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	(void)mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	struct nlattr *other = mnl_attr_nest_start(h, VETH_INFO_PEER);
	(void)mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, peer);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)peer_ns);
	mnl_attr_nest_end(h, other);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return talk(nl, h, "make the veth pair", err);
}

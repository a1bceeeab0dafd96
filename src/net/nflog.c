#include "net/nflog.h"
#include "base/cleanup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>
#include <sys/socket.h>

enum { RECEIVE_BUFFER = 16 << 20 };

static int netlink_open(uint32_t groups, struct creel_err *err)
{
	struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = groups};
	const int size = RECEIVE_BUFFER;
	autofd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open netfilter's netlink");
	/* without root no more than net.core.rmem_max: what does not fit is lost sooner, and counted */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "enlarge netlink's buffer");
	return steal_fd(&fd);
}

static struct nlmsghdr *config(char *buf, uint16_t group)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = AF_UNSPEC;
	g->version = NFNETLINK_V0;
	g->res_id = htons(group);
	return h;
}

static int ask(int fd, const struct nlmsghdr *h, struct creel_err *err)
{
	char in[4096];

	if (send(fd, h, h->nlmsg_len, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "configure NFLOG");
	for (;;) {
		ssize_t n = recv(fd, in, sizeof(in), 0);
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "configure NFLOG");
		int left = (int)n;
		for (struct nlmsghdr *a = (void *)in; mnl_nlmsg_ok(a, left); a = mnl_nlmsg_next(a, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(a);
			if (a->nlmsg_type !=
			    NLMSG_ERROR) /* a packet already: no rule has the group yet, but who knows */
				continue;
			if (e->error)
				return creel_err_set(err, e->error == -EBUSY ? CREEL_E_BUSY : CREEL_E_OS,
						     -e->error, "configure NFLOG");
			return 0;
		}
	}
}

int creel_nflog_open(uint16_t group, struct creel_err *err)
{
	char buf[512];
	struct nfulnl_msg_config_cmd bind_it = {.command = NFULNL_CFG_CMD_BIND};
	struct nfulnl_msg_config_mode mode = {.copy_mode = NFULNL_COPY_PACKET, .copy_range = htonl(64)};
	autofd int fd = netlink_open(0, err);

	if (fd < 0)
		return fd;
	struct nlmsghdr *h = config(buf, group);
	mnl_attr_put(h, NFULA_CFG_CMD, sizeof(bind_it), &bind_it);
	int r = ask(fd, h, err);
	if (r < 0)
		return r;
	/* batches of up to 200 packets or 100 ms: one wakeup for many */
	h = config(buf, group);
	mnl_attr_put(h, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u16(h, NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_SEQ));
	mnl_attr_put_u32(h, NFULA_CFG_NLBUFSIZ, htonl(65536));
	mnl_attr_put_u32(h, NFULA_CFG_QTHRESH, htonl(200));
	mnl_attr_put_u32(h, NFULA_CFG_TIMEOUT, htonl(10));
	r = ask(fd, h, err);
	if (r < 0)
		return r;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "configure NFLOG");
	return steal_fd(&fd);
}

int creel_flowends_open(struct creel_err *err)
{
	const int on = 1;
	autofd int fd = netlink_open(NF_NETLINK_CONNTRACK_DESTROY, err);

	if (fd < 0)
		return fd;
	if (setsockopt(fd, SOL_NETLINK, NETLINK_BROADCAST_ERROR, &on, sizeof(on)) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "configure conntrack's events");
	return steal_fd(&fd);
}

#include "base/log.h"
#include "linux/fdpass.h"
#include "linux/forward6.h"
#include "linux/memfd.h"
#include "linux/proc.h"
#include "monitor.h"
#include "net/netns.h"
#include "net/pinning.h"
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/*
 * A cell's resolver: creel-dns in a jail, in the cells' namespace, with two sockets that are bound to
 * the cell's link. It ends when we or the engine go, and one that ends is started again; without it
 * the cell resolves nothing.
 */
enum {
	FD_UDP = 3,
	FD_TCP,
	FD_PINS,
	FD_EVENTS,
	FD_UDP6,
	FD_TCP6,
	N_FDS = 7 /* with its configuration, the last */
};
enum { ONLINK_MIN = 32, HOSTS_MAX = 64 /* as creel-dns takes */ };

/* ADDR or ADDR@PORT */
static bool upstream_parse(const char *text, struct dns_upstream *ret)
{
	const char *at = strchr(text, '@');
	size_t n = at ? (size_t)(at - text) : strlen(text);
	uint8_t raw[16];

	if (n >= sizeof(ret->addr))
		return false;
	memcpy(ret->addr, text, n);
	ret->addr[n] = '\0';
	ret->port = at ? (uint16_t)atoi(at + 1) : 53;
	return ret->port != 0 &&
	       (inet_pton(AF_INET, ret->addr, raw) == 1 || inet_pton(AF_INET6, ret->addr, raw) == 1);
}

/* Is it seen from the cells' namespace? What is on the host's loopback, or on its link alone, is not. */
static bool seen_from_cells(const char *addr)
{
	struct creel_net a = {.family = 4, .bits = 32};

	if (inet_pton(AF_INET, addr, a.addr) == 1)
		return a.addr[0] != 127;
	a = (struct creel_net){.family = 6, .bits = 128};
	return inet_pton(AF_INET6, addr, a.addr) == 1 && creel_range_of(&a, NULL) != CREEL_RANGE_NEVER &&
	       !mon.rootless && !creel_ipv6_missing();
}

/* The host's resolvers that cells' may ask: by IPv6 where it leads there for them. */
static size_t host_resolvers(const char *path, struct dns_upstream *ret)
{
	autofile FILE *f = fopen(path, "re");
	char line[256], addr[64];
	size_t n = 0;

	while (f && n < CREEL_PLAN_UPSTREAMS && fgets(line, sizeof(line), f))
		if (sscanf(line, "nameserver %63s", addr) == 1 && seen_from_cells(addr) &&
		    upstream_parse(addr, &ret[n]))
			n++;
	return n;
}

size_t dns_upstreams(const struct creel_plan *p, struct dns_upstream ret[CREEL_PLAN_UPSTREAMS])
{
	size_t n = 0;

	if (p->net.recursive)
		return 0;
	for (size_t i = 0; i < p->net.n_upstreams; i++)
		n += upstream_parse(p->net.upstreams[i], &ret[n]);
	if (p->net.n_upstreams > 0)
		return n;
	n = host_resolvers("/etc/resolv.conf", ret);
	/* systemd-resolved's own list of what it asks */
	return n > 0 ? n : host_resolvers("/run/systemd/resolve/resolv.conf", ret);
}

/* Of IPv6 all that is on the link with us: its neighbours have public addresses, as those of IPv4 seldom do. */
static struct creel_net onlink6(const struct ifaddrs *i)
{
	const struct sockaddr_in6 *own = (const void *)i->ifa_addr, *mask = (const void *)i->ifa_netmask;
	struct creel_net net = {.family = 6};
	unsigned bits = 0;

	while (mask && bits < 128 && (mask->sin6_addr.s6_addr[bits / 8] & 0x80 >> bits % 8))
		bits++;
	net.bits = (uint8_t)(bits < ONLINK_MIN ? 128 : bits); /* nobody's link is as wide as that */
	memcpy(net.addr, &own->sin6_addr, 16);
	for (unsigned k = net.bits; k < 128; k++)
		net.addr[k / 8] &= (uint8_t) ~(0x80 >> k % 8);
	return net;
}

/* @return false: nothing that an answer could lead to but for this */
static bool host_net(const struct ifaddrs *i, struct creel_net *ret)
{
	struct creel_net net = {.family = 4, .bits = 32};
	int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;

	if (family == AF_INET)
		memcpy(net.addr, &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr, 4);
	else if (family == AF_INET6)
		net = onlink6(i);
	else
		return false;
	*ret = net;
	/* each of a host's many interfaces has a link-local one, and there is no room for more than HOSTS_MAX */
	return creel_range_of(&net, NULL) != CREEL_RANGE_NEVER;
}

static int hosts_list(void *ctx, struct creel_err *err)
{
	struct creel_buf *out = ctx;
	struct ifaddrs *all = NULL;
	char text[INET6_ADDRSTRLEN];
	struct creel_net net;
	size_t n = 0;
	int r = 0;

	if (getifaddrs(&all) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "list this host's addresses");
	for (struct ifaddrs *i = all; r == 0 && i; i = i->ifa_next) {
		if (!host_net(i, &net) || n++ >= HOSTS_MAX)
			continue;
		(void)inet_ntop(net.family == 4 ? AF_INET : AF_INET6, net.addr, text, sizeof(text));
		r = creel_buf_addf(out, err, "host %s/%u\n", text, net.bits);
	}
	freeifaddrs(all);
	if (n > HOSTS_MAX)
		creel_log_warn("names may lead to %zu of this host's addresses: the filter alone drops them",
			       n - HOSTS_MAX);
	return r;
}

/* What an answer may not lead to: this host, by each of its addresses. */
static int hosts_add(struct creel_buf *out, struct creel_err *err)
{
	return outside_do(hosts_list, out, err);
}

/* By IPv6, too: whom it listens to, and where other cells are. */
static int conf_six(struct creel_buf *out, struct creel_err *err)
{
	uint8_t ula[16] = {0};
	char text[INET6_ADDRSTRLEN];

	net_ula(ula);
	(void)inet_ntop(AF_INET6, ula, text, sizeof(text));
	return creel_buf_addf(out, err, "udp %d\ntcp %d\nula %s/%d\n", FD_UDP6, FD_TCP6, text, 8 * CREEL_ULA);
}

static int conf_make(const struct mon_cell *c, struct creel_err *err)
{
	struct dns_upstream up[CREEL_PLAN_UPSTREAMS];
	struct creel_buf autoclean(creel_buf_fini) text;
	size_t n = dns_upstreams(&c->ran, up);

	creel_buf_init(&text, CREEL_POLICYTEXT_MAX);
	int r = creel_buf_addf(&text, err, "udp %d\ntcp %d\npins %d\nevents %d\n", FD_UDP, FD_TCP, FD_PINS,
			       FD_EVENTS);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = creel_buf_addf(&text, err, "upstream %s@%u\n", up[i].addr, up[i].port);
	if (r == 0 && n == 0)
		r = creel_buf_adds(&text, "recursive yes\n", err);
	if (r == 0 && net_link(c).six)
		r = conf_six(&text, err);
	if (r == 0 && net_leads6(c))
		r = creel_buf_adds(&text, "ipv6 yes\n", err);
	if (r == 0)
		r = dns_anchor(n == 0, &text, err);
	if (r == 0)
		r = hosts_add(&text, err);
	if (r == 0)
		r = creel_buf_add(&text, killswitch_policy(c)->data, killswitch_policy(c)->len, err);
	return r < 0 ? r : creel_memfd_sealed("dns", text.data, text.len, err);
}

/* @return false: it is malformed, or holds what is not for us */
static bool packet_read(const uint8_t *buf, size_t len, struct creel_dnsmsg *m, int *n)
{
	const int end = *n + CREEL_DNSMSG_AT_ONCE;
	struct creel_err err = {0};
	size_t at = 0;

	while (*n < end && creel_dnsmsg_next(buf, len, &at, &m[*n], &err) > 0)
		if (m[(*n)++].type != CREEL_DNSMSG_PIN)
			return false;
	return at == len;
}

/* @return how many came; -1: its peer went away or broke the protocol */
static int pins_take(int fd, struct creel_dnsmsg *m, bool *ret_broken)
{
	uint8_t buf[CREEL_DNSMSG_PACKET];
	int n = 0;

	*ret_broken = false;
	while (n <= CREEL_PINNING_MAX - CREEL_DNSMSG_AT_ONCE) {
		ssize_t got = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (got < 0 && errno == EAGAIN)
			break;
		*ret_broken = got > 0 && !packet_read(buf, (size_t)got, m, &n);
		if (got <= 0 || *ret_broken)
			return -1;
	}
	return n;
}

static void pinned_send(int fd, struct creel_dnsmsg_packet *p)
{
	(void)!send(fd, p->buf, p->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	p->len = p->n = 0;
}

/* What waits is pinned at once: a batch costs little more than one pin. More than that waits for the next
 * turn of the loop, so that one cell's flood leaves room for others. */
static void pins_readable(evutil_socket_t fd, short what, void *ctx)
{
	static struct creel_dnsmsg m[CREEL_PINNING_MAX];
	static struct creel_dnsmsg_packet p;
	int result[CREEL_PINNING_MAX];
	struct mon_cell *c = ctx;
	bool broken;
	int n = pins_take(fd, m, &broken);

	if (n < 0) {
		/* its process is watched, or is ended here for what it said */
		struct creel_err none = {0};
		if (broken && c->procs[ROLE_DNS].pidfd >= 0)
			(void)creel_proc_kill(c->procs[ROLE_DNS].pidfd, SIGKILL, &none);
		(void)event_del(c->dns.read);
		return;
	}
	net_pins(c, m, result, (size_t)n);
	for (int i = 0; i < n; i++) {
		const struct creel_dnsmsg answer = {
			.type = CREEL_DNSMSG_PINNED, .id = m[i].id, .result = result[i]};
		if (!creel_dnsmsg_put(&p, &answer)) {
			pinned_send(fd, &p);
			(void)creel_dnsmsg_put(&p, &answer);
		}
	}
	if (p.n > 0)
		pinned_send(fd, &p);
}

static void tell(struct mon_cell *c, uint8_t type, const struct creel_buf *text)
{
	struct creel_dnsmsg m = {.type = type};
	struct creel_err err = {0};
	uint8_t buf[CREEL_DNSMSG_MAX];
	size_t n = creel_dnsmsg_encode(&m, buf);

	if (c->dns.pins < 0)
		return;
	autofd int fd = creel_memfd_sealed("dns", text->data, text->len, &err);
	/* one that does not hear of it is started anew, and then has it */
	if (fd < 0 || creel_fdpass_send(c->dns.pins, buf, n, &fd, 1, &err) < 0) {
		creel_log_error(&err);
		dns_start(c);
	}
}

void dns_policy(struct mon_cell *c)
{
	tell(c, CREEL_DNSMSG_POLICY, killswitch_policy(c));
}

static void hosts_changed(evutil_socket_t fd, short what, void *ctx)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	struct creel_err err = {0};
	uint8_t buf[8192];

	creel_buf_init(&text, 65536);
	/* what changed does not matter, nor what did not fit: all of them are listed again */
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		errno = 0;
	if (mon.rootless && slirp_wall(&err) < 0) {
		creel_log_error(&err);
		err = (struct creel_err){0};
	}
	if (hosts_add(&text, &err) < 0) {
		creel_log_error(&err);
		return;
	}
	for (size_t i = 0; i < MON_CELLS; i++)
		if (mon.cells[i].running && mon.cells[i].ran.net.link)
			tell(&mon.cells[i], CREEL_DNSMSG_HOSTS, &text);
}

static int hosts_socket(void *ctx, struct creel_err *err)
{
	struct sockaddr_nl at = {.nl_family = AF_NETLINK,
				 .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};

	if (mon.rootless)
		at.nl_groups |= RTMGRP_IPV4_ROUTE; /* a route can make an address this host's too */
	autofd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "follow this host's addresses");
	*(int *)ctx = steal_fd(&fd);
	return 0;
}

int dns_hosts_follow(struct creel_err *err)
{
	static struct event *read;
	autofd int fd = -1;
	int r = outside_do(hosts_socket, &fd, err);

	if (r < 0)
		return r;
	read = event_new(mon.base, fd, EV_READ | EV_PERSIST, hosts_changed, NULL);
	if (!read || event_add(read, NULL) < 0)
		return creel_err_nomem(err);
	(void)steal_fd(&fd); /* as long as this process */
	return 0;
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
	struct mon_cell *c = ctx;

	dns_start(c);
}

static void dns_gone(evutil_socket_t fd, short what, void *ctx)
{
	struct mon_cell *c = ctx;
	unsigned starts = c->dns.starts;
	const struct timeval wait = netproc_pause(starts);

	dns_stop(c);
	if (!c->running)
		return;
	creel_log_warn("cell %s: its creel-dns ended: starting another", c->name);
	c->dns.starts = starts + 1;
	c->dns.again = event_new(mon.base, -1, 0, on_again, c);
	if (!c->dns.again || event_add(c->dns.again, &wait) < 0)
		creel_log_warn("cell %s: no memory to start it", c->name);
}

void dns_stop(struct mon_cell *c)
{
	if (c->dns.again)
		event_free(c->dns.again);
	if (c->dns.read)
		event_free(c->dns.read);
	if (c->dns.pins >= 0)
		close(c->dns.pins);
	c->dns = (struct mon_dns){.pins = -1};
	netproc_stop(&c->procs[ROLE_DNS]);
}

/* In the cells' namespace. */
static int spawn_in(struct mon_cell *c, int pins, int events, int conf, struct creel_err *err)
{
	bool six = net_link(c).six;
	autofd int udp = netproc_listen(c, SOCK_DGRAM, 53, err);
	autofd int tcp = udp < 0 ? -1 : netproc_listen(c, SOCK_STREAM, 53, err);
	autofd int udp6 = tcp < 0 || !six ? -1 : netproc_listen6(c, SOCK_DGRAM, 53, err);
	autofd int tcp6 = udp6 < 0 ? -1 : netproc_listen6(c, SOCK_STREAM, 53, err);

	if (err->code < 0)
		return err->code;
	const int fds[N_FDS] = {udp, tcp, pins, events, six ? udp6 : conf, tcp6, conf};
	return netproc_spawn(c, ROLE_DNS, mon.dns_path, "/creel-dns", fds, six ? N_FDS : N_FDS - 2, 4096,
			     err);
}

static int start(struct mon_cell *c, struct creel_err *err)
{
	int pins[2] = {-1, -1}, events[2] = {-1, -1}, back, size = 2 << 20;

	autofd int conf = conf_make(c, err);
	if (conf < 0)
		return conf;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pins) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a resolver's socket");
	c->dns.pins = pins[0];
	autofd int theirs = pins[1];
	/* all that it may have under way at once (DNS_JOBS_MAX), each way: one that did not fit is refused */
	for (int i = 0; i < 2; i++)
		(void)setsockopt(pins[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, events) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a resolver's socket");
	autofd int engine_end = events[0], dns_end = events[1];
	int r = net_enter(&back, err);
	if (r < 0)
		return r;
	r = spawn_in(c, theirs, dns_end, conf, err);
	creel_netns_leave(back);
	if (r < 0)
		return r;
	c->dns.read = event_new(mon.base, c->dns.pins, EV_READ | EV_PERSIST, pins_readable, c);
	c->procs[ROLE_DNS].gone = event_new(mon.base, c->procs[ROLE_DNS].pidfd, EV_READ, dns_gone, c);
	if (!c->dns.read || !c->procs[ROLE_DNS].gone || event_add(c->dns.read, NULL) < 0 ||
	    event_add(c->procs[ROLE_DNS].gone, NULL) < 0)
		return creel_err_nomem(err);
	struct creel_monmsg m = {.type = CREEL_MON_DNS};
	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	monitor_tell(&m, engine_end);
	return netproc_note(c, err);
}

void dns_start(struct mon_cell *c)
{
	struct creel_err err = {0};
	unsigned starts = c->dns.starts;

	if (!c->running || !c->ran.net.link || mon.engine < 0)
		return; /* with the next engine */
	dns_stop(c);
	c->dns.starts = starts;
	if (start(c, &err) < 0) {
		creel_log_error(&err);
		creel_log_warn("cell %s: has no resolver: it resolves nothing", c->name);
		dns_stop(c);
	}
}

#include "monitor.h"
#include "base/log.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "linux/proc.h"
#include "net/netns.h"
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
enum { FD_UDP = 3, FD_TCP, FD_PINS, FD_EVENTS, FD_CONF, N_FDS = 5 };

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

/* The host's resolvers, but for those on its loopback: they are not seen from the cells' namespace. */
static size_t host_resolvers(const char *path, struct dns_upstream *ret)
{
	autofile FILE *f = fopen(path, "re");
	char line[256], addr[64];
	struct in_addr a;
	size_t n = 0;

	while (f && n < CREEL_PLAN_UPSTREAMS && fgets(line, sizeof(line), f))
		if (sscanf(line, "nameserver %63s", addr) == 1 && inet_pton(AF_INET, addr, &a) == 1 &&
		    (ntohl(a.s_addr) >> 24) != 127 && upstream_parse(addr, &ret[n]))
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

/* What an answer may not lead to: this host, by each of its addresses. */
static int hosts_add(struct creel_buf *out, struct creel_err *err)
{
	struct ifaddrs *all = NULL;
	char text[INET6_ADDRSTRLEN];
	size_t n = 0;
	int r = 0;

	if (getifaddrs(&all) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "list this host's addresses");
	for (struct ifaddrs *i = all; r == 0 && i && n < 64; i = i->ifa_next) {
		const void *raw = !i->ifa_addr ? NULL
				  : i->ifa_addr->sa_family == AF_INET
					  ? (const void *)&((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr
				  : i->ifa_addr->sa_family == AF_INET6
					  ? (const void *)&((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr
					  : NULL;
		if (!raw || !inet_ntop(i->ifa_addr->sa_family, raw, text, sizeof(text)))
			continue;
		r = creel_buf_addf(out, err, "host %s\n", text);
		n++;
	}
	freeifaddrs(all);
	return r;
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
	if (r == 0)
		r = hosts_add(&text, err);
	if (r == 0)
		r = creel_buf_add(&text, c->policy.data, c->policy.len, err);
	return r < 0 ? r : creel_memfd_sealed("dns", text.data, text.len, err);
}

static void pins_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct mon_cell *c = ctx;
	uint8_t buf[CREEL_DNSMSG + 1];
	struct creel_err err = {0};
	struct creel_dnsmsg m;
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || creel_dnsmsg_decode(buf, (size_t)n, &m, &err) < 0 || m.type != CREEL_DNSMSG_PIN) {
		/* its process is watched, or is ended here for what it said */
		struct creel_err none = {0};
		if (n > 0 && c->procs[ROLE_DNS].pidfd >= 0)
			(void)creel_proc_kill(c->procs[ROLE_DNS].pidfd, SIGKILL, &none);
		(void)event_del(c->dns.read);
		return;
	}
	struct creel_dnsmsg answer = {.type = CREEL_DNSMSG_PINNED, .id = m.id};
	answer.result = net_pin(c, &m, &err);
	if (answer.result < 0)
		creel_log_warn("cell %s: %s", c->name, err.msg);
	creel_dnsmsg_encode(&answer, buf);
	(void)!send(fd, buf, CREEL_DNSMSG, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void tell(struct mon_cell *c, uint8_t type, const struct creel_buf *text)
{
	struct creel_dnsmsg m = {.type = type};
	struct creel_err err = {0};
	uint8_t buf[CREEL_DNSMSG];

	if (c->dns.pins < 0)
		return;
	autofd int fd = creel_memfd_sealed("dns", text->data, text->len, &err);
	creel_dnsmsg_encode(&m, buf);
	/* one that does not hear of it is started anew, and then has it */
	if (fd < 0 || creel_fdpass_send(c->dns.pins, buf, sizeof(buf), &fd, 1, &err) < 0) {
		creel_log_error(&err);
		dns_start(c);
	}
}

void dns_policy(struct mon_cell *c)
{
	tell(c, CREEL_DNSMSG_POLICY, &c->policy);
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
	if (hosts_add(&text, &err) < 0) {
		creel_log_error(&err);
		return;
	}
	for (size_t i = 0; i < MON_CELLS; i++)
		if (mon.cells[i].running && mon.cells[i].ran.net.link)
			tell(&mon.cells[i], CREEL_DNSMSG_HOSTS, &text);
}

int dns_hosts_follow(struct creel_err *err)
{
	static struct event *read;
	struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
	autofd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "follow this host's addresses");
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
	autofd int udp = netproc_listen(c, SOCK_DGRAM, 53, err);
	autofd int tcp = udp < 0 ? -1 : netproc_listen(c, SOCK_STREAM, 53, err);

	if (tcp < 0)
		return err->code;
	const int fds[N_FDS] = {udp, tcp, pins, events, conf};
	return netproc_spawn(c, ROLE_DNS, mon.dns_path, "/creel-dns", fds, N_FDS, 4096, err);
}

static int start(struct mon_cell *c, struct creel_err *err)
{
	int pins[2] = {-1, -1}, events[2] = {-1, -1}, back;

	autofd int conf = conf_make(c, err);
	if (conf < 0)
		return conf;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pins) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a resolver's socket");
	c->dns.pins = pins[0];
	autofd int theirs = pins[1];
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

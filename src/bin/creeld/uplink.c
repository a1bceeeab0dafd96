#include "net/uplink.h"
#include "base/log.h"
#include "monitor.h"
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>

/* The way out of the cells' namespace, and what on this host it hangs on. */
static struct {
	struct creel_uplink root;
	struct event *changed;
} uplink;

static void name_it(void)
{
	uint8_t hash[16];
	char hex[33];

	crypto_generichash(hash, sizeof(hash), (const uint8_t *)mon.state, strlen(mon.state), NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	hex[8] = '\0';
	creel_uplink_init(&uplink.root, hex, mon.run_fd);
}

static void on_change(evutil_socket_t fd, short what, void *ctx)
{
	struct creel_err err = {0};
	uint8_t buf[8192];

	/* what changed does not matter, nor what did not fit: all of it is looked at again */
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		errno = 0;
	if (creel_uplink_again(&uplink.root, &err) < 0)
		creel_log_error(&err);
}

/* Whether this host forwards for itself, and by which interface it goes out. */
static int follow(struct creel_err *err)
{
	static const int groups[] = {RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV4_ROUTE};
	struct sockaddr_nl at = {.nl_family = AF_NETLINK};
	autofd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (uplink.changed)
		return 0;
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "follow this host's forwarding");
	for (size_t i = 0; i < ELEMENTSOF(groups); i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "follow this host's forwarding");
	uplink.changed = event_new(mon.base, fd, EV_READ | EV_PERSIST, on_change, NULL);
	if (!uplink.changed || event_add(uplink.changed, NULL) < 0)
		return creel_err_nomem(err);
	(void)steal_fd(&fd);
	return 0;
}

int uplink_up(int ns_fd, struct creel_err *err)
{
	if (mon.rootless)
		return slirp_up(ns_fd, err);
	name_it();
	/* followed first: what changes between is looked at again */
	int r = follow(err);
	return r < 0 ? r : creel_uplink_up(&uplink.root, ns_fd, err);
}

int uplink_six(int ns_fd, const uint8_t ula[CREEL_ULA], struct creel_err *err)
{
	if (mon.rootless || uplink.root.six)
		return 0;
	creel_uplink6_init(&uplink.root, ula);
	int r = creel_uplink_up(&uplink.root, ns_fd, err);
	if (r < 0)
		uplink.root.six = uplink.root.nat6 = false;
	return r;
}

bool uplink_leads6(void)
{
	return uplink.root.nat6;
}

void uplink_down(void)
{
	struct creel_err err = {0};

	if (mon.rootless) {
		slirp_down();
		return;
	}
	if (uplink.changed) {
		close(event_get_fd(uplink.changed));
		event_free(uplink.changed);
		uplink.changed = NULL;
	}
	if (creel_uplink_down(&uplink.root, &err) < 0)
		creel_log_error(&err);
}

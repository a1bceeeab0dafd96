#include "monitor.h"
#include "base/log.h"
#include "net/link.h"
#include "net/netns.h"
#include "net/nft.h"
#include "net/uplink.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * The network of the cells: one namespace a state folder, made with the first link and removed by
 * `creel down`; it is pinned below the run folder, so that it and its rules stand while no monitor does.
 */
static struct {
	bool up;
	int ns; /* the namespace */
	struct creel_rtnl nl; /* in it, as is nft */
	struct creel_nft nft;
	struct creel_uplink uplink;
} net = {.ns = -1};

static int ns_path(char ret[PATH_MAX], struct creel_err *err)
{
	int n = snprintf(ret, PATH_MAX, "%s/run/netns", mon.state);

	return n < 0 || n >= PATH_MAX ? creel_err_set(err, CREEL_E_TOOBIG, 0, "the state folder's path") : 0;
}

static void uplink_name(void)
{
	uint8_t hash[16];
	char hex[33];

	crypto_generichash(hash, sizeof(hash), (const uint8_t *)mon.state, strlen(mon.state), NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	hex[8] = '\0';
	creel_uplink_init(&net.uplink, hex, mon.run_fd);
}

int net_enter(int *ret_back, struct creel_err *err)
{
	return creel_netns_enter(net.ns, ret_back, err);
}

static int sockets_open(struct creel_err *err)
{
	int back, r = net_enter(&back, err);

	if (r < 0)
		return r;
	r = creel_rtnl_open(&net.nl, err);
	if (r == 0)
		r = creel_nft_open(&net.nft, err);
	if (r == 0)
		r = creel_rtnl_link_up(&net.nl, 1 /* lo */, 0, NULL, err);
	creel_netns_leave(back);
	/* written whole or not at all: one that is there is right, and has the pins of running cells */
	if (r == 0 && (r = creel_nft_table(&net.nft, CREEL_UPLINK_IF, err)) == CREEL_E_EXISTS) {
		*err = (struct creel_err){0};
		r = 0;
	}
	return r;
}

static void sockets_close(void)
{
	creel_rtnl_close(&net.nl);
	creel_nft_close(&net.nft);
	if (net.ns >= 0)
		close(net.ns);
	net.ns = -1;
	net.up = false;
}

static int net_up(struct creel_err *err)
{
	char path[PATH_MAX];
	int r = ns_path(path, err);

	if (r < 0 || net.up)
		return r;
	uplink_name();
	if ((r = creel_netns_open(path, &net.ns, err)) == 0 && (r = sockets_open(err)) == 0)
		r = creel_uplink_up(&net.uplink, net.ns, err);
	if (r < 0) {
		struct creel_err none = {0};
		(void)creel_uplink_down(&net.uplink, &none);
		sockets_close();
		(void)creel_netns_remove(path, &none);
		return creel_err_add(err, "the cells' network");
	}
	net.up = true;
	return 0;
}

int net_adopt(struct creel_err *err)
{
	struct stat st;

	if (fstatat(mon.run_fd, "netns", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : creel_err_set(err, CREEL_E_OS, errno, "look for the cells' namespace");
	return net_up(err);
}

void net_down(void)
{
	char path[PATH_MAX];
	struct creel_err err = {0};

	if (!net.up || ns_path(path, &err) < 0)
		return;
	if (creel_uplink_down(&net.uplink, &err) < 0)
		creel_log_error(&err);
	sockets_close();
	if (creel_netns_remove(path, &err) < 0)
		creel_log_error(&err);
}

static struct creel_link link_of(const struct mon_cell *c)
{
	struct in_addr addr = {0}, gateway = {0};
	struct creel_link link;

	(void)inet_pton(AF_INET, c->ran.net.address, &addr);
	(void)inet_pton(AF_INET, c->ran.net.gateway, &gateway);
	creel_link_init(&link, addr, gateway);
	return link;
}

/* What the filter is told of a cell; its lists live as long as this. */
struct filter {
	struct creel_nft_cell cell;
	struct creel_link link;
	struct creel_nft_reach reach[256], resolvers[CREEL_PLAN_UPSTREAMS];
};

static int filter_of(const struct mon_cell *c, struct filter *f, struct creel_err *err)
{
	const struct creel_policytext *t = &c->live;
	struct dns_upstream up[CREEL_PLAN_UPSTREAMS];

	*f = (struct filter){.link = link_of(c)};
	f->cell = (struct creel_nft_cell){.link = f->link.name,
					  .addr = f->link.addr,
					  .gateway = f->link.gateway,
					  .policy = &t->policy,
					  .reach = f->reach,
					  .dns_uid = launch_uid(c, ROLE_DNS),
					  .resolvers = f->resolvers};
	memcpy(f->cell.mac, f->link.guest_mac, sizeof(f->cell.mac));
	for (size_t i = 0; i < t->spec.n_reach; i++)
		for (size_t k = 0; k < t->spec.n_cells; k++) {
			if (strcmp(t->cell[k].name, t->spec.reach[i].cell) != 0)
				continue;
			if (f->cell.n_reach == ELEMENTSOF(f->reach))
				return creel_err_set(err, CREEL_E_TOOBIG, 0, "over %zu lines of reach",
						     ELEMENTSOF(f->reach));
			struct creel_nft_reach *to = &f->reach[f->cell.n_reach++];
			memcpy(&to->addr, t->cell[k].addr.addr, 4);
			to->port = t->spec.reach[i].port;
		}
	size_t n = dns_upstreams(&c->ran, up);
	for (size_t i = 0; i < n; i++)
		if (inet_pton(AF_INET, up[i].addr, &f->resolvers[f->cell.n_resolvers].addr) == 1)
			f->resolvers[f->cell.n_resolvers++].port = up[i].port;
	return 0;
}

static int policy_take(struct mon_cell *c, struct creel_err *err)
{
	creel_policytext_fini(&c->live);
	return creel_policytext_read((const char *)c->policy.data, c->policy.len, NULL, NULL, &c->live, err);
}

int net_cell_up(struct mon_cell *c, int *ret_tap, uint8_t ret_mac[6], struct creel_err *err)
{
	autofree struct filter *f = calloc(1, sizeof(*f));
	struct creel_err none = {0};
	int back, index, r = f ? net_up(err) : creel_err_nomem(err);

	if (r == 0)
		r = policy_take(c, err);
	if (r == 0)
		r = filter_of(c, f, err);
	if (r < 0)
		return r;
	(void)creel_nft_cell_remove(&net.nft, &f->cell, &none); /* of one that ended while none watched */
	if ((r = creel_nft_cell_add(&net.nft, &f->cell, err)) < 0 || (r = net_enter(&back, err)) < 0)
		return r;
	r = creel_link_up(&net.nl, &f->link, ret_tap, &index, err);
	creel_netns_leave(back);
	memcpy(ret_mac, f->link.guest_mac, 6);
	return r;
}

void net_cell_down(struct mon_cell *c)
{
	autofree struct filter *f = calloc(1, sizeof(*f));
	struct creel_err err = {0};

	dns_stop(c);
	if (f && net.up && c->ran.net.link && filter_of(c, f, &err) == 0 &&
	    creel_nft_cell_remove(&net.nft, &f->cell, &err) < 0 && err.code != CREEL_E_NOTFOUND)
		creel_log_error(&err);
	creel_policytext_fini(&c->live);
}

int net_cell_change(struct mon_cell *c, uint64_t *ret_cut, struct creel_err *err)
{
	autofree struct filter *f = calloc(1, sizeof(*f));
	int r = f ? 0 : creel_err_nomem(err);

	*ret_cut = 0;
	if (!c->ran.net.link)
		return 0;
	if (r == 0)
		r = policy_take(c, err);
	if (r == 0)
		r = filter_of(c, f, err);
	if (r == 0)
		r = creel_nft_cell_change(&net.nft, &f->cell, err);
	return r;
}

int net_pin(struct mon_cell *c, const struct creel_dnsmsg *m, struct creel_err *err)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	const struct creel_policy *p = &c->live.policy;
	struct creel_question q = {.name = m->name};
	struct in_addr addrs[CREEL_DNSMSG_ADDRS];
	struct creel_opening openings[16];
	struct creel_link link = link_of(c);
	struct creel_answer a;

	creel_policy_decide(p, &q, &a);
	bool asked = a.decision == CREEL_ASK; /* the engine knows of a yes; the mode says that there can be one */
	if ((a.decision != CREEL_ALLOW && !asked) || m->n_addrs == 0)
		return creel_err_set(err, CREEL_E_DENIED, 0, "a pin for a name that is not allowed");
	for (size_t i = 0; i < m->n_addrs; i++) {
		q.addr = (struct creel_net){.family = 4, .bits = 32};
		if (memcmp(m->addr[i], mapped, 12) != 0)
			return creel_err_set(err, CREEL_E_UNSUPP, 0, "a pin of an IPv6 address");
		memcpy(q.addr.addr, m->addr[i] + 12, 4);
		memcpy(&addrs[i], m->addr[i] + 12, 4);
		creel_policy_decide(p, &q, &a);
		if (a.decision == CREEL_DENY)
			return creel_err_set(err, CREEL_E_DENIED, 0, "a pin of an address that is not allowed");
	}
	size_t n = creel_policy_openings(p, m->name, asked, openings, ELEMENTSOF(openings));
	uint32_t ttl = MIN(MAX(m->ttl, 1U), 7200U);
	return creel_nft_pin(&net.nft, link.name, addrs, m->n_addrs, openings, n, ttl, err);
}

#include "base/log.h"
#include "base/mapped.h"
#include "filter.h"
#include "monitor.h"
#include "net/conntrack.h"
#include "net/link.h"
#include "net/netns.h"
#include "net/nft.h"
#include "net/pinning.h"
#include "net/uplink.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>

#define NSFS_MAGIC 0x6e736673 /* linux/magic.h */

/*
 * The network of the cells: one namespace a state folder, made with the first link and removed by
 * `creel down`; it is pinned below the run folder, so that it and its rules stand while no monitor does.
 */
static struct {
	bool up;
	int ns;               /* the namespace */
	struct creel_rtnl nl; /* in it, as is nft */
	struct creel_nft nft;
} net = {.ns = -1};

static int ns_path(char ret[PATH_MAX], struct creel_err *err)
{
	int n = snprintf(ret, PATH_MAX, "%s/run/netns", mon.state);

	return n < 0 || n >= PATH_MAX ? creel_err_set(err, CREEL_E_TOOBIG, 0, "the state folder's path") : 0;
}

int net_enter(int *ret_back, struct creel_err *err)
{
	return creel_netns_enter(net.ns, ret_back, err);
}

/* A TCP flow that was cut is not taken up again from its middle; flows are counted, and their end is told. */
static int conntrack_set(struct creel_err *err)
{
	static const char *const sysctls[][2] = {
		{"tcp_loose", "0"}, {"acct", "1"}, {"events", "1"}, {"timestamp", "1"}};
	char path[80];
	int back, r = net_enter(&back, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(sysctls); i++) {
		(void)snprintf(path, sizeof(path), "/proc/sys/net/netfilter/nf_conntrack_%s", sysctls[i][0]);
		autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, sysctls[i][1], 1) != 1)
			r = creel_err_set(err, CREEL_E_OS, errno, "set %s", path);
	}
	creel_netns_leave(back);
	return r;
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
	return r < 0 ? r : conntrack_set(err);
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
	if ((r = creel_netns_open(path, &net.ns, err)) == 0 && (r = sockets_open(err)) == 0)
		r = uplink_up(net.ns, err);
	if (r < 0) {
		struct creel_err none = {0};
		uplink_down();
		sockets_close();
		(void)creel_netns_remove(path, &none);
		return creel_err_add(err, "the cells' network");
	}
	net.up = true;
	return 0;
}

int net_adopt(struct creel_err *err)
{
	autofd int fd = openat(mon.run_fd, "netns", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct statfs st;

	if (fd < 0 || fstatfs(fd, &st) < 0)
		return errno == ENOENT
			       ? 0
			       : creel_err_set(err, CREEL_E_OS, errno, "look for the cells' namespace");
	/* of namespaces that are gone, as after a restart of the host, a file alone is left */
	if (mon.rootless && st.f_type != NSFS_MAGIC) {
		(void)unlinkat(mon.run_fd, "netns", 0);
		return 0;
	}
	return net_up(err);
}

void net_down(void)
{
	char path[PATH_MAX];
	struct creel_err err = {0};

	if (!net.up || ns_path(path, &err) < 0)
		return;
	flowlog_down();
	uplink_down();
	sockets_close();
	if (creel_netns_remove(path, &err) < 0)
		creel_log_error(&err);
}

static struct creel_policytext *policy_read(const struct mon_cell *c, struct creel_err *err)
{
	const struct creel_buf *text = killswitch_policy(c);
	struct creel_policytext *t = calloc(1, sizeof(*t));

	if (!t)
		creel_err_nomem(err);
	else if (creel_policytext_read((const char *)text->data, text->len, NULL, NULL, t, err) < 0) {
		free(t);
		t = NULL;
	}
	return t;
}

static void policy_set(struct mon_cell *c, struct creel_policytext *t)
{
	if (c->live)
		creel_policytext_fini(c->live);
	free(c->live);
	c->live = t;
}

static int64_t now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* The names of a cell's pins are kept here; a monitor that comes after us reads them from the sets. */
static int policy_begin(struct mon_cell *c, struct creel_err *err)
{
	struct creel_policytext *t = policy_read(c, err);

	if (!t)
		return err->code;
	policy_set(c, t);
	creel_pins_fini(&c->pins);
	return creel_pins_init(&c->pins, CREEL_PINS_NAMES, CREEL_PINS_ADDRS, err);
}

static bool asks_by_six(const struct mon_cell *c)
{
	struct dns_upstream up[CREEL_PLAN_UPSTREAMS];
	size_t n = dns_upstreams(&c->ran, up);

	while (n > 0)
		if (strchr(up[--n].addr, ':'))
			return true;
	return false;
}

/* The uplink's IPv6 comes with the first cell that has it, or asks a resolver by it. */
static int uplink6(const struct mon_cell *c, struct creel_err *err)
{
	uint8_t ula[CREEL_ULA];

	if (!net_link(c).six && !asks_by_six(c))
		return 0;
	net_ula(ula);
	return uplink_six(net.ns, ula, err);
}

bool net_leads6(const struct mon_cell *c)
{
	return net_link(c).six && uplink_leads6();
}

int net_cell_up(struct mon_cell *c, int *ret_tap, uint8_t ret_mac[6], struct creel_err *err)
{
	autofree struct filter *f = calloc(1, sizeof(*f));
	struct creel_err none = {0};
	int back, index, r = f ? net_up(err) : creel_err_nomem(err);

	if (r == 0)
		r = policy_begin(c, err);
	if (r == 0)
		r = filter_of(c, c->live, f, err);
	if (r < 0)
		return r;
	/* of one that ended while none watched, with IPv6 or without */
	(void)creel_nft_cell_remove(&net.nft, &f->cell, &none);
	f->cell.six = !f->cell.six;
	(void)creel_nft_cell_remove(&net.nft, &f->cell, &none);
	f->cell.six = !f->cell.six;
	if ((r = uplink6(c, err)) < 0)
		return r;
	if ((r = creel_nft_cell_add(&net.nft, &f->cell, err)) < 0 || (r = net_enter(&back, err)) < 0)
		return r;
	r = creel_link_up(&net.nl, &f->link, ret_tap, &index, err);
	creel_netns_leave(back);
	memcpy(ret_mac, f->link.guest_mac, 6);
	return r;
}

static void pin_found(void *ctx, const char *name, const uint8_t addr[16], uint32_t ttl)
{
	struct mon_cell *c = ctx;
	struct creel_question q = {.name = name};
	struct creel_err err = {0};
	struct creel_answer a;

	creel_policy_decide(&c->live->policy, &q, &a);
	/* it was pinned, so in mode ask somebody said yes */
	if (creel_pins_add(&c->pins, name, addr, now_s() + ttl, a.decision == CREEL_ASK, now_s(), &err) < 0)
		creel_log_error(&err);
}

int net_cell_adopt(struct mon_cell *c, struct creel_err *err)
{
	int r = net.up ? policy_begin(c, err)
		       : creel_err_set(err, CREEL_E_NOTFOUND, 0, "its network is gone");

	if (r == 0)
		r = uplink6(c, err);
	return r < 0 ? r : creel_nft_pins(&net.nft, net_link(c).name, pin_found, c, err);
}

int net_told(const struct mon_cell *c, uint64_t *ret, struct creel_err *err)
{
	return creel_nft_told(&net.nft, net_link(c).name, ret, err);
}

void net_cell_down(struct mon_cell *c)
{
	autofree struct filter *f = calloc(1, sizeof(*f));
	struct creel_err err = {0};

	dns_stop(c);
	flow_stop(c);
	broker_stop(c);
	netproc_stop(&c->procs[ROLE_FLOW_OLD]);
	if (c->ran.net.link)
		flowlog_cell_gone(c);
	if (f && net.up && c->ran.net.link && filter_of(c, NULL, f, &err) == 0 &&
	    creel_nft_cell_remove(&net.nft, &f->cell, &err) < 0 && err.code != CREEL_E_NOTFOUND)
		creel_log_error(&err);
	policy_set(c, NULL);
	creel_pins_fini(&c->pins);
}

/* --- a policy changes while its cell runs --- */

struct changing {
	struct mon_cell *c;
	const struct creel_policy *was, *will;
	struct creel_nft_edit *edits;
	size_t n, cap;
	bool nomem;
};

static size_t openings_of(const struct creel_policy *p, const char *name, const uint8_t addr[16],
			  bool granted, struct creel_opening ret[16])
{
	struct creel_question q = {.name = name, .addr = creel_net_of(addr)};
	struct creel_answer a;

	creel_policy_decide(p, &q, &a);
	if (a.decision == CREEL_DENY || (a.decision == CREEL_ASK && !granted))
		return 0;
	return creel_policy_openings(p, name, granted, ret, 16);
}

static bool opening_in(const struct creel_opening *o, const struct creel_opening *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].port == o->port && all[i].udp == o->udp && all[i].way == o->way)
			return true;
	return false;
}

/* Does another name of this address open it just so? */
static bool elsewhere(const struct changing *g, const uint8_t addr[16], const struct creel_opening *o)
{
	struct creel_opening will[16];
	const char *name;
	int64_t until;
	bool granted;

	for (size_t i = 0; (name = creel_pins_name(&g->c->pins, addr, i, &until, &granted)) != NULL; i++)
		if (until > now_s() && opening_in(o, will, openings_of(g->will, name, addr, granted, will)))
			return true;
	return false;
}

static void edit_add(struct changing *g, struct creel_nft_edit e)
{
	if (g->n == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 256;
		struct creel_nft_edit *more = reallocarray(g->edits, cap, sizeof(*more));
		if (!more) {
			g->nomem = true;
			return;
		}
		g->edits = more;
		g->cap = cap;
	}
	g->edits[g->n++] = e;
}

static void pin_changes(void *ctx, const char *name, const uint8_t addr[16], int64_t until, bool granted)
{
	struct changing *g = ctx;
	struct creel_opening was[16], will[16];
	int64_t left = until - now_s();

	if (left <= 0)
		return;
	size_t n_was = openings_of(g->was, name, addr, granted, was);
	size_t n_will = openings_of(g->will, name, addr, granted, will);
	for (size_t i = 0; i < n_was; i++)
		if (!opening_in(&was[i], will, n_will) && !elsewhere(g, addr, &was[i]))
			edit_add(g, creel_pinning_edit(addr, &was[i], name, 0));
	for (size_t i = 0; i < n_will; i++)
		if (!opening_in(&will[i], was, n_was))
			edit_add(g, creel_pinning_edit(addr, &will[i], name, (uint32_t)left));
}

/* Is it another cell's TCP port that this one may reach? */
static bool reaches(const struct creel_policytext *t, const struct creel_net *a, uint16_t port)
{
	for (size_t i = 0; i < t->spec.n_reach; i++)
		for (size_t k = 0; t->spec.reach[i].port == port && k < t->spec.n_cells; k++) {
			const uint8_t *four = t->cell[k].addr.addr;
			const struct in6_addr six = net_six(four);
			if (strcmp(t->cell[k].name, t->spec.reach[i].cell) == 0 &&
			    (a->family == 4 ? memcmp(four, a->addr, 4) == 0
					    : t->spec.reach[i].six && memcmp(&six, a->addr, 16) == 0))
				return true;
		}
	return false;
}

/* May this flow go on? It outlives its pin, so a name that resolved to its address once is enough. */
static bool flow_kept(void *ctx, const struct creel_ct_flow *f)
{
	const struct mon_cell *c = ctx;
	const struct creel_policytext *t = c->live;
	const struct creel_link link = net_link(c);
	struct creel_question q = {
		.addr = creel_net_of(f->dst), .port = f->dport, .udp = f->proto == IPPROTO_UDP};
	struct creel_answer a;
	uint8_t gateway[16];
	bool granted;

	creel_mapped_put(gateway, &link.gateway);
	if (memcmp(f->dst, gateway, 16) == 0 || (link.six && memcmp(f->dst, &link.gateway6, 16) == 0) ||
	    (!q.udp && reaches(t, &q.addr, q.port)))
		return true;
	creel_policy_decide(&t->policy, &q, &a);
	if (a.decision == CREEL_ALLOW || a.why == CREEL_WHY_ENTRY_DENY)
		return a.decision == CREEL_ALLOW;
	for (size_t i = 0; (q.name = creel_pins_name(&c->pins, f->dst, i, NULL, &granted)) != NULL; i++) {
		creel_policy_decide(&t->policy, &q, &a);
		if (a.decision == CREEL_ALLOW || (a.decision == CREEL_ASK && granted))
			return true;
	}
	return false;
}

/* In the cells' namespace. */
static int flows_cut(struct mon_cell *c, uint64_t *ret_cut, struct creel_err *err)
{
	const struct creel_link link = net_link(c);
	uint8_t addr[16];
	uint64_t more = 0;

	creel_mapped_put(addr, &link.addr);
	int r = creel_ct_cut(addr, flow_kept, c, ret_cut, err);
	if (r == 0 && link.six)
		r = creel_ct_cut(link.addr6.s6_addr, flow_kept, c, &more, err);
	*ret_cut += more;
	return r;
}

enum { EDITS_AT_ONCE = 2000 };

static int filter_change(struct mon_cell *c, const struct creel_policytext *will, struct creel_err *err)
{
	struct changing g = {.c = c, .was = &c->live->policy, .will = &will->policy};
	autofree struct filter *f = calloc(1, sizeof(*f));
	int r = f ? filter_of(c, will, f, err) : creel_err_nomem(err);

	if (r == 0)
		creel_pins_each(&c->pins, pin_changes, &g);
	if (r == 0 && g.nomem)
		r = creel_err_nomem(err);
	/* all of an ordinary change is one batch; a larger one ends its pins in several */
	size_t at = 0;
	do {
		size_t n = MIN(g.n - at, (size_t)EDITS_AT_ONCE);
		if (r == 0)
			r = creel_nft_cell_change(&net.nft, &f->cell, g.edits + at, n, err);
		at += n;
	} while (r == 0 && at < g.n);
	free(g.edits);
	return r;
}

/* Filter, resolver and flows take on the policy of now; what it does not permit is cut. */
static int policy_take(struct mon_cell *c, bool same_resolvers, uint64_t *ret_cut, struct creel_err *err)
{
	struct creel_policytext *will = policy_read(c, err);
	int back, r = will ? filter_change(c, will, err) : err->code;

	if (r < 0) {
		if (will)
			creel_policytext_fini(will);
		free(will);
		return creel_err_add(err, "change the policy of cell '%s'", c->name);
	}
	policy_set(c, will);
	if (same_resolvers)
		dns_policy(c);
	else
		dns_start(c); /* whom it asks, it is told once */
	flow_policy(c);
	broker_start(c); /* anew, if it has any: requests under way are cut */
	if ((r = net_enter(&back, err)) == 0) {
		r = flows_cut(c, ret_cut, err);
		creel_netns_leave(back);
	}
	return r;
}

int net_cell_change(struct mon_cell *c, uint64_t *ret_cut, struct creel_err *err)
{
	autofree struct creel_plan *before = malloc(sizeof(*before));

	*ret_cut = 0;
	if (!before)
		return creel_err_nomem(err);
	*before = c->ran;
	c->ran = c->plan;
	if (!c->ran.net.link)
		return 0;
	bool same = before->net.recursive == c->ran.net.recursive &&
		    before->net.n_upstreams == c->ran.net.n_upstreams &&
		    memcmp(before->net.upstreams, c->ran.net.upstreams, sizeof(before->net.upstreams)) == 0;
	const struct creel_policytext *was = c->live;
	int r = uplink6(c, err);
	if (r == 0)
		r = policy_take(c, same, ret_cut, err);
	if (r < 0 && c->live == was)
		c->ran = *before;
	autofd int dirfd = openat(mon.cells_fd, c->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return r < 0 ? r : adopt_save(c, dirfd, err);
}

int net_cell_switch(struct mon_cell *c, uint64_t *ret_cut, struct creel_err *err)
{
	*ret_cut = 0;
	return c->ran.net.link ? policy_take(c, true, ret_cut, err) : 0;
}

struct forgetting {
	struct changing *g;
	const char *name;
	uint8_t (*addrs)[16];
	size_t n;
};

static void address_noted(void *ctx, const char *name, const uint8_t addr[16], int64_t until, bool granted)
{
	struct forgetting *f = ctx;

	if (strcmp(name, f->name) == 0 && f->n < 1024)
		memcpy(f->addrs[f->n++], addr, 16);
}

/* What the name alone had opened. */
static void edits_of(struct forgetting *f)
{
	struct creel_opening o[16];

	for (size_t i = 0; i < f->n; i++) {
		size_t n = openings_of(f->g->was, f->name, f->addrs[i], true, o);
		for (size_t k = 0; k < n; k++) {
			if (!elsewhere(f->g, f->addrs[i], &o[k]))
				edit_add(f->g, creel_pinning_edit(f->addrs[i], &o[k], f->name, 0));
		}
	}
}

int net_unpin(struct mon_cell *c, const char *name, struct creel_err *err)
{
	struct creel_question q = {.name = name};
	struct creel_answer a;
	uint64_t cut = 0;
	int back;

	if (!c->live)
		return 0;
	creel_policy_decide(&c->live->policy, &q, &a);
	if (a.decision != CREEL_ASK)
		return 0; /* it is the file's to open */
	struct changing g = {.c = c, .was = &c->live->policy, .will = &c->live->policy};
	struct forgetting f = {.g = &g, .name = name, .addrs = calloc(1024, 16)};
	autofree struct filter *filter = calloc(1, sizeof(*filter));
	int r = f.addrs && filter ? filter_of(c, c->live, filter, err) : creel_err_nomem(err);
	if (r == 0) {
		creel_pins_each(&c->pins, address_noted, &f);
		creel_pins_drop(&c->pins, name);
		edits_of(&f);
		r = g.nomem ? creel_err_nomem(err)
			    : creel_nft_cell_change(&net.nft, &filter->cell, g.edits, g.n, err);
	}
	free(f.addrs);
	free(g.edits);
	flow_unpin(c, name);
	if (r == 0 && (r = net_enter(&back, err)) == 0) {
		r = flows_cut(c, &cut, err);
		creel_netns_leave(back);
	}
	return r;
}

static int pinned(void *ctx, const struct creel_dnsmsg *m, bool granted, struct creel_err *err)
{
	struct mon_cell *c = ctx;

	flowlog_pin(c, m, granted);
	return flow_pin(c, m, granted, err);
}

static void pins_refused(void *ctx, const struct creel_err *err)
{
	const struct mon_cell *c = ctx;

	creel_log_warn("cell %s: %s", c->name, err->msg);
}

void net_pins(struct mon_cell *c, const struct creel_dnsmsg *m, int *result, size_t n)
{
	for (size_t i = 0; i < n; i++)
		result[i] = CREEL_E_DENIED;
	if (!c->live)
		return;
	const struct creel_link link = net_link(c);
	const struct creel_pinning p = {.nft = &net.nft,
					.link = link.name,
					.six = link.six,
					.policy = &c->live->policy,
					.pins = &c->pins,
					.told = pinned,
					.refused = pins_refused,
					.ctx = c};
	creel_pinning_write(&p, m, result, n, now_s());
}

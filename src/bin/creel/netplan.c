#include "netplan.h"
#include "brokerplan.h"
#include "engine/cellpolicy.h"
#include "linux/forward6.h"
#include "policy/policytext.h"
#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void netplan_fini(struct netplan *n)
{
	creel_buf_fini(&n->addresses);
}

static void subnet_text(const struct creel_config *config, char ret[20])
{
	const struct creel_cidr *s = &config->network.subnet;

	(void)snprintf(ret, 20, "%u.%u.%u.%u/%u", s->addr[0], s->addr[1], s->addr[2], s->addr[3], s->bits);
}

int netplan_init(struct netplan *n, struct creel_client *client, const struct creel_config *config,
		 struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) ask;
	char subnet[20];

	creel_buf_init(&ask, 16384);
	creel_buf_init(&n->addresses, 1 << 17);
	if (config->network.subnet.family != 4)
		return creel_err_set(err, CREEL_E_CONFIG, 0, "%s:%u:%u: the cells' network is an IPv4 one",
				     config->file, config->network.subnet.text.pos.line,
				     config->network.subnet.text.pos.column);
	subnet_text(config, subnet);
	int r = creel_buf_addf(&ask, err, "%s\n", subnet);
	for (size_t i = 0; r == 0 && i < config->cells.n; i++)
		r = creel_buf_addf(&ask, err, "%s\n", config->cells.v[i].name.s);
	return r < 0 ? r : client_addresses(client, creel_buf_str(&ask), &n->addresses, err);
}

bool netplan_link(const struct creel_config *config, const struct creel_cell_cfg *cell)
{
	if (cell->egress.mode.v != CREEL_EGRESS_NONE || cell->reach.n > 0 || cell->gate.pos.line > 0 ||
	    cell->broker.n > 0)
		return true;
	for (size_t i = 0; i < config->cells.n; i++)
		for (size_t k = 0; k < config->cells.v[i].reach.n; k++)
			if (strcmp(config->cells.v[i].reach.v[k].cell.s, cell->name.s) == 0)
				return true;
	return false;
}

static bool asks_by_six(const struct creel_config *config)
{
	for (size_t i = 0; i < config->network.upstreams.n; i++)
		if (strchr(config->network.upstreams.v[i].s, ':'))
			return true;
	return false;
}

const char *netplan_no_six(const struct creel_config *config, const struct creel_cell_cfg *cell)
{
	static char said[160];
	const char *missing = geteuid() ? "without root no uplink has IPv6" : creel_ipv6_missing();

	bool asks = netplan_link(config, cell) && asks_by_six(config);

	if (!cell->ipv6.v && !asks)
		return NULL;
	if (!netplan_link(config, cell))
		return "the cell has no network, so it has no IPv6";
	if (!missing)
		return NULL;
	(void)snprintf(said, sizeof(said), "%.100s: %s", missing,
		       asks ? "`upstreams` by it are not reached"
			    : "what the cell sends by it is decided, and goes nowhere");
	return said;
}

/* The address of a cell, from the lines; false: it has none. */
static bool address_find(void *ctx, const char *cell, struct creel_net *ret)
{
	const struct netplan *n = ctx;
	size_t len = strlen(cell);
	char addr[16];

	for (const char *p = creel_buf_str(&n->addresses); p && *p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, cell, len) != 0 || p[len] != ' ')
			continue;
		if (sscanf(p + len + 1, "%15s", addr) != 1)
			return false;
		*ret = (struct creel_net){.family = 4, .bits = 32};
		return inet_pton(AF_INET, addr, ret->addr) == 1;
	}
	return false;
}

bool netplan_address(const struct netplan *n, const char *cell, char ret[16])
{
	struct creel_net addr;

	return address_find((void *)(uintptr_t)n, cell, &addr) && inet_ntop(AF_INET, addr.addr, ret, 16);
}

static void gateway_of(const struct creel_config *config, struct creel_net *ret)
{
	*ret = (struct creel_net){.family = 4, .bits = 32};
	memcpy(ret->addr, config->network.subnet.addr, 4);
	ret->addr[3]++; /* the network's first address: its last bits are zero */
}

struct asked {
	const struct netplan *net;
	struct creel_net gateway;
};

/* A broker stands at the gateway; all else is another cell. */
static bool address_of(void *ctx, const char *name, struct creel_net *ret)
{
	const struct asked *a = ctx;

	if (!strchr(name, '.'))
		return address_find((void *)(uintptr_t)a->net, name, ret);
	*ret = a->gateway;
	return true;
}

static int upstreams(const struct creel_config *config, struct creel_plan *p, struct creel_err *err)
{
	const struct creel_strs *u = &config->network.upstreams;

	if (u->n > CREEL_PLAN_UPSTREAMS)
		return creel_err_set(err, CREEL_E_CONFIG, 0, "more than %d upstreams", CREEL_PLAN_UPSTREAMS);
	for (size_t i = 0; i < u->n; i++) {
		if (strcmp(u->v[i].s, "recursive") == 0) {
			p->net.recursive = true;
			return 0;
		}
		int n = snprintf(p->net.upstreams[p->net.n_upstreams], sizeof(p->net.upstreams[0]), "%s",
				 u->v[i].s);
		if (n < 0 || (size_t)n >= sizeof(p->net.upstreams[0]))
			return creel_err_set(err, CREEL_E_CONFIG, 0, "an upstream's address");
		p->net.n_upstreams++;
	}
	return 0;
}

int netplan_cell(const struct netplan *n, const struct creel_config *config,
		 const struct creel_cell_cfg *cell, struct creel_plan *plan, struct creel_buf *policy,
		 struct creel_err *err)
{
	struct creel_cellpolicy autoclean(creel_cellpolicy_fini) p = {0};
	struct creel_diags autoclean(creel_diags_fini) diags = {0};
	struct creel_net addr = {0};
	uint8_t hash[32];
	int r = creel_cellpolicy_init(&p, config, cell, &diags, err);

	if (r < 0 && diags.n > 0)
		return creel_err_set(err, CREEL_E_CONFIG, 0, "%s:%u:%u: %.150s", config->file,
				     diags.v[0].pos.line, diags.v[0].pos.column, diags.v[0].msg);
	struct brokerplan autoclean(brokerplan_fini) certs = {.n = 0};
	struct asked ask = {.net = n};
	gateway_of(config, &ask.gateway);
	if (r == 0)
		r = brokerplan_certs(cell, n->dirfd, p.brokers, &certs, err);
	if (r == 0)
		r = creel_policytext_write(&p.policy.spec, address_of, &ask, policy, err);
	if (r == 0)
		r = upstreams(config, plan, err);
	if (r < 0)
		return r;
	crypto_generichash(hash, sizeof(hash), policy->data, policy->len, NULL, 0);
	sodium_bin2hex(plan->net.policy, sizeof(plan->net.policy), hash, sizeof(hash));
	plan->net.link = netplan_link(config, cell);
	plan->net.ipv6 = cell->ipv6.v;
	if (!plan->net.link)
		return 0;
	if (!address_find((void *)(uintptr_t)n, cell->name.s, &addr))
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "it was given no address");
	(void)inet_ntop(AF_INET, addr.addr, plan->net.address, sizeof(plan->net.address));
	subnet_text(config, plan->net.subnet);
	(void)inet_ntop(AF_INET, ask.gateway.addr, plan->net.gateway, sizeof(plan->net.gateway));
	return 0;
}

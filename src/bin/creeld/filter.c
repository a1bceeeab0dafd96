#include "filter.h"
#include <arpa/inet.h>
#include <string.h>

/* @return false: there is no room */
static bool reach_add(struct filter *f, const struct creel_rule_reach *line, const uint8_t four[4])
{
	struct creel_nft_reach to = {.port = line->port};
	struct creel_link link;

	memcpy(&to.addr, four, 4);
	creel_link_init(&link, to.addr, f->link.gateway);
	memcpy(to.link, link.name, sizeof(to.link));
	for (int six = 0; six <= (line->six && f->link.six); six++) {
		if (f->cell.n_reach == ELEMENTSOF(f->reach))
			return false;
		if (six)
			to.addr6 = net_six(four);
		f->reach[f->cell.n_reach++] = to;
	}
	return true;
}

int filter_of(const struct mon_cell *c, const struct creel_policytext *t, struct filter *f,
	      struct creel_err *err)
{
	struct dns_upstream up[CREEL_PLAN_UPSTREAMS];

	*f = (struct filter){.link = net_link(c)};
	f->cell = (struct creel_nft_cell){.link = f->link.name,
					  .addr = f->link.addr,
					  .gateway = f->link.gateway,
					  .six = f->link.six,
					  .addr6 = f->link.addr6,
					  .gateway6 = f->link.gateway6,
					  .policy = t ? &t->policy : NULL,
					  .reach = f->reach,
					  .dns_uid = launch_uid(c, ROLE_DNS),
					  .flow_uid = launch_uid(c, ROLE_FLOW),
					  .flow_port = MON_FLOW_PORT,
					  .front_uid = launch_uid(c, ROLE_FRONT),
					  .broker_uid = launch_uid(c, ROLE_BROKER),
					  .log_group = flowlog_group(c),
					  .resolvers = f->resolvers};
	memcpy(f->cell.mac, f->link.guest_mac, sizeof(f->cell.mac));
	for (size_t i = 0; t && i < t->spec.n_reach; i++)
		for (size_t k = 0; k < t->spec.n_cells; k++) {
			if (strcmp(t->cell[k].name, t->spec.reach[i].cell) != 0)
				continue;
			if (!reach_add(f, &t->spec.reach[i], t->cell[k].addr.addr))
				return creel_err_set(err, CREEL_E_TOOBIG, 0, "over %zu lines of reach",
						     ELEMENTSOF(f->reach) / 2);
		}
	for (size_t i = 0; t && t->brokers && i < t->brokers->n; i++) {
		f->cell.broker_ports[f->cell.n_broker_ports++] = t->brokers->v[i].port;
		f->cell.intercepts |= t->brokers->v[i].intercept;
	}
	size_t n = dns_upstreams(&c->ran, up);
	for (size_t i = 0; i < n; i++) {
		struct creel_nft_reach *to = &f->resolvers[f->cell.n_resolvers];
		*to = (struct creel_nft_reach){.port = up[i].port};
		f->cell.n_resolvers += inet_pton(AF_INET, up[i].addr, &to->addr) == 1 ||
				       inet_pton(AF_INET6, up[i].addr, &to->addr6) == 1;
	}
	return 0;
}

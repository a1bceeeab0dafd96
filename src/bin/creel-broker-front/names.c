#include "front.h"
#include "policy/range.h"
#include <stdio.h>
#include <string.h>
#include <unbound-event.h>
#include <unbound.h>

/* The hosts' addresses, by the resolvers that the cell's creel-dns asks too; IPv4, public ones alone. */
struct asked {
	struct front *f;
	size_t broker;
};

static void resolved(void *ctx, int rcode, void *packet, int len, int sec, char *why, int limited)
{
	struct asked *a = ctx;
	struct front *f = a->f;
	size_t broker = a->broker;
	struct front_host *h = &f->hosts[broker];

	free(a);
	h->asking = false;
	h->n = 0;
	h->until_ms = broker_now() + 1000;
	if (rcode == 0 && len > 12) {
		/* the answer's A records, in the order they stand */
		const uint8_t *p = packet, *end = p + len;
		unsigned qd = p[4] << 8 | p[5], an = p[6] << 8 | p[7];
		uint32_t ttl = FRONT_TTL_MAX_S;
		p += 12;
		for (unsigned i = 0; p < end && i < qd + an; i++) {
			while (p < end && *p != 0 && *p < 0xc0)
				p += 1 + *p;
			p += p < end && *p >= 0xc0 ? 2 : 1;
			if (i < qd) {
				p += 4;
				continue;
			}
			if (end - p < 10)
				break;
			unsigned type = p[0] << 8 | p[1], n = p[8] << 8 | p[9];
			uint32_t t = (uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7];
			p += 10;
			if (n > (size_t)(end - p))
				break;
			if (type == 1 && n == 4 && h->n < CREEL_BROKER_ADDRS) {
				struct creel_net net = {.family = 4, .bits = 32};
				memcpy(net.addr, p, 4);
				ttl = MIN(ttl, t);
				if (creel_range_of(&net, NULL) == CREEL_RANGE_PUBLIC) {
					memset(h->addr[h->n], 0, 16);
					h->addr[h->n][10] = h->addr[h->n][11] = 0xff;
					memcpy(h->addr[h->n++] + 12, p, 4);
				}
			}
			p += n;
		}
		if (h->n > 0)
			h->until_ms = broker_now() + (int64_t)MAX(ttl, (uint32_t)FRONT_TTL_MIN_S) * 1000;
	}
	conn_named(f, broker);
}

int names_start(struct front *f, struct creel_err *err)
{
	static const char *const options[][2] = {{"use-caps-for-id:", "yes"},
						 {"do-not-query-localhost:", "no"},
						 {"cache-max-ttl:", "300"},
						 {"msg-cache-size:", "256k"},
						 {"rrset-cache-size:", "256k"}};
	int r;

	f->ub = ub_ctx_create_event(f->base);
	if (!f->ub)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "libunbound without libevent");
	for (size_t i = 0; i < ELEMENTSOF(options); i++)
		if ((r = ub_ctx_set_option(f->ub, options[i][0], options[i][1])) != 0)
			return creel_err_set(err, CREEL_E_UNSUPP, 0, "%s %s", options[i][0], ub_strerror(r));
	for (size_t i = 0; i < f->n_upstream; i++)
		if ((r = ub_ctx_set_fwd(f->ub, f->upstream[i])) != 0)
			return creel_err_set(err, CREEL_E_INVALID, 0, "upstream %.60s: %s", f->upstream[i],
					     ub_strerror(r));
	return 0;
}

void names_ask(struct front *f, size_t broker)
{
	struct asked *a = f->hosts[broker].asking ? NULL : malloc(sizeof(*a));
	char name[260];
	int id;

	if (!a)
		return;
	*a = (struct asked){f, broker};
	f->hosts[broker].asking = true;
	(void)snprintf(name, sizeof(name), "%s.", f->pt->brokers->v[broker].host);
	if (ub_resolve_event(f->ub, name, 1, 1, a, resolved, &id) != 0) {
		free(a);
		f->hosts[broker].asking = false;
		f->hosts[broker].n = 0;
		conn_named(f, broker);
	}
}

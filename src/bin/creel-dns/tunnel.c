#include "dns.h"
#include <libpsl.h>
#include <string.h>
#include <time.h>

/*
 * A tunnel speaks in names: each message is a subdomain that nobody asked for before. So the names below
 * each registrable domain (the Public Suffix List) are counted over a window, each once; over the cap a
 * new one is refused, but in mode open, where it is told. What was asked for before is asked for again.
 */
enum { DOMAINS = 64, NAMES = 256, WINDOW_S = 600 };

struct dns_tunnels {
	psl_ctx_t *psl; /* libpsl's own, built in */
	struct domain {
		char name[254];
		int64_t since, used;
		bool told;
		unsigned n;
		uint64_t names[NAMES];
	} of[DOMAINS];
};

/* FNV-1a, 64 bits: a name that meets another's number passes as one that was there, which costs nothing */
static uint64_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3U;
	return h;
}

/* The domain's place: its own, a free one, or that of the one that was not asked for the longest. */
static struct domain *place(struct dns_tunnels *t, const char *name, int64_t now)
{
	struct domain *best = &t->of[0];

	for (size_t i = 0; i < DOMAINS; i++) {
		struct domain *d = &t->of[i];
		if (strcmp(d->name, name) == 0) {
			best = d;
			break;
		}
		if (d->used < best->used)
			best = d;
	}
	if (strcmp(best->name, name) != 0 || now - best->since > WINDOW_S) {
		*best = (struct domain){.since = now};
		memcpy(best->name, name, strlen(name) + 1);
	}
	best->used = now;
	return best;
}

bool dns_tunnel_ok(struct dns *d, const char *name, bool refuse)
{
	struct timespec now;

	if (!d->tunnels && (d->tunnels = calloc(1, sizeof(*d->tunnels))) != NULL)
		d->tunnels->psl = (psl_ctx_t *)(uintptr_t)psl_builtin();
	if (!d->tunnels || !d->tunnels->psl)
		return true;
	const char *domain = psl_registrable_domain(d->tunnels->psl, name);
	if (!domain || strcmp(domain, name) == 0 || strlen(domain) >= sizeof(d->tunnels->of[0].name))
		return true;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	struct domain *at = place(d->tunnels, domain, now.tv_sec + 1);
	uint64_t h = hash(name);
	for (unsigned i = 0; i < at->n; i++)
		if (at->names[i] == h)
			return true;
	if (at->n < NAMES) {
		at->names[at->n++] = h;
		return true;
	}
	if (!at->told) {
		struct creel_dnsmsg m = {.type = CREEL_DNSMSG_TUNNEL, .count = at->n, .ms = WINDOW_S};
		memcpy(m.name, at->name, strlen(at->name) + 1);
		dns_report(d, &m);
		at->told = true;
	}
	return !refuse;
}

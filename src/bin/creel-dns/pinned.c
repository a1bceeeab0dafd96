#include "dns.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * What the set holds for a while yet, so that an answer from the cache need not ask the monitor again. Two
 * slots for each hash, so that two names that meet do not ask in turn; a third one takes the place of the one
 * that ends first, and who makes names collide slows itself alone. An entry counts for half of its pin's life:
 * then the pin is made anew, long before it ends. None outlives a change of the policy or of what was granted,
 * as the monitor may have taken pins away.
 */
enum { SLOTS = 32768 /* some for each of CREEL_PINS_NAMES */, OCTETS_MAX = 256 + 16 * CREEL_DNSMSG_ADDRS };

struct dns_pinned {
	time_t until;
	uint16_t len;
	uint8_t key[]; /* the name with its NUL, the addresses */
};

static int by_octets(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

/* The addresses in their own order: libunbound turns them with each answer. */
static size_t key_of(const struct creel_dnsmsg *m, uint8_t key[OCTETS_MAX], size_t *ret_slot)
{
	size_t name = strlen(m->name) + 1, len = name + 16UL * m->n_addrs;
	uint64_t h = 14695981039346656037ULL; /* FNV-1a */

	if (len > OCTETS_MAX)
		return 0;
	memcpy(key, m->name, name);
	memcpy(key + name, m->addr, len - name);
	qsort(key + name, m->n_addrs, 16, by_octets);
	for (size_t i = 0; i < len; i++)
		h = (h ^ key[i]) * 1099511628211ULL;
	*ret_slot = (size_t)((h ^ h >> 32) % SLOTS) & ~(size_t)1;
	return len;
}

static bool same(const struct dns_pinned *p, const uint8_t *key, size_t len)
{
	return p && p->len == len && memcmp(p->key, key, len) == 0;
}

bool dns_pinned_has(const struct dns *d, const struct creel_dnsmsg *m)
{
	uint8_t key[OCTETS_MAX];
	struct timespec now;
	size_t slot, len = d->pinned ? key_of(m, key, &slot) : 0;

	if (len == 0)
		return false;
	slot += !same(d->pinned[slot], key, len);
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return same(d->pinned[slot], key, len) && now.tv_sec < d->pinned[slot]->until;
}

void dns_pinned_put(struct dns *d, const struct creel_dnsmsg *m)
{
	uint8_t key[OCTETS_MAX];
	struct timespec now;
	size_t slot, len;

	if (!d->pinned)
		d->pinned = calloc(SLOTS, sizeof(struct dns_pinned *));
	if (!d->pinned || (len = key_of(m, key, &slot)) == 0)
		return; /* the monitor is asked again */
	const struct dns_pinned *a = d->pinned[slot], *b = d->pinned[slot + 1];
	/* its own, a free one, or that of the one that ends first */
	slot += !same(a, key, len) && (same(b, key, len) || (a && (!b || b->until < a->until)));
	struct dns_pinned *p = malloc(sizeof(*p) + len);
	free(d->pinned[slot]);
	d->pinned[slot] = p;
	if (!p)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	p->until = now.tv_sec + m->ttl / 2;
	p->len = (uint16_t)len;
	memcpy(p->key, key, len);
}

void dns_pinned_clear(struct dns *d)
{
	for (size_t i = 0; d->pinned && i < SLOTS; i++)
		free(d->pinned[i]);
	free((void *)d->pinned);
	d->pinned = NULL;
	dns_kept_clear(d);
}

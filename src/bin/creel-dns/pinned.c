#include "dns.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * What the set holds for a while yet, so that an answer from the cache need not ask the monitor again. A
 * slot for each hash; the later entry stands, and who makes names collide slows itself alone. An entry
 * counts for half of its pin's life: then the pin is made anew, long before it ends. None outlives a
 * change of the policy or of what was granted, as the monitor may have taken pins away.
 */
enum { SLOTS = 8192, OCTETS_MAX = 256 + 16 * 8 };

struct dns_pinned {
	time_t until;
	uint16_t len;
	uint8_t key[]; /* the name with its NUL, the addresses */
};

static size_t key_of(const struct creel_dnsmsg *m, uint8_t key[OCTETS_MAX], size_t *ret_slot)
{
	size_t name = strlen(m->name) + 1, len = name + 16UL * m->n_addrs;
	uint64_t h = 14695981039346656037ULL; /* FNV-1a */

	if (len > OCTETS_MAX)
		return 0;
	memcpy(key, m->name, name);
	memcpy(key + name, m->addr, len - name);
	for (size_t i = 0; i < len; i++)
		h = (h ^ key[i]) * 1099511628211ULL;
	*ret_slot = (size_t)(h % SLOTS);
	return len;
}

bool dns_pinned_has(const struct dns *d, const struct creel_dnsmsg *m)
{
	uint8_t key[OCTETS_MAX];
	struct timespec now;
	size_t slot, len = d->pinned ? key_of(m, key, &slot) : 0;

	if (len == 0 || !d->pinned[slot])
		return false;
	const struct dns_pinned *p = d->pinned[slot];
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec < p->until && p->len == len && memcmp(p->key, key, len) == 0;
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
}

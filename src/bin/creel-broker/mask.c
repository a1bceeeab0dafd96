#include "keep.h"
#include <event2/buffer.h>
#include <sodium.h>
#include <string.h>

void mask_init(struct mask *m, const struct needles *of)
{
	*m = (struct mask){.of = of};
}

/* What is held back now: the needles may be others than when the last was. */
static void hold(struct mask *m, char *p, size_t n)
{
	if (m->held)
		sodium_memzero(m->held, m->n_held);
	free(m->held);
	m->held = p;
	m->n_held = n;
}

void mask_fini(struct mask *m)
{
	hold(m, NULL, 0);
}

unsigned mask_text(const struct needles *of, char *p, size_t n)
{
	unsigned found = 0;

	for (size_t i = 0; i < of->n; i++)
		for (char *at = p; (at = memmem(at, n - (size_t)(at - p), of->v[i].p, of->v[i].n)) != NULL;
		     at += of->v[i].n) {
			memset(at, '*', of->v[i].n);
			found++;
		}
	return found;
}

/* The longest end of @p p that is the beginning of a needle. */
static size_t beginning(const struct needles *of, const char *p, size_t n)
{
	size_t best = 0;

	for (size_t i = 0; i < of->n; i++) {
		size_t max = MIN(n, of->v[i].n - 1);
		const char *at = p + n - max, *end = p + n;
		while (at < end && (at = memchr(at, of->v[i].p[0], (size_t)(end - at))) != NULL) {
			if (memcmp(at, of->v[i].p, (size_t)(end - at)) == 0) {
				best = MAX(best, (size_t)(end - at));
				break;
			}
			at++;
		}
	}
	return best;
}

static bool holds(const struct needles *of, const char *p, size_t n)
{
	for (size_t i = 0; i < of->n; i++)
		if (memmem(p, n, of->v[i].p, of->v[i].n))
			return true;
	return false;
}

int mask_feed(struct mask *m, const char *p, size_t n, bool last, struct evbuffer *out, struct creel_err *err)
{
	size_t all = m->n_held + n;
	if (all == 0)
		return 0;
	/* most pieces hold nothing, and are not copied for it */
	if (m->n_held == 0 && !holds(m->of, p, n) && (last || beginning(m->of, p, n) == 0))
		return evbuffer_add(out, p, n) == 0 ? 0 : creel_err_nomem(err);
	char *text = malloc(all);
	if (!text)
		return creel_err_nomem(err);
	if (m->held)
		memcpy(text, m->held, m->n_held);
	memcpy(text + m->n_held, p, n);
	m->found += mask_text(m->of, text, all);
	size_t keep = last ? 0 : beginning(m->of, text, all);
	char *held = keep > 0 ? malloc(keep) : NULL;
	bool done = (keep == 0 || held) && evbuffer_add(out, text, all - keep) == 0;
	if (held)
		memcpy(held, text + all - keep, keep);
	hold(m, held, held ? keep : 0);
	sodium_memzero(text + all - keep, keep);
	free(text);
	return done ? 0 : creel_err_nomem(err);
}

#include "net/pinning.h"
#include "base/cleanup.h"
#include "base/mapped.h"
#include "linux/fdpass.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

struct creel_nft_edit creel_pinning_edit(const uint8_t addr[16], const struct creel_opening *o,
					 const char *name, uint32_t ttl)
{
	struct creel_nft_edit e = {.opening = *o, .name = name, .ttl = ttl};

	if (creel_mapped_four(addr))
		memcpy(&e.addr, addr + 12, 4);
	else
		memcpy(&e.addr6, addr, 16);
	return e;
}

/* What was asked for since we last looked: one batch for all, or for as many as it holds; any one fits. */
enum { OPENINGS_MAX = 16, EDITS_MAX = OPENINGS_MAX * CREEL_DNSMSG_ADDRS };
struct batch {
	struct creel_nft_edit edits[EDITS_MAX];
	size_t n;
	bool asked[CREEL_PINNING_MAX];
};

/* Is it the cell's to have? Its elements are added to the batch. @return CREEL_E_BUSY: they do not fit */
static int check(const struct creel_pinning *p, const struct creel_dnsmsg *m, struct batch *b,
		 bool *ret_asked, int64_t now, struct creel_err *err)
{
	struct creel_question q = {.name = m->name};
	struct creel_opening openings[OPENINGS_MAX];
	struct creel_answer a;
	int r = 0;

	creel_policy_decide(p->policy, &q, &a);
	/* the engine knows of a yes; the mode says that there can be one */
	bool asked = a.decision == CREEL_ASK;
	if ((a.decision != CREEL_ALLOW && !asked) || m->n_addrs == 0)
		return creel_err_set(err, CREEL_E_DENIED, 0, "a pin for a name that is not allowed");
	for (size_t i = 0; i < m->n_addrs; i++) {
		q.addr = creel_net_of(m->addr[i]);
		if (q.addr.family == 6 && !p->six)
			return creel_err_set(err, CREEL_E_UNSUPP, 0,
					     "a pin of an IPv6 address for a cell without IPv6");
		creel_policy_decide(p->policy, &q, &a);
		if (a.decision == CREEL_DENY)
			return creel_err_set(err, CREEL_E_DENIED, 0,
					     "a pin of an address that is not allowed");
	}
	size_t n = creel_policy_openings(p->policy, m->name, asked, openings, ELEMENTSOF(openings));
	if (n * m->n_addrs > ELEMENTSOF(b->edits) - b->n)
		return CREEL_E_BUSY;
	uint32_t ttl = MIN(MAX(m->ttl, 1U), 7200U);
	/* known here before it is open: a change of the policy then finds it */
	for (size_t i = 0; r == 0 && i < m->n_addrs; i++)
		r = creel_pins_add(p->pins, m->name, m->addr[i], now + ttl, asked, now, err);
	for (size_t k = 0; r == 0 && k < n * m->n_addrs; k++)
		b->edits[b->n++] = creel_pinning_edit(m->addr[k / n], &openings[k % n], m->name, ttl);
	*ret_asked = asked;
	return r;
}

/* Write what was gathered; who waits for it is told whether all of it holds. */
static void flush(const struct creel_pinning *p, struct batch *b, const struct creel_dnsmsg *m, int *result,
		  size_t from, size_t n)
{
	struct creel_err err = {0};
	int r = creel_nft_pin_all(p->nft, p->link, b->edits, b->n, &err);

	if (r < 0)
		p->refused(p->ctx, &err);
	for (size_t i = from; i < n; i++) {
		if (result[i] < 0)
			continue;
		result[i] = r < 0 ? r : p->told(p->ctx, &m[i], b->asked[i], &err);
		if (r == 0 && result[i] < 0)
			p->refused(p->ctx, &err);
	}
	b->n = 0;
}

void creel_pinning_write(const struct creel_pinning *p, const struct creel_dnsmsg *m, int *result, size_t n,
			 int64_t now)
{
	struct batch b = {.n = 0};
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		struct creel_err err = {0};
		result[i] = check(p, &m[i], &b, &b.asked[i], now, &err);
		if (result[i] == CREEL_E_BUSY) {
			flush(p, &b, m, result, from, i);
			from = i--;
			continue;
		}
		if (result[i] < 0)
			p->refused(p->ctx, &err);
	}
	flush(p, &b, m, result, from, n);
}

struct creel_flowmsg creel_pinning_flowmsg(const struct creel_dnsmsg *pin, const char *cell, bool granted)
{
	struct creel_flowmsg m = {
		.type = CREEL_FLOWMSG_PIN, .ttl = pin->ttl, .granted = granted, .n_addrs = pin->n_addrs};

	static_assert(sizeof(m.addr) == sizeof(pin->addr), "as many addresses");
	(void)snprintf(m.cell, sizeof(m.cell), "%s", cell ? cell : "");
	(void)snprintf(m.name, sizeof(m.name), "%.253s", pin->name);
	memcpy(m.addr, pin->addr, (size_t)16 * pin->n_addrs);
	return m;
}

/* --- for one that starts ------------------------------------------------------------------------- */

struct replay {
	int fd, r;
	int64_t now;
	const char *cell;
	struct creel_flowmsg m; /* of one name, not encoded yet */
	uint8_t packet[CREEL_FLOWMSG_PACKET];
	size_t len, in_packet, left;
	struct creel_err *err;
};

static void packet_send(struct replay *p)
{
	if (p->len > 0 && p->r == 0)
		p->r = creel_fdpass_send(p->fd, p->packet, p->len, NULL, 0, p->err);
	if (p->r < 0)
		p->left += p->in_packet;
	p->len = p->in_packet = 0;
}

static void message_end(struct replay *p)
{
	if (p->m.n_addrs == 0)
		return;
	if (sizeof(p->packet) - p->len < CREEL_FLOWMSG_MAX)
		packet_send(p);
	p->len += creel_flowmsg_encode(&p->m, p->packet + p->len);
	p->in_packet += p->m.n_addrs;
	p->m.n_addrs = 0;
}

static void pin_told(void *ctx, const char *name, const uint8_t addr[16], int64_t until, bool granted)
{
	struct replay *p = ctx;
	struct creel_flowmsg *m = &p->m;

	if (until <= p->now)
		return;
	if (m->n_addrs == CREEL_FLOWMSG_ADDRS || strcmp(m->name, name) != 0)
		message_end(p);
	if (m->n_addrs == 0) {
		*m = (struct creel_flowmsg){.type = CREEL_FLOWMSG_PIN, .granted = granted};
		(void)snprintf(m->cell, sizeof(m->cell), "%s", p->cell ? p->cell : "");
		(void)snprintf(m->name, sizeof(m->name), "%.253s", name);
	}
	m->ttl = MAX(m->ttl, (uint32_t)(until - p->now));
	memcpy(m->addr[m->n_addrs++], addr, 16);
}

int creel_pinning_replay(const struct creel_pins *pins, const char *cell, int fd, int64_t now,
			 size_t *ret_left, struct creel_err *err)
{
	autofree struct replay *p = calloc(1, sizeof(*p));

	if (!p)
		return creel_err_nomem(err);
	p->fd = fd;
	p->now = now;
	p->cell = cell;
	p->err = err;
	creel_pins_each(pins, pin_told, p);
	message_end(p);
	packet_send(p);
	*ret_left = p->left;
	if (p->r != CREEL_E_BUSY)
		return p->r;
	*err = (struct creel_err){0}; /* what is left says it */
	return 0;
}

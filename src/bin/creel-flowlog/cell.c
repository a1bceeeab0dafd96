#include "base/log.h"
#include "flowlog.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct log_cell *log_cell_named(const struct flowlog *l, const char *name)
{
	for (size_t i = 0; i < l->n_cells; i++)
		if (strcmp(l->cells[i]->name, name) == 0)
			return l->cells[i];
	return NULL;
}

static bool has_six(const struct log_cell *c)
{
	static const uint8_t none[16];

	return memcmp(c->addr6, none, 16) != 0;
}

static struct log_cell *cell_of(const struct flowlog *l, const uint8_t addr[16])
{
	for (size_t i = 0; i < l->n_cells; i++)
		if (memcmp(l->cells[i]->addr, addr, 16) == 0 ||
		    (has_six(l->cells[i]) && memcmp(l->cells[i]->addr6, addr, 16) == 0))
			return l->cells[i];
	return NULL;
}

static void put(struct log_cell *c, const struct creel_flowmsg *m)
{
	if (!creel_flowsend_put(&c->out, m))
		*(m->type == CREEL_FLOWMSG_END ? &c->lost_ends : &c->lost) += m->count ? m->count : 1;
}

/* The name that led there: another cell's, or the last that resolved to it. */
static void name_of(const struct log_cell *c, const uint8_t dst[16], struct creel_flowmsg *m)
{
	const struct log_cell *to = cell_of(c->log, dst);
	const char *name = to ? NULL : creel_pins_name(&c->pins, dst, 0, NULL, NULL);

	m->reach = to != NULL;
	if (to) {
		size_t n = strlen(to->name);
		memcpy(m->name, to->name, n);
		memcpy(m->name + n, ".creel", 7);
	} else if (name) {
		memcpy(m->name, name, strlen(name) + 1);
	}
}

static void message(const struct log_cell *c, const struct creel_nfnet *p, enum creel_flowmsg_type type,
		    struct creel_flowmsg *m)
{
	*m = (struct creel_flowmsg){
		.type = (uint8_t)type, .proto = p->proto, .sport = p->sport, .dport = p->dport};
	memcpy(m->cell, c->name, sizeof(m->cell));
	memcpy(m->src, p->src, 16);
	memcpy(m->dst, p->dst, 16);
	name_of(c, p->dst, m);
}

static void deny_tell(struct log_cell *c, struct log_deny *d)
{
	struct creel_nfnet p = {.family = d->family, .proto = d->proto, .sport = d->sport, .dport = d->dport};
	struct creel_flowmsg m;

	memcpy(p.src, d->family == 6 && has_six(c) ? c->addr6 : c->addr, 16);
	memcpy(p.dst, d->dst, 16);
	message(c, &p, CREEL_FLOWMSG_DENY, &m);
	m.reason = CREEL_FLOW_FILTER;
	m.count = d->count;
	put(c, &m);
	d->count = 0;
}

/* The same destination again within the second is a number; another in its place tells the first. */
static void deny(struct log_cell *c, const struct creel_nfnet *p)
{
	size_t h = p->dport * 31U + p->proto;

	for (size_t i = 0; i < 16; i++)
		h = h * 31 + p->dst[i];
	struct log_deny *d = &c->denies[h % LOG_DENIES];
	if (d->count && (d->dport != p->dport || d->proto != p->proto || d->family != p->family ||
			 memcmp(d->dst, p->dst, 16) != 0))
		deny_tell(c, d);
	if (d->count == 0) {
		*d = (struct log_deny){
			.dport = p->dport, .sport = p->sport, .proto = p->proto, .family = p->family};
		memcpy(d->dst, p->dst, 16);
	}
	d->count++;
}

static void packet(struct log_cell *c, const struct creel_nfnet *p)
{
	struct creel_flowmsg m;

	/* numbers that did not come: each was one packet */
	uint32_t missing = p->seq - (uint32_t)c->taken;
	c->lost += missing;
	c->taken += (uint64_t)missing + 1;
	if (strcmp(p->prefix, "tick") == 0) {
		atomic_fetch_add(&c->sum->told, 1);
		return;
	}
	if (strcmp(p->prefix, "deny") == 0) {
		deny(c, p);
		return;
	}
	message(c, p, CREEL_FLOWMSG_ALLOW, &m);
	put(c, &m);
}

/* A packet that nobody gets: the filter tells this cell's group of it, with the next number. */
static void tick(struct log_cell *c)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(c->group),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	c->overrun = false;
	(void)sendto(c->log->tick, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to));
}

static void readable(evutil_socket_t fd, short what, void *arg)
{
	struct log_cell *c = arg;
	struct flowlog *l = c->log;
	struct creel_err err = {0};

	for (int i = 0; i < LOG_READS; i++) {
		ssize_t n = recv(fd, l->buf, sizeof(l->buf), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && errno == ENOBUFS) {
			c->overrun = true;
			continue;
		}
		if (n < 0) {
			if (c->overrun)
				tick(c);
			break;
		}
		struct creel_nfnet p;
		size_t at = 0;
		int r = (size_t)n > sizeof(l->buf) ? CREEL_E_PROTO : 1;
		while (r > 0 && (r = creel_nfnet_next(l->buf, (size_t)n, &at, &p, &err)) > 0)
			if (p.type == CREEL_NFNET_PACKET)
				packet(c, &p);
		if (r < 0) /* what was in it is known by the next number */
			c->overrun = true;
	}
	atomic_store(&c->sum->taken, c->taken); /* before any of it leaves */
	log_flush(l);
}

void log_flow(struct flowlog *l, const struct creel_nfnet *f)
{
	struct log_cell *c = cell_of(l, f->src);
	struct creel_flowmsg m;

	/* what was redirected is creel-flow's to tell; what went to the gateway is creel-dns's */
	if (!c || (f->status & IPS_DST_NAT) || memcmp(f->dst, c->gateway, 16) == 0 ||
	    (has_six(c) && memcmp(f->dst, c->gateway6, 16) == 0))
		return;
	message(c, f, CREEL_FLOWMSG_END, &m);
	m.bytes_out = f->bytes[0];
	m.bytes_in = f->bytes[1];
	m.packets_out = f->packets[0];
	m.packets_in = f->packets[1];
	if (f->stop > f->start && f->start)
		m.ms = (uint32_t)((f->stop - f->start) / 1000000);
	put(c, &m);
}

static void lost_tell(struct log_cell *c, uint64_t *lost, uint8_t what)
{
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_LOST, .way = what, .count = *lost};

	memcpy(m.cell, c->name, sizeof(m.cell));
	if (*lost && creel_flowsend_put(&c->out, &m))
		*lost = 0;
}

void log_cell_second(struct log_cell *c)
{
	for (size_t i = 0; i < LOG_DENIES; i++)
		if (c->denies[i].count)
			deny_tell(c, &c->denies[i]);
	lost_tell(c, &c->lost, 0);
	lost_tell(c, &c->lost_ends, CREEL_FLOWMSG_END);
}

void log_pin(struct log_cell *c, const struct creel_flowmsg *m)
{
	struct creel_err err = {0};
	int64_t now = log_now();

	for (unsigned i = 0; i < m->n_addrs; i++)
		if (creel_pins_add(&c->pins, m->name, m->addr[i], now + m->ttl, m->granted, now, &err) < 0)
			return; /* its flows are told without a name */
}

int log_cell_add(struct flowlog *l, const struct creel_flowmsg *m, int *fd, struct creel_err *err)
{
	if (log_cell_named(l, m->cell))
		return creel_err_set(err, CREEL_E_EXISTS, 0, "cell %s", m->cell);
	if (m->dport == 0 || m->dport >= CREEL_FLOWSUMS)
		return creel_err_set(err, CREEL_E_PROTO, 0, "group %u", m->dport);
	if (l->n_cells == LOG_CELLS_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "more than %d cells", LOG_CELLS_MAX);
	struct log_cell *c = calloc(1, sizeof(*c));
	if (!c)
		return creel_err_nomem(err);
	if (creel_pins_init(&c->pins, CREEL_PINS_NAMES, CREEL_PINS_ADDRS, err) < 0) {
		free(c);
		return err->code;
	}
	c->log = l;
	c->fd = -1;
	c->group = m->dport;
	memcpy(c->name, m->cell, sizeof(c->name));
	memcpy(c->addr, m->src, 16);
	memcpy(c->gateway, m->dst, 16);
	if (m->n_addrs > 1) {
		memcpy(c->addr6, m->addr[0], 16);
		memcpy(c->gateway6, m->addr[1], 16);
	}
	creel_flowsend_init(&c->out, l->events, LOG_QUEUE);
	c->out.sum = c->sum = &l->sums[c->group];
	c->taken = atomic_load(&c->sum->taken);
	uint64_t told = atomic_load(&c->sum->told);
	c->lost = c->taken > told ? c->taken - told : 0;
	if (event_assign(&c->read, l->base, *fd, EV_READ | EV_PERSIST, readable, c) < 0 ||
	    event_add(&c->read, NULL) < 0) {
		creel_pins_fini(&c->pins);
		free(c);
		return creel_err_nomem(err);
	}
	c->fd = *fd;
	*fd = -1;
	l->cells[l->n_cells++] = c;
	tick(c); /* what one before us took, and had not written down yet, is known by the next number */
	return 0;
}

void log_cell_free(struct log_cell *c)
{
	struct flowlog *l = c->log;

	for (size_t i = 0; i < l->n_cells; i++)
		if (l->cells[i] == c) {
			l->cells[i] = l->cells[--l->n_cells];
			break;
		}
	(void)event_del(&c->read);
	(void)evutil_closesocket(c->fd);
	creel_pins_fini(&c->pins);
	creel_flowsend_fini(&c->out);
	free(c);
}

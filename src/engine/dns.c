#include "wire/dns.h"
#include "base/log.h"
#include "engine/approve.h"
#include "engine/engine.h"
#include "linux/fdpass.h"
#include "policy/egress.h"
#include "wire/dnsmsg.h"
#include <arpa/inet.h>
#include <errno.h>
#include <libpsl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/*
 * What a cell's creel-dns tells: each query and each refusal becomes an event, and a name that waits
 * for a human's word becomes an approval.
 */
enum { ASK_MS = 24 * 3600 * 1000, ONCE_MS = 5000 };
static const char *const whys[] = {
	[CREEL_WHY_ENTRY_ALLOW] = "allow",
	[CREEL_WHY_ENTRY_DENY] = "deny",
	[CREEL_WHY_REACH] = "reach",
	[CREEL_WHY_MODE] = "mode",
	[CREEL_WHY_PORT] = "port",
	[CREEL_WHY_RANGE] = "range",
	[CREEL_WHY_ADDRESS] = "address",
	[CREEL_WHY_SPECIAL] = "special",
	[CREEL_WHY_CELL] = "cell",
	[CREEL_DNSMSG_WHY_TYPE] = "type",
	[CREEL_DNSMSG_WHY_NAME] = "name",
	[CREEL_DNSMSG_WHY_TUNNEL] = "tunnel",
	[CREEL_DNSMSG_WHY_FORGED] = "forged",
	[CREEL_DNSMSG_WHY_UPSTREAM] = "upstream",
	[CREEL_DNSMSG_WHY_ANSWER] = "answer",
	[CREEL_DNSMSG_WHY_PIN] = "pin",
};

static const char *type_name(uint16_t type, char ret[16])
{
	static const struct {
		uint16_t type;
		const char *name;
	} all[] = {
		{CREEL_DNS_A, "A"},       {CREEL_DNS_NS, "NS"},       {CREEL_DNS_CNAME, "CNAME"},
		{CREEL_DNS_SOA, "SOA"},   {CREEL_DNS_PTR, "PTR"},     {CREEL_DNS_MX, "MX"},
		{CREEL_DNS_TXT, "TXT"},   {CREEL_DNS_AAAA, "AAAA"},   {CREEL_DNS_SRV, "SRV"},
		{CREEL_DNS_SVCB, "SVCB"}, {CREEL_DNS_HTTPS, "HTTPS"}, {10, "NULL"},
		{CREEL_DNS_ANY, "ANY"},
	};

	for (size_t i = 0; i < ELEMENTSOF(all); i++)
		if (all[i].type == type)
			return all[i].name;
	(void)snprintf(ret, 16, "TYPE%u", type); /* RFC 3597, 5 */
	return ret;
}

static const char *rcode_name(uint8_t rcode)
{
	static const char *const names[] = {"NOERROR",  "FORMERR", "SERVFAIL",
					    "NXDOMAIN", "NOTIMP",  "REFUSED"};

	return rcode < ELEMENTSOF(names) ? names[rcode] : "OTHER";
}

/* Blank between; an IPv4 address as it is written. */
static void addresses(const struct creel_dnsmsg *m, char *ret, size_t size)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	char one[INET6_ADDRSTRLEN];
	size_t at = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < m->n_addrs; i++) {
		bool v4 = memcmp(m->addr[i], mapped, 12) == 0;
		(void)inet_ntop(v4 ? AF_INET : AF_INET6, m->addr[i] + (v4 ? 12 : 0), one, sizeof(one));
		int n = snprintf(ret + at, size - at, "%s%s", i ? " " : "", one);
		if (n < 0 || (size_t)n >= size - at)
			return;
		at += (size_t)n;
	}
}

static void told(struct eng_cell *c, const struct creel_dnsmsg *m)
{
	bool refused = m->type == CREEL_DNSMSG_REFUSE;
	struct creel_event e = {.kind = refused ? CREEL_EV_DNS_REFUSE : CREEL_EV_DNS_QUERY, .cell = c->name};
	char type[16], addrs[CREEL_DNSMSG_ADDRS * (INET6_ADDRSTRLEN + 1)];

	creel_event_str(&e, "name", m->name);
	creel_event_str(&e, "type", type_name(m->qtype, type));
	creel_event_str(&e, "result", rcode_name(m->rcode));
	if (m->chain[0])
		creel_event_str(&e, "chain", m->chain);
	if (refused) {
		creel_event_str(&e, "why",
				m->why < ELEMENTSOF(whys) && whys[m->why] ? whys[m->why] : "other");
		if (m->line)
			creel_event_num(&e, "line", m->line);
	} else {
		addresses(m, addrs, sizeof(addrs));
		creel_event_str(&e, "addresses", addrs);
		creel_event_num(&e, "ttl", m->n_addrs ? m->ttl : 0);
		creel_event_num(&e, "ms", m->ms);
	}
	budget_note(c, &e);
}

static void lost(struct eng_cell *c, const struct creel_dnsmsg *m)
{
	struct creel_event e = {.kind = CREEL_EV_RECORD_OVERRUN, .cell = c->name};

	creel_event_str(&e, "of", "dns");
	creel_event_num(&e, "count", m->count);
	journal_note(&e);
}

static void send_to(struct eng_cell *c, const struct creel_dnsmsg *m)
{
	uint8_t buf[CREEL_DNSMSG_MAX];
	size_t n = creel_dnsmsg_encode(m, buf);

	/* one that does not take it refuses the name without the approval's number */
	if (c->dns_fd >= 0)
		(void)!send(c->dns_fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void granted(struct eng_cell *c, const char *name, int64_t until_ms)
{
	struct creel_dnsmsg m = {.type = CREEL_DNSMSG_GRANT, .ttl = UINT32_MAX};
	int64_t left_s = until_ms == CREEL_APPROVAL_EVER ? UINT32_MAX : (until_ms - approve_now_ms()) / 1000;

	m.ttl = (uint32_t)MIN(MAX(left_s, 0), (int64_t)UINT32_MAX);
	(void)snprintf(m.name, sizeof(m.name), "%s", name);
	send_to(c, &m);
}

/* A name that nobody has said anything about. A, AAAA, HTTPS and what is tried again are one question. */
static void asked(struct eng_cell *c, const struct creel_dnsmsg *m)
{
	struct creel_dnsmsg answer = {.type = CREEL_DNSMSG_APPROVAL, .id = m->id};
	struct creel_err err = {0};
	struct approve_hash h;
	uint8_t key[32];

	/* of a name that was made to be misread, this is the part that somebody owns */
	const char *domain = psl_registrable_domain(psl_builtin(), m->name);
	approve_hash_begin(&h);
	approve_hash_add(&h, m->name, strlen(m->name));
	approve_hash_end(&h, key);
	const struct creel_approval_ask ask = {
		.kind = CREEL_APPROVAL_EGRESS,
		.cell = c->name,
		.subject = m->name,
		.key = key,
		.wide = key,
		.detail = domain ? json_pack("{s:s}", "domain", domain) : json_object(),
		.ttl_ms = ASK_MS,
	};
	const struct creel_approval *p = approve_ask(&ask, &err);
	if (p) {
		answer.count = p->id;
		answer.rcode = p->state == CREEL_APPROVAL_DENIED    ? CREEL_DNSMSG_DENIED
			       : p->state == CREEL_APPROVAL_GRANTED ? CREEL_DNSMSG_GRANTED
								    : CREEL_DNSMSG_PENDING;
	} else if (err.code != CREEL_E_TOOBIG)
		creel_log_error(&err);
	send_to(c, &answer);
	if (p && p->state == CREEL_APPROVAL_GRANTED)
		granted(c, m->name, p->until_ms);
}

static void unpin(struct eng_cell *c, const char *name)
{
	struct creel_monmsg m = {.type = CREEL_MON_UNPIN};
	struct creel_err err = {0};
	uint8_t buf[CREEL_MONMSG];

	if (strlen(name) >= sizeof(m.text)) {
		creel_log_warn("cell %s: a name too long to be unpinned ends with its pins", c->name);
		return;
	}
	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	(void)snprintf(m.text, sizeof(m.text), "%.223s", name);
	creel_monmsg_encode(&m, buf);
	if (creel_fdpass_send(eng.monitor, buf, sizeof(buf), NULL, 0, &err) < 0)
		creel_log_error(&err);
}

/* A grant for one time is used up by the first answer with an address. */
static void use(struct eng_cell *c, const char *name)
{
	const struct creel_approvals *all = approve_all();
	struct creel_err err = {0};

	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].kind == CREEL_APPROVAL_EGRESS && all->v[i].state == CREEL_APPROVAL_GRANTED &&
		    all->v[i].once && strcmp(all->v[i].cell, c->name) == 0 &&
		    strcmp(all->v[i].subject, name) == 0) {
			if (approve_use(all->v[i].id, &err) < 0)
				creel_log_error(&err);
			granted(c, name, approve_now_ms() + ONCE_MS);
			return;
		}
}

static void changed(const struct creel_approval *p)
{
	struct eng_cell *c = cells_find(p->cell);

	if (!c || p->state == CREEL_APPROVAL_PENDING)
		return;
	if (p->state == CREEL_APPROVAL_USED) {
		/* the one answer: what belongs to it (AAAA, HTTPS) may still come */
		granted(c, p->subject, approve_now_ms() + ONCE_MS);
		return;
	}
	granted(c, p->subject, p->state == CREEL_APPROVAL_GRANTED ? p->until_ms : 0);
	/* one that was taken back ends at once; one whose time is over leaves its flows */
	if (p->state == CREEL_APPROVAL_DENIED)
		unpin(c, p->subject);
}

/* A creel-dns begins with what was granted before. */
static void replay(struct eng_cell *c)
{
	const struct creel_approvals *all = approve_all();

	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].kind == CREEL_APPROVAL_EGRESS && all->v[i].state == CREEL_APPROVAL_GRANTED &&
		    strcmp(all->v[i].cell, c->name) == 0)
			granted(c, all->v[i].subject, all->v[i].until_ms);
}

static void on_message(struct eng_cell *c, const struct creel_dnsmsg *m)
{
	switch (m->type) {
	case CREEL_DNSMSG_QUERY:
		if (m->n_addrs > 0)
			use(c, m->name);
		told(c, m);
		return;
	case CREEL_DNSMSG_REFUSE:
		told(c, m);
		return;
	case CREEL_DNSMSG_TUNNEL: {
		struct creel_event e = {.kind = CREEL_EV_DNS_TUNNEL, .cell = c->name};
		creel_event_str(&e, "domain", m->name);
		creel_event_num(&e, "names", m->count);
		creel_event_num(&e, "window_s", m->ms);
		journal_note(&e);
		return;
	}
	case CREEL_DNSMSG_LOST:
		lost(c, m);
		return;
	case CREEL_DNSMSG_ASK:
		asked(c, m);
		return;
	default:
		creel_log_warn("cell %s: creel-dns sent message %u, which is not its to send", c->name,
			       m->type);
		dns_close(c);
	}
}

static void readable(evutil_socket_t fd, short what, void *ctx)
{
	struct eng_cell *c = ctx;
	uint8_t buf[CREEL_DNSMSG_PACKET];
	struct creel_err err = {0};
	struct creel_dnsmsg m;
	size_t at = 0;
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	int r = 0;

	if (n < 0 && errno == EAGAIN)
		return;
	while (n > 0 && (r = creel_dnsmsg_next(buf, (size_t)n, &at, &m, &err)) > 0) {
		on_message(c, &m);
		if (c->dns_fd < 0)
			return; /* for what it said */
	}
	/* it ends when it sees its socket closed, and the monitor starts another */
	if (n <= 0 || r < 0)
		dns_close(c);
}

void dns_close(struct eng_cell *c)
{
	if (c->dns_read)
		event_free(c->dns_read);
	c->dns_read = NULL;
	if (c->dns_fd >= 0)
		close(c->dns_fd);
	c->dns_fd = -1;
}

void dns_open(struct eng_cell *c, int fd)
{
	dns_close(c);
	c->dns_fd = dup(fd);
	c->dns_read = c->dns_fd < 0 ? NULL
				    : event_new(eng.base, c->dns_fd, EV_READ | EV_PERSIST, readable, c);
	if (!c->dns_read || event_add(c->dns_read, NULL) < 0) {
		creel_log_warn("cell %s: no memory for what is resolved", c->name);
		dns_close(c);
		return;
	}
	approve_on(CREEL_APPROVAL_EGRESS, changed);
	replay(c);
}

#include "base/mapped.h"
#include "dns.h"
#include "policy/broker.h"
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unbound-event.h>
#include <unbound.h>

#define EDE_BOGUS 6

static void refuse(struct job *j, enum creel_dns_rcode rcode, int ede, const char *text,
		   const struct creel_answer *a)
{
	struct creel_err err = {0};

	j->report.type = CREEL_DNSMSG_REFUSE;
	j->report.rcode = (uint8_t)rcode;
	if (a) { /* else as it stands: ask() noted it before the engine answered */
		j->report.why = (uint8_t)a->why;
		j->report.line = a->line;
	}
	if (creel_dns_reply(&j->q, rcode, (enum creel_dns_ede)ede, text, &j->answer, &err) < 0)
		creel_buf_clear(&j->answer);
	dns_report(j->dns, &j->report);
	job_send(j);
}

/* For a reason that is not the policy's. */
static void fail(struct job *j, enum creel_dns_rcode rcode, int ede, enum creel_dnsmsg_why why,
		 const char *text)
{
	j->report.why = (uint8_t)why;
	refuse(j, rcode, ede, text, NULL);
}

/* An allowed name that has nothing of this type: an empty NOERROR. */
static void empty(struct job *j)
{
	struct creel_err err = {0};

	if (creel_dns_reply(&j->q, CREEL_DNS_NOERROR, CREEL_EDE_NONE, NULL, &j->answer, &err) < 0)
		creel_buf_clear(&j->answer);
	j->report.type = CREEL_DNSMSG_QUERY;
	dns_report(j->dns, &j->report);
	job_send(j);
}

static uint32_t ms_since(const struct timespec *t)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)((now.tv_sec - t->tv_sec) * 1000 + (now.tv_nsec - t->tv_nsec) / 1000000);
}

/* Types that an allowed name may be asked for: no NULL, no ANY, no zone transfer. */
static bool type_ok(uint16_t type)
{
	static const uint16_t ok[] = {CREEL_DNS_A,    CREEL_DNS_AAAA, CREEL_DNS_CNAME, CREEL_DNS_HTTPS,
				      CREEL_DNS_SVCB, CREEL_DNS_MX,   CREEL_DNS_TXT,   CREEL_DNS_SRV,
				      CREEL_DNS_NS,   CREEL_DNS_SOA,  CREEL_DNS_PTR};
	for (size_t i = 0; i < ELEMENTSOF(ok); i++)
		if (ok[i] == type)
			return true;
	return false;
}

static bool labels_ok(const char *name)
{
	for (const char *p = name; *p;) {
		size_t n = strcspn(p, ".");
		if (n > DNS_LABEL_MAX)
			return false;
		p += n + (p[n] == '.');
	}
	return true;
}

static void timed_out(evutil_socket_t fd, short what, void *arg)
{
	struct job *j = arg;

	if (j->state == JOB_ASKING)
		refuse(j, CREEL_DNS_NXDOMAIN, CREEL_EDE_PROHIBITED, "this name needs an approval", NULL);
	else
		fail(j, CREEL_DNS_SERVFAIL, CREEL_EDE_OTHER, CREEL_DNSMSG_WHY_PIN,
		     "the address set did not answer");
}

static bool wait_for_peer(struct job *j, int ms)
{
	struct timeval t = {ms / 1000, ms % 1000 * 1000};

	j->timer = evtimer_new(j->dns->base, timed_out, j);
	return j->timer && evtimer_add(j->timer, &t) == 0;
}

/* ask: the engine makes one approval a name; its number is what the guest is told. */
static void ask(struct job *j, const struct creel_answer *a)
{
	struct creel_dnsmsg m = j->report;

	j->report.why = (uint8_t)a->why;
	j->report.line = a->line;
	if (j->dns->conf.events < 0) {
		refuse(j, CREEL_DNS_NXDOMAIN, CREEL_EDE_PROHIBITED, "this name needs an approval", a);
		return;
	}
	m.type = CREEL_DNSMSG_ASK;
	m.id = j->id = ++j->dns->next_id;
	j->state = JOB_ASKING;
	dns_report(j->dns, &m);
	if (!wait_for_peer(j, DNS_ASK_WAIT_MS))
		refuse(j, CREEL_DNS_NXDOMAIN, CREEL_EDE_PROHIBITED, "this name needs an approval", a);
}

static struct job *job_find(struct dns *d, uint32_t id, int state)
{
	struct job *j;

	LIST_FOREACH(j, &d->jobs, entry)
	if (j->id == id && (int)j->state == state && id != 0)
		return j;
	return NULL;
}

void job_approval(struct dns *d, const struct creel_dnsmsg *m)
{
	struct job *j = job_find(d, m->id, JOB_ASKING);
	char text[80];

	if (!j)
		return;
	if (m->count == 0)
		(void)snprintf(text, sizeof(text), "too many approvals are pending: answer those first");
	else
		(void)snprintf(text, sizeof(text), "approval %u %s", m->count,
			       m->rcode == CREEL_DNSMSG_DENIED    ? "was denied"
			       : m->rcode == CREEL_DNSMSG_GRANTED ? "was granted: ask again"
								  : "is pending");
	refuse(j, CREEL_DNS_NXDOMAIN, CREEL_EDE_PROHIBITED, text, NULL);
}

static bool granted(const struct dns *d, const char *name)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	for (size_t i = 0; i < d->n_grants; i++)
		if (d->grants[i].until > now.tv_sec && strcmp(d->grants[i].name, name) == 0)
			return true;
	return false;
}

void dns_grant(struct dns *d, const struct creel_dnsmsg *m)
{
	struct timespec now;
	size_t i = 0, at;

	dns_pinned_clear(d);
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (!d->grants)
		d->grants = calloc(DNS_GRANTS_MAX, sizeof(*d->grants));
	if (!d->grants)
		return;
	while (i < d->n_grants && strcmp(d->grants[i].name, m->name) != 0)
		i++;
	at = i;
	for (size_t k = 0; at == d->n_grants && k < d->n_grants; k++)
		if (d->grants[k].until <= now.tv_sec)
			at = k;
	if (at == DNS_GRANTS_MAX)
		return; /* the engine's approvals are fewer than that: it is asked again */
	if (at == d->n_grants)
		d->n_grants++;
	memcpy(d->grants[at].name, m->name, sizeof(m->name));
	d->grants[at].until = now.tv_sec + m->ttl;
}

/* Is it this host's own, by whatever name? Then the answer is a rebinding. */
static bool is_host(const struct dns_conf *c, const struct creel_net *a)
{
	for (size_t i = 0; i < c->n_host; i++)
		if (creel_net_has(&c->host[i], a))
			return true;
	return false;
}

/* May the policy's cell have this address under the name it asked for? A grant opens public ones. */
static bool address_ok(struct job *j, const struct creel_net *addr, struct creel_answer *a)
{
	struct creel_question q = {j->report.name, *addr, 0, false};

	creel_policy_decide(&j->dns->conf.pt->policy, &q, a);
	if (is_host(&j->dns->conf, addr)) {
		a->why = CREEL_WHY_RANGE;
		return false;
	}
	return a->decision == CREEL_ALLOW || (a->decision == CREEL_ASK && granted(j->dns, j->report.name));
}

/* Each name of the chain is on the record, or the answer is not given. */
static int chain_add(struct job *j, const char *name, struct creel_err *err)
{
	size_t at = strlen(j->report.chain), left = sizeof(j->report.chain) - at;
	int n = snprintf(j->report.chain + at, left, "%s%s", at ? " " : "", name);

	if (n < 0 || (size_t)n >= left) {
		j->report.chain[at] = '\0';
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a chain of names too long to be recorded");
	}
	return 0;
}

/*
 * The addresses of the answer. An address record that is not of the asked-for name or at the end
 * of its CNAME chain is not taken: the chain is followed in the order of the records.
 * @return 0, or negative when one is refused or the message is not right
 */
static int addresses(struct job *j, const uint8_t *msg, size_t len, struct creel_answer *a,
		     struct creel_err *err)
{
	struct creel_dns_walk w;
	struct creel_dns_rr rr;
	struct creel_dns_name at = j->q.name;
	uint32_t ttl = UINT32_MAX;
	int r = creel_dns_walk_init(&w, msg, len, err);

	while (r >= 0 && (r = creel_dns_walk_next(&w, &rr, err)) > 0) {
		if (rr.section != 1)
			continue;
		if (rr.type == CREEL_DNS_CNAME) {
			size_t p = (size_t)(rr.rdata - msg);
			if (strcmp(rr.name.text, at.text) != 0)
				return creel_err_set(err, CREEL_E_SYNTAX, 0, "an alias of another name");
			r = creel_dns_name_read(msg, len, &p, &at, err);
			if (r == 0)
				r = chain_add(j, at.text, err);
			continue;
		}
		bool v4 = rr.type == CREEL_DNS_A && rr.rdlen == 4,
		     v6 = rr.type == CREEL_DNS_AAAA && rr.rdlen == 16;
		if (rr.type != CREEL_DNS_A && rr.type != CREEL_DNS_AAAA)
			continue;
		if ((!v4 && !v6) || strcmp(rr.name.text, at.text) != 0)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "an address of another name");
		struct creel_net addr = {.family = v4 ? 4 : 6, .bits = v4 ? 32 : 128};
		memcpy(addr.addr, rr.rdata, rr.rdlen);
		if (!address_ok(j, &addr, a))
			return creel_err_set(err, CREEL_E_DENIED, 0, "a refused address");
		if (j->report.n_addrs == CREEL_DNSMSG_ADDRS)
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "more than %d addresses",
					     CREEL_DNSMSG_ADDRS);
		uint8_t *out = j->report.addr[j->report.n_addrs++];
		if (v4)
			creel_mapped_put(out, rr.rdata);
		else
			memcpy(out, rr.rdata, 16);
		ttl = MIN(ttl, rr.ttl);
	}
	j->report.ttl = MIN(MAX(ttl, (uint32_t)DNS_PIN_FLOOR), (uint32_t)DNS_TTL_MAX + DNS_PIN_FLOOR);
	return r;
}

static void answered(struct job *j)
{
	j->report.type = CREEL_DNSMSG_QUERY;
	dns_report(j->dns, &j->report);
	job_send(j);
}

/* Before the answer leaves its addresses are in the set. */
static void pin(struct job *j)
{
	struct creel_dnsmsg m = j->report;

	m.type = CREEL_DNSMSG_PIN;
	m.id = j->id = ++j->dns->next_id;
	m.chain[0] = '\0';
	dns_pin(j->dns, &m);
	j->state = JOB_PIN_WANTED; /* now: others' messages may have had to leave first */
}

static struct job *pin_wanted(struct dns *d)
{
	struct job *j;

	LIST_FOREACH(j, &d->jobs, entry)
	if (j->state == JOB_PIN_WANTED)
		return j;
	return NULL;
}

void jobs_pinning(struct dns *d, bool sent)
{
	struct job *j;

	while ((j = pin_wanted(d)) != NULL) {
		j->state = JOB_PINNING;
		if (!sent || !wait_for_peer(j, DNS_PIN_WAIT_MS))
			fail(j, CREEL_DNS_SERVFAIL, CREEL_EDE_OTHER, CREEL_DNSMSG_WHY_PIN,
			     "the address set cannot be written");
	}
}

void job_pinned(struct dns *d, const struct creel_dnsmsg *m)
{
	struct job *j = job_find(d, m->id, JOB_PINNING);

	if (!j)
		return;
	if (m->result < 0)
		fail(j, CREEL_DNS_SERVFAIL, CREEL_EDE_OTHER, CREEL_DNSMSG_WHY_PIN,
		     "the address set cannot be written");
	else {
		dns_pinned_put(d, &j->report);
		dns_kept_put(j);
		answered(j);
	}
}

/* libunbound's answer (unbound-event.h, ub_event_callback_type). */
static void resolved(void *arg, int rcode, void *packet, int len, int sec, char *why_bogus,
		     int was_ratelimited)
{
	struct job *j = arg;
	struct creel_answer a = {0};
	struct creel_err err = {0};

	j->report.ms = ms_since(&j->start);
	j->report.rcode = (uint8_t)(rcode & 15);
	if (sec == 1) {
		fail(j, CREEL_DNS_SERVFAIL, EDE_BOGUS, CREEL_DNSMSG_WHY_FORGED,
		     "DNSSEC says that the answer is forged");
		return;
	}
	if (!packet || len <= 0 || (rcode != CREEL_DNS_NOERROR && rcode != CREEL_DNS_NXDOMAIN)) {
		fail(j, CREEL_DNS_SERVFAIL, CREEL_EDE_NETWORK, CREEL_DNSMSG_WHY_UPSTREAM,
		     "no resolver answered");
		return;
	}
	int r = addresses(j, packet, (size_t)len, &a, &err);
	if (r == CREEL_E_DENIED) {
		j->report.n_addrs = 0;
		refuse(j, CREEL_DNS_NXDOMAIN, CREEL_EDE_FILTERED,
		       "the name leads to an address that is not for this cell", &a);
		return;
	}
	if (r >= 0)
		r = creel_dns_reply_copy(&j->q, packet, (size_t)len, sec == 2, DNS_TTL_MAX, &j->answer, &err);
	if (r < 0)
		fail(j, CREEL_DNS_SERVFAIL, CREEL_EDE_OTHER, CREEL_DNSMSG_WHY_ANSWER,
		     "the answer is not well-formed");
	else if (j->report.n_addrs > 0 && !dns_pinned_has(j->dns, &j->report))
		pin(j);
	else {
		if (j->report.n_addrs > 0)
			dns_kept_put(j);
		answered(j);
	}
}

static void resolve(struct job *j)
{
	char name[1030];
	int id;

	if (j->q.type == CREEL_DNS_AAAA && !j->dns->conf.ipv6) {
		empty(j);
		return;
	}
	j->state = JOB_RESOLVING;
	(void)snprintf(name, sizeof(name), "%s.", j->report.name);
	/* may call back before it returns */
	if (ub_resolve_event(j->dns->ub, name, j->q.type, 1, j, resolved, &id) != 0)
		fail(j, CREEL_DNS_SERVFAIL, CREEL_EDE_OTHER, CREEL_DNSMSG_WHY_UPSTREAM,
		     "the resolver cannot take it");
}

/* A message with the question's own name and one address record, as an upstream's. */
static void address_answer(struct job *j, const void *addr, uint8_t len)
{
	uint8_t up[12 + 260 + 12 + 16] = {0, 0, 0x85, 0x80, 0, 1, 0, 1};
	const uint8_t rr[] = {0xc0, 12, 0, (uint8_t)j->q.type, 0, 1, 0, 0, 0, 30, 0, len};
	struct creel_err err = {0};
	size_t n = 12;

	memcpy(up + n, j->q.question, j->q.question_len);
	n += j->q.question_len;
	memcpy(up + n, rr, sizeof(rr));
	n += sizeof(rr);
	memcpy(up + n, addr, len);
	if (creel_dns_reply_copy(&j->q, up, n + len, false, DNS_TTL_MAX, &j->answer, &err) < 0)
		creel_buf_clear(&j->answer);
	answered(j);
}

/* Has this cell IPv6, and is it reached by it? */
static bool cell_six(const struct dns_conf *c, const char *cell)
{
	const struct creel_policy_spec *s = &c->pt->spec;

	for (size_t i = 0; c->ula.family && i < s->n_reach; i++)
		if (s->reach[i].six && strcmp(s->reach[i].cell, cell) == 0)
			return true;
	return false;
}

/*
 * Another cell that may be reached, or a name that is a broker's: its address is answered from here. A
 * broker stands in the policy as the cell `NAME.broker`.
 */
static void cell_answer(struct job *j)
{
	const struct dns_conf *conf = &j->dns->conf;
	const struct creel_policytext *c = conf->pt;
	const struct creel_broker *b = creel_broker_intercepts(c->brokers, j->report.name);
	char name[256];
	uint8_t six[16];

	if (b)
		(void)snprintf(name, sizeof(name), "%s.broker", b->name);
	else
		(void)snprintf(name, sizeof(name), "%.*s", (int)strlen(j->report.name) - 6 /* ".creel" */,
			       j->report.name);
	for (size_t i = 0; i < c->spec.n_cells; i++) {
		const uint8_t *four = c->cell[i].addr.addr;
		if (strcmp(c->cell[i].name, name) != 0)
			continue;
		if (j->q.type == CREEL_DNS_A) {
			address_answer(j, four, 4);
			return;
		}
		if (j->q.type != CREEL_DNS_AAAA || !cell_six(conf, name))
			break;
		memcpy(six, conf->ula.addr, sizeof(six));
		memcpy(six + 12, four, 4);
		address_answer(j, six, sizeof(six));
		return;
	}
	empty(j);
}

void job_start(struct job *j, const uint8_t *msg, size_t len)
{
	struct creel_err err = {0};
	struct creel_answer a = {0};
	struct creel_name name;
	char text[160];

	int r = creel_dns_query_parse(msg, len, &j->q, &err);
	if (r == CREEL_E_TRUNC || r == CREEL_E_PROTO) {
		job_send(j); /* no answer */
		return;
	}
	if (r < 0) {
		if (creel_dns_reply_malformed(msg, len,
					      r == CREEL_E_UNSUPP ? CREEL_DNS_NOTIMP : CREEL_DNS_FORMERR,
					      &j->answer, &err) < 0)
			creel_buf_clear(&j->answer);
		job_send(j);
		return;
	}
	(void)snprintf(j->report.name, sizeof(j->report.name), "%.255s", j->q.name.text);
	j->report.qtype = j->q.type;
	if (j->q.class != 1 || !type_ok(j->q.type)) {
		fail(j, CREEL_DNS_REFUSED, CREEL_EDE_PROHIBITED, CREEL_DNSMSG_WHY_TYPE,
		     "this type of query is not answered");
		return;
	}
	if (creel_name_parse(j->q.name.text, strlen(j->q.name.text), &name, &err) < 0 ||
	    !labels_ok(name.text)) {
		fail(j, CREEL_DNS_NXDOMAIN, CREEL_EDE_BLOCKED, CREEL_DNSMSG_WHY_NAME,
		     "no host has such a name");
		return;
	}
	memcpy(j->report.name, name.text, sizeof(name.text));
	struct creel_question q = {.name = name.text};
	creel_policy_decide(&j->dns->conf.pt->policy, &q, &a);
	if (a.decision == CREEL_ALLOW && a.why == CREEL_WHY_REACH) {
		cell_answer(j);
	} else if (a.decision == CREEL_ALLOW || (a.decision == CREEL_ASK && granted(j->dns, name.text))) {
		if (dns_kept_answer(j))
			answered(j);
		else if (dns_tunnel_ok(j->dns, name.text, j->dns->conf.pt->spec.mode != CREEL_MODE_OPEN))
			resolve(j);
		else
			fail(j, CREEL_DNS_NXDOMAIN, CREEL_EDE_BLOCKED, CREEL_DNSMSG_WHY_TUNNEL,
			     "too many names below one domain");
	} else if (a.decision == CREEL_ASK) {
		ask(j, &a);
	} else {
		/* no SOA goes with it, so nobody keeps the refusal (RFC 2308, 5) */
		(void)snprintf(text, sizeof(text), "denied by the cell's policy, line %u", a.line);
		refuse(j, CREEL_DNS_NXDOMAIN, CREEL_EDE_BLOCKED, text, &a);
	}
}

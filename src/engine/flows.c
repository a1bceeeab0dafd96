#include "base/log.h"
#include "engine/engine.h"
#include "policy/egress.h"
#include "wire/flowmsg.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/*
 * What flowed, as creel-flow and creel-flowlog tell it: egress.allow, .deny and .end, and reach.* for
 * flows between cells. A socket that serves one cell speaks for that cell alone, whatever a message says;
 * creel-flowlog's serves all.
 */
static struct {
	int fd;
	struct event *read;
} all = {.fd = -1};

static const char *address(const uint8_t raw[16], char ret[INET6_ADDRSTRLEN])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool v4 = memcmp(raw, mapped, 12) == 0;

	return inet_ntop(v4 ? AF_INET : AF_INET6, raw + (v4 ? 12 : 0), ret, INET6_ADDRSTRLEN);
}

static const char *proto_name(uint8_t proto, char ret[8])
{
	if (proto == IPPROTO_TCP)
		return "tcp";
	if (proto == IPPROTO_UDP)
		return "udp";
	if (proto == IPPROTO_ICMP)
		return "icmp";
	(void)snprintf(ret, 8, "%u", proto);
	return ret;
}

static enum creel_event_kind kind_of(const struct creel_flowmsg *m)
{
	if (m->type == CREEL_FLOWMSG_DENY)
		return m->reach ? CREEL_EV_REACH_DENY : CREEL_EV_EGRESS_DENY;
	if (m->type == CREEL_FLOWMSG_END)
		return CREEL_EV_EGRESS_END;
	return m->reach ? CREEL_EV_REACH_ALLOW : CREEL_EV_EGRESS_ALLOW;
}

/* @param filter  the filter told it, by creel-flowlog */
static void flowed(struct eng_cell *c, const struct creel_flowmsg *m, bool filter)
{
	static const char *const ways[] = {"any", "tls", "http", "tcp", "udp"};
	struct creel_event e = {.kind = kind_of(m), .cell = c->name};
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN], proto[8];

	if (m->name[0])
		creel_event_str(&e, "name", m->name);
	creel_event_str(&e, "address", address(m->dst, dst));
	creel_event_num(&e, "port", m->dport);
	creel_event_str(&e, "proto", proto_name(m->proto, proto));
	if (m->type == CREEL_FLOWMSG_ALLOW && m->way < ELEMENTSOF(ways))
		creel_event_str(&e, "way", ways[m->way]);
	if (m->reason != CREEL_FLOW_OK)
		creel_event_str(&e, "reason", creel_flow_reason_name(m->reason));
	if (m->line)
		creel_event_num(&e, "line", m->line);
	creel_event_str(&e, "from", address(m->src, src));
	creel_event_num(&e, "from_port", m->sport);
	if (m->count > 1)
		creel_event_num(&e, "count", (int64_t)m->count);
	if (m->type == CREEL_FLOWMSG_END) {
		creel_event_num(&e, "sent", (int64_t)m->bytes_out);
		creel_event_num(&e, "received", (int64_t)m->bytes_in);
		creel_event_num(&e, "ms", m->ms);
	}
	uint64_t packets = m->type == CREEL_FLOWMSG_END ? 0 : MAX(m->count, UINT64_C(1));
	budget_note_flows(c, &e, packets, filter ? packets : 0);
}

/* @param told  of these, what the filter told */
static void lost(const char *cell, uint64_t count, uint64_t told)
{
	struct creel_event e = {.kind = CREEL_EV_RECORD_OVERRUN, .cell = cell};

	creel_event_str(&e, "of", "flows");
	creel_event_num(&e, "count", (int64_t)count);
	if (journal_note(&e) && told)
		tally_add(cell, told);
}

void flows_counted(struct eng_cell *c, uint64_t counted)
{
	uint64_t told = tally_told(c->name) + c->folded_told;

	if (counted > told)
		lost(c->name, counted - told, counted - told);
}

/* @param c  NULL: each message says its cell. @return false: it is not what such a peer sends */
static bool packet(struct eng_cell *c, const uint8_t *buf, size_t len)
{
	static struct creel_flowmsg m;
	struct creel_err err = {0};
	size_t at = 0;
	int r;

	while ((r = creel_flowmsg_next(buf, len, &at, &m, &err)) > 0) {
		struct eng_cell *of = c ? c : cells_find(m.cell);
		bool told = m.type >= CREEL_FLOWMSG_ALLOW && m.type <= CREEL_FLOWMSG_END;
		if (m.type == CREEL_FLOWMSG_LOST)
			lost(of ? of->name : "", m.count,
			     of && !c && m.way != CREEL_FLOWMSG_END ? m.count : 0);
		else if (told && of)
			flowed(of, &m, !c);
		else if (!told)
			return false;
	}
	return r == 0;
}

static void all_close(void)
{
	if (all.read)
		event_free(all.read);
	all.read = NULL;
	if (all.fd >= 0)
		close(all.fd);
	all.fd = -1;
}

static void readable(evutil_socket_t fd, short what, void *ctx)
{
	static uint8_t buf[CREEL_FLOWMSG_PACKET + 1];
	struct eng_cell *c = ctx;
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0 && packet(c, buf, (size_t)n))
		return;
	if (n > 0)
		creel_log_warn("%s sent what is not its to send", c ? "a creel-flow" : "creel-flowlog");
	if (c)
		flows_close(c);
	else
		all_close();
}

void flows_close(struct eng_cell *c)
{
	if (c->flow_read)
		event_free(c->flow_read);
	c->flow_read = NULL;
	if (c->flow_fd >= 0)
		close(c->flow_fd);
	c->flow_fd = -1;
}

void flows_open(struct eng_cell *c, int fd)
{
	flows_close(c);
	c->flow_fd = dup(fd);
	c->flow_read = c->flow_fd < 0 ? NULL
				      : event_new(eng.base, c->flow_fd, EV_READ | EV_PERSIST, readable, c);
	if (!c->flow_read || event_add(c->flow_read, NULL) < 0) {
		creel_log_warn("cell %s: no memory for what flows", c->name);
		flows_close(c);
	}
}

void flows_open_all(int fd)
{
	all_close();
	all.fd = dup(fd);
	all.read = all.fd < 0 ? NULL : event_new(eng.base, all.fd, EV_READ | EV_PERSIST, readable, NULL);
	if (!all.read || event_add(all.read, NULL) < 0) {
		creel_log_warn("no memory for what flows");
		all_close();
	}
}

#include "wire/flowmsg.h"
#include "wire/le.h"
#include <assert.h>
#include <string.h>

static const char *const reasons[] = {
	[CREEL_FLOW_OK] = "ok",
	[CREEL_FLOW_FILTER] = "filter",
	[CREEL_FLOW_POLICY] = "policy",
	[CREEL_FLOW_PIN] = "not-resolved",
	[CREEL_FLOW_NO_NAME] = "no-name",
	[CREEL_FLOW_ECH] = "ech",
	[CREEL_FLOW_HELLO] = "not-tls",
	[CREEL_FLOW_RENAMED] = "renamed",
	[CREEL_FLOW_REQUEST] = "not-http",
	[CREEL_FLOW_HOST] = "host-port",
	[CREEL_FLOW_UPGRADE] = "upgrade",
	[CREEL_FLOW_TIMEOUT] = "timeout",
	[CREEL_FLOW_CLOSED] = "closed",
	[CREEL_FLOW_BUSY] = "busy",
	[CREEL_FLOW_UPSTREAM] = "upstream",
	[CREEL_FLOW_RESET] = "reset",
	[CREEL_FLOW_IDLE] = "idle",
	[CREEL_FLOW_CUT] = "withdrawn",
	[CREEL_FLOW_DIRECT] = "direct",
	[CREEL_FLOW_STOPPED] = "stopped",
};
static_assert(sizeof(reasons) / sizeof(reasons[0]) == CREEL_FLOW_REASONS, "a word for each reason");

enum { BIT_REACH = 1, BIT_GRANTED = 2 };

const char *creel_flow_reason_name(unsigned reason)
{
	return reason < CREEL_FLOW_REASONS ? reasons[reason] : "unknown";
}

size_t creel_flowmsg_encode(const struct creel_flowmsg *m, uint8_t *buf)
{
	size_t cell = strnlen(m->cell, sizeof(m->cell) - 1), name = strnlen(m->name, sizeof(m->name) - 1);
	size_t addrs = m->n_addrs < CREEL_FLOWMSG_ADDRS ? m->n_addrs : CREEL_FLOWMSG_ADDRS;
	uint8_t *p = buf + CREEL_FLOWMSG_FIXED;

	memset(buf, 0, CREEL_FLOWMSG_FIXED);
	buf[0] = m->type;
	buf[1] = m->proto;
	buf[2] = m->way;
	buf[3] = m->reason;
	buf[4] = (uint8_t)((m->reach ? BIT_REACH : 0) | (m->granted ? BIT_GRANTED : 0));
	buf[5] = (uint8_t)cell;
	buf[6] = (uint8_t)name;
	buf[7] = (uint8_t)addrs;
	creel_put_le16(buf + 8, m->sport);
	creel_put_le16(buf + 10, m->dport);
	creel_put_le32(buf + 12, m->ttl);
	creel_put_le32(buf + 16, m->ms);
	creel_put_le32(buf + 20, m->line);
	creel_put_le64(buf + 24, m->bytes_out);
	creel_put_le64(buf + 32, m->bytes_in);
	creel_put_le64(buf + 40, m->packets_out);
	creel_put_le64(buf + 48, m->packets_in);
	creel_put_le64(buf + 56, m->count);
	memcpy(buf + 64, m->src, 16);
	memcpy(buf + 80, m->dst, 16);
	memcpy(p, m->cell, cell);
	memcpy(p + cell, m->name, name);
	memcpy(p + cell + name, m->addr, 16 * addrs);
	return CREEL_FLOWMSG_FIXED + cell + name + 16 * addrs;
}

int creel_flowmsg_next(const uint8_t *buf, size_t len, size_t *at, struct creel_flowmsg *ret,
		       struct creel_err *err)
{
	struct creel_flowmsg m = {0};
	const uint8_t *p = buf + *at;

	if (*at == len)
		return 0;
	if (len - *at < CREEL_FLOWMSG_FIXED)
		return creel_err_set(err, CREEL_E_PROTO, 0, "a flow message cut");
	size_t cell = p[5], name = p[6], addrs = p[7], whole = CREEL_FLOWMSG_FIXED + cell + name + 16 * addrs;
	if (cell >= sizeof(m.cell) || name >= sizeof(m.name) || addrs > CREEL_FLOWMSG_ADDRS ||
	    whole > len - *at || memchr(p + CREEL_FLOWMSG_FIXED, 0, cell + name))
		return creel_err_set(err, CREEL_E_PROTO, 0, "a malformed flow message");
	m.type = p[0];
	m.proto = p[1];
	m.way = p[2];
	m.reason = p[3];
	m.reach = p[4] & BIT_REACH;
	m.granted = p[4] & BIT_GRANTED;
	m.n_addrs = (uint8_t)addrs;
	m.sport = creel_le16(p + 8);
	m.dport = creel_le16(p + 10);
	m.ttl = creel_le32(p + 12);
	m.ms = creel_le32(p + 16);
	m.line = creel_le32(p + 20);
	m.bytes_out = creel_le64(p + 24);
	m.bytes_in = creel_le64(p + 32);
	m.packets_out = creel_le64(p + 40);
	m.packets_in = creel_le64(p + 48);
	m.count = creel_le64(p + 56);
	memcpy(m.src, p + 64, 16);
	memcpy(m.dst, p + 80, 16);
	memcpy(m.cell, p + CREEL_FLOWMSG_FIXED, cell);
	memcpy(m.name, p + CREEL_FLOWMSG_FIXED + cell, name);
	memcpy(m.addr, p + CREEL_FLOWMSG_FIXED + cell + name, 16 * addrs);
	*at += whole;
	*ret = m;
	return 1;
}

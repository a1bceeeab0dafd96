#include "wire/dnsmsg.h"
#include "wire/le.h"
#include <string.h>

void creel_dnsmsg_encode(const struct creel_dnsmsg *m, uint8_t buf[CREEL_DNSMSG])
{
	memset(buf, 0, CREEL_DNSMSG);
	buf[0] = m->type;
	buf[1] = m->rcode;
	buf[2] = m->why;
	buf[3] = m->n_addrs;
	creel_put_le16(buf + 4, m->qtype);
	creel_put_le32(buf + 8, m->id);
	creel_put_le32(buf + 12, m->ttl);
	creel_put_le32(buf + 16, m->ms);
	creel_put_le32(buf + 20, m->line);
	/* result and count are never in one message */
	creel_put_le32(buf + 24, m->type == CREEL_DNSMSG_PINNED ? (uint32_t)m->result : m->count);
	memcpy(buf + 28, m->name, strnlen(m->name, sizeof(m->name) - 1));
	memcpy(buf + 28 + 256, m->addr, (size_t)16 * m->n_addrs);
}

int creel_dnsmsg_decode(const uint8_t *buf, size_t len, struct creel_dnsmsg *ret, struct creel_err *err)
{
	struct creel_dnsmsg m = {0};

	if (len != CREEL_DNSMSG)
		return creel_err_set(err, CREEL_E_PROTO, 0, "a message of %zu octets", len);
	m.type = buf[0];
	m.rcode = buf[1];
	m.why = buf[2];
	m.n_addrs = buf[3];
	m.qtype = creel_le16(buf + 4);
	m.id = creel_le32(buf + 8);
	m.ttl = creel_le32(buf + 12);
	m.ms = creel_le32(buf + 16);
	m.line = creel_le32(buf + 20);
	m.count = creel_le32(buf + 24);
	if (m.type == CREEL_DNSMSG_PINNED) {
		m.result = (int32_t)m.count;
		m.count = 0;
	}
	memcpy(m.name, buf + 28, sizeof(m.name));
	if (m.n_addrs > CREEL_DNSMSG_ADDRS || m.name[sizeof(m.name) - 1] != '\0')
		return creel_err_set(err, CREEL_E_PROTO, 0, "a malformed message");
	memcpy(m.addr, buf + 28 + 256, (size_t)16 * m.n_addrs);
	*ret = m;
	return 0;
}

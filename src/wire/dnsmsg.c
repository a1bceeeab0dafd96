#include "wire/dnsmsg.h"
#include "wire/le.h"
#include <string.h>

size_t creel_dnsmsg_encode(const struct creel_dnsmsg *m, uint8_t buf[CREEL_DNSMSG_MAX])
{
	size_t name = strnlen(m->name, sizeof(m->name) - 1), chain = strnlen(m->chain, sizeof(m->chain) - 1);
	size_t addrs = m->n_addrs < CREEL_DNSMSG_ADDRS ? m->n_addrs : CREEL_DNSMSG_ADDRS;
	uint8_t *p = buf + CREEL_DNSMSG_FIXED;

	memset(buf, 0, CREEL_DNSMSG_FIXED);
	buf[0] = m->type;
	buf[1] = m->rcode;
	buf[2] = m->why;
	buf[3] = (uint8_t)addrs;
	creel_put_le16(buf + 4, m->qtype);
	buf[6] = (uint8_t)name;
	creel_put_le32(buf + 8, m->id);
	creel_put_le32(buf + 12, m->ttl);
	creel_put_le32(buf + 16, m->ms);
	creel_put_le32(buf + 20, m->line);
	/* result and count are never in one message */
	creel_put_le32(buf + 24, m->type == CREEL_DNSMSG_PINNED ? (uint32_t)m->result : m->count);
	creel_put_le16(buf + 28, (uint16_t)chain);
	memcpy(p, m->name, name);
	memcpy(p + name, m->addr, 16 * addrs);
	memcpy(p + name + 16 * addrs, m->chain, chain);
	return CREEL_DNSMSG_FIXED + name + 16 * addrs + chain;
}

int creel_dnsmsg_next(const uint8_t *buf, size_t len, size_t *at, struct creel_dnsmsg *ret,
		      struct creel_err *err)
{
	const uint8_t *p = buf + *at, *text = p + CREEL_DNSMSG_FIXED;

	if (*at == len)
		return 0;
	if (len - *at < CREEL_DNSMSG_FIXED)
		return creel_err_set(err, CREEL_E_PROTO, 0, "a message of the resolver's cut");
	size_t addrs = p[3], name = p[6], chain = creel_le16(p + 28);
	size_t whole = CREEL_DNSMSG_FIXED + name + 16 * addrs + chain;
	if (addrs > CREEL_DNSMSG_ADDRS || chain >= CREEL_DNSMSG_CHAIN || whole > len - *at ||
	    memchr(text, '\0', name) || memchr(text + name + 16 * addrs, '\0', chain))
		return creel_err_set(err, CREEL_E_PROTO, 0, "a malformed message of the resolver's");
	if (chain > 0 && p[0] != CREEL_DNSMSG_QUERY && p[0] != CREEL_DNSMSG_REFUSE)
		return creel_err_set(err, CREEL_E_PROTO, 0, "a chain of names where none belongs");
	*ret = (struct creel_dnsmsg){
		.type = p[0],
		.rcode = p[1],
		.why = p[2],
		.n_addrs = (uint8_t)addrs,
		.qtype = creel_le16(p + 4),
		.id = creel_le32(p + 8),
		.ttl = creel_le32(p + 12),
		.ms = creel_le32(p + 16),
		.line = creel_le32(p + 20),
	};
	if (ret->type == CREEL_DNSMSG_PINNED)
		ret->result = (int32_t)creel_le32(p + 24);
	else
		ret->count = creel_le32(p + 24);
	memcpy(ret->name, text, name);
	memcpy(ret->addr, text + name, 16 * addrs);
	memcpy(ret->chain, text + name + 16 * addrs, chain);
	*at += whole;
	return 1;
}

bool creel_dnsmsg_put(struct creel_dnsmsg_packet *p, const struct creel_dnsmsg *m)
{
	if (p->n == CREEL_DNSMSG_AT_ONCE || sizeof(p->buf) - p->len < CREEL_DNSMSG_MAX)
		return false;
	p->len += creel_dnsmsg_encode(m, p->buf + p->len);
	p->n++;
	return true;
}

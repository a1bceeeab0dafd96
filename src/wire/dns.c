#include "wire/dns.h"
#include "wire/be.h"
#include <string.h>

#define HEADER 12

int creel_dns_name_read(const uint8_t *msg, size_t len, size_t *at, struct creel_dns_name *ret_name,
			struct creel_err *err)
{
	struct creel_dns_name out = {0};
	size_t p = *at, after = 0, t = 0, wire = 1, bound = *at;

	for (;;) {
		if (p >= len)
			return creel_err_set(err, CREEL_E_TRUNC, 0, "name ends at octet %zu", p);
		uint8_t n = msg[p++];
		if (n == 0)
			break;
		if ((n & 0xc0) == 0xc0) {
			if (p >= len)
				return creel_err_set(err, CREEL_E_TRUNC, 0, "pointer cut");
			size_t to = (size_t)(n & 0x3f) << 8 | msg[p++];
			if (after == 0)
				after = p;
			/* strictly before all that was read: a loop is impossible */
			if (to >= bound || to < HEADER)
				return creel_err_set(err, CREEL_E_SYNTAX, 0, "pointer to octet %zu", to);
			bound = p = to;
			continue;
		}
		if (n > 63)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "label type 0x%02x", n);
		if (n > len - p)
			return creel_err_set(err, CREEL_E_TRUNC, 0, "label of %u octets cut", n);
		wire += n + 1U;
		if (wire > 255)
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "name over 255 octets");
		if (t > 0)
			out.text[t++] = '.';
		for (size_t end = p + n; p < end; p++) {
			uint8_t c = msg[p];
			if (c >= 'A' && c <= 'Z')
				c = (uint8_t)(c - 'A' + 'a');
			if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
				out.text[t++] = (char)c;
				continue;
			}
			out.text[t++] = '\\';
			out.text[t++] = (char)('0' + c / 100);
			out.text[t++] = (char)('0' + c / 10 % 10);
			out.text[t++] = (char)('0' + c % 10);
		}
	}
	*at = after ? after : p;
	*ret_name = out;
	return 0;
}

/* The fixed part of a record behind its name. */
static int rr_read(const uint8_t *msg, size_t len, size_t *at, struct creel_dns_rr *ret,
		   struct creel_err *err)
{
	struct creel_dns_rr rr = {0};
	int r = creel_dns_name_read(msg, len, at, &rr.name, err);

	if (r < 0)
		return r;
	if (len - *at < 10)
		return creel_err_set(err, CREEL_E_TRUNC, 0, "record cut");
	rr.type = creel_be16(msg + *at);
	rr.class = creel_be16(msg + *at + 2);
	rr.ttl = creel_be32(msg + *at + 4);
	rr.rdlen = creel_be16(msg + *at + 8);
	*at += 10;
	if (rr.rdlen > len - *at)
		return creel_err_set(err, CREEL_E_TRUNC, 0, "record of %u octets cut", rr.rdlen);
	rr.rdata = msg + *at;
	*at += rr.rdlen;
	*ret = rr;
	return 0;
}

int creel_dns_query_parse(const uint8_t *msg, size_t len, struct creel_dns_query *ret_query,
			  struct creel_err *err)
{
	struct creel_dns_query q = {.udp_size = 512};
	size_t at = HEADER;

	if (len < HEADER)
		return creel_err_set(err, CREEL_E_TRUNC, 0, "a message of %zu octets", len);
	if (msg[2] & 0x80)
		return creel_err_set(err, CREEL_E_PROTO, 0, "an answer, not a query");
	q.id = creel_be16(msg);
	q.opcode = msg[2] >> 3 & 15;
	q.rd = msg[2] & 1;
	q.cd = msg[3] & 0x10;
	if (q.opcode != 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "opcode %u", q.opcode);
	if (creel_be16(msg + 4) != 1 || creel_be16(msg + 6) || creel_be16(msg + 8))
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "not one question alone");
	int r = creel_dns_name_read(msg, len, &at, &q.name, err);
	if (r < 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "the question's name");
	if (len - at < 4)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "question cut");
	q.type = creel_be16(msg + at);
	q.class = creel_be16(msg + at + 2);
	at += 4;
	q.question_len = at - HEADER;
	if (q.question_len > sizeof(q.question)) /* a name without compression has 255 at most */
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "the question's name");
	memcpy(q.question, msg + HEADER, q.question_len);
	for (unsigned left = creel_be16(msg + 10); left > 0; left--) {
		struct creel_dns_rr rr;
		r = rr_read(msg, len, &at, &rr, err);
		if (r < 0)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "an additional record");
		if (rr.type != CREEL_DNS_OPT)
			continue; /* TSIG and the like: nothing that we honour */
		if (q.edns || rr.name.text[0])
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "OPT twice, or not at the root");
		if (rr.ttl >> 16 & 0xff)
			return creel_err_set(err, CREEL_E_UNSUPP, 0, "EDNS version %u", rr.ttl >> 16 & 0xff);
		q.edns = true;
		q.dnssec_ok = rr.ttl & 0x8000;
		q.udp_size = rr.class < 512 ? 512 : rr.class;
	}
	if (at != len)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "%zu octets behind the message", len - at);
	*ret_query = q;
	return 0;
}

int creel_dns_walk_init(struct creel_dns_walk *w, const uint8_t *msg, size_t len, struct creel_err *err)
{
	struct creel_dns_walk out = {.msg = msg, .len = len, .at = HEADER};
	struct creel_dns_name name;

	if (len < HEADER)
		return creel_err_set(err, CREEL_E_TRUNC, 0, "a message of %zu octets", len);
	out.rcode = msg[3] & 15;
	out.ad = msg[3] & 0x20;
	for (unsigned i = 1; i < 4; i++)
		out.left[i] = creel_be16(msg + 4 + 2 * i);
	for (unsigned left = creel_be16(msg + 4); left > 0; left--) {
		int r = creel_dns_name_read(msg, len, &out.at, &name, err);
		if (r < 0)
			return r;
		if (len - out.at < 4)
			return creel_err_set(err, CREEL_E_TRUNC, 0, "question cut");
		out.at += 4;
	}
	*w = out;
	return 0;
}

int creel_dns_walk_next(struct creel_dns_walk *w, struct creel_dns_rr *ret_rr, struct creel_err *err)
{
	for (uint8_t section = 1; section < 4; section++) {
		if (w->left[section] == 0)
			continue;
		int r = rr_read(w->msg, w->len, &w->at, ret_rr, err);
		if (r < 0)
			return r;
		w->left[section]--;
		ret_rr->section = section;
		return 1;
	}
	return 0;
}

/* The header of an answer to @p q; the counts are set when they are known. */
static int head(const struct creel_dns_query *q, unsigned rcode, bool ad, struct creel_buf *out,
		struct creel_err *err)
{
	uint8_t h[HEADER] = {0};

	creel_put_be16(h, q->id);
	h[2] = (uint8_t)(0x80 | q->rd);
	h[3] = (uint8_t)(0x80 | (ad ? 0x20 : 0) | (q->cd ? 0x10 : 0) | rcode); /* RA */
	creel_put_be16(h + 4, 1);
	creel_buf_clear(out);
	int r = creel_buf_add(out, h, sizeof(h), err);
	return r < 0 ? r : creel_buf_add(out, q->question, q->question_len, err);
}

static void count(struct creel_buf *out, unsigned section, unsigned n)
{
	creel_put_be16(out->data + 4 + (size_t)2 * section, (uint16_t)n);
}

/* OPT with an Extended DNS Error; nothing when the asker did not speak EDNS. */
static int opt(const struct creel_dns_query *q, enum creel_dns_ede ede, const char *text,
	       struct creel_buf *out, struct creel_err *err)
{
	size_t len = text ? strnlen(text, 255) : 0;
	uint8_t o[11 + 6] = {0, 0, CREEL_DNS_OPT};
	bool has = ede != CREEL_EDE_NONE;

	if (!q->edns)
		return 0;
	creel_put_be16(o + 3, 1232); /* what we take by UDP: the DNS flag day's size */
	o[7] = q->dnssec_ok ? 0x80 : 0;
	if (has) {
		creel_put_be16(o + 9, (uint16_t)(6 + len));
		creel_put_be16(o + 11, 15); /* EDE */
		creel_put_be16(o + 13, (uint16_t)(2 + len));
		creel_put_be16(o + 15, (uint16_t)ede);
	}
	int r = creel_buf_add(out, o, has ? sizeof(o) : 11, err);
	if (r >= 0 && has && len)
		r = creel_buf_add(out, text, len, err);
	if (r >= 0)
		count(out, 3, 1);
	return r;
}

int creel_dns_reply(const struct creel_dns_query *q, enum creel_dns_rcode rcode, enum creel_dns_ede ede,
		    const char *text, struct creel_buf *out, struct creel_err *err)
{
	int r = head(q, rcode, false, out, err);

	return r < 0 ? r : opt(q, ede, text, out, err);
}

int creel_dns_reply_malformed(const uint8_t *msg, size_t len, enum creel_dns_rcode rcode,
			      struct creel_buf *out, struct creel_err *err)
{
	uint8_t h[HEADER] = {0};

	if (len < HEADER)
		return creel_err_set(err, CREEL_E_TRUNC, 0, "a message of %zu octets", len);
	memcpy(h, msg, 2);
	h[2] = (uint8_t)(0x80 | (msg[2] & 0x79)); /* opcode and RD back */
	h[3] = (uint8_t)(0x80 | rcode);
	creel_buf_clear(out);
	return creel_buf_add(out, h, sizeof(h), err);
}

/* Append the name at @p *at of @p up without compression. */
static int name_copy(const uint8_t *up, size_t len, size_t *at, struct creel_buf *out, struct creel_err *err)
{
	struct creel_dns_name checked;
	size_t p = *at;
	int r = creel_dns_name_read(up, len, at, &checked, err);

	if (r < 0)
		return r;
	for (;;) { /* ends: the name was read whole above */
		uint8_t n = up[p];
		if ((n & 0xc0) == 0xc0) {
			p = (size_t)(n & 0x3f) << 8 | up[p + 1];
			continue;
		}
		r = creel_buf_add(out, up + p, n + 1U, err);
		if (r < 0 || n == 0)
			return r;
		p += n + 1U;
	}
}

/*
 * SVCB (RFC 9460) without `ech` (5), and without the address hints (4, 6): addresses are taken from
 * A and AAAA alone, which are checked and pinned. @return 1 when one was there
 */
static int svcb_copy(const struct creel_dns_rr *rr, const uint8_t *up, size_t up_len, struct creel_buf *out,
		     struct creel_err *err)
{
	size_t at = (size_t)(rr->rdata - up) + 2, end = (size_t)(rr->rdata - up) + rr->rdlen;
	int changed = 0, r;

	if (rr->rdlen < 3)
		return creel_err_set(err, CREEL_E_TRUNC, 0, "SVCB of %u octets", rr->rdlen);
	r = creel_buf_add(out, rr->rdata, 2, err);
	if (r < 0)
		return r;
	r = name_copy(up, up_len, &at, out, err);
	if (r < 0)
		return r;
	while (at < end) {
		if (end - at < 4 || creel_be16(up + at + 2) > end - at - 4)
			return creel_err_set(err, CREEL_E_TRUNC, 0, "SVCB parameter cut");
		size_t n = 4U + creel_be16(up + at + 2);
		if (creel_be16(up + at) >= 4 && creel_be16(up + at) <= 6)
			changed = 1;
		else if ((r = creel_buf_add(out, up + at, n, err)) < 0)
			return r;
		at += n;
	}
	return at == end ? changed : creel_err_set(err, CREEL_E_SYNTAX, 0, "SVCB name too long");
}

/* RDATA with its names whole. @return 1 when it was changed */
static int rdata_copy(const struct creel_dns_rr *rr, const uint8_t *up, size_t up_len, struct creel_buf *out,
		      struct creel_err *err)
{
	size_t at = (size_t)(rr->rdata - up), end = at + rr->rdlen, fixed = 0, names = 0;
	int r = 0;

	switch (rr->type) {
	case CREEL_DNS_SVCB:
	case CREEL_DNS_HTTPS:
		return svcb_copy(rr, up, up_len, out, err);
	case CREEL_DNS_NS:
	case CREEL_DNS_CNAME:
	case CREEL_DNS_PTR:
	case CREEL_DNS_DNAME:
		names = 1;
		break;
	case CREEL_DNS_MX:
		fixed = 2;
		names = 1;
		break;
	case CREEL_DNS_SRV:
		fixed = 6;
		names = 1;
		break;
	case CREEL_DNS_SOA:
		names = 2;
		break;
	default:
		return creel_buf_add(out, rr->rdata, rr->rdlen, err);
	}
	if (fixed > rr->rdlen)
		return creel_err_set(err, CREEL_E_TRUNC, 0, "record of %u octets", rr->rdlen);
	r = creel_buf_add(out, rr->rdata, fixed, err);
	at += fixed;
	for (; r >= 0 && names > 0; names--)
		r = name_copy(up, up_len, &at, out, err);
	if (r >= 0 && (at > end || (end - at != (rr->type == CREEL_DNS_SOA ? 20 : 0))))
		r = creel_err_set(err, CREEL_E_SYNTAX, 0, "record of type %u", rr->type);
	return r < 0 ? r : creel_buf_add(out, up + at, end - at, err);
}

static bool is_dnssec(uint16_t type)
{
	return type == CREEL_DNS_RRSIG || type == CREEL_DNS_NSEC || type == CREEL_DNS_NSEC3;
}

static int rr_copy(const struct creel_dns_rr *rr, const uint8_t *up, size_t up_len, size_t name_at,
		   uint32_t max_ttl, struct creel_buf *out, struct creel_err *err)
{
	uint8_t fixed[10];
	int r = name_copy(up, up_len, &name_at, out, err);

	creel_put_be16(fixed, rr->type);
	creel_put_be16(fixed + 2, rr->class);
	creel_put_be32(fixed + 4, rr->ttl > max_ttl ? max_ttl : rr->ttl);
	creel_put_be16(fixed + 8, 0);
	if (r >= 0)
		r = creel_buf_add(out, fixed, sizeof(fixed), err);
	if (r < 0)
		return r;
	size_t start = out->len;
	int changed = rdata_copy(rr, up, up_len, out, err);
	if (changed < 0)
		return changed;
	if (out->len - start > 65535)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "record over 65535 octets");
	creel_put_be16(out->data + start - 2, (uint16_t)(out->len - start));
	return changed;
}

int creel_dns_reply_copy(const struct creel_dns_query *q, const uint8_t *up, size_t up_len, bool secure,
			 uint32_t max_ttl, struct creel_buf *out, struct creel_err *err)
{
	unsigned n[4] = {0};
	bool changed = false;

	/* a changed set is no longer what was signed: once more without signatures */
	for (int pass = 0; pass < 2; pass++) {
		struct creel_dns_walk w;
		struct creel_dns_rr rr;
		bool dnssec = q->dnssec_ok && !changed;
		int r = creel_dns_walk_init(&w, up, up_len, err);
		if (r >= 0)
			r = head(q, w.rcode, secure && dnssec, out, err);
		memset(n, 0, sizeof(n));
		while (r >= 0) {
			size_t name_at = w.at;
			r = creel_dns_walk_next(&w, &rr, err);
			if (r <= 0)
				break;
			if (rr.section == 3 || rr.type == CREEL_DNS_OPT ||
			    (is_dnssec(rr.type) && !dnssec && rr.type != q->type))
				continue;
			r = rr_copy(&rr, up, up_len, name_at, max_ttl, out, err);
			changed = changed || r > 0;
			n[rr.section]++;
		}
		if (r < 0)
			return r;
		if (!changed || !q->dnssec_ok)
			break;
	}
	count(out, 1, n[1]);
	count(out, 2, n[2]);
	return opt(q, CREEL_EDE_NONE, NULL, out, err);
}

int creel_dns_truncate(const struct creel_dns_query *q, size_t max, struct creel_buf *out,
		       struct creel_err *err)
{
	if (out->len <= max)
		return 0;
	uint8_t flags[2] = {out->data[2], out->data[3]};
	int r = head(q, 0, false, out, err);
	if (r >= 0)
		r = opt(q, CREEL_EDE_NONE, NULL, out, err);
	if (r < 0)
		return r;
	out->data[2] = flags[0] | 2; /* TC */
	out->data[3] = flags[1];
	return 0;
}

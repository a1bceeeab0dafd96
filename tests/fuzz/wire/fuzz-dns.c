/*
 * A query, then behind its first two octets (its length) an upstream's answer: what is built of them
 * can be walked whole, has the query's id, no `ech` and fits when truncated.
 */
#include "wire/be.h"
#include "wire/dns.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void walk_all(const uint8_t *msg, size_t len, bool ours)
{
	struct creel_dns_walk w;
	struct creel_dns_rr rr;
	struct creel_err err = {0};
	int r = creel_dns_walk_init(&w, msg, len, &err);

	while (r >= 0 && (r = creel_dns_walk_next(&w, &rr, &err)) > 0) {
		if (strlen(rr.name.text) > 1020 || rr.rdata < msg || rr.rdata + rr.rdlen > msg + len)
			abort();
		if (ours && (rr.type == CREEL_DNS_HTTPS || rr.type == CREEL_DNS_SVCB)) {
			const uint8_t *p = rr.rdata + 2, *end = rr.rdata + rr.rdlen;
			while (*p)
				p += *p + 1;
			for (p++; p < end; p += 4 + creel_be16(p + 2))
				if (creel_be16(p) >= 4 && creel_be16(p) <= 6)
					abort();
		}
	}
	if (ours && (r < 0 || w.at != len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_dns_query q;
	struct creel_err err = {0};
	struct creel_buf out;

	if (len < 2)
		return 0;
	size_t n = creel_be16(data);
	data += 2;
	len -= 2;
	n = n < len ? n : len;
	creel_buf_init(&out, CREEL_DNS_MAX);
	int r = creel_dns_query_parse(data, n, &q, &err);
	if (r < 0) {
		if (r != err.code ||
		    (creel_dns_reply_malformed(data, n, CREEL_DNS_FORMERR, &out, &err) == 0 && out.len != 12))
			abort();
		creel_buf_fini(&out);
		return 0;
	}
	walk_all(data + n, len - n, false);
	if (creel_dns_reply(&q, CREEL_DNS_NXDOMAIN, CREEL_EDE_BLOCKED, "why", &out, &err) < 0)
		abort();
	walk_all(out.data, out.len, true);
	r = creel_dns_reply_copy(&q, data + n, len - n, true, 86400, &out, &err);
	if (r == 0) {
		walk_all(out.data, out.len, true);
		if (creel_be16(out.data) != q.id || creel_dns_truncate(&q, q.udp_size, &out, &err) < 0 ||
		    out.len > q.udp_size)
			abort();
		walk_all(out.data, out.len, true);
	}
	creel_buf_fini(&out);
	return 0;
}

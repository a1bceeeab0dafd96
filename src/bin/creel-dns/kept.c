#include "dns.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * What was answered in this very second. Programs ask in bursts: a connection each, a question each. TTLs
 * count seconds, so within one the same question has the same answer, to the octet but for its number; it
 * is told as any other. The policy has decided on the name before it is looked for here; none outlives a
 * change of the policy, of what was granted or of what is pinned.
 */
enum { SLOTS = 8192, OCTETS_MAX = 768 /* of one: longer ones are resolved again */ };

struct dns_kept {
	time_t at;
	bool rd, cd, edns, dnssec_ok;
	uint8_t n_addrs;
	uint32_t ttl;
	uint16_t question_len, chain_len, answer_len;
	uint8_t octets[]; /* the question as it was asked, addresses, chain, answer */
};

static time_t now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static size_t slot_of(const struct creel_dns_query *q)
{
	uint64_t h = 14695981039346656037ULL; /* FNV-1a */

	for (size_t i = 0; i < q->question_len; i++)
		h = (h ^ q->question[i]) * 1099511628211ULL;
	return (size_t)((h ^ h >> 32) % SLOTS);
}

static bool same(const struct dns_kept *k, const struct creel_dns_query *q)
{
	return k->rd == q->rd && k->cd == q->cd && k->edns == q->edns && k->dnssec_ok == q->dnssec_ok &&
	       k->question_len == q->question_len && memcmp(k->octets, q->question, q->question_len) == 0;
}

bool dns_kept_answer(struct job *j)
{
	const struct dns_kept *k = j->dns->kept ? j->dns->kept[slot_of(&j->q)] : NULL;
	struct creel_err err = {0};

	if (!k || k->at != now_s() || !same(k, &j->q))
		return false;
	const uint8_t *p = k->octets + k->question_len;
	const uint8_t number[2] = {(uint8_t)(j->q.id >> 8), (uint8_t)j->q.id};
	const uint8_t *answer = p + 16UL * k->n_addrs + k->chain_len;
	if (creel_buf_add(&j->answer, answer, k->answer_len, &err) < 0)
		return false;
	memcpy(j->answer.data, number, sizeof(number));
	j->report.n_addrs = k->n_addrs;
	j->report.ttl = k->ttl;
	memcpy(j->report.addr, p, 16UL * k->n_addrs);
	memcpy(j->report.chain, p + 16UL * k->n_addrs, k->chain_len);
	return true;
}

void dns_kept_put(const struct job *j)
{
	const struct creel_dns_query *q = &j->q;
	size_t chain = strlen(j->report.chain), addrs = 16UL * j->report.n_addrs;
	size_t len = q->question_len + addrs + chain + j->answer.len;
	struct dns *d = j->dns;

	if (len > OCTETS_MAX)
		return;
	if (!d->kept)
		d->kept = calloc(SLOTS, sizeof(struct dns_kept *));
	struct dns_kept *k = d->kept ? malloc(sizeof(*k) + len) : NULL;
	if (!k)
		return; /* it is resolved again */
	*k = (struct dns_kept){.at = now_s(),
			       .rd = q->rd,
			       .cd = q->cd,
			       .edns = q->edns,
			       .dnssec_ok = q->dnssec_ok,
			       .n_addrs = j->report.n_addrs,
			       .ttl = j->report.ttl,
			       .question_len = (uint16_t)q->question_len,
			       .chain_len = (uint16_t)chain,
			       .answer_len = (uint16_t)j->answer.len};
	uint8_t *p = k->octets;
	memcpy(p, q->question, q->question_len);
	memcpy(p + q->question_len, j->report.addr, addrs);
	memcpy(p + q->question_len + addrs, j->report.chain, chain);
	memcpy(p + q->question_len + addrs + chain, j->answer.data, j->answer.len);
	size_t slot = slot_of(q);
	free(d->kept[slot]);
	d->kept[slot] = k;
}

void dns_kept_clear(struct dns *d)
{
	for (size_t i = 0; d->kept && i < SLOTS; i++)
		free(d->kept[i]);
	free((void *)d->kept);
	d->kept = NULL;
}

#include "event/chain.h"
#include "base/escape.h"
#include <jansson.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

#define TAIL_LEN (sizeof(",\"prev\":\"\",\"hash\":\"\"}") - 1 + 2 * 64)

static void digest(const uint8_t prev[CREEL_HASH], const uint8_t *line, size_t len, uint8_t ret[CREEL_HASH])
{
	crypto_generichash_state h;

	crypto_generichash_init(&h, NULL, 0, CREEL_HASH);
	crypto_generichash_update(&h, prev, CREEL_HASH);
	crypto_generichash_update(&h, line, len);
	crypto_generichash_final(&h, ret, CREEL_HASH);
}

static int line_put(const struct creel_link_state *state, const struct creel_event *e, uint64_t time_ns,
		    struct creel_buf *out, struct creel_err *err)
{
	time_t sec = (time_t)(time_ns / 1000000000);
	char when[32], prev[2 * CREEL_HASH + 1];
	struct tm tm;
	int r;

	gmtime_r(&sec, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	r = creel_buf_addf(out, err, "{\"seq\":%llu,\"time\":\"%s.%09lluZ\",\"cell\":",
			   (unsigned long long)state->seq + 1, when,
			   (unsigned long long)(time_ns % 1000000000));
	if (r == 0)
		r = creel_escape_json(out, e->cell, strlen(e->cell), err);
	if (r == 0)
		r = creel_buf_addf(out, err, ",\"kind\":\"%s\",\"by\":\"%s\"",
				   creel_event_kinds[e->kind].name, e->by_guest ? "guest" : "host");
	for (size_t i = 0; r == 0 && i < e->n_fields; i++) {
		const struct creel_event_field *f = &e->fields[i];
		if (!f->s) {
			r = creel_buf_addf(out, err, ",\"%s\":%lld", f->key, (long long)f->n);
			continue;
		}
		/* a long string is cut, and the line says that it was */
		size_t n = MIN(f->len, (size_t)CREEL_EVENT_STRING);
		r = creel_buf_addf(out, err, ",\"%s\":", f->key);
		if (r == 0)
			r = creel_escape_json(out, f->s, n, err);
		if (r == 0 && n < f->len)
			r = creel_buf_addf(out, err, ",\"%s_len\":%zu", f->key, f->len);
	}
	if (r < 0)
		return r;
	sodium_bin2hex(prev, sizeof(prev), state->hash, CREEL_HASH);
	return creel_buf_addf(out, err, ",\"prev\":\"%s\"", prev);
}

int creel_chain_append(struct creel_link_state *state, const struct creel_event *e, uint64_t time_ns,
		       struct creel_buf *out, struct creel_err *err)
{
	size_t start = out->len;
	uint8_t hash[CREEL_HASH];
	char hex[2 * CREEL_HASH + 1];
	int r = line_put(state, e, time_ns, out, err);

	if (r == 0) {
		digest(state->hash, out->data + start, out->len - start, hash);
		sodium_bin2hex(hex, sizeof(hex), hash, CREEL_HASH);
		r = creel_buf_addf(out, err, ",\"hash\":\"%s\"}\n", hex);
	}
	if (r < 0) {
		out->len = start;
		return r;
	}
	state->seq++;
	memcpy(state->hash, hash, CREEL_HASH);
	return 0;
}

/* Take the line apart without believing it: the number at its front, the two hashes at its end. */
static int take_apart(const uint8_t *line, size_t len, uint64_t *ret_seq, uint8_t ret_prev[CREEL_HASH],
		      uint8_t ret_hash[CREEL_HASH], struct creel_err *err)
{
	static const char front[] = "{\"seq\":";
	size_t at = sizeof(front) - 1, bin = 0;
	uint64_t seq = 0;

	if (len > CREEL_LINE_MAX || len < TAIL_LEN + at + 2 || memcmp(line, front, at) != 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "not a line of a record");
	for (; at < len && line[at] >= '0' && line[at] <= '9'; at++) {
		if (seq > (UINT64_MAX - 9) / 10)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "number out of range");
		seq = seq * 10 + (line[at] - '0');
	}
	const uint8_t *tail = line + len - TAIL_LEN;
	if (line[at] != ',' || line[7] == '0' || memcmp(tail, ",\"prev\":\"", 9) != 0 ||
	    memcmp(tail + 73, "\",\"hash\":\"", 10) != 0 || memcmp(tail + 147, "\"}", 2) != 0 ||
	    sodium_hex2bin(ret_prev, CREEL_HASH, (const char *)tail + 9, 64, NULL, &bin, NULL) != 0 ||
	    bin != CREEL_HASH ||
	    sodium_hex2bin(ret_hash, CREEL_HASH, (const char *)tail + 83, 64, NULL, &bin, NULL) != 0 ||
	    bin != CREEL_HASH)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "not a line of a record");
	*ret_seq = seq;
	return 0;
}

int creel_chain_peek(const uint8_t *line, size_t len, struct creel_link_state *ret, struct creel_err *err)
{
	struct creel_link_state out = {0};
	uint8_t prev[CREEL_HASH];
	int r = take_apart(line, len, &out.seq, prev, out.hash, err);

	if (r == 0)
		*ret = out;
	return r;
}

int creel_chain_check(struct creel_link_state *state, const uint8_t *line, size_t len, struct creel_err *err)
{
	/* what stands before `,"hash":"…"}` */
	const size_t after = sizeof(",\"hash\":\"\"}") - 1 + 64;
	uint8_t prev[CREEL_HASH], hash[CREEL_HASH], want[CREEL_HASH];
	uint64_t seq = 0;
	int r = take_apart(line, len, &seq, prev, hash, err);

	if (r < 0)
		return r;
	if (seq > state->seq + 1)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "%llu line(s) are missing before it",
				     (unsigned long long)(seq - state->seq - 1));
	if (seq <= state->seq)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "number %llu where %llu should be",
				     (unsigned long long)seq, (unsigned long long)state->seq + 1);
	digest(prev, line, len - after, want);
	if (sodium_memcmp(want, hash, CREEL_HASH) != 0)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "the line was changed");
	if (sodium_memcmp(prev, state->hash, CREEL_HASH) != 0)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "it does not follow the line before it");
	json_error_t je;
	json_t *j = json_loadb((const char *)line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &je);
	if (!j)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "not JSON: %s", je.text);
	json_decref(j);
	state->seq = seq;
	memcpy(state->hash, hash, CREEL_HASH);
	return 0;
}

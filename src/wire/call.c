#include "wire/call.h"
#include "wire/le.h"
#include <string.h>

void creel_call_head_encode(const struct creel_call_head *h, uint8_t buf[CREEL_CALL_HEAD])
{
	memset(buf, 0, CREEL_CALL_HEAD);
	creel_put_le32(buf, h->len);
	creel_put_le32(buf + 4, h->id);
	creel_put_le32(buf + 8, h->uid);
	buf[12] = h->type;
}

int creel_call_head_decode(const uint8_t buf[CREEL_CALL_HEAD], struct creel_call_head *ret,
			   struct creel_err *err)
{
	struct creel_call_head h = {creel_le32(buf), creel_le32(buf + 4), creel_le32(buf + 8), buf[12]};
	uint32_t max = CREEL_CALL_REPLY_MAX;

	if (h.type >= CREEL_CALL_GATE && h.type < CREEL_CALL_QUESTIONS_END)
		max = CREEL_CALL_MAX;
	else if (h.type == CREEL_CALL_CANCEL)
		max = 0;
	else if (h.type < CREEL_CALL_OK || h.type >= CREEL_CALL_ANSWERS_END)
		return creel_err_set(err, CREEL_E_PROTO, 0, "call of type %u", h.type);
	if (h.len > max || buf[13] || buf[14] || buf[15])
		return creel_err_set(err, CREEL_E_PROTO, 0, "call of %u octets", h.len);
	*ret = h;
	return 0;
}

/* --- writing: the first failure stays in err->code --- */

static void put(struct creel_buf *out, const void *data, size_t len, struct creel_err *err)
{
	if (err->code == 0)
		(void)creel_buf_add(out, data, len, err);
}

static void put_u16(struct creel_buf *out, size_t v, struct creel_err *err)
{
	uint8_t b[2];

	creel_put_le16(b, (uint16_t)v);
	put(out, b, sizeof(b), err);
}

static void put_u64(struct creel_buf *out, uint64_t v, struct creel_err *err)
{
	uint8_t b[8];

	creel_put_le64(b, v);
	put(out, b, sizeof(b), err);
}

static void put_str(struct creel_buf *out, const char *s, struct creel_err *err)
{
	size_t len = strlen(s);
	uint8_t b[4];

	creel_put_le32(b, (uint32_t)MIN(len, (size_t)UINT32_MAX));
	put(out, b, sizeof(b), err);
	put(out, s, len + 1, err);
}

int creel_call_gate_encode(const struct creel_call_gate *g, struct creel_buf *out, struct creel_err *err)
{
	if (g->n_argv > CREEL_CALL_ARGV || g->n_fixed > CREEL_CALL_LINES || g->n_lines > CREEL_CALL_LINES ||
	    g->n_files > CREEL_CALL_FILES)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "too many parts for one question");
	err->code = 0;
	put_u64(out, g->wait_s, err);
	put_u64(out, g->stdin_len, err);
	put(out, g->stdin_hash, sizeof(g->stdin_hash), err);
	put_str(out, g->program, err);
	put_str(out, g->verb, err);
	put_str(out, g->rule, err);
	put_str(out, g->client, err);
	put_u16(out, g->n_argv, err);
	for (size_t i = 0; i < g->n_argv; i++)
		put_str(out, g->argv[i], err);
	put_u16(out, g->n_fixed, err);
	for (size_t i = 0; i < g->n_fixed; i++)
		put_str(out, g->fixed[i], err);
	put_u16(out, g->n_lines, err);
	for (size_t i = 0; i < g->n_lines; i++) {
		put_str(out, g->line[i].label, err);
		put_str(out, g->line[i].text, err);
	}
	put_u16(out, g->n_files, err);
	for (size_t i = 0; i < g->n_files; i++) {
		put_str(out, g->file[i].name, err);
		put_u64(out, g->file[i].len, err);
		put(out, g->file[i].hash, sizeof(g->file[i].hash), err);
	}
	return err->code;
}

int creel_call_event_encode(const struct creel_call_event *e, struct creel_buf *out, struct creel_err *err)
{
	err->code = 0;
	put_str(out, e->kind, err);
	put_u16(out, e->n_fields, err);
	for (size_t i = 0; i < e->n_fields; i++) {
		put_str(out, e->field[i].key, err);
		put_str(out, e->field[i].value, err);
	}
	return err->code;
}

int creel_call_why_encode(const char *what, struct creel_buf *out, struct creel_err *err)
{
	err->code = 0;
	put_str(out, what, err);
	return err->code;
}

/* --- reading: once something is wrong, everything is empty and `bad` stays --- */

struct reader {
	const uint8_t *at, *end;
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	static const uint8_t zeros[32];

	if (r->bad || (size_t)(r->end - r->at) < n) {
		r->bad = true;
		return zeros;
	}
	r->at += n;
	return r->at - n;
}

static const char *take_str(struct reader *r)
{
	size_t len = creel_le32(take(r, 4));

	if (r->bad || (size_t)(r->end - r->at) <= len || memchr(r->at, '\0', len) || r->at[len] != '\0') {
		r->bad = true;
		return "";
	}
	return (const char *)take(r, len + 1);
}

static size_t take_count(struct reader *r, size_t max)
{
	size_t n = creel_le16(take(r, 2));

	if (n > max)
		r->bad = true;
	return r->bad ? 0 : n;
}

static int done(const struct reader *r, const char *what, struct creel_err *err)
{
	if (!r->bad && r->at == r->end)
		return 0;
	return creel_err_set(err, CREEL_E_PROTO, 0, "malformed %s", what);
}

int creel_call_gate_decode(const uint8_t *buf, size_t len, struct creel_call_gate *ret, struct creel_err *err)
{
	struct reader r = {buf, buf + len, false};

	memset(ret, 0, sizeof(*ret));
	uint64_t wait = creel_le64(take(&r, 8));
	ret->wait_s = (uint32_t)MIN(wait, (uint64_t)UINT32_MAX);
	ret->stdin_len = creel_le64(take(&r, 8));
	memcpy(ret->stdin_hash, take(&r, 32), 32);
	ret->program = take_str(&r);
	ret->verb = take_str(&r);
	ret->rule = take_str(&r);
	ret->client = take_str(&r);
	ret->n_argv = take_count(&r, CREEL_CALL_ARGV);
	for (size_t i = 0; i < ret->n_argv; i++)
		ret->argv[i] = take_str(&r);
	ret->n_fixed = take_count(&r, CREEL_CALL_LINES);
	for (size_t i = 0; i < ret->n_fixed; i++)
		ret->fixed[i] = take_str(&r);
	ret->n_lines = take_count(&r, CREEL_CALL_LINES);
	for (size_t i = 0; i < ret->n_lines; i++) {
		ret->line[i].label = take_str(&r);
		ret->line[i].text = take_str(&r);
	}
	ret->n_files = take_count(&r, CREEL_CALL_FILES);
	for (size_t i = 0; i < ret->n_files; i++) {
		ret->file[i].name = take_str(&r);
		ret->file[i].len = creel_le64(take(&r, 8));
		memcpy(ret->file[i].hash, take(&r, 32), 32);
	}
	if (wait > UINT32_MAX || ret->n_argv == 0)
		r.bad = true;
	return done(&r, "question of the gate", err);
}

/* Ours are such; the writer of the record puts them into JSON as they are. */
static bool key_ok(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz_");

	return n > 0 && n <= 24 && s[n] == '\0';
}

int creel_call_event_decode(const uint8_t *buf, size_t len, struct creel_call_event *ret,
			    struct creel_err *err)
{
	struct reader r = {buf, buf + len, false};

	memset(ret, 0, sizeof(*ret));
	ret->kind = take_str(&r);
	ret->n_fields = take_count(&r, CREEL_CALL_FIELDS);
	for (size_t i = 0; i < ret->n_fields; i++) {
		ret->field[i].key = take_str(&r);
		ret->field[i].value = take_str(&r);
		if (!key_ok(ret->field[i].key))
			r.bad = true;
		for (size_t j = 0; j < i; j++)
			if (strcmp(ret->field[i].key, ret->field[j].key) == 0)
				r.bad = true;
	}
	return done(&r, "event", err);
}

int creel_call_why_decode(const uint8_t *buf, size_t len, const char **ret, struct creel_err *err)
{
	struct reader r = {buf, buf + len, false};

	*ret = take_str(&r);
	if (strlen(*ret) > 300)
		r.bad = true;
	return done(&r, "question why", err);
}

int creel_call_check(uint8_t type, const uint8_t *buf, size_t len, struct creel_err *err)
{
	struct creel_call_event e;
	const char *why;

	if (type == CREEL_CALL_WHY)
		return creel_call_why_decode(buf, len, &why, err);
	if (type == CREEL_CALL_EVENT)
		return creel_call_event_decode(buf, len, &e, err);
	if (type != CREEL_CALL_GATE)
		return creel_err_set(err, CREEL_E_PROTO, 0, "call of type %u is no question", type);
	autofree struct creel_call_gate *g = malloc(sizeof(*g));
	return g ? creel_call_gate_decode(buf, len, g, err) : creel_err_nomem(err);
}

#include "wire/mux.h"
#include "wire/le.h"
#include <string.h>

struct stream {
	uint16_t id; /* 0: the slot is free */
	bool sent_eof, got_eof;
	bool blocked;       /* the owner met a full window or queue */
	uint32_t may_send;  /* octets that the peer allows */
	uint32_t under_way; /* octets received and not consumed */
	uint32_t to_grant;  /* consumed, not yet told to the peer */
};

struct creel_mux {
	const struct creel_mux_ops *ops;
	void *ctx;
	bool host, hello_seen, dead;
	uint16_t next; /* the id to try next; see creel_mux_open() */
	uint16_t turn; /* where creel_mux_sent() starts */
	uint16_t n_blocked;
	size_t have; /* octets of the frame that is being collected */
	struct creel_buf out;
	struct stream streams[CREEL_MUX_STREAMS];
	uint8_t frame[CREEL_MUX_HEAD + CREEL_MUX_PAYLOAD];
};

static int frame_put(struct creel_mux *m, enum creel_mux_type type, uint16_t id, const void *a, size_t a_len,
		     const void *b, size_t b_len, struct creel_err *err)
{
	uint8_t head[CREEL_MUX_HEAD] = {(uint8_t)type};
	int r = creel_buf_reserve(&m->out, sizeof(head) + a_len + b_len, err);

	if (r < 0)
		return r;
	creel_put_le16(head + 2, id);
	creel_put_le32(head + 4, (uint32_t)(a_len + b_len));
	/* the room is reserved: these cannot fail */
	(void)creel_buf_add(&m->out, head, sizeof(head), err);
	(void)creel_buf_add(&m->out, a, a_len, err);
	(void)creel_buf_add(&m->out, b, b_len, err);
	return 0;
}

struct creel_mux *creel_mux_new(bool host, const struct creel_mux_ops *ops, void *ctx)
{
	struct creel_mux *m = calloc(1, sizeof(*m));
	struct creel_err err = {0};
	uint8_t version[2];

	if (!m)
		return NULL;
	m->ops = ops;
	m->ctx = ctx;
	m->host = host;
	m->next = 1;
	/* DATA stops at the soft bound; the rest is small frames, at most some for each stream */
	creel_buf_init(&m->out, CREEL_MUX_OUT_SOFT + (CREEL_MUX_STREAMS << 11));
	creel_put_le16(version, CREEL_MUX_VERSION);
	if (frame_put(m, CREEL_MUX_T_HELLO, 0, version, 2, NULL, 0, &err) < 0) {
		creel_mux_free(m);
		return NULL;
	}
	return m;
}

void creel_mux_free(struct creel_mux *m)
{
	if (!m)
		return;
	creel_buf_fini(&m->out);
	free(m);
}

const struct creel_buf *creel_mux_out(const struct creel_mux *m)
{
	return &m->out;
}

static struct stream *stream_get(struct creel_mux *m, uint16_t id)
{
	struct stream *s = &m->streams[id % CREEL_MUX_STREAMS];

	return id != 0 && s->id == id ? s : NULL;
}

static void unblock(struct creel_mux *m, struct stream *s)
{
	if (!s->blocked || s->may_send == 0 || m->out.len >= CREEL_MUX_OUT_SOFT)
		return;
	s->blocked = false;
	m->n_blocked--;
	m->ops->writable(m->ctx, s->id);
}

void creel_mux_sent(struct creel_mux *m, size_t n)
{
	creel_buf_drain(&m->out, n);
	if (m->out.len >= CREEL_MUX_OUT_SOFT / 2)
		return;
	/* from a new place each time, so that no stream is always the first */
	uint16_t start = m->turn++;
	for (uint16_t i = 0; i < CREEL_MUX_STREAMS && m->n_blocked > 0; i++)
		unblock(m, &m->streams[(start + i) % CREEL_MUX_STREAMS]);
}

static void stream_drop(struct creel_mux *m, struct stream *s)
{
	if (s->blocked)
		m->n_blocked--;
	*s = (struct stream){0};
}

static void stream_start(struct creel_mux *m, uint16_t id)
{
	m->streams[id % CREEL_MUX_STREAMS] = (struct stream){.id = id, .may_send = CREEL_MUX_WINDOW};
}

bool creel_mux_alive(const struct creel_mux *m, uint16_t id)
{
	return id != 0 && m->streams[id % CREEL_MUX_STREAMS].id == id;
}

static int broken(struct creel_mux *m, struct creel_err *err, const char *what)
{
	m->dead = true;
	return creel_err_set(err, CREEL_E_PROTO, 0, "control channel: %s", what);
}

/* One whole frame stands in m->frame. */
static int dispatch(struct creel_mux *m, uint32_t len, struct creel_err *err)
{
	uint8_t type = m->frame[0];
	uint16_t id = creel_le16(m->frame + 2);
	const uint8_t *p = m->frame + CREEL_MUX_HEAD;
	struct stream *s = stream_get(m, id);

	if (!m->hello_seen && type != CREEL_MUX_T_HELLO)
		return broken(m, err, "no hello");
	switch (type) {
	case CREEL_MUX_T_HELLO:
		if (m->hello_seen || id != 0 || len != 2)
			return broken(m, err, "bad hello");
		if (creel_le16(p) != CREEL_MUX_VERSION)
			return broken(m, err, "another version of the protocol");
		m->hello_seen = true;
		m->ops->hello(m->ctx, creel_le16(p));
		return 0;
	case CREEL_MUX_T_CONTROL:
		if (id != 0 || len == 0 || len > CREEL_MUX_CONTROL)
			return broken(m, err, "bad control message");
		m->ops->control(m->ctx, p, len);
		return 0;
	case CREEL_MUX_T_OPEN:
		if (m->host || id == 0 || m->streams[id % CREEL_MUX_STREAMS].id != 0 || len < 1 ||
		    p[0] == 0 || p[0] >= CREEL_MUX_KINDS)
			return broken(m, err, "bad open");
		stream_start(m, id);
		m->ops->open(m->ctx, id, p[0], p + 1, len - 1);
		return 0;
	case CREEL_MUX_T_DATA:
	case CREEL_MUX_T_WINDOW:
	case CREEL_MUX_T_EOF:
	case CREEL_MUX_T_RESET:
		break;
	default:
		return broken(m, err, "unknown frame type");
	}
	if (id == 0)
		return broken(m, err, "bad stream");
	if (!s) /* crossed with our reset, or with the end of both directions */
		return 0;
	switch (type) {
	case CREEL_MUX_T_DATA:
		if (s->got_eof || len == 0 || len > CREEL_MUX_WINDOW - s->under_way)
			return broken(m, err, "data beyond the window or after the end");
		s->under_way += len;
		m->ops->data(m->ctx, id, p, len);
		return 0;
	case CREEL_MUX_T_WINDOW:
		if (len != 4 || creel_le32(p) > CREEL_MUX_WINDOW - s->may_send)
			return broken(m, err, "bad window");
		s->may_send += creel_le32(p);
		unblock(m, s);
		return 0;
	case CREEL_MUX_T_EOF:
		if (len != 0 || s->got_eof)
			return broken(m, err, "bad end of stream");
		s->got_eof = true;
		m->ops->eof(m->ctx, id);
		s = stream_get(m, id); /* the callback may have dropped it */
		if (s && s->sent_eof && s->under_way == 0)
			stream_drop(m, s);
		return 0;
	default: /* RESET */
		if (len > CREEL_MUX_CONTROL)
			return broken(m, err, "bad reset");
		stream_drop(m, s);
		m->ops->reset(m->ctx, id, p, len);
		return 0;
	}
}

int creel_mux_feed(struct creel_mux *m, const uint8_t *data, size_t len, struct creel_err *err)
{
	if (m->dead)
		return creel_err_set(err, CREEL_E_PROTO, 0, "control channel is dead");
	while (len > 0) {
		uint32_t want = CREEL_MUX_HEAD;
		if (m->have >= CREEL_MUX_HEAD)
			want += creel_le32(m->frame + 4);
		size_t n = want - m->have < len ? want - m->have : len;
		memcpy(m->frame + m->have, data, n);
		m->have += n;
		data += n;
		len -= n;
		if (m->have < CREEL_MUX_HEAD)
			return 0;
		uint32_t payload = creel_le32(m->frame + 4);
		if (payload > CREEL_MUX_PAYLOAD || m->frame[1] != 0)
			return broken(m, err, "bad frame head");
		if (m->have < CREEL_MUX_HEAD + payload)
			continue;
		m->have = 0;
		int r = dispatch(m, payload, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int creel_mux_control(struct creel_mux *m, const void *msg, size_t len, struct creel_err *err)
{
	if (len == 0 || len > CREEL_MUX_CONTROL)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "control message of %zu octets", len);
	return frame_put(m, CREEL_MUX_T_CONTROL, 0, msg, len, NULL, 0, err);
}

int creel_mux_open(struct creel_mux *m, uint8_t kind, const void *spec, size_t len, struct creel_err *err)
{
	int r;

	if (len + 1 > CREEL_MUX_PAYLOAD)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "stream spec of %zu octets", len);
	/*
	 * Ids go round through all 65,535: one that was used a moment ago may still be named by
	 * frames under way, and they must not reach a new stream.
	 */
	for (int tries = 0; tries < CREEL_MUX_STREAMS + 1; tries++) {
		uint16_t id = m->next++;
		if (id == 0 || m->streams[id % CREEL_MUX_STREAMS].id != 0)
			continue;
		r = frame_put(m, CREEL_MUX_T_OPEN, id, &kind, 1, spec, len, err);
		if (r < 0) {
			m->next = id;
			return r;
		}
		stream_start(m, id);
		return id;
	}
	return creel_err_set(err, CREEL_E_BUSY, 0, "%d streams are open", CREEL_MUX_STREAMS);
}

ssize_t creel_mux_write(struct creel_mux *m, uint16_t id, const void *data, size_t len, struct creel_err *err)
{
	struct stream *s = stream_get(m, id);
	size_t done = 0;

	if (!s || s->sent_eof)
		return creel_err_set(err, CREEL_E_CLOSED, 0, "stream %u is closed", id);
	while (done < len && s->may_send > 0 && m->out.len < CREEL_MUX_OUT_SOFT) {
		size_t n = len - done;
		if (n > CREEL_MUX_PAYLOAD)
			n = CREEL_MUX_PAYLOAD;
		if (n > s->may_send)
			n = s->may_send;
		int r = frame_put(m, CREEL_MUX_T_DATA, id, (const uint8_t *)data + done, n, NULL, 0, err);
		if (r < 0)
			return done > 0 ? (ssize_t)done : r;
		s->may_send -= (uint32_t)n;
		done += n;
	}
	if (done < len && !s->blocked) {
		s->blocked = true;
		m->n_blocked++;
	}
	return (ssize_t)done;
}

int creel_mux_eof(struct creel_mux *m, uint16_t id, struct creel_err *err)
{
	struct stream *s = stream_get(m, id);
	int r;

	if (!s || s->sent_eof)
		return 0;
	r = frame_put(m, CREEL_MUX_T_EOF, id, NULL, 0, NULL, 0, err);
	if (r < 0)
		return r;
	s->sent_eof = true;
	if (s->got_eof && s->under_way == 0)
		stream_drop(m, s);
	return 0;
}

int creel_mux_reset(struct creel_mux *m, uint16_t id, const char *why, struct creel_err *err)
{
	struct stream *s = stream_get(m, id);
	size_t len = strlen(why);

	if (!s)
		return 0;
	/* told first: a stream that is gone at one end alone would break its id's next one */
	int r = frame_put(m, CREEL_MUX_T_RESET, id, why, MIN(len, (size_t)512), NULL, 0, err);
	if (r == 0)
		stream_drop(m, s);
	return r;
}

int creel_mux_consumed(struct creel_mux *m, uint16_t id, size_t n, struct creel_err *err)
{
	struct stream *s = stream_get(m, id);
	uint8_t grant[4];

	if (!s)
		return 0;
	if (n > s->under_way)
		n = s->under_way;
	s->under_way -= (uint32_t)n;
	s->to_grant += (uint32_t)n;
	if (s->got_eof && s->sent_eof && s->under_way == 0) {
		stream_drop(m, s);
		return 0;
	}
	/* few grants: half a window at once, or all when nothing is under way */
	if (s->got_eof || (s->to_grant < CREEL_MUX_WINDOW / 2 && s->under_way > 0) || s->to_grant < 4096)
		return 0;
	creel_put_le32(grant, s->to_grant);
	int r = frame_put(m, CREEL_MUX_T_WINDOW, id, grant, 4, NULL, 0, err);
	if (r == 0)
		s->to_grant = 0;
	return r;
}

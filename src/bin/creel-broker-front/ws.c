#include "front.h"
#include <event2/buffer.h>
#include <string.h>

/*
 * A websocket, once the host has agreed: each of the guest's frames is looked at as it passes, so that what
 * goes on is one, and no second request that a server which only seemed to agree would read.
 */
bool ws_asked(const char *text, const struct creel_httphead *h)
{
	struct creel_span name, value;
	size_t at = h->fields_at, upgrades = 0;
	bool named = false;

	while (creel_httphead_field(text, h, &at, &name, &value) > 0) {
		if (creel_httpfield_is(name, "Upgrade"))
			upgrades += creel_httpfield_is(value, "websocket") ? 1 : 2;
		else if (creel_httpfield_is(name, "Connection"))
			named |= creel_httpfield_has(value, creel_span_of("Upgrade"));
	}
	return upgrades == 1 && named && !h->close && !h->expect;
}

static enum creel_broker_reason frames(struct conn *c, const char *p, size_t n)
{
	char plain[4096];
	struct creel_span data;
	struct creel_err err = {0};
	bool end;

	for (size_t used = 0, at = 0; at < n; at += used) {
		int r = creel_wsframe_next(&c->frame, p + at, MIN(n - at, sizeof(plain)), &used, &data, &end,
					   &err);
		if (r < 0)
			return r == CREEL_E_TOOBIG ? CREEL_BROKER_SIZE : CREEL_BROKER_REQUEST;
		creel_wsframe_unmask(&c->frame, data, plain);
		if (judge_piece(&c->body.matched, plain, data.n))
			return CREEL_BROKER_PLACEHOLDER;
	}
	return CREEL_BROKER_OK;
}

bool ws_take(struct conn *c, struct evbuffer *in)
{
	size_t n = MIN(evbuffer_get_length(in), (size_t)BROKER_PIECE);
	const char *p = (const char *)evbuffer_pullup(in, (ssize_t)n);

	if (n == 0)
		return false;
	enum creel_broker_reason why = p ? frames(c, p, n) : CREEL_BROKER_BUSY;
	if (why == CREEL_BROKER_OK && !broker_frame_put(c->chan, CREEL_FRAME_DATA, p, n))
		why = CREEL_BROKER_BUSY;
	if (why != CREEL_BROKER_OK) {
		conn_cut(c, why);
		return false;
	}
	(void)evbuffer_drain(in, n);
	if (evbuffer_get_length(bufferevent_get_output(c->chan)) <= BROKER_QUEUE)
		return true;
	(void)bufferevent_disable(c->guest, EV_READ);
	return false;
}

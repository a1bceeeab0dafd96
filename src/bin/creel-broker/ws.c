#include "keep.h"
#include <event2/buffer.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

/* A websocket to a host (RFC 6455): what it has to answer, and the frames that each side says in it. */
enum creel_broker_reason ws_ask(struct chan *c, const struct creel_brokerreq *q)
{
	static const char end[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, 1.3 */
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[24 + sizeof(end)] = "";

	if (!c->h->b->websocket || !creel_broker_websocket_ok(q))
		return CREEL_BROKER_UPGRADE;
	for (size_t i = 0; i < q->n_fields; i++)
		if (creel_httpfield_is(q->fields[i].name, "Sec-WebSocket-Key"))
			memcpy(text, q->fields[i].value.p, 24);
	memcpy(text + 24, end, sizeof(end));
	if (EVP_Digest(text, sizeof(text) - 1, digest, NULL, EVP_sha1(), NULL) != 1)
		return CREEL_BROKER_BUSY;
	(void)sodium_bin2base64(c->ws.accept, sizeof(c->ws.accept), digest, 20,
				sodium_base64_VARIANT_ORIGINAL);
	return CREEL_BROKER_OK;
}

bool ws_agreed(const struct chan *c, const char *text, const struct creel_httpresp *h)
{
	struct creel_span name, value;
	size_t at = h->fields_at, upgrades = 0, accepts = 0;
	bool named = false, other = false;

	while (creel_httpresp_field(text, h, &at, &name, &value) > 0) {
		if (creel_httpfield_is(name, "Upgrade"))
			upgrades += creel_httpfield_is(value, "websocket") ? 1 : 2;
		else if (creel_httpfield_is(name, "Connection"))
			named |= creel_httpfield_has(value, creel_span_of("Upgrade"));
		else if (creel_httpfield_is(name, "Sec-WebSocket-Accept"))
			accepts += value.n == 28 && memcmp(value.p, c->ws.accept, 28) == 0 ? 1 : 2;
		else
			other |= creel_httpfield_is(name, "Sec-WebSocket-Extensions");
	}
	/* no extension was asked for: what it then says is no frame to us, or to the guest */
	return h->minor == 1 && upgrades == 1 && named && accepts == 1 && !other;
}

void ws_open(struct chan *c)
{
	c->ws.open = true;
	creel_wsframe_init(&c->ws.guest, true, c->h->b->body_max);
	creel_wsframe_init(&c->ws.host, false, INT64_MAX);
}

bool ws_guest(struct chan *c, const char *p, size_t n)
{
	struct creel_span data;
	struct creel_err err = {0};
	size_t used = 0;
	bool end;

	for (size_t at = 0; at < n; at += used)
		if (creel_wsframe_next(&c->ws.guest, p + at, n - at, &used, &data, &end, &err) < 0)
			return false;
	return true;
}

int ws_host(struct chan *c, struct evbuffer *in, struct evbuffer *out, struct creel_err *err)
{
	struct creel_span data;
	bool end;

	while (evbuffer_get_length(in) > 0) {
		size_t n = evbuffer_get_contiguous_space(in), used = 0;
		const char *p = (const char *)evbuffer_pullup(in, (ssize_t)n);
		int r = creel_wsframe_next(&c->ws.host, p, n, &used, &data, &end, err);
		/* nothing is held back at a frame's end: the next may be long in coming */
		if (r < 0 || mask_feed(&c->answer.mask, p, used, end, out, err) < 0)
			return -1;
		c->answer.received += used;
		(void)evbuffer_drain(in, used);
	}
	return 0;
}

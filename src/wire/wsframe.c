#include "wire/wsframe.h"
#include "wire/be.h"
#include <string.h>

enum { CONTINUATION, TEXT, BINARY, CLOSE = 8, PING, PONG };

void creel_wsframe_init(struct creel_wsframe *w, bool masked, uint64_t max)
{
	*w = (struct creel_wsframe){.masked = masked, .max = max};
}

static int bad(struct creel_err *err, const char *what)
{
	return creel_err_set(err, CREEL_E_SYNTAX, 0, "websocket frame: %s", what);
}

/* How long the head is, as far as its octets say. */
static uint8_t head_size(const struct creel_wsframe *w)
{
	uint8_t n = w->n_head < 2 ? 0 : w->head[1] & 127;

	return (uint8_t)(2 +
			 (n == 126   ? 2
			  : n == 127 ? 8
				     : 0) +
			 (w->n_head >= 2 && w->head[1] & 128 ? 4 : 0));
}

static int begins(struct creel_wsframe *w, struct creel_err *err)
{
	uint8_t what = w->head[0] & 15, n = w->head[1] & 127;
	bool last = w->head[0] & 128, control = what >= CLOSE;

	if (w->closed)
		return bad(err, "after a close");
	if (w->head[0] & 0x70)
		return bad(err, "a reserved bit");
	if (what > PONG || (what > BINARY && what < CLOSE))
		return bad(err, "the opcode");
	if (control && (!last || n > 125))
		return bad(err, "a control frame in parts, or long");
	if (!control && (what == CONTINUATION) != w->message)
		return bad(err, "a message in another, or the rest of none");
	if (!!(w->head[1] & 128) != w->masked)
		return bad(err, w->masked ? "not masked" : "masked");
	return 0;
}

static int head_done(struct creel_wsframe *w, struct creel_err *err)
{
	uint8_t n = w->head[1] & 127, what = w->head[0] & 15;

	w->left = n < 126 ? n : n == 126 ? creel_be16(w->head + 2) : creel_be64(w->head + 2);
	w->at = 0;
	if ((n == 126 && w->left < 126) || (n == 127 && (w->left < 65536 || w->left >> 63)))
		return bad(err, "the length");
	if (w->left > w->max)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "websocket frame of %llu octets",
				     (unsigned long long)w->left);
	if (what < CLOSE)
		w->message = !(w->head[0] & 128);
	w->closed = what == CLOSE;
	return 0;
}

int creel_wsframe_next(struct creel_wsframe *w, const char *buf, size_t len, size_t *ret_used,
		       struct creel_span *ret_data, bool *ret_end, struct creel_err *err)
{
	size_t at = 0;
	int r = 0;

	*ret_data = (struct creel_span){buf, 0};
	*ret_end = false;
	while (r == 0 && at < len && w->n_head < head_size(w)) {
		w->head[w->n_head++] = (uint8_t)buf[at++];
		if (w->n_head == 2)
			r = begins(w, err);
		if (r == 0 && w->n_head == head_size(w))
			r = head_done(w, err);
	}
	*ret_used = at;
	if (r < 0 || w->n_head < head_size(w) || (at == len && w->left > 0))
		return r;
	size_t n = w->left < len - at ? (size_t)w->left : len - at;
	*ret_data = (struct creel_span){buf + at, n};
	*ret_used = at + n;
	w->left -= n;
	w->at += n;
	*ret_end = w->left == 0;
	if (*ret_end)
		w->n_head = 0;
	return 1;
}

void creel_wsframe_unmask(const struct creel_wsframe *w, struct creel_span data, char *out)
{
	const uint8_t *mask = w->head + ((w->head[1] & 127) == 126 ? 4 : (w->head[1] & 127) == 127 ? 10 : 2);

	for (size_t i = 0; i < data.n; i++)
		out[i] = (char)((uint8_t)data.p[i] ^ (w->masked ? mask[(w->at - data.n + i) & 3] : 0));
}

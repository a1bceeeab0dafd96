/*
 * Both ends of the control channel against any octets, fed in pieces that the input chooses. The
 * owner behaves as creel-cell and creel-init do: it writes, consumes and resets from callbacks.
 */
#include "wire/ctl.h"
#include "wire/mux.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct creel_mux *m;
static size_t held;

static void hello(void *ctx, uint16_t v)
{
}
static void control(void *ctx, const uint8_t *msg, size_t len)
{
	struct creel_err err = {0};
	struct creel_ctl c;
	(void)creel_ctl_decode(msg, len, &c, &err);
}
static void opened(void *ctx, uint16_t id, uint8_t kind, const uint8_t *spec, size_t len)
{
	struct creel_err err = {0};
	if (!creel_mux_alive(m, id))
		abort();
	if (len > 3)
		(void)creel_mux_reset(m, id, "no", &err);
}
static void data_in(void *ctx, uint16_t id, const uint8_t *data, size_t len)
{
	struct creel_err err = {0};
	held += len;
	if (data[0] & 1) {
		(void)creel_mux_consumed(m, id, len, &err);
		held -= len;
	}
	(void)creel_mux_write(m, id, data, len, &err);
}
static void eof(void *ctx, uint16_t id)
{
	struct creel_err err = {0};
	(void)creel_mux_eof(m, id, &err);
}
static void reset(void *ctx, uint16_t id, const uint8_t *why, size_t len)
{
	if (creel_mux_alive(m, id))
		abort();
}
static void writable(void *ctx, uint16_t id)
{
}
static const struct creel_mux_ops ops = {hello, control, opened, data_in, eof, reset, writable};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_err err = {0};

	if (len < 2)
		return 0;
	size_t piece = (size_t)data[1] + 1;
	m = creel_mux_new(data[0] & 1, &ops, NULL);
	if (!m)
		return 0;
	held = 0;
	for (int i = 0; data[0] & 1 && i < 4; i++)
		(void)creel_mux_open(m, CREEL_MUX_TCP, "\1\0", 2, &err);
	for (size_t at = 2; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		int r = creel_mux_feed(m, data + at, n, &err);
		if (r < 0)
			break;
		if (data[0] & 2)
			creel_mux_sent(m, creel_mux_out(m)->len);
	}
	/* what the owner was made to hold is within the windows of the streams */
	if (held > (size_t)CREEL_MUX_STREAMS * CREEL_MUX_WINDOW || creel_mux_out(m)->len > (4u << 20))
		abort();
	creel_mux_free(m);
	return 0;
}

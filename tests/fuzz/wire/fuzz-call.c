/* A program's question, as creel-cell and the engine read it: what decodes encodes to the same octets. */
#include "wire/call.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct creel_call_gate g;

static void same(const struct creel_buf *b, const uint8_t *data, size_t len)
{
	if (b->len != len || memcmp(b->data, data, len) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_call_event e;
	struct creel_call_head h;
	struct creel_err err = {0};
	struct creel_buf b;
	const char *why;

	if (len == 0)
		return 0;
	creel_buf_init(&b, CREEL_CALL_MAX * 2);
	if (len > CREEL_CALL_HEAD)
		(void)creel_call_head_decode(data, &h, &err);
	uint8_t type = *data++ % 4;
	len--;
	int r = creel_call_check(type, data, len, &err);
	if (r == 0 && type == CREEL_CALL_GATE) {
		if (creel_call_gate_decode(data, len, &g, &err) < 0 ||
		    creel_call_gate_encode(&g, &b, &err) < 0)
			abort();
		same(&b, data, len);
	} else if (r == 0 && type == CREEL_CALL_EVENT) {
		if (creel_call_event_decode(data, len, &e, &err) < 0 ||
		    creel_call_event_encode(&e, &b, &err) < 0)
			abort();
		same(&b, data, len);
	} else if (r == 0) {
		if (creel_call_why_decode(data, len, &why, &err) < 0 ||
		    creel_call_why_encode(why, &b, &err) < 0)
			abort();
		same(&b, data, len);
	}
	creel_buf_fini(&b);
	return 0;
}

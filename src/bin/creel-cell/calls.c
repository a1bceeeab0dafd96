#include "cell.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Questions of the guest's programs (wire/call.h): one stream, opened when the guest says hello. Each
 * is checked whole here, so that the engine gets nothing but what is well-formed, one message a
 * question. While the engine's socket is full the rest stays in the stream's window, so a guest that
 * asks without end slows itself. Without an engine the answer is "again": who asked asks once more.
 */
enum { OUT = (CREEL_CALL_HEAD + CREEL_CALL_REPLY_MAX) * (CREEL_CALLS_OPEN + 8) };
static uint16_t stream;
static struct creel_buf from_guest, to_guest;
static uint32_t open_ids[CREEL_CALLS_OPEN]; /* asked, not answered; 0: none */
static bool ended;

static bool known(uint32_t id, uint32_t replace)
{
	for (size_t i = 0; i < CREEL_CALLS_OPEN; i++)
		if (open_ids[i] == id) {
			open_ids[i] = replace;
			return true;
		}
	return false;
}

static void push(void)
{
	struct creel_err err = {0};

	while (cell.mux && stream && to_guest.len > 0) {
		ssize_t n = creel_mux_write(cell.mux, stream, to_guest.data, to_guest.len, &err);
		if (n <= 0)
			break;
		creel_buf_drain(&to_guest, (size_t)n);
	}
	chan_kick();
}

static void answer(uint32_t id, uint8_t type, const void *text, size_t len)
{
	struct creel_call_head h = {.len = (uint32_t)len, .id = id, .type = type};
	uint8_t buf[CREEL_CALL_HEAD];
	struct creel_err err = {0};

	creel_call_head_encode(&h, buf);
	/* bounded: none is taken from the guest while as many wait as may be open */
	if (creel_buf_reserve(&to_guest, sizeof(buf) + len, &err) < 0)
		return;
	(void)creel_buf_add(&to_guest, buf, sizeof(buf), &err);
	(void)creel_buf_add(&to_guest, text, len, &err);
	push();
}

static void say(uint32_t id, uint8_t type, const char *text)
{
	answer(id, type, text, strlen(text));
}

/* @return false: the engine takes none now */
static bool question(const struct creel_call_head *h, const uint8_t *payload)
{
	static uint8_t buf[CREEL_CELLMSG_MAX];
	struct creel_cellmsg m = {.type = CREEL_CELL_CALL, .state = h->type, .id = h->id, .a = h->uid};
	struct creel_err err = {0};

	if (creel_call_check(h->type, payload, h->len, &err) < 0) {
		say(h->id, CREEL_CALL_INVALID, err.msg);
		return true;
	}
	if (cell.engine < 0) {
		say(h->id, CREEL_CALL_AGAIN, "creeld does not listen");
		return true;
	}
	if (!known(0, h->id)) {
		say(h->id, CREEL_CALL_AGAIN, "too many questions are open");
		return true;
	}
	creel_cellmsg_encode(&m, buf);
	memcpy(buf + CREEL_CELLMSG, payload, h->len);
	if (engine_pass(buf, CREEL_CELLMSG + h->len))
		return true;
	(void)known(h->id, 0);
	return false;
}

/* @return false: the engine takes none now */
static bool take(const struct creel_call_head *h, const uint8_t *payload)
{
	if (h->type != CREEL_CALL_CANCEL)
		return question(h, payload);
	if (known(h->id, 0))
		engine_tell(CREEL_CELL_CALL, CREEL_CALL_CANCEL, h->id, h->uid, "");
	return true;
}

void calls_pump(void)
{
	struct creel_call_head h;
	struct creel_err err = {0};
	size_t at = 0;

	while (cell.mux && from_guest.len - at >= CREEL_CALL_HEAD && to_guest.len < OUT / 2) {
		int r = creel_call_head_decode(from_guest.data + at, &h, &err);
		if (r == 0 && (h.type >= CREEL_CALL_OK || h.id == 0 ||
			       (h.type != CREEL_CALL_CANCEL && known(h.id, h.id))))
			r = creel_err_set(&err, CREEL_E_PROTO, 0, "a call that is not its to make");
		if (r < 0) {
			ended = true;
			(void)creel_mux_reset(cell.mux, stream, err.msg, &err);
			calls_end();
			chan_kick();
			return;
		}
		if (from_guest.len - at - CREEL_CALL_HEAD < h.len ||
		    !take(&h, from_guest.data + at + CREEL_CALL_HEAD))
			break;
		at += CREEL_CALL_HEAD + h.len;
	}
	if (at == 0 || !cell.mux)
		return;
	creel_buf_drain(&from_guest, at);
	(void)creel_mux_consumed(cell.mux, stream, at, &err);
	chan_kick();
}

void calls_start(void)
{
	struct creel_err err = {0};
	int id = stream || ended ? 0 : creel_mux_open(cell.mux, CREEL_MUX_CALLS, NULL, 0, &err);

	if (id <= 0)
		return;
	stream = (uint16_t)id;
	creel_buf_init(&from_guest, CREEL_MUX_WINDOW);
	creel_buf_init(&to_guest, OUT);
	chan_kick();
}

bool calls_is(uint16_t id)
{
	return stream && id == stream;
}

void calls_data(const uint8_t *data, size_t len)
{
	struct creel_err err = {0};

	if (creel_buf_add(&from_guest, data, len, &err) < 0) {
		(void)creel_mux_reset(cell.mux, stream, err.msg, &err);
		calls_end();
		return;
	}
	calls_pump();
}

void calls_writable(void)
{
	push();
	calls_pump();
}

void calls_answer(uint32_t id, uint8_t type, const uint8_t *text, size_t len)
{
	/* who asked may have gone meanwhile */
	if (id && type >= CREEL_CALL_OK && type < CREEL_CALL_ANSWERS_END && known(id, 0))
		answer(id, type, text, len);
	calls_pump();
}

void calls_engine_lost(void)
{
	for (size_t i = 0; i < CREEL_CALLS_OPEN; i++)
		if (open_ids[i]) {
			uint32_t id = open_ids[i];
			open_ids[i] = 0;
			say(id, CREEL_CALL_AGAIN, "creeld went away");
		}
	calls_pump();
}

void calls_end(void)
{
	stream = 0;
	creel_buf_fini(&from_guest);
	creel_buf_fini(&to_guest);
	for (size_t i = 0; i < CREEL_CALLS_OPEN; i++)
		if (open_ids[i]) {
			engine_tell(CREEL_CELL_CALL, CREEL_CALL_CANCEL, open_ids[i], 0, "");
			open_ids[i] = 0;
		}
}

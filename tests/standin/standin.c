/*
 * creel-standin CONTROL POWER NAME INITRD [SERIAL=FD]...: plays a cell's machine without one. It speaks
 * the control channel as creel-init does (ready at once, a stream echoes what it gets), and ends when
 * its power socket says quit. Behind vmm/standin.c it shows that creeld's seam to the machine holds
 * for another back end than QEMU, and lets tests have sixty cells in a second.
 *
 * `exec -- garbage|flood|silent|hold` makes it the guest that a test needs. `exec -- call why WHAT`,
 * `call event KIND KEY VALUE`, `call gate WAIT TO BODY CLIENT` and `call junk` ask the host as a program of the
 * guest does, print its answer and end with its type less 64; `call gone ...` does not wait for it. `refuse TEXT`
 * says why the command was not run, `log TEXT` is what its log has from then on.
 */
#include "base/cleanup.h"
#include "wire/call.h"
#include "wire/ctl.h"
#include "wire/execio.h"
#include "wire/mux.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct creel_mux *mux;
static int chan, power;
static bool silent, holding, over;
static uint16_t calls;
static uint32_t next_call;
static char log_text[512];
static uint16_t asker[256]; /* by call, modulo: the stream that waits */

static void tell(uint8_t type, uint32_t a)
{
	struct creel_ctl c = {.type = type, .a = a};
	if (type == CREEL_CTL_NOTE)
		(void)strcpy(c.name, "a note");
	uint8_t buf[CREEL_CTL_MAX];
	struct creel_err err = {0};

	(void)creel_mux_control(mux, buf, creel_ctl_encode(&c, buf), &err);
}

static void on_hello(void *ctx, uint16_t version)
{
	tell(CREEL_CTL_READY, 1234);
}

static void on_control(void *ctx, const uint8_t *msg, size_t len)
{
	struct creel_err err = {0};
	struct creel_ctl c;

	if (silent || creel_ctl_decode(msg, len, &c, &err) < 0)
		return;
	if (c.type == CREEL_CTL_PING)
		tell(CREEL_CTL_MEMORY, 1234);
	if (c.type == CREEL_CTL_SHUTDOWN) {
		tell(CREEL_CTL_BYE, 0);
		over = true;
	}
}

static void say(uint16_t id, const void *text, size_t len, uint8_t status)
{
	struct creel_buf autoclean(creel_buf_fini) out;
	struct creel_err err = {0};

	creel_buf_init(&out, 65536);
	(void)creel_execio_put(&out, CREEL_EXECIO_OUT, text, len, &err);
	(void)creel_execio_put(&out, CREEL_EXECIO_OUT, "\n", 1, &err);
	(void)creel_execio_put(&out, CREEL_EXECIO_EXIT, &status, 1, &err);
	(void)creel_mux_write(mux, id, out.data, out.len, &err);
	(void)creel_mux_eof(mux, id, &err);
}

/* What a captured guest says in the place of a command's output. */
static void refuse(uint16_t id, const char *text)
{
	struct creel_buf autoclean(creel_buf_fini) out = {0}, autoclean(creel_buf_fini) said = {0};
	struct creel_err err = {0};

	creel_buf_init(&out, 65536);
	creel_buf_init(&said, 4096);
	(void)creel_buf_addf(&said, &err, "%c%s", 126, text);
	(void)creel_execio_put(&out, CREEL_EXECIO_ERROR, said.data, said.len, &err);
	(void)creel_mux_write(mux, id, out.data, out.len, &err);
	(void)creel_mux_eof(mux, id, &err);
}

static uint8_t call_payload(const char *const *a, struct creel_buf *out, struct creel_err *err)
{
	static struct creel_call_gate g;

	if (strcmp(a[0], "why") == 0 && a[1]) {
		(void)creel_call_why_encode(a[1], out, err);
		return CREEL_CALL_WHY;
	}
	if (strcmp(a[0], "event") == 0 && a[1] && a[2] && a[3]) {
		struct creel_call_event e = {.kind = a[1], .n_fields = 1, .field = {{a[2], a[3]}}};
		(void)creel_call_event_encode(&e, out, err);
		return CREEL_CALL_EVENT;
	}
	if (strcmp(a[0], "gate") == 0 && a[1] && a[2] && a[3] && a[4]) {
		g = (struct creel_call_gate){
			.wait_s = (uint32_t)atoi(a[1]),
			.program = "gog",
			.verb = "gmail send",
			.rule = "gmail send",
			.client = a[4],
			.n_argv = 7,
			.argv = {"gog", "gmail", "send", "--to", a[2], "--body", a[3]},
			.n_fixed = 1,
			.fixed = {a[2]},
			.n_lines = 2,
			.line = {{"to", a[2]}, {"body", a[3]}},
		};
		(void)creel_call_gate_encode(&g, out, err);
		return CREEL_CALL_GATE;
	}
	(void)creel_buf_adds(out, "junk", err);
	return CREEL_CALL_EVENT;
}

/* A command that waits for the host's answer: its input is nobody's. */
static bool asks(uint16_t id)
{
	for (size_t i = 0; i < 256; i++)
		if (asker[i] == id)
			return true;
	return false;
}

static void call(uint16_t id, const char *const *a)
{
	struct creel_buf autoclean(creel_buf_fini) b;
	struct creel_err err = {0};
	uint8_t head[CREEL_CALL_HEAD];
	bool gone = a[0] && strcmp(a[0], "gone") == 0;

	creel_buf_init(&b, CREEL_CALL_MAX);
	if (!calls || !a[gone]) {
		say(id, "no calls", 8, 1);
		return;
	}
	struct creel_call_head h = {.id = ++next_call, .uid = 1000, .type = call_payload(a + gone, &b, &err)};
	h.len = (uint32_t)b.len;
	creel_call_head_encode(&h, head);
	(void)creel_mux_write(mux, calls, head, sizeof(head), &err);
	(void)creel_mux_write(mux, calls, b.data, b.len, &err);
	asker[h.id % 256] = gone ? 0 : id;
	if (!gone)
		return;
	h.len = 0;
	h.type = CREEL_CALL_CANCEL;
	creel_call_head_encode(&h, head);
	(void)creel_mux_write(mux, calls, head, sizeof(head), &err);
	say(id, "gone", 4, 0);
}

/* The host answers; here each answer comes whole. */
static void answered(const uint8_t *data, size_t len)
{
	struct creel_call_head h;
	struct creel_err err = {0};

	for (; len >= CREEL_CALL_HEAD && creel_call_head_decode(data, &h, &err) == 0 &&
	       len - CREEL_CALL_HEAD >= h.len;
	     data += CREEL_CALL_HEAD + h.len, len -= CREEL_CALL_HEAD + h.len)
		if (asker[h.id % 256]) {
			uint16_t id = asker[h.id % 256];
			asker[h.id % 256] = 0;
			say(id, data + CREEL_CALL_HEAD, h.len, (uint8_t)(h.type - CREEL_CALL_OK));
		}
}

static void on_open(void *ctx, uint16_t id, uint8_t kind, const uint8_t *spec, size_t len)
{
	struct creel_buf autoclean(creel_buf_fini) out = {0};
	struct creel_err err = {0};
	struct creel_execspec s;

	if (kind == CREEL_MUX_CALLS) {
		calls = id;
		return;
	}
	if (kind == CREEL_MUX_LOGS) {
		(void)creel_mux_write(mux, id, log_text, strlen(log_text), &err);
		(void)creel_mux_eof(mux, id, &err);
		return;
	}
	if (kind != CREEL_MUX_EXEC || creel_execspec_decode(spec, len, &s, &err) < 0) {
		if (kind != CREEL_MUX_TCP)
			(void)creel_mux_reset(mux, id, "a stand-in has none", &err);
		return;
	}
	if (strcmp(s.argv[0], "call") == 0) {
		call(id, s.argv + 1);
		return;
	}
	if (strcmp(s.argv[0], "refuse") == 0 && s.argv[1]) {
		refuse(id, s.argv[1]);
		return;
	}
	if (strcmp(s.argv[0], "log") == 0 && s.argv[1])
		(void)snprintf(log_text, sizeof(log_text), "%s\n", s.argv[1]);
	if (strcmp(s.argv[0], "garbage") == 0) {
		static const char noise[4096] = "\xff\xfe this is no frame";
		(void)!send(chan, noise, sizeof(noise), MSG_NOSIGNAL);
		return;
	}
	if (strcmp(s.argv[0], "flood") == 0) {
		for (int i = 0; i < 2000; i++)
			tell(CREEL_CTL_NOTE, 0);
	}
	holding |= strcmp(s.argv[0], "hold") == 0; /* commands that do not end */
	if (holding)
		return;
	silent = strcmp(s.argv[0], "silent") == 0;
	creel_buf_init(&out, 65536);
	(void)creel_execio_put(&out, CREEL_EXECIO_OUT, "stand-in\n", 9, &err);
	(void)creel_execio_put(&out, CREEL_EXECIO_EXIT, "\0", 1, &err);
	(void)creel_mux_write(mux, id, out.data, out.len, &err);
	(void)creel_mux_eof(mux, id, &err);
}

static void on_data(void *ctx, uint16_t id, const uint8_t *data, size_t len)
{
	struct creel_err err = {0};

	if (id == calls)
		answered(data, len);
	else if (!holding && !asks(id))
		(void)creel_mux_write(mux, id, data, len,
				      &err); /* what does not fit is the sender's loss here */
	(void)creel_mux_consumed(mux, id, len, &err);
}

static void on_eof(void *ctx, uint16_t id)
{
	struct creel_err err = {0};

	if (!holding && !asks(id))
		(void)creel_mux_eof(mux, id, &err);
}

static void on_reset(void *ctx, uint16_t id, const uint8_t *why, size_t len)
{
	for (size_t i = 0; i < 256; i++)
		if (asker[i] == id)
			asker[i] = 0;
}

static void on_writable(void *ctx, uint16_t id)
{
}

static const struct creel_mux_ops ops = {on_hello, on_control, on_open,    on_data,
					 on_eof,   on_reset,   on_writable};

static bool flush(void)
{
	while (creel_mux_out(mux)->len > 0) {
		ssize_t n = send(chan, creel_mux_out(mux)->data, creel_mux_out(mux)->len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		creel_mux_sent(mux, (size_t)n);
	}
	return true;
}

int main(int argc, char **argv)
{
	struct creel_err err = {0};
	uint8_t buf[65536];

	if (argc < 5)
		return 2;
	(void)signal(SIGPIPE, SIG_IGN);
	chan = atoi(argv[1]);
	power = atoi(argv[2]);
	mux = creel_mux_new(false, &ops, NULL);
	while (mux && !over) {
		struct pollfd p[2] = {{.fd = chan, .events = POLLIN}, {.fd = power, .events = POLLIN}};
		if (!flush())
			break;
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents) {
			ssize_t n = read(power, buf, sizeof(buf));
			if (n <= 0 || memmem(buf, (size_t)n, "quit\n", 5))
				return 0;
		}
		if (p[0].revents) {
			ssize_t n = read(chan, buf, sizeof(buf));
			if (n <= 0 || creel_mux_feed(mux, buf, (size_t)n, &err) < 0)
				break;
		}
	}
	(void)flush();
	creel_mux_free(mux);
	return 0;
}

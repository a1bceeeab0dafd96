/*
 * creel-standin CONTROL POWER NAME INITRD [SERIAL=FD]...: plays a cell's machine without one. It speaks
 * the control channel as creel-init does (ready at once, a stream echoes what it gets), and ends when
 * its power socket says quit. Behind vmm/standin.c it shows that creeld's seam to the machine holds
 * for another back end than QEMU, and lets tests have sixty cells in a second.
 *
 * `exec -- garbage|flood|silent|hold` makes it the guest that a test needs.
 */
#include "base/cleanup.h"
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

static void on_open(void *ctx, uint16_t id, uint8_t kind, const uint8_t *spec, size_t len)
{
	struct creel_buf autoclean(creel_buf_fini) out;
	struct creel_err err = {0};
	struct creel_execspec s;

	if (kind != CREEL_MUX_EXEC || creel_execspec_decode(spec, len, &s, &err) < 0) {
		if (kind != CREEL_MUX_TCP)
			(void)creel_mux_reset(mux, id, "a stand-in has none", &err);
		return;
	}
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

	if (!holding)
		(void)creel_mux_write(mux, id, data, len, &err); /* what does not fit is the sender's loss here */
	(void)creel_mux_consumed(mux, id, len, &err);
}

static void on_eof(void *ctx, uint16_t id)
{
	struct creel_err err = {0};

	if (!holding)
		(void)creel_mux_eof(mux, id, &err);
}

static void on_reset(void *ctx, uint16_t id, const uint8_t *why, size_t len)
{
}

static void on_writable(void *ctx, uint16_t id)
{
}

static const struct creel_mux_ops ops = {on_hello, on_control, on_open, on_data, on_eof, on_reset, on_writable};

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

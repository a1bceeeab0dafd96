#include "base/clock.h"
#include "gate.h"
#include "linux/memfd.h"
#include <errno.h>
#include <poll.h>

/*
 * Standard input is taken whole before anybody is asked, so that what is approved is what the tool reads:
 * a caller that goes on writing afterwards writes to nobody.
 */
int input_take(struct gate_call *call, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	int64_t end = creel_clock_ms() + GATE_STDIN_MS, now;
	ssize_t n = 1;

	creel_buf_init(&text, GATE_STDIN_MAX);
	while (n != 0) {
		struct pollfd p = {.fd = 0, .events = POLLIN};
		char buf[16384];
		now = creel_clock_ms();
		if (now >= end || poll(&p, 1, (int)(end - now)) == 0)
			return creel_err_set(err, CREEL_E_TIMEOUT, 0,
					     "standard input did not end within %d seconds",
					     GATE_STDIN_MS / 1000);
		n = read(0, buf, sizeof(buf));
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return creel_err_set(err, CREEL_E_OS, errno, "read standard input");
		int r = n < 0 ? 0 : creel_buf_add(&text, buf, (size_t)n, err);
		if (r == CREEL_E_TOOBIG) {
			*err = (struct creel_err){0};
			return creel_err_set(err, r, 0, "standard input is over %d octets", GATE_STDIN_MAX);
		}
		if (r < 0)
			return r;
	}
	int fd = creel_memfd_sealed("input", text.data, text.len, err);
	if (fd < 0)
		return creel_err_add(err, "keep standard input");
	gate_hash(text.data, text.len, call->input_hash);
	call->input_len = text.len;
	call->input = fd;
	return 0;
}

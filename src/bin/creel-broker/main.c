/*
 * creel-broker --ca FD CA IDENTITY: what intercepting needs is written to two files (ca.c).
 * creel-broker FD: it adds a cell's credentials to what creel-broker-front lets through (keep.h). FD is
 * the file that conf.c reads; the sockets that it names are inherited. Ends with 0 when a peer goes away,
 * 1 when it cannot start.
 */
#include "base/log.h"
#include "keep.h"
#include "linux/fd.h"
#include "linux/fdpass.h"
#include "linux/sandbox.h"
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>

static const char *const calls[] = {
	"socket", "connect", "getsockopt", "setsockopt", "getsockname", "getpeername", "shutdown", "recvfrom",
	"sendto", "recvmsg", "sendmsg",    "pread64",    "mlock",       "munlock",     "uname",    NULL};

static void from_front(evutil_socket_t fd, short what, void *ctx)
{
	struct keeper *k = ctx;
	struct creel_err err = {0};
	char octet;
	int chan = -1;
	size_t n_fds = 0;
	ssize_t n = creel_fdpass_recv(fd, &octet, 1, &chan, 1, &n_fds, &err);

	if (n == CREEL_E_BUSY)
		return;
	if (n < 0) {
		(void)event_base_loopexit(k->base, NULL);
		return;
	}
	if (n_fds == 1) {
		(void)evutil_make_socket_nonblocking(chan);
		chan_new(k, chan);
	}
}

static void from_monitor(evutil_socket_t fd, short what, void *ctx)
{
	struct keeper *k = ctx;
	struct broker_order o;
	struct creel_err err = {0};
	int r = broker_order_take(fd, &o, &err);

	if (r < 0) {
		(void)event_base_loopexit(k->base, NULL);
		return;
	}
	if (r == 0)
		return;
	if (o.what == 'E') {
		close(k->events);
		k->events = o.fd;
		return;
	}
	if (keep_secret(k, o.name, o.fd, &err) < 0)
		creel_log_error(&err);
	close(o.fd);
}

static void each_second(evutil_socket_t fd, short what, void *ctx)
{
	chan_sweep(ctx);
	up_sweep(ctx);
}

static int events_begin(struct keeper *k, struct creel_err *err)
{
	static const struct timeval second = {.tv_sec = 1};

	k->base = event_base_new();
	if (!k->base)
		return creel_err_nomem(err);
	k->ev_front = event_new(k->base, k->front, EV_READ | EV_PERSIST, from_front, k);
	k->ev_monitor = event_new(k->base, k->monitor, EV_READ | EV_PERSIST, from_monitor, k);
	k->ev_second = event_new(k->base, -1, EV_PERSIST, each_second, k);
	if (!k->ev_front || !k->ev_monitor || !k->ev_second || event_add(k->ev_front, NULL) < 0 ||
	    event_add(k->ev_monitor, NULL) < 0 || event_add(k->ev_second, &second) < 0)
		return creel_err_nomem(err);
	return 0;
}

static void end(struct keeper *k)
{
	while (!TAILQ_EMPTY(&k->chans))
		chan_free(TAILQ_FIRST(&k->chans));
	while (!TAILQ_EMPTY(&k->ups))
		up_free(TAILQ_FIRST(&k->ups));
	struct event *const all[] = {k->ev_front, k->ev_monitor, k->ev_second};
	for (size_t i = 0; i < ELEMENTSOF(all); i++)
		if (all[i])
			event_free(all[i]);
	if (k->base)
		event_base_free(k->base);
	keep_conf_fini(k);
}

static int no_other(void *ctx, const char *word, char *rest, struct creel_err *err)
{
	return 0;
}

/* Before the cell's guest begins, and for this alone. */
static int ca(int conf, int ca_fd, int identity_fd)
{
	static const char *const none[] = {NULL};
	struct creel_policytext *pt = NULL;
	struct creel_err err = {0};
	int r = broker_conf_read(conf, no_other, NULL, &pt, &err);

	if (r == 0)
		r = creel_sandbox(none, &err);
	if (r == 0)
		r = ca_make(pt->brokers, ca_fd, identity_fd, &err);
	if (r < 0)
		creel_log_error(&err);
	if (pt)
		creel_policytext_fini(pt);
	free(pt);
	return r < 0;
}

int main(int argc, char **argv)
{
	static struct keeper k = {.front = -1, .monitor = -1, .events = -1, .roots = -1};
	struct creel_err err = {0};

	creel_log_name("creel-broker");
	if (argc == 5 && strcmp(argv[1], "--ca") == 0)
		return ca(creel_fd_number(argv[2]), creel_fd_number(argv[3]), creel_fd_number(argv[4]));
	int fd = argc == 2 ? creel_fd_number(argv[1]) : -1;
	if (fd < 0) {
		fputs("usage: creel-broker FD, by creeld\n", stderr);
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	broker_memory();
	TAILQ_INIT(&k.chans);
	TAILQ_INIT(&k.ups);
	int r = sodium_init() < 0 || OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1
			? creel_err_set(&err, CREEL_E_UNSUPP, 0, "a library does not start")
			: keep_conf(&k, fd, &err);
	if (r == 0)
		r = events_begin(&k, &err);
	if (r == 0)
		r = creel_sandbox(calls, &err);
	if (r == 0 && event_base_dispatch(k.base) < 0)
		r = creel_err_set(&err, CREEL_E_OS, errno, "loop");
	if (r < 0)
		creel_log_error(&err);
	end(&k);
	return r < 0;
}

/*
 * creel-broker-front FD: what a cell's guest speaks to (front.h). FD is a file of lines, written by the
 * monitor: the policy's own (policy/policytext.h), and
 *   listen FD, keeper FD, monitor FD, events FD    sockets that it inherits; keeper leads to creel-broker
 *   listen-tls FD, identity FD    where something is intercepted: a socket; a key and its certificate, PEM
 *   upstream ADDR[@PORT] (up to 8) or `recursive yes`
 * Ends with 0 when the monitor goes away, 1 when it cannot start.
 */
#include "base/log.h"
#include "front.h"
#include "linux/fd.h"
#include "linux/sandbox.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unbound.h>

/* libunbound's too: its sockets are made as it asks, and its root key is read with the first question */
static const char *const calls[] = {
	"socket",     "socketpair",  "bind",        "connect",   "accept", "accept4", "getsockopt",
	"setsockopt", "getsockname", "getpeername", "shutdown",  "sendto", "sendmsg", "recvfrom",
	"recvmsg",    "openat",      "ioctl",       "prlimit64", "uname",  "pread64", NULL,
};

static int line(void *ctx, const char *word, char *rest, struct creel_err *err)
{
	struct front *f = ctx;
	static const char *const words[] = {"listen", "listen-tls", "identity",
					    "keeper", "monitor",    "events"};
	int *const slots[] = {&f->listener, &f->tls_listener, &f->identity,
			      &f->keeper,   &f->monitor,      &f->events};

	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		if (strcmp(word, words[i]) == 0)
			return (*slots[i] = creel_fd_number(rest)) < 0
				       ? creel_err_set(err, CREEL_E_SYNTAX, 0, "%s FD", word)
				       : 1;
	if (strcmp(word, "recursive") == 0) {
		f->recursive = true;
		return 1;
	}
	if (strcmp(word, "upstream") != 0 || f->n_upstream == ELEMENTSOF(f->upstream))
		return 0;
	f->upstream[f->n_upstream++] = rest;
	return 1;
}

static void from_guest(evutil_socket_t fd, short what, void *ctx)
{
	struct front *f = ctx;
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn >= 0)
		conn_new(f, conn, fd == f->tls_listener);
}

static void from_monitor(evutil_socket_t fd, short what, void *ctx)
{
	struct front *f = ctx;
	struct broker_order o;
	struct creel_err err = {0};
	int r = broker_order_take(fd, &o, &err);

	if (r < 0) {
		(void)event_base_loopexit(f->base, NULL);
	} else if (r > 0 && o.what == 'E') {
		close(f->events);
		f->events = o.fd;
	} else if (r > 0) {
		close(o.fd); /* a credential is not for here */
	}
}

static void each_second(evutil_socket_t fd, short what, void *ctx)
{
	conn_sweep(ctx);
}

static int begin(struct front *f, struct creel_err *err)
{
	static const struct timeval second = {.tv_sec = 1};

	if (f->listener < 0 || f->keeper < 0 || f->monitor < 0 || f->events < 0 ||
	    (!f->recursive && f->n_upstream == 0))
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "a socket or the resolvers are missing");
	f->base = event_base_new();
	if (!f->base)
		return creel_err_nomem(err);
	f->ev_listen = event_new(f->base, f->listener, EV_READ | EV_PERSIST, from_guest, f);
	f->ev_monitor = event_new(f->base, f->monitor, EV_READ | EV_PERSIST, from_monitor, f);
	f->ev_second = event_new(f->base, -1, EV_PERSIST, each_second, f);
	if (!f->ev_listen || !f->ev_monitor || !f->ev_second || event_add(f->ev_listen, NULL) < 0 ||
	    event_add(f->ev_monitor, NULL) < 0 || event_add(f->ev_second, &second) < 0)
		return creel_err_nomem(err);
	if (f->tls_listener >= 0) {
		f->ev_tls = event_new(f->base, f->tls_listener, EV_READ | EV_PERSIST, from_guest, f);
		if (!f->ev_tls || event_add(f->ev_tls, NULL) < 0)
			return creel_err_nomem(err);
		int r = tls_start(f, err);
		if (r < 0)
			return r;
	}
	return names_start(f, err);
}

static void end(struct front *f)
{
	if (f->ub)
		ub_ctx_delete(f->ub);
	while (!TAILQ_EMPTY(&f->conns))
		conn_free(TAILQ_FIRST(&f->conns));
	struct event *const all[] = {f->ev_listen, f->ev_tls, f->ev_monitor, f->ev_second};
	for (size_t i = 0; i < ELEMENTSOF(all); i++)
		if (all[i])
			event_free(all[i]);
	if (f->base)
		event_base_free(f->base);
	SSL_CTX_free(f->tls);
	creel_policytext_fini(f->pt);
	free(f->pt);
}

int main(int argc, char **argv)
{
	static struct front f = {.listener = -1,
				 .tls_listener = -1,
				 .identity = -1,
				 .keeper = -1,
				 .monitor = -1,
				 .events = -1};
	struct creel_err err = {0};

	creel_log_name("creel-broker-front");
	int fd = argc == 2 ? creel_fd_number(argv[1]) : -1;
	if (fd < 0) {
		fputs("usage: creel-broker-front FD, by creeld\n", stderr);
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	broker_memory();
	TAILQ_INIT(&f.conns);
	int r = broker_conf_read(fd, line, &f, &f.pt, &err);
	if (r == 0)
		r = begin(&f, &err);
	if (r == 0)
		r = creel_sandbox(calls, &err);
	if (r == 0 && event_base_dispatch(f.base) < 0)
		r = creel_err_set(&err, CREEL_E_OS, errno, "loop");
	if (r < 0)
		creel_log_error(&err);
	end(&f);
	return r < 0;
}

/*
 * creel-dns FD: the resolver of one cell (dns.h). FD is the file that conf.c reads; the sockets that
 * it names are inherited. Ends with 0 when a peer goes away, 1 when it cannot start.
 */
#include "base/log.h"
#include "dns.h"
#include "linux/sandbox.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unbound-event.h>
#include <unbound.h>
#include <unistd.h>

static bool asks_by_six(const struct dns_conf *c)
{
	for (size_t i = 0; i < c->n_upstream; i++)
		if (strchr(c->upstream[i], ':'))
			return true;
	return false;
}

static int resolver_start(struct dns *d, struct creel_err *err)
{
	const char *const options[][2] = {
		{"use-caps-for-id:", "yes"},       /* 0x20, besides port and id */
		{"do-not-query-localhost:", "no"}, /* an upstream may be a resolver of this host */
		{"cache-max-ttl:", "3600"},
		{"msg-cache-size:", "8m"},
		{"rrset-cache-size:", "16m"},
		{"num-queries-per-thread:", "1024"},
		{"qname-minimisation:", "yes"},
		{"harden-below-nxdomain:", "yes"},
		{"minimal-responses:", "yes"},
		{"edns-buffer-size:", "1232"},
		/* else the filter would drop it: what it is asked for may be AAAA */
		{"do-ip6:", asks_by_six(&d->conf) ? "yes" : "no"},
	};
	int r;

	d->ub = ub_ctx_create_event(d->base);
	if (!d->ub)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "libunbound without libevent");
	for (size_t i = 0; i < ELEMENTSOF(options); i++)
		if ((r = ub_ctx_set_option(d->ub, options[i][0], options[i][1])) != 0)
			return creel_err_set(err, CREEL_E_UNSUPP, 0, "%s %s", options[i][0], ub_strerror(r));
	if (!d->conf.recursive && d->conf.n_upstream == 0)
		return creel_err_set(err, CREEL_E_INVALID, 0, "no upstream and not recursive");
	for (size_t i = 0; i < d->conf.n_upstream; i++)
		if ((r = ub_ctx_set_fwd(d->ub, d->conf.upstream[i])) != 0)
			return creel_err_set(err, CREEL_E_INVALID, 0, "upstream %.60s: %s",
					     d->conf.upstream[i], ub_strerror(r));
	for (size_t i = 0; i < d->conf.n_anchor; i++)
		if ((r = ub_ctx_add_ta(d->ub, d->conf.anchor[i])) != 0)
			return creel_err_set(err, CREEL_E_INVALID, 0, "anchor %.100s: %s", d->conf.anchor[i],
					     ub_strerror(r));
	return 0;
}

/* libunbound's: its sockets are made as it asks. It reads no file: the root's key came with the configuration */
static const char *const calls[] = {
	"socket",     "bind",       "connect",     "listen",      "accept",   "accept4",
	"getsockopt", "setsockopt", "getsockname", "getpeername", "shutdown", "sendto",
	"sendmsg",    "recvfrom",   "recvmsg",     "recvmmsg",    "sendmmsg", "ioctl",
	"prlimit64",  "uname",      "pread64",     NULL,
};

int main(int argc, char **argv)
{
	struct dns d = {0};
	struct creel_err err = {0};

	creel_log_name("creel-dns");
	if (argc != 2 || argv[1][0] < '0' || argv[1][0] > '9') {
		fputs("usage: creel-dns FD, by creeld\n", stderr);
		return 2;
	}
	int r = dns_conf_read(atoi(argv[1]), &d.conf, &err);
	d.base = r >= 0 ? event_base_new() : NULL;
	if (r >= 0 && !d.base)
		r = creel_err_nomem(&err);
	if (r >= 0)
		r = resolver_start(&d, &err);
	if (r >= 0)
		r = dns_serve(&d, &err);
	if (r >= 0)
		r = creel_sandbox(calls, &err);
	if (r >= 0 && event_base_dispatch(d.base) < 0)
		r = creel_err_set(&err, CREEL_E_OS, errno, "loop");
	if (r < 0)
		creel_log_error(&err);
	/* libunbound first: its pending queries hold jobs */
	if (d.ub)
		ub_ctx_delete(d.ub);
	if (d.base) {
		dns_serve_end(&d);
		event_base_free(d.base);
	}
	dns_conf_fini(&d.conf);
	free(d.grants);
	free(d.tunnels);
	return r < 0;
}

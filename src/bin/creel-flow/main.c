/*
 * creel-flow FD: the checker of one cell's TLS and HTTP names (flow.h). FD is the file that conf.c
 * reads; the sockets that it names are inherited. Ends with 0 when the monitor is gone and nothing
 * flows any more, 1 when it cannot start.
 */
#include "base/log.h"
#include "flow.h"
#include "linux/sandbox.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

static const char *const calls[] = {
	"accept4",  "socket", "connect", "getsockopt", "setsockopt", "getsockname", "shutdown",
	"recvfrom", "sendto", "recvmsg", "sendmsg",    "pread64",    "splice",      NULL,
};

/* Two descriptors a connection, and some: one is always left, or accept(2) would fail for ever. */
static void limit_connections(struct flow *f)
{
	struct rlimit files;

	f->max_conns = FLOW_CONNS_MAX;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_max / 2 < f->max_conns + 32)
		f->max_conns = files.rlim_max < 128 ? 32 : (size_t)files.rlim_max / 2 - 32;
}

int main(int argc, char **argv)
{
	static struct flow f; /* with its scratch buffer */
	struct creel_err err = {0};

	creel_log_name("creel-flow");
	if (argc != 2 || argv[1][0] < '0' || argv[1][0] > '9') {
		fputs("usage: creel-flow FD, by creeld\n", stderr);
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	TAILQ_INIT(&f.waiting);
	TAILQ_INIT(&f.conns);
	limit_connections(&f);
	pass_open(&f);
	int r = flow_conf_read(atoi(argv[1]), &f.conf, &err);
	if (r >= 0)
		r = creel_pins_init(&f.pins, CREEL_PINS_NAMES, CREEL_PINS_ADDRS, &err);
	f.base = r >= 0 ? event_base_new() : NULL;
	if (r >= 0 && !f.base)
		r = creel_err_nomem(&err);
	if (r >= 0)
		r = flow_peers_start(&f, &err);
	if (r >= 0)
		r = creel_sandbox(calls, &err);
	if (r >= 0 && event_base_dispatch(f.base) < 0)
		r = creel_err_set(&err, CREEL_E_OS, errno, "loop");
	if (r < 0)
		creel_log_error(&err);
	if (f.base) {
		conn_end_all(&f);
		event_base_free(f.base);
	}
	pass_close(&f);
	creel_flowsend_fini(&f.out);
	creel_pins_fini(&f.pins);
	flow_policy_free(f.conf.pt);
	return r < 0;
}

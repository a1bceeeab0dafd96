#include "base/log.h"
#include "linux/proc.h"
#include "monitor.h"
#include "net/hostwall.h"
#include "net/netns.h"
#include "net/uplink.h"
#include "words.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The way out without root: slirp4netns, in a jail, in the host's network namespace. It makes the interface
 * up0 in the cells' namespace and turns what leaves by it into sockets of its own. It goes on while no
 * monitor does; run/slirp says which process it is.
 */
#define PROGRAM "/usr/bin/slirp4netns"
/* its network, which no cell reaches (`never`) and which is not there on the host; its own addresses are in it */
#define NETWORK "169.254.85.0"
enum { BITS = 24, PATIENCE_MS = 60000, MEMORY_MIB = 512, FILES = 8192 };
static const char note[] = "slirp";

static struct {
	struct mon_proc proc;
	struct event *again;
	unsigned starts;
	int ns;
} slirp = {.proc = {.pidfd = -1}, .ns = -1};

struct addresses {
	struct creel_net v[CREEL_HOSTWALL_MAX];
	size_t n;
};

static int list(void *ctx, struct creel_err *err)
{
	struct addresses *a = ctx;

	/* the first place is its own network's */
	int r = creel_hostwall_list(a->v + 1, ELEMENTSOF(a->v) - 1, &a->n, err);
	a->v[0] = (struct creel_net){.addr = {169, 254, 85, 0}, .family = 4, .bits = BITS};
	a->n++;
	return r;
}

int slirp_wall(struct creel_err *err)
{
	static struct addresses all;
	int back, r = outside_do(list, &all, err);

	if (r == 0 && slirp.ns >= 0 && (r = creel_netns_enter(slirp.ns, &back, err)) == 0) {
		r = creel_hostwall_write(CREEL_UPLINK_IF, all.v, all.n, err);
		creel_netns_leave(back);
	}
	return r;
}

static void command(struct words *w, int last_fd)
{
	static const char *const args[] = {"--",
					   PROGRAM,
					   "--configure",
					   "--mtu=1500",
					   "--netns-type=path",
					   "--enable-sandbox",
					   "--enable-seccomp",
					   "--disable-host-loopback",
					   "--disable-dns"};

	jail_words(w, 0, last_fd, true);
	word(w, "--network");
	word(w, "--uplink");
	word(w, "--files");
	wordf(w, "%d", FILES);
	word(w, "--memory");
	wordf(w, "%d", MEMORY_MIB);
	word(w, "--bind-exec");
	word(w, PROGRAM);
	word(w, "--device");
	word(w, "/dev/net/tun");
	word(w, "--bind");
	wordf(w, "%s/run/netns:/netns", mon.state);
	for (size_t i = 0; i < ELEMENTSOF(args); i++)
		word(w, args[i]);
	wordf(w, "--cidr=%s/%d", NETWORK, BITS);
	wordf(w, "--ready-fd=%d", last_fd);
	word(w, "/netns");
	word(w, CREEL_UPLINK_IF);
}

static int spawn(void *ctx, struct creel_err *err)
{
	const int *ready = ctx;
	struct words w = {.n = 0};

	command(&w, 3);
	int r = words_ok(&w, err);
	/* what a cell is called has no dot at its start */
	autofd int log = openat(mon.state_fd, "log/.uplink",
				O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	pid_t pid = r < 0 ? r
			  : creel_proc_spawn(w.v, log, ready, 1, CREEL_PROC_PIDNS, &slirp.proc.pidfd, err);
	if (pid < 0)
		return (int)pid;
	slirp.proc.pid = pid;
	return creel_proc_start(pid, &slirp.proc.start, err);
}

static int write_note(struct creel_err *err)
{
	autofd int fd = openat(mon.run_fd, note, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || dprintf(fd, "%d %llu\n", (int)slirp.proc.pid, (unsigned long long)slirp.proc.start) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "write run/%s", note);
	return 0;
}

/* Is its interface there? One that a namespace before this one had is of no use here. */
static bool serves(void)
{
	struct creel_err none = {0};
	int back;

	if (slirp.ns < 0 || creel_netns_enter(slirp.ns, &back, &none) < 0)
		return false;
	int index = creel_rtnl_index(CREEL_UPLINK_IF, &none);
	creel_netns_leave(back);
	return index > 0;
}

/* The one that a monitor before us started. @return 1: it runs */
static int find(void)
{
	struct creel_err gone = {0};
	unsigned long long start;
	int pid;

	int fd = openat(mon.run_fd, note, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f || fscanf(f, "%d %llu", &pid, &start) != 2)
		return 0;
	slirp.proc.pidfd = creel_proc_open(pid, start, &gone);
	if (slirp.proc.pidfd < 0) {
		slirp.proc.pidfd = -1;
		return 0;
	}
	slirp.proc.pid = pid;
	slirp.proc.start = start;
	return 1;
}

/* It says so itself; one that ends instead has said why in its log. */
static int ready_wait(int fd, struct creel_err *err)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;

	if (poll(&p, 1, PATIENCE_MS) != 1 || read(fd, &c, 1) != 1)
		return creel_err_set(err, CREEL_E_CHILD, 0,
				     PROGRAM " did not come up: %s/log/.uplink says more", mon.state);
	return 0;
}

static int start(struct creel_err *err)
{
	int ready[2];

	if (access(PROGRAM, X_OK) < 0)
		return creel_err_set(err, CREEL_E_NOTFOUND, 0,
				     "without root a cell with a network needs " PROGRAM
				     ": apt-get install slirp4netns");
	if (pipe2(ready, O_CLOEXEC) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a pipe");
	autofd int ours = ready[0], theirs = ready[1];
	int r = outside_do(spawn, &theirs, err);
	close(theirs);
	theirs = -1;
	if (r == 0)
		r = write_note(err);
	return r < 0 ? r : ready_wait(ours, err);
}

static int run(struct creel_err *err);

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
	struct creel_err err = {0};

	event_free(slirp.again);
	slirp.again = NULL;
	if (run(&err) < 0)
		creel_log_error(&err);
}

static void again(void)
{
	const struct timeval wait = netproc_pause(slirp.starts++);

	slirp.again = event_new(mon.base, -1, 0, on_again, NULL);
	if (!slirp.again || event_add(slirp.again, &wait) < 0)
		creel_log_warn("no memory to start the uplink again");
}

static void on_gone(evutil_socket_t fd, short what, void *ctx)
{
	netproc_stop(&slirp.proc);
	creel_log_warn("the uplink's slirp4netns ended: starting another");
	again();
}

/* A start that fails is tried again where one has run before: cells are there that want it. */
static int run(struct creel_err *err)
{
	bool found = find();

	if (found && !serves()) {
		netproc_stop(&slirp.proc);
		found = false;
	}
	int r = found ? 0 : start(err);
	if (r < 0) {
		netproc_stop(&slirp.proc);
		if (slirp.starts > 0)
			again();
		return r;
	}
	slirp.proc.gone = event_new(mon.base, slirp.proc.pidfd, EV_READ, on_gone, NULL);
	if (!slirp.proc.gone || event_add(slirp.proc.gone, NULL) < 0)
		return creel_err_nomem(err);
	return 0;
}

int slirp_up(int ns_fd, struct creel_err *err)
{
	slirp.ns = ns_fd;
	slirp.starts = 0;
	/* the wall first: the interface never stands without it */
	int r = slirp_wall(err);
	return r < 0 ? r : run(err);
}

void slirp_down(void)
{
	if (slirp.again)
		event_free(slirp.again);
	slirp.again = NULL;
	if (slirp.proc.pidfd < 0)
		(void)find();
	netproc_stop(&slirp.proc);
	(void)unlinkat(mon.run_fd, note, 0);
	slirp.ns = -1;
}

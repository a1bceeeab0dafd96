#include "base/log.h"
#include "linux/fd.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "linux/proc.h"
#include "monitor.h"
#include "net/netns.h"
#include "ramfolder.h"
#include "secret/sbuf.h"
#include "secret/store.h"
#include "words.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/*
 * A cell's brokers: creel-broker, which holds the credentials and speaks to the hosts, and
 * creel-broker-front, which listens on the cell's link; each in a jail, in the cells' namespace. A
 * credential lies in a ramfs that no guest is shown (it outlives this monitor as the cell does) and
 * reaches creel-broker as that file's descriptor alone. When one of the two ends, both start anew.
 */
enum { FD_FIRST = 3, FILES = 1024, CA_WAIT_MS = 60000 };
/* beside the credentials, whose names have no dot */
#define BROKER_CA "ca.pem"
#define IDENTITY  "identity.pem"
#define FOLDER    "broker"

static bool has(const struct mon_cell *c)
{
	return c->live && c->live->brokers;
}

void broker_drop(const char *name)
{
	ramfolder_drop(name, FOLDER);
}

static int one(const struct mon_cell *c, size_t i, json_t *given, int dirfd, struct creel_err *err)
{
	struct creel_buf autoclean(creel_sbuf_fini) value = {.data = NULL};
	struct creel_err why = {0};
	int r = creel_sbuf_init(&value, CREEL_SECRET_MAX, &why);

	if (r == 0)
		r = stage_value(c, i, given, &value, &why);
	if (r == CREEL_E_NOTFOUND && c->plan.secrets[i].optional)
		return 0; /* its requests are answered 503 */
	if (r == 0)
		r = stage_put(dirfd, c->plan.secrets[i].name, value.data, value.len, &why);
	if (r < 0)
		*err = why;
	return r;
}

static bool intercepts(const struct mon_cell *c)
{
	for (size_t i = 0; has(c) && i < c->live->brokers->n; i++)
		if (c->live->brokers->v[i].intercept)
			return true;
	return false;
}

static int ended_well(int pidfd, struct creel_err *err)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	siginfo_t info = {0};
	struct creel_err none = {0};

	if (poll(&p, 1, CA_WAIT_MS) <= 0)
		(void)creel_proc_kill(pidfd, SIGKILL, &none);
	(void)waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
	return info.si_code == CLD_EXITED && info.si_status == 0
		       ? 0
		       : creel_err_set(err, CREEL_E_CHILD, 0, "creel-broker --ca made no certificate");
}

/* A CA of this start, and what it signed: made by a process that ends before the guest begins. */
static int ca_stage(const struct mon_cell *c, int dirfd, struct creel_err *err)
{
	struct words w = {.n = 0};
	int pidfd = -1;
	autofd int conf = creel_memfd_sealed("broker", c->policy.data, c->policy.len, err);
	autofd int ca = openat(dirfd, BROKER_CA, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	autofd int identity = openat(dirfd, IDENTITY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);

	autofd int log = netproc_log(c);

	if (conf < 0)
		return conf;
	if (ca < 0 || identity < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make the files of a CA");
	const int fds[] = {conf, ca, identity};
	jail_words(&w, launch_uid(c, ROLE_BROKER), 2 + (int)ELEMENTSOF(fds), true);
	word(&w, "--bind-exec");
	wordf(&w, "%s:/creel-broker", mon.broker_path);
	static const char *const rest[] = {"--", "/creel-broker", "--ca", "3", "4", "5"};
	for (size_t i = 0; i < ELEMENTSOF(rest); i++)
		word(&w, rest[i]);
	int r = words_ok(&w, err);
	pid_t pid = r < 0 ? r
			  : creel_proc_spawn(w.v, log, fds, ELEMENTSOF(fds), CREEL_PROC_PIDNS, &pidfd, err);
	if (pid < 0)
		return (int)pid;
	r = ended_well(pidfd, err);
	close(pidfd);
	return r;
}

int broker_ca(const char *name, struct creel_buf *out, struct creel_err *err)
{
	struct creel_err none = {0};
	autofd int dirfd = ramfolder_open(name, FOLDER, &none);
	autofd int fd = dirfd < 0 ? -1 : openat(dirfd, BROKER_CA, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? 0 : creel_fd_read(fd, out, err);
}

int broker_stage(const struct mon_cell *c, struct creel_err *err)
{
	if (!has(c))
		return 0;
	autofd int dirfd = ramfolder_make(c->name, FOLDER, 0700, err);
	int r = 0;
	if (dirfd < 0)
		return dirfd;
	json_t *given = json_loadb((const char *)c->given.data, c->given.len, 0, NULL);
	for (size_t i = 0; r == 0 && i < c->plan.n_secrets; i++)
		if (c->plan.secrets[i].broker)
			r = one(c, i, given, dirfd, err);
	json_decref(given);
	return r == 0 && intercepts(c) ? ca_stage(c, dirfd, err) : r;
}

int broker_stage_again(struct mon_cell *c, const char *secret, struct creel_err *err)
{
	char say[66] = "C";
	size_t i = 0;

	while (i < c->plan.n_secrets && strcmp(c->plan.secrets[i].name, secret) != 0)
		i++;
	if (i == c->plan.n_secrets || !c->plan.secrets[i].broker ||
	    c->plan.secrets[i].source != CREEL_SOURCE_STORE)
		return creel_err_set(err, CREEL_E_DENIED, 0, "cell '%s' has no stored secret '%s'", c->name,
				     secret);
	autofd int dirfd = ramfolder_open(c->name, FOLDER, err);
	int r = dirfd < 0 ? dirfd : one(c, i, NULL, dirfd, err);
	if (r < 0)
		return r;
	autofd int fd = openat(dirfd, secret, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || c->broker.keeper < 0)
		return 0; /* the next one that starts has it */
	(void)snprintf(say + 1, sizeof(say) - 1, "%.64s", secret);
	return creel_fdpass_send(c->broker.keeper, say, strlen(say), &fd, 1, err);
}

/* --- the two processes ------------------------------------------------------------------------ */

struct given {
	int fds[24];
	size_t n;
	struct creel_buf text;
};

/* A line `WORD FD`; the number is the one that the program has it by. */
static int give(struct given *g, const char *word, int fd, struct creel_err *err)
{
	if (fd < 0 || g->n + 1 >= ELEMENTSOF(g->fds))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a broker's descriptors");
	g->fds[g->n++] = fd;
	return creel_buf_addf(&g->text, err, "%s %zu\n", word, g->n - 1 + FD_FIRST);
}

static int spawn(struct mon_cell *c, enum mon_role role, struct given *g, struct creel_err *err)
{
	bool front = role == ROLE_FRONT;
	int r = creel_buf_add(&g->text, c->policy.data, c->policy.len, err);

	if (r < 0)
		return r;
	autofd int conf = creel_memfd_sealed("broker", g->text.data, g->text.len, err);
	if (conf < 0)
		return conf;
	g->fds[g->n++] = conf;
	return netproc_spawn(c, role, front ? mon.front_path : mon.broker_path,
			     front ? "/creel-broker-front" : "/creel-broker", g->fds, g->n, FILES, err);
}

static int keeper_spawn(struct mon_cell *c, int link, int orders, int events, struct creel_err *err)
{
	struct given g = {.n = 0};
	autofd int dirfd = ramfolder_open(c->name, FOLDER, err);
	autofd int roots = open("/etc/ssl/certs/ca-certificates.crt", O_RDONLY | O_CLOEXEC);
	int creds[CREEL_BROKERS];
	size_t n = 0;
	char word[90];

	if (dirfd < 0)
		return dirfd;
	creel_buf_init(&g.text, CREEL_POLICYTEXT_MAX);
	int r = give(&g, "front", link, err);
	if (r == 0)
		r = give(&g, "monitor", orders, err);
	if (r == 0)
		r = give(&g, "events", events, err);
	if (r == 0 && roots >= 0)
		r = give(&g, "roots", roots, err);
	for (size_t i = 0; r == 0 && i < c->ran.n_secrets && n < CREEL_BROKERS; i++) {
		int fd = c->ran.secrets[i].broker
				 ? openat(dirfd, c->ran.secrets[i].name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
				 : -1;
		if (fd < 0)
			continue;
		creds[n++] = fd;
		(void)snprintf(word, sizeof(word), "credential %s", c->ran.secrets[i].name);
		r = give(&g, word, fd, err);
	}
	if (r == 0)
		r = spawn(c, ROLE_BROKER, &g, err);
	while (n > 0)
		close(creds[--n]);
	creel_buf_fini(&g.text);
	return r;
}

static int front_spawn(struct mon_cell *c, int link, int orders, int events, struct creel_err *err)
{
	struct dns_upstream up[CREEL_PLAN_UPSTREAMS];
	struct given g = {.n = 0};
	size_t n = dns_upstreams(&c->ran, up);
	bool tls = intercepts(c);
	autofd int dirfd = ramfolder_open(c->name, FOLDER, err);
	autofd int listener = netproc_listen(c, SOCK_STREAM, 80, err);
	autofd int tls_listener = tls ? netproc_listen(c, SOCK_STREAM, 443, err) : -1;
	/* of a cell that began before anything was intercepted: it has none to trust, and nobody listens */
	autofd int identity = tls && dirfd >= 0 ? openat(dirfd, IDENTITY, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
						: -1;

	if (listener < 0 || (tls && tls_listener < 0))
		return err->code;
	creel_buf_init(&g.text, CREEL_POLICYTEXT_MAX);
	int r = give(&g, "listen", listener, err);
	if (r == 0)
		r = give(&g, "keeper", link, err);
	if (r == 0 && identity >= 0)
		r = give(&g, "listen-tls", tls_listener, err);
	if (r == 0 && identity >= 0)
		r = give(&g, "identity", identity, err);
	if (r == 0)
		r = give(&g, "monitor", orders, err);
	if (r == 0)
		r = give(&g, "events", events, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = creel_buf_addf(&g.text, err, "upstream %s@%u\n", up[i].addr, up[i].port);
	if (r == 0 && n == 0)
		r = creel_buf_adds(&g.text, "recursive yes\n", err);
	if (r == 0)
		r = spawn(c, ROLE_FRONT, &g, err);
	creel_buf_fini(&g.text);
	return r;
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
	broker_start(ctx);
}

static void gone(evutil_socket_t fd, short what, void *ctx)
{
	struct mon_cell *c = ctx;
	unsigned starts = c->broker.starts;
	const struct timeval wait = netproc_pause(starts);

	broker_stop(c);
	if (!c->running)
		return;
	creel_log_warn("cell %s: a broker ended: starting both anew", c->name);
	c->broker.starts = starts + 1;
	c->broker.again = event_new(mon.base, -1, 0, on_again, c);
	if (!c->broker.again || event_add(c->broker.again, &wait) < 0)
		creel_log_warn("cell %s: no memory to start them", c->name);
}

static int watch(struct mon_cell *c, enum mon_role role, struct creel_err *err)
{
	struct mon_proc *p = &c->procs[role];

	p->gone = event_new(mon.base, p->pidfd, EV_READ, gone, c);
	return !p->gone || event_add(p->gone, NULL) < 0 ? creel_err_nomem(err) : 0;
}

enum { P_LINK, P_KEEPER, P_FRONT, P_EVENTS, PAIRS };

static int pairs_make(int pairs[PAIRS][2], struct creel_err *err)
{
	for (size_t i = 0; i < PAIRS; i++)
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pairs[i]) < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "make a broker's socket");
	return 0;
}

static void events_tell(const struct mon_cell *c, int fd)
{
	struct creel_monmsg m = {.type = CREEL_MON_BROKER};

	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	monitor_tell(&m, fd);
}

static int start(struct mon_cell *c, struct creel_err *err)
{
	int p[PAIRS][2], back;

	memset(p, -1, sizeof(p));
	int r = pairs_make(p, err);
	if (r == 0 && (r = net_enter(&back, err)) == 0) {
		r = keeper_spawn(c, p[P_LINK][0], p[P_KEEPER][1], p[P_EVENTS][1], err);
		if (r == 0)
			r = front_spawn(c, p[P_LINK][1], p[P_FRONT][1], p[P_EVENTS][1], err);
		creel_netns_leave(back);
	}
	if (r == 0) {
		c->broker.keeper = p[P_KEEPER][0];
		c->broker.front = p[P_FRONT][0];
		p[P_KEEPER][0] = p[P_FRONT][0] = -1;
		events_tell(c, p[P_EVENTS][0]);
		r = watch(c, ROLE_BROKER, err);
	}
	for (size_t i = 0; i < 2 * PAIRS; i++)
		if (p[i / 2][i % 2] >= 0)
			close(p[i / 2][i % 2]);
	if (r == 0)
		r = watch(c, ROLE_FRONT, err);
	return r < 0 ? r : netproc_note(c, err);
}

void broker_start(struct mon_cell *c)
{
	struct creel_err err = {0};
	unsigned starts = c->broker.starts;

	if (!c->running || !c->ran.net.link || mon.engine < 0)
		return;
	broker_stop(c);
	if (!has(c))
		return;
	c->broker.starts = starts;
	if (start(c, &err) < 0) {
		creel_log_error(&err);
		creel_log_warn("cell %s: has no broker", c->name);
		broker_stop(c);
	}
}

void broker_stop(struct mon_cell *c)
{
	if (c->broker.again)
		event_free(c->broker.again);
	if (c->broker.keeper >= 0)
		close(c->broker.keeper);
	if (c->broker.front >= 0)
		close(c->broker.front);
	c->broker = (struct mon_broker){.keeper = -1, .front = -1};
	netproc_stop(&c->procs[ROLE_FRONT]);
	netproc_stop(&c->procs[ROLE_BROKER]);
}

void broker_engine(struct mon_cell *c)
{
	struct creel_err err = {0};
	int pair[2];

	if (c->broker.keeper < 0) {
		broker_start(c);
		return;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		creel_log_warn("cell %s: no socket for what its brokers tell", c->name);
		return;
	}
	autofd int ours = pair[0], theirs = pair[1];
	events_tell(c, ours);
	if (creel_fdpass_send(c->broker.keeper, "E", 1, &theirs, 1, &err) < 0 ||
	    creel_fdpass_send(c->broker.front, "E", 1, &theirs, 1, &err) < 0) {
		creel_log_error(&err);
		broker_start(c);
	}
}

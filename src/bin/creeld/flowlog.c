#include "base/log.h"
#include "base/mapped.h"
#include "linux/fdpass.h"
#include "linux/flowsum.h"
#include "linux/proc.h"
#include "monitor.h"
#include "net/netns.h"
#include "net/nflog.h"
#include "net/pinning.h"
#include "wire/flowmsg.h"
#include "words.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/*
 * creel-flowlog: one for all cells, jailed in their namespace. It reads what the filter tells of each
 * cell (NFLOG, a group a cell) and what ended (conntrack), and tells the engine. It ends when its monitor
 * does, and the next one starts another. The sockets that it reads are ours too: one that is started in the
 * place of another goes on where that one ended (linux/flowsum.h).
 */
enum { N_FDS = 4 };

static struct {
	int monitor; /* our end, -1 */
	/* kept for the next one: what waits in them is not lost. 0: not opened yet */
	int flows, sums, group[MON_CELLS];
	struct mon_proc proc;
	struct event *again;
	unsigned starts;
} log_ = {.monitor = -1, .proc = {.pidfd = -1}};

static int tell(const struct creel_flowmsg *m, int fd, struct creel_err *err)
{
	uint8_t buf[CREEL_FLOWMSG_MAX];

	if (log_.monitor < 0)
		return 0; /* whoever comes is told all */
	return creel_fdpass_send(log_.monitor, buf, creel_flowmsg_encode(m, buf), &fd, fd >= 0 ? 1 : 0, err);
}

uint16_t flowlog_group(const struct mon_cell *c)
{
	return (uint16_t)(c - mon.cells + 1);
}

void flowlog_pin(const struct mon_cell *c, const struct creel_dnsmsg *pin, bool granted)
{
	const struct creel_flowmsg m = creel_pinning_flowmsg(pin, c->name, granted);
	struct creel_err err = {0};

	(void)tell(&m, -1, &err);
}

/*
 * What the monitor before us left, nobody read for a while: the engine compares what the filter counted with
 * the record. It is asked once this cell's packets come to us, so that none falls between; one that passes at
 * this moment may be counted and come.
 */
static void counted_tell(const struct mon_cell *c)
{
	struct creel_monmsg m = {.type = CREEL_MON_COUNTED};
	struct creel_err err = {0};
	int r = CREEL_E_BUSY;

	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	for (int tries = 0; r == CREEL_E_BUSY && tries < 16; tries++)
		r = net_told(c, &m.a, &err);
	if (r < 0)
		creel_log_error(&err);
	else
		monitor_tell(&m, -1);
}

/* The cell's own socket, the same as long as it runs: its messages are numbered from one to the next. */
static int group_open(const struct mon_cell *c, struct creel_err *err)
{
	int *fd = &log_.group[c - mon.cells];
	int back, r = *fd > 0 ? 0 : net_enter(&back, err);

	if (r < 0 || *fd > 0)
		return r < 0 ? r : *fd;
	r = creel_nflog_open(flowlog_group(c), err);
	creel_netns_leave(back);
	if (r < 0)
		return r;
	*fd = r;
	if (c->adopted)
		counted_tell(c);
	r = creel_flowsums_clear(log_.sums, flowlog_group(c), err);
	return r < 0 ? r : *fd;
}

static int cell_told(struct mon_cell *c, struct creel_err *err)
{
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_CELL, .dport = flowlog_group(c)};
	struct timespec now;
	size_t left = 0;
	int r = 0, fd = group_open(c, err);

	if (fd < 0)
		return fd;
	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	const struct creel_link link = net_link(c);
	creel_mapped_put(m.src, &link.addr);
	creel_mapped_put(m.dst, &link.gateway);
	if (link.six) {
		m.n_addrs = 2;
		memcpy(m.addr[0], &link.addr6, 16);
		memcpy(m.addr[1], &link.gateway6, 16);
	}
	r = tell(&m, fd, err);
	if (r < 0 || log_.monitor < 0)
		return r;
	/* a name that it has not heard is a flow told without its name, and nothing worse */
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return creel_pinning_replay(&c->pins, c->name, log_.monitor, now.tv_sec, &left, err);
}

static void close_opened(int *fd)
{
	if (*fd > 0)
		close(*fd);
	*fd = 0;
}

static void again_later(void);
static void stop(void);

void flowlog_cell(struct mon_cell *c)
{
	struct creel_err err = {0};

	if (log_.proc.pidfd < 0) {
		flowlog_start();
	} else if (cell_told(c, &err) < 0) {
		creel_log_error(&err);
		again_later();
	}
}

void flowlog_cell_gone(const struct mon_cell *c)
{
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_GONE};
	struct creel_err err = {0};

	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	close_opened(&log_.group[c - mon.cells]);
	if (tell(&m, -1, &err) < 0)
		again_later();
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
	flowlog_start();
}

static void again_later(void)
{
	unsigned starts = log_.starts + 1;
	const struct timeval wait = netproc_pause(starts);

	stop();
	log_.starts = starts;
	log_.again = event_new(mon.base, -1, 0, on_again, NULL);
	if (!log_.again || event_add(log_.again, &wait) < 0)
		creel_log_warn("no memory to start creel-flowlog");
}

static void gone(evutil_socket_t fd, short what, void *ctx)
{
	creel_log_warn("creel-flowlog ended: starting another");
	again_later();
}

static void stop(void)
{
	if (log_.again)
		event_free(log_.again);
	log_.again = NULL;
	if (log_.monitor >= 0)
		close(log_.monitor);
	log_.monitor = -1;
	netproc_stop(&log_.proc);
}

void flowlog_down(void)
{
	stop();
	close_opened(&log_.flows);
	close_opened(&log_.sums);
	for (size_t i = 0; i < MON_CELLS; i++)
		close_opened(&log_.group[i]);
}

static int events_make(int *ret_theirs, struct creel_err *err)
{
	struct creel_monmsg m = {.type = CREEL_MON_FLOW}; /* of no cell: of all */
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a socket");
	monitor_tell(&m, pair[0]);
	close(pair[0]);
	*ret_theirs = pair[1];
	return 0;
}

static int spawn(const int fds[N_FDS], struct creel_err *err)
{
	struct words w = {.n = 0};

	jail_words(&w, monitor_uid(MON_UID_FLOWLOG), 2 + N_FDS, true);
	word(&w, "--network");
	word(&w, "--bind-exec");
	wordf(&w, "%s:/creel-flowlog", mon.flowlog_path);
	word(&w, "--");
	word(&w, "/creel-flowlog");
	for (int i = 0; i < N_FDS; i++)
		wordf(&w, "%d", 3 + i);
	int r = words_ok(&w, err);
	pid_t pid = r < 0 ? r
			  : creel_proc_spawn(w.v, STDERR_FILENO, fds, N_FDS, CREEL_PROC_PIDNS,
					     &log_.proc.pidfd, err);
	if (pid < 0)
		return (int)pid;
	log_.proc.pid = pid;
	return 0;
}

/* In the cells' namespace. */
static int shared_open(struct creel_err *err)
{
	int r = log_.flows > 0 ? 0 : creel_flowends_open(err);

	if (r < 0)
		return r;
	if (log_.flows == 0)
		log_.flows = r;
	r = log_.sums > 0 ? 0 : creel_flowsums_new(err);
	if (r < 0)
		return r;
	if (log_.sums == 0)
		log_.sums = r;
	return 0;
}

static int start(struct creel_err *err)
{
	int pair[2], events = -1, back, size = 4 << 20;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a socket");
	log_.monitor = pair[0];
	autofd int theirs = pair[1];
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	int r = events_make(&events, err);
	autofd int their_events = events;
	if (r < 0 || (r = net_enter(&back, err)) < 0)
		return r;
	r = shared_open(err);
	const int fds[N_FDS] = {theirs, their_events, log_.flows, log_.sums};
	if (r == 0)
		r = spawn(fds, err);
	creel_netns_leave(back);
	if (r < 0)
		return r;
	log_.proc.gone = event_new(mon.base, log_.proc.pidfd, EV_READ, gone, NULL);
	if (!log_.proc.gone || event_add(log_.proc.gone, NULL) < 0)
		return creel_err_nomem(err);
	for (size_t i = 0; r == 0 && i < MON_CELLS; i++)
		if (mon.cells[i].running && mon.cells[i].ran.net.link)
			r = cell_told(&mon.cells[i], err);
	return r;
}

void flowlog_start(void)
{
	struct creel_err err = {0};
	unsigned starts = log_.starts;

	if (mon.engine < 0)
		return;
	stop();
	log_.starts = starts;
	if (start(&err) < 0) {
		creel_log_error(&err);
		again_later();
	}
}

void flowlog_engine(void)
{
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_EVENTS};
	struct creel_err err = {0};
	int events = -1;

	if (log_.monitor < 0) {
		flowlog_start();
		return;
	}
	int r = events_make(&events, &err);
	autofd int theirs = events;
	if (r == 0)
		r = tell(&m, theirs, &err);
	if (r < 0)
		again_later();
}

#include "monitor.h"
#include "base/log.h"
#include "linux/fdpass.h"
#include "linux/proc.h"
#include "net/netns.h"
#include "net/nflog.h"
#include "wire/flowmsg.h"
#include "words.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/*
 * creel-flowlog: one for all cells, jailed in their namespace. It reads what the filter tells of each
 * cell (NFLOG, a group a cell) and what ended (conntrack), and tells the engine. It ends when its monitor
 * does, and the next one starts another.
 */
enum { N_FDS = 3 };

static struct {
	int monitor; /* our end, -1 */
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

static void address(uint8_t ret[16], const char *text)
{
	memset(ret, 0, 16);
	ret[10] = ret[11] = 0xff;
	(void)inet_pton(AF_INET, text, ret + 12);
}

uint16_t flowlog_group(const struct mon_cell *c)
{
	return (uint16_t)(c - mon.cells + 1);
}

/* A name that it has not heard is a flow told without its name, and nothing worse. */
static void pin_told(void *ctx, const char *name, const uint8_t addr[16], int64_t until, bool granted)
{
	const struct mon_cell *c = ctx;
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_PIN, .granted = granted, .n_addrs = 1};
	struct creel_err err = {0};
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	m.ttl = (uint32_t)(until > now.tv_sec ? until - now.tv_sec : 1);
	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	(void)snprintf(m.name, sizeof(m.name), "%.253s", name);
	memcpy(m.addr[0], addr, 16);
	(void)tell(&m, -1, &err);
}

void flowlog_pin(const struct mon_cell *c, const struct creel_dnsmsg *pin, bool granted)
{
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_PIN, .ttl = pin->ttl, .granted = granted, .n_addrs = pin->n_addrs};
	struct creel_err err = {0};

	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	(void)snprintf(m.name, sizeof(m.name), "%.253s", pin->name);
	memcpy(m.addr, pin->addr, (size_t)16 * pin->n_addrs);
	(void)tell(&m, -1, &err);
}

static int cell_told(struct mon_cell *c, struct creel_err *err)
{
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_CELL, .dport = flowlog_group(c)};
	int back, fd, r = net_enter(&back, err);

	if (r < 0)
		return r;
	fd = creel_nflog_open(flowlog_group(c), err);
	creel_netns_leave(back);
	if (fd < 0)
		return fd;
	autofd int owned = fd;
	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	address(m.src, c->ran.net.address);
	address(m.dst, c->ran.net.gateway);
	if ((r = tell(&m, owned, err)) == 0)
		creel_pins_each(&c->pins, pin_told, c);
	return r;
}

static void again_later(void);

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

	flowlog_stop();
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

void flowlog_stop(void)
{
	if (log_.again)
		event_free(log_.again);
	log_.again = NULL;
	if (log_.monitor >= 0)
		close(log_.monitor);
	log_.monitor = -1;
	netproc_stop(&log_.proc);
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

	jail_words(&w, MON_UID_FLOWLOG, 2 + N_FDS, true);
	word(&w, "--network");
	word(&w, "--bind-exec");
	wordf(&w, "%s:/creel-flowlog", mon.flowlog_path);
	word(&w, "--");
	word(&w, "/creel-flowlog");
	for (int i = 0; i < N_FDS; i++)
		wordf(&w, "%d", 3 + i);
	int r = words_ok(&w, err);
	pid_t pid = r < 0 ? r : creel_proc_spawn(w.v, STDERR_FILENO, fds, N_FDS, CREEL_PROC_PIDNS, &log_.proc.pidfd, err);
	if (pid < 0)
		return (int)pid;
	log_.proc.pid = pid;
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
	autofd int flows = creel_flowends_open(err);
	const int fds[N_FDS] = {theirs, their_events, flows};
	r = flows < 0 ? flows : spawn(fds, err);
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
	flowlog_stop();
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

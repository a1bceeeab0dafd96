#include "monitor.h"
#include "base/clock.h"
#include "base/log.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "linux/proc.h"
#include "linux/unixsock.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

struct monitor mon = {.engine = -1, .api_listener = -1, .plan_listener = -1, .uid_base = MON_UID_BASE};

uid_t monitor_uid(unsigned which)
{
	return mon.uid_base + which;
}

struct mon_cell *monitor_cell(const char *name)
{
	for (size_t i = 0; i < MON_CELLS; i++)
		if (name[0] && strcmp(mon.cells[i].name, name) == 0)
			return &mon.cells[i];
	return NULL;
}

void monitor_tell(struct creel_monmsg *m, int fd)
{
	struct creel_err err = {0};
	uint8_t buf[CREEL_MONMSG];

	if (mon.engine < 0)
		return;
	creel_monmsg_encode(m, buf);
	/* a loss shows as a cell without an answer: say it, the engine's next start tells all again */
	if (creel_fdpass_send(mon.engine, buf, sizeof(buf), &fd, fd >= 0 ? 1 : 0, &err) < 0)
		creel_log_error(&err);
}

static void tell_failed(const char *cell, uint8_t what, const struct creel_err *why)
{
	struct creel_monmsg m = {.type = CREEL_MON_FAILED, .state = what};

	(void)snprintf(m.cell, sizeof(m.cell), "%s", cell);
	(void)snprintf(m.text, sizeof(m.text), "%.*s", (int)sizeof(m.text) - 1, why->msg);
	monitor_tell(&m, -1);
}

void monitor_tell_plan(const struct mon_cell *c)
{
	struct creel_monmsg m = {.type = CREEL_MON_PLAN};
	struct creel_err err = {0};

	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	autofd int fd = creel_memfd_sealed("plan", c->plan_text.data, c->plan_text.len, &err);
	if (fd < 0)
		creel_log_error(&err);
	else
		monitor_tell(&m, fd);
	m.type = CREEL_MON_POLICY;
	autofd int policy = creel_memfd_sealed("policy", c->policy.data, c->policy.len, &err);
	if (policy < 0)
		creel_log_error(&err);
	else
		monitor_tell(&m, policy);
	m.type = CREEL_MON_SWITCHED;
	m.a = killswitch_on(c->name);
	monitor_tell(&m, -1);
}

static void tell_started(const struct mon_cell *c, int fd)
{
	struct creel_monmsg m = {.type = CREEL_MON_STARTED,
				 .state = (uint8_t)(c->adopted | (c->grouped ? 0 : 2)),
				 .a = (uint64_t)c->procs[ROLE_VMM].pid,
				 .b = c->started_ns,
				 .text = ""};

	(void)snprintf(m.text, sizeof(m.text), "%s", c->ran.kvm ? "kvm" : "tcg");
	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	monitor_tell(&m, fd);
}

static void tell_exited(const struct mon_cell *c)
{
	struct creel_monmsg m = {.type = CREEL_MON_EXITED, .a = (uint64_t)(int64_t)c->status};

	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	if (c->oom)
		(void)snprintf(
			m.text, sizeof(m.text),
			"its processes reached their limit of memory on the host, and the kernel ended one");
	monitor_tell(&m, -1);
}

void monitor_cell_gone(struct mon_cell *c)
{
	if (!c->running)
		return;
	launch_kill(c);
	net_cell_down(c);
	audit_cell_gone(c);
	c->oom = launch_oom(c);
	launch_clean(c->name);
	c->running = c->adopted = false;
	tell_exited(c);
	if (!c->planned)
		c->name[0] = '\0';
}

static void on_start(struct mon_cell *c, const struct creel_monmsg *m)
{
	struct creel_err err = {0};
	int fd = -1;

	if (!c || !c->planned)
		creel_err_set(&err, CREEL_E_DENIED, 0, "no plan for cell '%s' was given", m->cell);
	else if (c->running)
		creel_err_set(&err, CREEL_E_BUSY, 0, "cell '%s' runs", m->cell);
	else if (launch_cell(c, &fd, &err) == 0) {
		tell_started(c, fd);
		if (c->ran.net.link)
			flowlog_cell(c);
		flow_start(c);
		broker_start(c);
		dns_start(c);
	}
	if (err.code) {
		creel_log_error(&err);
		tell_failed(m->cell, CREEL_MON_START, &err);
	}
	if (fd >= 0)
		close(fd);
}

static void on_port(struct mon_cell *c, const struct creel_monmsg *m)
{
	struct creel_monmsg answer = {.type = CREEL_MON_PORT_OPEN, .a = m->a};
	struct creel_err err = {0};
	autofd int fd = -1;

	if (!c || !c->running || m->a >= c->ran.n_ports)
		creel_err_set(&err, CREEL_E_DENIED, 0, "cell '%s' publishes no such port", m->cell);
	else
		fd = launch_port(&c->ran, (size_t)m->a, &err);
	if (err.code) {
		tell_failed(m->cell, CREEL_MON_PORT, &err);
		return;
	}
	(void)snprintf(answer.cell, sizeof(answer.cell), "%s", m->cell);
	monitor_tell(&answer, fd);
}

static void on_stage(struct mon_cell *c, const struct creel_monmsg *m)
{
	struct creel_monmsg answer = {.type = CREEL_MON_STAGED};
	struct creel_err err = {0};

	if (!c || !c->running)
		creel_err_set(&err, CREEL_E_NOTFOUND, 0, "cell '%s' does not run", m->cell);
	else
		(void)stage_again(c, m->text, &err);
	if (err.code) {
		creel_log_error(&err);
		tell_failed(m->cell, CREEL_MON_STAGE, &err);
		return;
	}
	(void)snprintf(answer.cell, sizeof(answer.cell), "%s", m->cell);
	(void)snprintf(answer.text, sizeof(answer.text), "%s", m->text);
	monitor_tell(&answer, -1);
}

static void on_apply(struct mon_cell *c, const struct creel_monmsg *m)
{
	struct creel_monmsg answer = {.type = CREEL_MON_APPLIED};
	struct creel_err err = {0};

	if (!c || !c->running || !c->planned || !creel_plan_same_machine(&c->plan, &c->ran))
		creel_err_set(&err, CREEL_E_DENIED, 0, "cell '%s' does not run as planned", m->cell);
	else
		(void)net_cell_change(c, &answer.a, &err);
	if (err.code) {
		creel_log_error(&err);
		tell_failed(m->cell, CREEL_MON_APPLY, &err);
		return;
	}
	(void)snprintf(answer.cell, sizeof(answer.cell), "%s", m->cell);
	monitor_tell(&answer, -1);
}

/* The file first: a monitor that dies here comes back with the switch as it was wanted. */
static void on_switch(struct mon_cell *c, const struct creel_monmsg *m)
{
	struct creel_monmsg answer = {.type = CREEL_MON_SWITCHED, .a = m->a != 0};
	struct creel_err err = {0};

	if (!c)
		creel_err_set(&err, CREEL_E_NOTFOUND, 0, "no cell '%s' was planned", m->cell);
	else if (killswitch_set(c->name, m->a != 0, &err) == 0 && c->running)
		(void)net_cell_switch(c, &answer.b, &err);
	if (err.code) {
		creel_log_error(&err);
		tell_failed(m->cell, CREEL_MON_SWITCH, &err);
		return;
	}
	(void)snprintf(answer.cell, sizeof(answer.cell), "%s", m->cell);
	monitor_tell(&answer, -1);
}

static void on_unpin(struct mon_cell *c, const struct creel_monmsg *m)
{
	struct creel_err err = {0};

	if (c && c->running && net_unpin(c, m->text, &err) < 0)
		creel_log_error(&err);
}

static void on_sign(const struct creel_monmsg *m)
{
	struct creel_monmsg answer = {.type = CREEL_MON_SIGNED, .a = m->a};
	struct creel_link_state at = {.seq = m->a};
	struct creel_err err = {0};

	memcpy(at.hash, m->hash, sizeof(m->hash));
	if (creel_head_sign(mon.seal_fd, &mon.key, &at, &err) < 0) {
		creel_log_error(&err);
		tell_failed("", CREEL_MON_SIGN, &err);
		return;
	}
	monitor_tell(&answer, -1);
}

static bool any_running(void)
{
	for (size_t i = 0; i < MON_CELLS; i++)
		if (mon.cells[i].running)
			return true;
	return false;
}

static void on_request(const struct creel_monmsg *m)
{
	struct mon_cell *c = monitor_cell(m->cell);

	switch (m->type) {
	case CREEL_MON_START:
		on_start(c, m);
		return;
	case CREEL_MON_KILL:
		if (c && c->running)
			monitor_cell_gone(c);
		return;
	case CREEL_MON_PORT:
		on_port(c, m);
		return;
	case CREEL_MON_SIGN:
		on_sign(m);
		return;
	case CREEL_MON_UNPIN:
		on_unpin(c, m);
		return;
	case CREEL_MON_APPLY:
		on_apply(c, m);
		return;
	case CREEL_MON_SWITCH:
		on_switch(c, m);
		return;
	case CREEL_MON_DROP:
		if (c && !c->running) {
			c->planned = false;
			c->name[0] = '\0';
		}
		return;
	case CREEL_MON_STAGE:
		on_stage(c, m);
		return;
	case CREEL_MON_QUIT:
		if (!any_running()) {
			mon.quitting = true;
			(void)event_base_loopexit(mon.base, NULL);
		}
		return;
	default:
		creel_log_warn("the engine sent message %u, which is not its to send", m->type);
	}
}

static void engine_lost(void)
{
	if (mon.engine_event)
		event_free(mon.engine_event);
	mon.engine_event = NULL;
	if (mon.engine >= 0)
		close(mon.engine);
	mon.engine = -1;
}

static void engine_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct creel_err err = {0};
	struct creel_monmsg m;
	uint8_t buf[CREEL_MONMSG + 1];
	size_t n_fds = 0;
	ssize_t n = creel_fdpass_recv(fd, buf, sizeof(buf), NULL, 0, &n_fds, &err);

	if (n == CREEL_E_BUSY)
		return;
	if (n < 0 || creel_monmsg_decode(buf, (size_t)n, &m, &err) < 0) {
		/* its process is watched by pidfd, and a new one comes when that has ended */
		struct creel_err ignored = {0};
		(void)creel_proc_kill(mon.engine_proc.pidfd, SIGKILL, &ignored);
		engine_lost();
		return;
	}
	on_request(&m);
}

static void engine_gone(evutil_socket_t fd, short what, void *ctx);

/* Start an engine and tell it everything: it begins with nothing. */
static int engine_begin(struct creel_err *err)
{
	int r = launch_engine(err);

	if (r < 0)
		return r;
	mon.engine_event = event_new(mon.base, mon.engine, EV_READ | EV_PERSIST, engine_readable, NULL);
	mon.engine_proc.gone = event_new(mon.base, mon.engine_proc.pidfd, EV_READ, engine_gone, NULL);
	if (!mon.engine_event || !mon.engine_proc.gone || event_add(mon.engine_event, NULL) < 0 ||
	    event_add(mon.engine_proc.gone, NULL) < 0)
		return creel_err_nomem(err);
	for (size_t i = 0; i < MON_CELLS; i++) {
		struct mon_cell *c = &mon.cells[i];
		if (!c->name[0])
			continue;
		monitor_tell_plan(c);
		if (c->lost) {
			c->lost = false;
			tell_exited(c);
		}
		if (!c->running)
			continue;
		struct creel_err why = {0};
		char path[64];
		(void)snprintf(path, sizeof(path), "%s/engine.sock", c->name);
		autofd int fd = creel_unix_connect(mon.cells_fd, path, SOCK_SEQPACKET, &why);
		c->adopted = true;
		if (fd < 0) {
			creel_log_error(&why);
			monitor_cell_gone(c);
		} else {
			tell_started(c, fd);
			flow_engine(c);
			broker_engine(c);
			dns_stop(c); /* it spoke to the engine before this one */
			dns_start(c);
		}
	}
	for (size_t i = 0; i < MON_CELLS; i++)
		if (mon.cells[i].running && mon.cells[i].ran.net.link) {
			flowlog_engine();
			break;
		}
	audit_engine();
	struct creel_monmsg m = {.type = CREEL_MON_SYNCED};
	monitor_tell(&m, -1);
	return 0;
}

/* By an update: an engine of that one and this monitor need not understand each other. */
static bool replaced(void)
{
	struct stat now, own;

	return stat(mon.engine_path, &now) == 0 && stat("/proc/self/exe", &own) == 0 &&
	       (now.st_dev != own.st_dev || now.st_ino != own.st_ino);
}

static void engine_gone(evutil_socket_t fd, short what, void *ctx)
{
	struct creel_err err = {0};
	siginfo_t info = {0};

	(void)waitid(P_PIDFD, (id_t)fd, &info, WEXITED);
	event_free(mon.engine_proc.gone);
	mon.engine_proc.gone = NULL;
	close(mon.engine_proc.pidfd);
	mon.engine_proc.pidfd = -1;
	engine_lost();
	if (mon.quitting)
		return;
	if (replaced()) {
		creel_log_warn(
			"the engine ended, and creeld was replaced by another: the next command starts "
			"that one; the cells run on");
		(void)event_base_loopexit(mon.base, NULL);
		return;
	}
	creel_log_warn("the engine ended (%s %d): starting another",
		       info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
	time_t now = time(NULL);
	if (now - mon.engine_first > 60) {
		mon.engine_first = now;
		mon.engine_starts = 0;
	}
	if (++mon.engine_starts > 10) {
		creel_log_warn("ten engines in a minute: giving up; the cells run on");
		(void)event_base_loopexit(mon.base, NULL);
		return;
	}
	if (engine_begin(&err) < 0) {
		creel_log_error(&err);
		(void)event_base_loopexit(mon.base, NULL);
	}
}

enum { RUN_MODE = 0750 };

static int folder(int at, const char *name, mode_t mode, uid_t owner, struct creel_err *err)
{
	if (mkdirat(at, name, mode) < 0 && errno != EEXIST)
		return creel_err_set(err, CREEL_E_OS, errno, "make folder %s", name);
	autofd int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open folder %s", name);
	if (fchmod(fd, mode) < 0 || (owner && fchown(fd, owner, 0) < 0))
		return creel_err_set(err, CREEL_E_OS, errno, "give folder %s its mode", name);
	return steal_fd(&fd);
}

/* One that was killed, or that has just said that it ends, may still be on its way out. */
int monitor_lock(const char *state, struct creel_err *err)
{
	enum { WAIT_MS = 3000, STEP_MS = 20 };
	autofd int dir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", state);
	autofd int run = folder(dir, "run", RUN_MODE, 0, err);
	if (run < 0)
		return run;
	autofd int fd = openat(run, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open the lock of the state folder");
	for (int64_t until = creel_clock_ms() + WAIT_MS; flock(fd, LOCK_EX | LOCK_NB) < 0;) {
		if (errno != EWOULDBLOCK)
			return creel_err_set(err, CREEL_E_OS, errno, "lock the state folder");
		if (creel_clock_ms() > until)
			return creel_err_set(err, CREEL_E_BUSY, 0, "a creeld runs on this state folder");
		(void)nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
	}
	(void)steal_fd(&fd); /* it stays open as long as this process */
	return 0;
}

static int folders_open(struct creel_err *err)
{
	mon.state_fd = open(mon.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mon.state_fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", mon.state);
	if ((mon.run_fd = folder(mon.state_fd, "run", RUN_MODE, 0, err)) < 0 ||
	    (mon.cells_fd = folder(mon.run_fd, "cells", 0700, 0, err)) < 0 ||
	    /* rootless, who owns the folder reads the record as its group, which its files then have too */
	    (mon.record_fd = folder(mon.state_fd, "record", mon.rootless ? 02750 : 0750,
				    monitor_uid(MON_UID_ENGINE), err)) < 0 ||
	    (mon.seal_fd = folder(mon.state_fd, "seal", 0755, 0, err)) < 0)
		return err->code;
	static const char *const private[] = {"volumes", "log"};
	for (size_t i = 0; i < ELEMENTSOF(private); i++) {
		int fd = folder(mon.state_fd, private[i], 0700, 0, err);
		if (fd < 0)
			return fd;
		close(fd);
	}
	return 0;
}

static void on_signal(evutil_socket_t sig, short what, void *ctx)
{
	/* the cells go on: `creel down` is what stops them */
	creel_log_info("signal %d: ending; running cells go on and the next creeld finds them", (int)sig);
	mon.quitting = true;
	(void)event_base_loopexit(mon.base, NULL);
}

static int signals_take(struct creel_err *err)
{
	static const int sigs[] = {SIGTERM, SIGINT, SIGHUP};

	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ELEMENTSOF(sigs); i++) {
		mon.sigs[i] = evsignal_new(mon.base, sigs[i], on_signal, NULL);
		if (!mon.sigs[i] || event_add(mon.sigs[i], NULL) < 0)
			return creel_err_nomem(err);
	}
	return 0;
}

static int begin(struct creel_err *err)
{
	int r = folders_open(err);

	if (r == 0)
		r = rootless_keep(err);
	if (r == 0)
		r = outside_begin(err);
	if (r == 0)
		r = creel_head_key_open(mon.seal_fd, &mon.key, err);
	if (r < 0)
		return r;
	(void)sodium_mlock(&mon.key, sizeof(mon.key)); /* refused by a small limit: then it is swappable */
	if ((mon.base = event_base_new()) == NULL)
		return creel_err_nomem(err);
	if ((r = signals_take(err)) < 0 || (r = addresses_open(err)) < 0 || (r = dns_hosts_follow(err)) < 0 ||
	    (r = net_adopt(err)) < 0 || (r = adopt_all(err)) < 0)
		return r;
	mon.api_listener = creel_unix_listen(mon.run_fd, "creel.sock", SOCK_STREAM, 0660, err);
	if (mon.api_listener < 0)
		return mon.api_listener;
	if ((r = intake_open(err)) < 0)
		return r;
	audit_begin();
	mon.engine_first = time(NULL);
	return engine_begin(err);
}

int monitor_run(const char *state, struct creel_err *err)
{
	mon.state = state;
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "forbid core dumps");
	if (sodium_init() < 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "libsodium does not start");
	int r = begin(err);
	if (r == 0 && event_base_dispatch(mon.base) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "event loop");
	if (mon.quitting && !any_running())
		net_down();
	audit_end(mon.quitting && !any_running());
	creel_head_key_wipe(&mon.key);
	if ((mon.quitting || r < 0) && !any_running())
		rootless_end();
	if (mon.quitting) {
		(void)unlinkat(mon.run_fd, "creel.sock", 0);
		(void)unlinkat(mon.run_fd, "plan.sock", 0);
		if (mon.engine >= 0) {
			/* the engine signs what it has and ends when it sees our end close */
			close(mon.engine);
			siginfo_t info;
			(void)waitid(P_PIDFD, (id_t)mon.engine_proc.pidfd, &info, WEXITED);
		}
	}
	return r;
}

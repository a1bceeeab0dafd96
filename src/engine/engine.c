#include "engine/engine.h"
#include "base/log.h"
#include "engine/approve.h"
#include "linux/fdpass.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

struct engine eng;

enum { FD_MONITOR = 3, FD_LISTENER, FD_RECORD };

static int ask(const struct creel_monmsg *m)
{
	struct creel_err err = {0};
	uint8_t buf[CREEL_MONMSG];

	creel_monmsg_encode(m, buf);
	int r = creel_fdpass_send(eng.monitor, buf, sizeof(buf), NULL, 0, &err);
	if (r < 0)
		creel_log_error(&err);
	return r;
}

int engine_ask(uint8_t type, const char *cell, uint64_t a)
{
	struct creel_monmsg m = {.type = type, .a = a};

	(void)snprintf(m.cell, sizeof(m.cell), "%s", cell);
	return ask(&m);
}

int engine_ask_text(uint8_t type, const char *cell, const char *text)
{
	struct creel_monmsg m = {.type = type};

	(void)snprintf(m.cell, sizeof(m.cell), "%s", cell);
	(void)snprintf(m.text, sizeof(m.text), "%s", text);
	return ask(&m);
}

static void end(void)
{
	struct creel_event e = {.kind = CREEL_EV_CREELD_STOP, .cell = ""};

	if (eng.ended)
		return;
	eng.ended = true;
	creel_event_str(&e, "cells", cells_any_running() ? "running" : "none");
	journal_note(&e);
	(void)journal_commit();
	if (!journal_sign() && eng.quitting)
		(void)engine_ask(CREEL_MON_QUIT, "", 0); /* the record cannot be written: end all the same */
}

static void monitor_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct creel_err err = {0};
	struct creel_monmsg m;
	uint8_t buf[CREEL_MONMSG + 1];
	int fds[1] = {-1};
	size_t n_fds = 0;
	ssize_t n = creel_fdpass_recv(fd, buf, sizeof(buf), fds, 1, &n_fds, &err);

	if (n == CREEL_E_BUSY)
		return;
	if (n < 0 || creel_monmsg_decode(buf, (size_t)n, &m, &err) < 0) {
		/* without a monitor there is nothing to decide; another creeld will find the cells */
		(void)event_base_loopexit(eng.base, NULL);
		return;
	}
	autofd int got = n_fds == 1 ? fds[0] : -1;
	if (m.type == CREEL_MON_SIGNED) {
		eng.signed_seq = m.a;
		if (eng.quitting && eng.ended)
			(void)engine_ask(CREEL_MON_QUIT, "", 0);
		return;
	}
	if (m.type == CREEL_MON_FAILED && m.state == CREEL_MON_SIGN) {
		journal_unsigned();
		/* at the end there is no later try: what runs next signs what stands in the record */
		if (eng.quitting && eng.ended)
			(void)engine_ask(CREEL_MON_QUIT, "", 0);
		return;
	}
	if (m.type == CREEL_MON_SYNCED) {
		eng.synced = true;
		return;
	}
	cells_on_monitor(&m, got);
	if (eng.quitting && !cells_any_running())
		end();
}

static void quit_check(evutil_socket_t fd, short what, void *ctx)
{
	if (!cells_any_running())
		end();
}

void engine_quit(void)
{
	/* the answer to whoever asked is on its way first */
	static const struct timeval soon = {.tv_usec = 50000};

	eng.quitting = true;
	(void)event_base_once(eng.base, -1, EV_TIMEOUT, quit_check, NULL, &soon);
}

static int start(const char *audit, const char *why, const char *owner, struct creel_err *err)
{
	struct creel_event e = {.kind = CREEL_EV_CREELD_START, .cell = ""};

	eng.monitor = FD_MONITOR;
	if ((eng.base = event_base_new()) == NULL)
		return creel_err_nomem(err);
	int r = journal_open(FD_RECORD, err);
	if (r < 0)
		return r;
	if ((r = approve_open(FD_RECORD, err)) < 0)
		return r;
	creel_event_str(&e, "version", CREEL_VERSION);
	creel_event_str(&e, "isolation", "full");
	creel_event_str(&e, "mode", owner ? "rootless" : "root");
	if (owner)
		creel_event_str(&e, "limits", "setrlimit"); /* no control groups */
	creel_event_str(&e, "audit", audit);
	if (why[0])
		creel_event_str(&e, "audit_why", why);
	/* also on a full disk: cells that run are to be found and can be stopped */
	journal_note(&e);
	eng.monitor_read = event_new(eng.base, FD_MONITOR, EV_READ | EV_PERSIST, monitor_readable, NULL);
	if (!eng.monitor_read || event_add(eng.monitor_read, NULL) < 0)
		return creel_err_nomem(err);
	/* what runs already is told before anybody is served */
	while (!eng.synced)
		if (event_base_loop(eng.base, EVLOOP_ONCE) < 0 || event_base_got_exit(eng.base))
			return creel_err_set(err, CREEL_E_CLOSED, 0, "the monitor went away");
	return api_open(FD_LISTENER, err);
}

int creel_engine_run(const char *audit, const char *why, const char *owner, struct creel_err *err)
{
	char *rest = NULL;

	eng.rootless = owner;
	eng.owner = owner ? (uid_t)strtoul(owner, &rest, 10) : 0;
	if (rest && (rest == owner || *rest))
		return creel_err_set(err, CREEL_E_USAGE, 0, "'%s' is no user", owner);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN); /* ctrl-C on a creeld in the foreground is the monitor's */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "forbid core dumps");
	int r = start(audit, why, owner, err);
	if (r == 0 && event_base_dispatch(eng.base) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "event loop");
	if (r == 0)
		end();
	journal_close();
	return r;
}

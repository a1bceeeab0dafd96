#include "monitor.h"
#include "base/log.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "linux/unixsock.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Plans from the CLI: one connection a plan, one message with three sealed memfds (the plan, the boot
 * configuration, the given secrets), one answer: "ok" or why not. Who may is decided by the peer's
 * credentials (unix(7), SO_PEERCRED): the user that creeld runs as, or root.
 */
enum { GIVEN_MAX = 1 << 20 };

static int peer_check(int fd, struct creel_err *err)
{
	struct ucred who = {0};
	socklen_t n = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "ask who is there");
	if (who.uid != 0 && who.uid != geteuid())
		return creel_err_set(err, CREEL_E_DENIED, 0, "user %u may not give plans", who.uid);
	return 0;
}

static struct mon_cell *slot(const char *name)
{
	struct mon_cell *c = monitor_cell(name);

	for (size_t i = 0; !c && i < MON_CELLS; i++)
		if (!mon.cells[i].name[0])
			c = &mon.cells[i];
	return c;
}

static void buf_take(struct creel_buf *to, struct creel_buf *from)
{
	if (to->data)
		sodium_memzero(to->data, to->len);
	creel_buf_fini(to);
	*to = *from;
	*from = (struct creel_buf){0};
}

static int accept_plan(const int fds[3], struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text, autoclean(creel_buf_fini) boot;
	struct creel_buf autoclean(creel_buf_fini) given;
	autofree struct creel_plan *plan = calloc(1, sizeof(*plan));
	autofree struct creel_boot *cfg = calloc(1, sizeof(*cfg));
	uint8_t hash[32];
	char hex[65];

	creel_buf_init(&text, CREEL_PLAN_MAX);
	creel_buf_init(&boot, CREEL_BOOT_MAX);
	creel_buf_init(&given, GIVEN_MAX);
	if (!plan || !cfg)
		return creel_err_nomem(err);
	int r = creel_memfd_read_sealed(fds[0], &text, err);
	if (r == 0)
		r = creel_memfd_read_sealed(fds[1], &boot, err);
	if (r == 0)
		r = creel_memfd_read_sealed(fds[2], &given, err);
	if (r == 0)
		r = creel_plan_decode(text.data, text.len, plan, err);
	if (r == 0)
		r = creel_boot_decode(boot.data, boot.len, cfg, err);
	if (r < 0)
		return r;
	crypto_generichash(hash, sizeof(hash), boot.data, boot.len, NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	if (strcmp(hex, plan->boot) != 0)
		return creel_err_set(err, CREEL_E_INVALID, 0, "the boot configuration is not the plan's");
	struct mon_cell *c = slot(plan->cell);
	if (!c)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "more than %d cells", MON_CELLS);
	(void)snprintf(c->name, sizeof(c->name), "%s", plan->cell);
	c->plan = *plan;
	c->planned = true;
	buf_take(&c->plan_text, &text);
	buf_take(&c->boot, &boot);
	buf_take(&c->given, &given);
	struct creel_monmsg m = {.type = CREEL_MON_PLAN};
	(void)snprintf(m.cell, sizeof(m.cell), "%s", c->name);
	monitor_tell(&m, fds[0]);
	return 0;
}

static void conn_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct event **self = ctx;
	struct creel_err err = {0};
	int fds[3] = {-1, -1, -1};
	size_t n_fds = 0;
	char word[8];
	ssize_t n = what & EV_TIMEOUT ? CREEL_E_CLOSED
				      : creel_fdpass_recv(fd, word, sizeof(word), fds, 3, &n_fds, &err);

	if (n == CREEL_E_BUSY)
		return;
	int r = n < 0 ? CREEL_E_CLOSED : 0;
	if (r == 0 && (n != 4 || memcmp(word, "plan", 4) != 0 || n_fds != 3))
		r = creel_err_set(&err, CREEL_E_PROTO, 0, "not a plan");
	if (r == 0)
		r = accept_plan(fds, &err);
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
	if (r != CREEL_E_CLOSED)
		(void)!send(fd, r < 0 ? err.msg : "ok", r < 0 ? strlen(err.msg) : 2,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
	event_free(*self);
	free(self);
	close(fd);
}

static void listener_readable(evutil_socket_t fd, short what, void *ctx)
{
	static const struct timeval patience = {.tv_sec = 5};
	struct creel_err err = {0};
	autofd int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn < 0)
		return;
	if (peer_check(conn, &err) < 0) {
		creel_log_error(&err);
		(void)!send(conn, err.msg, strlen(err.msg), MSG_NOSIGNAL | MSG_DONTWAIT);
		return;
	}
	struct event **self = calloc(1, sizeof(*self));
	if (self)
		*self = event_new(mon.base, conn, EV_READ, conn_readable, self);
	if (!self || !*self || event_add(*self, &patience) < 0) {
		free(self);
		return;
	}
	(void)steal_fd(&conn);
}

int intake_open(struct creel_err *err)
{
	mon.plan_listener = creel_unix_listen(mon.run_fd, "plan.sock", SOCK_SEQPACKET, 0660, err);
	if (mon.plan_listener < 0)
		return mon.plan_listener;
	mon.plan_event =
		event_new(mon.base, mon.plan_listener, EV_READ | EV_PERSIST, listener_readable, NULL);
	if (!mon.plan_event || event_add(mon.plan_event, NULL) < 0)
		return creel_err_nomem(err);
	return 0;
}

#include "base/log.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "linux/unixsock.h"
#include "monitor.h"
#include "policy/policytext.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Plans from the CLI: one connection a plan, one message "plan" with four sealed memfds (the plan, the
 * boot configuration, the given secrets, the policy), one answer: "ok" or why not. Before them "addr"
 * with a network and cells' names, a line each, is answered by "ok" and lines NAME ADDRESS. Who may is decided by the peer's
 * credentials (unix(7), SO_PEERCRED): the user that creeld runs as, or root.
 */
enum { GIVEN_MAX = 1 << 20, PARTS = 4, ADDR_MAX = 16384 };

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

static int hash_check(const struct creel_buf *b, const char *want, const char *what, struct creel_err *err)
{
	uint8_t hash[32];
	char hex[65];

	crypto_generichash(hash, sizeof(hash), b->data, b->len, NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	return strcmp(hex, want) == 0
		       ? 0
		       : creel_err_set(err, CREEL_E_INVALID, 0, "the %s is not the plan's", what);
}

/* What the plan says of the network is what this monitor gave, and the policy can be read. */
static int net_check(const struct creel_plan *plan, const struct creel_buf *policy, struct creel_err *err)
{
	struct creel_policytext autoclean(creel_policytext_fini) t = {0};
	char gateway[16], addr[16];
	int r = hash_check(policy, plan->net.policy, "policy", err);

	if (r == 0)
		r = creel_policytext_read((const char *)policy->data, policy->len, NULL, NULL, &t, err);
	if (r < 0 || !plan->net.link)
		return r;
	const char *subnet = addresses_subnet(gateway);
	if (strcmp(subnet, plan->net.subnet) != 0 || strcmp(gateway, plan->net.gateway) != 0 ||
	    !addresses_right(plan->cell, plan->net.address))
		return creel_err_set(err, CREEL_E_DENIED, 0, "cell '%s' was not given %s", plan->cell,
				     plan->net.address);
	for (size_t i = 0; i < t.spec.n_cells; i++) {
		const uint8_t *a = t.cell[i].addr.addr;
		(void)snprintf(addr, sizeof(addr), "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
		/* a broker's, which stands at the gateway; a cell's name has no dot */
		if (strchr(t.cell[i].name, '.') && strcmp(addr, gateway) == 0)
			continue;
		if (!addresses_right(t.cell[i].name, addr))
			return creel_err_set(err, CREEL_E_DENIED, 0, "cell '%.32s' was not given %s",
					     t.cell[i].name, addr);
	}
	return 0;
}

static int accept_plan(const int fds[PARTS], struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text, autoclean(creel_buf_fini) boot;
	struct creel_buf autoclean(creel_buf_fini) given, autoclean(creel_buf_fini) policy;
	autofree struct creel_plan *plan = calloc(1, sizeof(*plan));
	autofree struct creel_boot *cfg = calloc(1, sizeof(*cfg));
	struct creel_buf *const parts[PARTS] = {&text, &boot, &given, &policy};
	static const size_t max[PARTS] = {CREEL_PLAN_MAX, CREEL_BOOT_MAX, GIVEN_MAX, CREEL_POLICYTEXT_MAX};
	int r = 0;

	for (size_t i = 0; i < PARTS; i++)
		creel_buf_init(parts[i], max[i]);
	if (!plan || !cfg)
		return creel_err_nomem(err);
	for (size_t i = 0; r == 0 && i < PARTS; i++)
		r = creel_memfd_read_sealed(fds[i], parts[i], err);
	if (r == 0)
		r = creel_plan_decode(text.data, text.len, plan, err);
	if (r == 0)
		r = creel_boot_decode(boot.data, boot.len, cfg, err);
	if (r == 0)
		r = hash_check(&boot, plan->boot, "boot configuration", err);
	if (r == 0)
		r = net_check(plan, &policy, err);
	if (r < 0)
		return r;
	struct mon_cell *c = slot(plan->cell);
	if (!c)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "more than %d cells", MON_CELLS);
	(void)snprintf(c->name, sizeof(c->name), "%s", plan->cell);
	c->plan = *plan;
	c->planned = true;
	buf_take(&c->plan_text, &text);
	buf_take(&c->boot, &boot);
	buf_take(&c->given, &given);
	buf_take(&c->policy, &policy);
	monitor_tell_plan(c);
	return 0;
}

static void conn_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct event **self = ctx;
	struct creel_err err = {0};
	struct creel_buf autoclean(creel_buf_fini) answer = {0};
	static char word[ADDR_MAX + 1];
	int fds[PARTS] = {-1, -1, -1, -1};
	size_t n_fds = 0;
	ssize_t n = what & EV_TIMEOUT ? CREEL_E_CLOSED
				      : creel_fdpass_recv(fd, word, ADDR_MAX, fds, PARTS, &n_fds, &err);

	if (n == CREEL_E_BUSY)
		return;
	creel_buf_init(&answer, 65536);
	int r = n < 0 ? CREEL_E_CLOSED : creel_buf_adds(&answer, "ok", &err);
	if (r == 0 && n > 5 && memcmp(word, "addr\n", 5) == 0 && n_fds == 0) {
		word[n] = '\0';
		r = creel_buf_adds(&answer, "\n", &err);
		if (r == 0)
			r = addresses_give(word + 5, &answer, &err);
	} else if (r == 0 && (n != 4 || memcmp(word, "plan", 4) != 0 || n_fds != PARTS)) {
		r = creel_err_set(&err, CREEL_E_PROTO, 0, "not a plan");
	} else if (r == 0) {
		r = accept_plan(fds, &err);
	}
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
	if (r != CREEL_E_CLOSED)
		(void)!send(fd, r < 0 ? err.msg : creel_buf_str(&answer),
			    r < 0 ? strlen(err.msg) : answer.len, MSG_NOSIGNAL | MSG_DONTWAIT);
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
	mon.plan_event = event_new(mon.base, mon.plan_listener, EV_READ | EV_PERSIST, listener_readable,
				   NULL);
	if (!mon.plan_event || event_add(mon.plan_event, NULL) < 0)
		return creel_err_nomem(err);
	return 0;
}

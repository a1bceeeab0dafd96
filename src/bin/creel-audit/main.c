/*
 * creel-audit EVENTS AUDIT PREFIX PID FIRST LAST: who read or wrote a secret on this host, told to the
 * engine. EVENTS is a SOCK_SEQPACKET socket to it, AUDIT the kernel's audit (netlink, the group that may
 * be read beside a running auditd); both are inherited, so it holds no privilege. PREFIX begins our part
 * of the keys of creeld's rules (wire/auditrec.h). Accesses by process PID, the monitor, are not told:
 * what it does is said by secret.stage. User numbers FIRST to LAST are those of cells: what they do, a
 * guest does. Ends with 0 when the engine is gone, 1 when it cannot start.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "linux/sandbox.h"
#include "wire/auditmsg.h"
#include "wire/auditrec.h"
#include <errno.h>
#include <event2/event.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char *const calls[] = {"recvfrom", "sendto", "getsockopt", NULL};

enum { RECENT = 64, NAMES = 512, READS = 256 };

static struct {
	struct event_base *base;
	int events, audit;
	unsigned long pid, first, last;
	struct creel_audit_join join;
	/* what was told in this second: the same again is counted and told at its end */
	struct recent {
		bool used;
		uint32_t more;
		struct creel_auditmsg m;
	} recent[RECENT];
	/* The share's server opens a file a second time by its number alone: what it was called before. */
	struct named {
		uint64_t inode;
		char cell[33], secret[65];
	} names[NAMES];
	uint32_t lost;
	uint32_t drops; /* of the socket, as the kernel counts */
} a;

static void tell(const struct creel_auditmsg *m)
{
	uint8_t buf[CREEL_AUDITMSG];

	creel_auditmsg_encode(m, buf);
	if (send(a.events, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return;
	if (errno == EPIPE || errno == ECONNRESET)
		(void)event_base_loopbreak(a.base);
	a.lost += m->count; /* told when there is room again */
}

static bool same(const struct creel_auditmsg *x, const struct creel_auditmsg *y)
{
	return x->write == y->write && x->store == y->store && x->success == y->success && x->uid == y->uid &&
	       x->auid == y->auid && strcmp(x->cell, y->cell) == 0 && strcmp(x->secret, y->secret) == 0 &&
	       strcmp(x->exe, y->exe) == 0 && (x->secret[0] || strcmp(x->path, y->path) == 0);
}

static void note(const struct creel_auditmsg *m)
{
	struct recent *room = NULL;

	for (size_t i = 0; i < RECENT; i++) {
		if (a.recent[i].used && same(&a.recent[i].m, m)) {
			a.recent[i].more++;
			return;
		}
		if (!a.recent[i].used && !room)
			room = &a.recent[i];
	}
	if (!room) {
		a.lost++;
		return;
	}
	*room = (struct recent){.used = true, .m = *m};
	tell(m);
}

static struct named *slot(uint64_t inode)
{
	return &a.names[inode % NAMES];
}

static void access_take(const struct creel_audit_access *x)
{
	struct creel_auditmsg m = {.type = CREEL_AUDITMSG_ACCESS,
				   .write = x->write,
				   .store = x->store,
				   .success = x->success,
				   .guest = x->uid >= a.first && x->uid <= a.last,
				   .known = true,
				   .pid = x->pid,
				   .uid = x->uid,
				   .auid = x->auid,
				   .count = 1};
	struct named *name = slot(x->inode);

	creel_audit_secret(x, m.secret, m.cell);
	if (m.guest && m.secret[0] && strspn(m.secret, "0123456789") == strlen(m.secret))
		m.secret[0] = '\0'; /* a descriptor's number in /proc/self/fd */
	if (x->inode && m.secret[0]) {
		name->inode = x->inode;
		(void)snprintf(name->cell, sizeof(name->cell), "%s", m.cell);
		(void)snprintf(name->secret, sizeof(name->secret), "%s", m.secret);
	} else if (x->inode && m.guest && name->inode == x->inode && strcmp(name->cell, m.cell) == 0) {
		(void)snprintf(m.secret, sizeof(m.secret), "%s", name->secret);
	}
	if (x->pid == a.pid || (x->folder && x->success && !x->write))
		return; /* which secrets there are is no secret */
	(void)snprintf(m.exe, sizeof(m.exe), "%s", x->exe);
	(void)snprintf(m.path, sizeof(m.path), "%s", x->path);
	note(&m);
}

/* Records that the kernel had no room for. */
static void drops_count(void)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(a.audit, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		return;
	a.lost += info[SK_MEMINFO_DROPS] - a.drops;
	a.drops = info[SK_MEMINFO_DROPS];
}

static void audit_ready(evutil_socket_t fd, short what, void *arg)
{
	static char buf[sizeof(struct nlmsghdr) + CREEL_AUDIT_RECORD];
	struct creel_audit_access x;
	struct creel_err err = {0};

	for (int i = 0; i < READS; i++) {
		struct sockaddr_nl from = {0};
		struct nlmsghdr h;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &len);
		if (n < 0 && errno == ENOBUFS) {
			drops_count();
			continue;
		}
		if (n < 0)
			return;
		if ((size_t)n <= sizeof(h) || from.nl_pid != 0)
			continue; /* of another process, not of the kernel */
		memcpy(&h, buf, sizeof(h));
		if (creel_audit_join(&a.join, h.nlmsg_type, buf + sizeof(h), (size_t)n - sizeof(h), &x,
				     &err) > 0)
			access_take(&x);
	}
}

static void second(evutil_socket_t fd, short what, void *arg)
{
	for (size_t i = 0; i < RECENT; i++) {
		struct recent *r = &a.recent[i];
		if (!r->used)
			continue;
		r->m.count = r->more;
		if (r->more)
			tell(&r->m);
		/* what goes on is kept, so that it is one line a second */
		r->used = r->more > 0;
		r->more = 0;
	}
	a.lost += (uint32_t)a.join.dropped;
	a.join.dropped = 0;
	if (a.lost) {
		const struct creel_auditmsg m = {.type = CREEL_AUDITMSG_LOST, .count = a.lost};
		a.lost = 0;
		tell(&m);
	}
}

static void events_ready(evutil_socket_t fd, short what, void *arg)
{
	char c;

	if (!(recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN))
		(void)event_base_loopbreak(a.base);
}

static int start(struct creel_err *err)
{
	const struct timeval every = {1, 0};

	a.base = event_base_new();
	struct event *read = a.base ? event_new(a.base, a.audit, EV_READ | EV_PERSIST, audit_ready, NULL)
				    : NULL;
	struct event *gone = a.base ? event_new(a.base, a.events, EV_READ | EV_PERSIST, events_ready, NULL)
				    : NULL;
	struct event *tick = a.base ? event_new(a.base, -1, EV_PERSIST, second, NULL) : NULL;
	if (!read || !gone || !tick || event_add(read, NULL) < 0 || event_add(gone, NULL) < 0 ||
	    event_add(tick, &every) < 0)
		return creel_err_nomem(err);
	drops_count(); /* those before are another's, which told them */
	a.lost = 0;
	return 0;
}

static bool number(const char *s, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(s, &end, 10);
	return s[0] >= '0' && s[0] <= '9' && *end == '\0' && errno == 0;
}

int main(int argc, char **argv)
{
	unsigned long fds[2];
	struct creel_err err = {0};

	creel_log_name("creel-audit");
	if (argc != 7 || !number(argv[1], &fds[0]) || !number(argv[2], &fds[1]) ||
	    strlen(argv[3]) >= sizeof(a.join.prefix) || !number(argv[4], &a.pid) ||
	    !number(argv[5], &a.first) || !number(argv[6], &a.last)) {
		fputs("usage: creel-audit EVENTS AUDIT PREFIX PID FIRST LAST, by creeld\n", stderr);
		return 2;
	}
	a.events = (int)fds[0];
	a.audit = (int)fds[1];
	creel_audit_join_init(&a.join, argv[3]);
	int r = start(&err);
	if (r == 0)
		r = creel_sandbox(calls, &err);
	if (r == 0 && event_base_dispatch(a.base) < 0)
		r = creel_err_set(&err, CREEL_E_OS, errno, "loop");
	if (r < 0)
		creel_log_error(&err);
	if (a.base)
		event_base_free(a.base);
	return r < 0;
}

#include "base/log.h"
#include "linux/proc.h"
#include "monitor.h"
#include "words.h"
#include <errno.h>
#include <fcntl.h>
#include <libaudit.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/*
 * Reads and writes of the store of secrets and of the staging folders, as the kernel's audit sees them.
 * Here the rules are placed and removed, and creel-audit is started, which reads what comes of them. It
 * listens where a running auditd does not mind (AUDIT_NLGRP_READLOG), so both may be there. Where there
 * is no audit, auditfan.c takes its place; where that is missing too, it is said.
 *
 * Two rules a folder, as the kernel knows best whether a call reads or writes: the one for writes first.
 * Their keys (wire/auditrec.h): the one of the seed's rules, so that `ausearch -k openclaw-secrets` finds
 * what people look for, and ours.
 */
static struct {
	enum audit_way way, want;
	char why[160], prefix[40];
	int rules, feed; /* netlink: to place rules; what is told. -1 */
	int tell;        /* fanotify: our end towards the engine. -1 */
	int watch;       /* inotify on the state folder, as a rekey puts another store in place */
	struct event *changed, *again;
	struct mon_proc proc;
	unsigned starts;
	dev_t dev; /* the store that the rules are about */
	ino_t ino;
	bool enabled; /* by us */
} a = {.rules = -1, .feed = -1, .tell = -1, .watch = -1, .proc = {.pidfd = -1}, .want = WAY_ANY};

static const char mark[] = "audit-enabled";

void audit_want(enum audit_way way)
{
	a.want = way;
}

const char *audit_way_name(void)
{
	static const char *const names[] = {"any", "kernel", "fanotify", "none"};

	return names[a.way];
}

const char *audit_why(void)
{
	return a.why;
}

/* The seed had a key a virtual machine; another recipe's is named after its cell. */
static void key_of(const struct mon_cell *c, char ret[64])
{
	if (!c || strcmp(c->ran.recipe, "openclaw") == 0)
		(void)snprintf(ret, 64, "openclaw-secrets");
	else if (strcmp(c->ran.recipe, "gog") == 0)
		(void)snprintf(ret, 64, "gogcli-secrets");
	else
		(void)snprintf(ret, 64, "%s-secrets", c->name);
}

/* @param c  NULL: of the store */
static int rule(const struct mon_cell *c, const char *path, bool write, bool add, struct creel_err *err)
{
	struct audit_rule_data *r = NULL;
	char key[64], pair[AUDIT_MAX_KEY_LEN + 8];
	int n, rc;

	key_of(c, key);
	if (c)
		n = snprintf(pair, sizeof(pair), "key=%s\001%sstaged-%c-%s", key, a.prefix, write ? 'w' : 'r',
			     c->name);
	else /* one store for all cells: it answers to both of the seed's names */
		n = snprintf(pair, sizeof(pair), "key=openclaw-secrets\001gogcli-secrets\001%sstore-%c",
			     a.prefix, write ? 'w' : 'r');
	if (n < 0 || (size_t)n >= sizeof(pair))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the key of an audit rule");
	if ((rc = audit_add_watch_dir(AUDIT_DIR, &r, path)) == 0)
		rc = audit_update_watch_perms(r,
					      write ? AUDIT_PERM_WRITE | AUDIT_PERM_ATTR : AUDIT_PERM_READ);
	if (rc == 0)
		rc = audit_rule_fieldpair_data(&r, pair, AUDIT_FILTER_EXIT);
	if (rc == 0)
		rc = add ? audit_add_rule_data(a.rules, r, AUDIT_FILTER_EXIT, AUDIT_ALWAYS)
			 : audit_delete_rule_data(a.rules, r, AUDIT_FILTER_EXIT, AUDIT_ALWAYS);
	audit_rule_free_data(r);
	if (rc < 0 && !(add && rc == -EEXIST) && !(!add && rc == -ENOENT))
		return creel_err_set(err, CREEL_E_OS, -rc, "%s an audit rule on %s", add ? "place" : "remove",
				     path);
	return 0;
}

static int rules_place(const struct mon_cell *c, const char *path, struct creel_err *err)
{
	int r = rule(c, path, true, true, err);

	return r < 0 ? r : rule(c, path, false, true, err);
}

/* Is there somebody who takes the records, such as auditd? */
static bool taken(void)
{
	const struct timespec nap = {.tv_nsec = 1000 * 1000};
	struct audit_reply rep;

	if (audit_request_status(a.rules) <= 0)
		return true;
	for (int i = 0; i < 200; i++) {
		int rc = audit_get_reply(a.rules, &rep, GET_REPLY_NONBLOCKING, 0);
		if (rc > 0 && rep.type == AUDIT_GET)
			return rep.status->pid != 0;
		if (rc <= 0)
			(void)nanosleep(&nap, NULL);
	}
	return true;
}

/* Rules that have our prefix: another monitor's of this state folder, which did not come to remove them. */
static int rules_drop_all(size_t *ret_others, struct creel_err *err)
{
	size_t others = 0;
	struct audit_rule_data *ours[2 * MON_CELLS + 8];
	struct audit_reply rep;
	size_t n = 0;
	bool done = false;

	if (audit_request_rules_list_data(a.rules) <= 0)
		return creel_err_set(err, CREEL_E_OS, errno, "list audit rules");
	for (int tries = 0; !done && tries < 20000;) {
		int rc = audit_get_reply(a.rules, &rep, GET_REPLY_NONBLOCKING, 0);
		if (rc <= 0) {
			const struct timespec nap = {.tv_nsec = 1000 * 1000};
			(void)nanosleep(&nap, NULL);
			tries += 100;
			continue;
		}
		tries++;
		done = rep.type == NLMSG_DONE || rep.type == NLMSG_ERROR;
		if (rep.type != AUDIT_LIST_RULES)
			continue;
		size_t size = sizeof(*rep.ruledata) + rep.ruledata->buflen;
		if (!memmem(rep.ruledata->buf, rep.ruledata->buflen, a.prefix, strlen(a.prefix)))
			others++;
		else if (n < ELEMENTSOF(ours) && (ours[n] = malloc(size)) != NULL)
			memcpy(ours[n++], rep.ruledata, size);
	}
	*ret_others = others;
	for (size_t i = 0; i < n; i++) {
		(void)audit_delete_rule_data(a.rules, ours[i], (int)ours[i]->flags, (int)ours[i]->action);
		free(ours[i]);
	}
	return 0;
}

/* As auditd's users expect, what was off is off again when nothing of ours is left. */
static int enable(struct creel_err *err)
{
	int on = audit_is_enabled(a.rules);

	if (on < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "the kernel's audit does not answer");
	a.enabled = faccessat(mon.run_fd, mark, F_OK, 0) == 0;
	if (on == 2)
		return creel_err_set(err, CREEL_E_DENIED, 0,
				     "audit is locked (enabled 2): no rule can be placed until a restart");
	if (on == 1)
		return 0;
	if (audit_set_enabled(a.rules, 1) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "switch the kernel's audit on");
	int fd = openat(mon.run_fd, mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		close(fd);
	a.enabled = true;
	return 0;
}

static int feed_open(struct creel_err *err)
{
	struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = 1U << (AUDIT_NLGRP_READLOG - 1)};
	int size = 4 << 20;

	autofd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_AUDIT);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "listen to the kernel's audit");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	a.feed = steal_fd(&fd);
	return 0;
}

static void kernel_close(void)
{
	if (a.rules >= 0)
		audit_close(a.rules);
	if (a.feed >= 0)
		close(a.feed);
	a.rules = a.feed = -1;
}

/*
 * The kernel tells its group only in the first network namespace: elsewhere the socket opens, and nothing
 * ever comes. A rule placed and removed is told, so that is waited for.
 */
static int feed_prove(struct creel_err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/run", mon.state);
	int r = rule(NULL, path, true, true, err);
	if (r == 0)
		r = rule(NULL, path, true, false, err);
	struct pollfd p = {.fd = a.feed, .events = POLLIN};
	if (r == 0 && poll(&p, 1, 500) <= 0)
		r = creel_err_set(err, CREEL_E_UNSUPP, 0,
				  "the kernel's audit tells nothing in this network "
				  "namespace");
	return r;
}

static int kernel_open(struct creel_err *err)
{
	size_t others;

	set_aumessage_mode(MSG_QUIET, DBG_NO);
	if ((a.rules = audit_open()) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "the kernel has no audit for us");
	int r = enable(err);
	if (r == 0)
		r = feed_open(err);
	if (r == 0)
		r = rules_drop_all(&others, err);
	if (r == 0)
		r = feed_prove(err);
	if (r < 0)
		kernel_close();
	return r;
}

/* The store may come later, and a rekey puts another in its place. */
static void store_look(void)
{
	struct creel_err err = {0};
	char path[PATH_MAX];
	struct stat st;
	int r;

	(void)snprintf(path, sizeof(path), "%s/secrets", mon.state);
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || (st.st_ino == a.ino && st.st_dev == a.dev))
		return;
	if (a.way == WAY_KERNEL) {
		if (a.ino) { /* the folder that the name stood for: gone with it, or not */
			struct creel_err none = {0};
			(void)rule(NULL, path, true, false, &none);
			(void)rule(NULL, path, false, false, &none);
		}
		r = rules_place(NULL, path, &err);
	} else {
		r = auditfan_store(path, &err);
	}
	if (r < 0)
		creel_log_error(&err);
	a.dev = st.st_dev;
	a.ino = st.st_ino;
}

static void store_changed(evutil_socket_t fd, short what, void *ctx)
{
	char buf[4096];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
	store_look();
}

static void store_watch(void)
{
	a.watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (a.watch >= 0 && inotify_add_watch(a.watch, mon.state, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) >= 0)
		a.changed = event_new(mon.base, a.watch, EV_READ | EV_PERSIST, store_changed, NULL);
	if (!a.changed || event_add(a.changed, NULL) < 0)
		creel_log_warn("a store of secrets that comes later is not audited");
	store_look();
}

void audit_begin(void)
{
	struct creel_err kernel = {0}, fan = {0};
	uint8_t hash[16];
	char hex[33];

	crypto_generichash(hash, sizeof(hash), (const uint8_t *)mon.state, strlen(mon.state), NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	(void)snprintf(a.prefix, sizeof(a.prefix), "creel-%.12s-", hex);
	a.way = WAY_NONE;
	if (a.want == WAY_NONE)
		(void)snprintf(a.why, sizeof(a.why), "switched off by --audit none");
	else if (a.want != WAY_FANOTIFY && kernel_open(&kernel) == 0)
		a.way = WAY_KERNEL;
	else if (a.want != WAY_KERNEL && auditfan_open(&fan) == 0)
		a.way = WAY_FANOTIFY;
	if (a.want != WAY_NONE && a.way != WAY_KERNEL)
		(void)snprintf(a.why, sizeof(a.why), "%.76s%s%.76s", kernel.msg,
			       kernel.code && fan.code ? "; " : "", fan.msg);
	if (a.want == WAY_FANOTIFY && a.way == WAY_FANOTIFY)
		(void)snprintf(a.why, sizeof(a.why), "asked for by --audit fanotify");
	if (a.way == WAY_NONE)
		creel_log_warn("reads and writes of secrets on this host are not on the record: %s", a.why);
	else
		store_watch();
	for (size_t i = 0; i < MON_CELLS; i++)
		if (mon.cells[i].running)
			audit_cell(&mon.cells[i]);
}

static void staged_path(const char *name, char ret[PATH_MAX])
{
	(void)snprintf(ret, PATH_MAX, "%s/run/cells/%s/secrets", mon.state, name);
}

void audit_cell(const struct mon_cell *c)
{
	struct creel_err err = {0};
	char path[PATH_MAX];
	int r = 0;

	if (c->ran.n_secrets == 0)
		return;
	staged_path(c->name, path);
	if (a.way == WAY_KERNEL)
		r = rules_place(c, path, &err);
	else if (a.way == WAY_FANOTIFY)
		r = auditfan_cell(c->name, path, &err);
	if (r < 0)
		creel_log_error(&err);
}

void audit_cell_gone(const struct mon_cell *c)
{
	struct creel_err none = {0};
	char path[PATH_MAX];

	if (c->ran.n_secrets == 0)
		return;
	staged_path(c->name, path);
	/* what is not there any more went with its folder */
	if (a.way == WAY_KERNEL) {
		(void)rule(c, path, true, false, &none);
		(void)rule(c, path, false, false, &none);
	} else if (a.way == WAY_FANOTIFY) {
		auditfan_gone(c->name);
	}
}

static int spawn(int events, struct creel_err *err)
{
	struct words w = {.n = 0};
	const int fds[] = {events, a.feed};

	jail_words(&w, monitor_uid(MON_UID_AUDIT), 2 + (int)ELEMENTSOF(fds), false);
	word(&w, "--bind-exec");
	wordf(&w, "%s:/creel-audit", mon.audit_path);
	word(&w, "--");
	word(&w, "/creel-audit");
	word(&w, "3");
	word(&w, "4");
	word(&w, a.prefix);
	wordf(&w, "%d", (int)getpid());
	wordf(&w, "%u", (unsigned)monitor_uid(0));
	wordf(&w, "%u", (unsigned)monitor_uid(MON_UID_COUNT - 1));
	int r = words_ok(&w, err);
	pid_t pid = r < 0 ? r
			  : creel_proc_spawn(w.v, STDERR_FILENO, fds, ELEMENTSOF(fds), CREEL_PROC_PIDNS,
					     &a.proc.pidfd, err);
	if (pid < 0)
		return (int)pid;
	a.proc.pid = pid;
	return 0;
}

static void again_later(void);

static void gone(evutil_socket_t fd, short what, void *ctx)
{
	if (mon.engine >= 0)
		creel_log_warn("creel-audit ended: starting another");
	again_later();
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
	audit_engine();
}

static void again_later(void)
{
	const struct timeval wait = netproc_pause(++a.starts);

	netproc_stop(&a.proc);
	if (a.again)
		event_free(a.again);
	a.again = event_new(mon.base, -1, 0, on_again, NULL);
	if (!a.again || event_add(a.again, &wait) < 0)
		creel_log_warn("no memory to start creel-audit");
}

static int begin(struct creel_err *err)
{
	struct creel_monmsg m = {.type = CREEL_MON_AUDIT};
	int pair[2], r = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a socket");
	autofd int ours = pair[0], theirs = pair[1];
	monitor_tell(&m, theirs);
	if (a.way == WAY_FANOTIFY) {
		auditfan_tell(steal_fd(&ours));
		return 0;
	}
	if ((r = spawn(ours, err)) < 0)
		return r;
	a.proc.gone = event_new(mon.base, a.proc.pidfd, EV_READ, gone, NULL);
	return !a.proc.gone || event_add(a.proc.gone, NULL) < 0 ? creel_err_nomem(err) : 0;
}

void audit_engine(void)
{
	struct creel_err err = {0};

	if (a.again)
		event_free(a.again);
	a.again = NULL;
	netproc_stop(&a.proc);
	if (mon.engine < 0 || (a.way != WAY_KERNEL && a.way != WAY_FANOTIFY))
		return;
	/* what came meanwhile waits in the socket, which is ours */
	if (begin(&err) < 0) {
		creel_log_error(&err);
		again_later();
	}
}

void audit_end(bool all)
{
	struct creel_err none = {0};

	netproc_stop(&a.proc);
	if (a.way == WAY_KERNEL && all) {
		size_t others = 1;
		(void)rules_drop_all(&others, &none);
		/* another's rules, another creel's too, and a running auditd still want it */
		if (a.enabled && (others > 0 || taken() || audit_set_enabled(a.rules, 0) >= 0))
			(void)unlinkat(mon.run_fd, mark, 0);
	}
	kernel_close();
}

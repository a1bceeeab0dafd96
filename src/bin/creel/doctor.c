#include "doctor.h"
#include "base/cleanup.h"
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const struct doctor_tool doctor_tools[DOCTOR_TOOLS] = {
	{"qemu-system-x86_64", {"/usr/bin/qemu-system-x86_64"}, "qemu-system-x86", "runs the cells", true},
	{"virtiofsd",
	 {"/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd", "/usr/bin/virtiofsd"},
	 "qemu-system-common (Debian 12) or virtiofsd",
	 "puts secrets before a cell",
	 true},
	{"mmdebstrap", {"/usr/bin/mmdebstrap"}, "mmdebstrap", "builds images", true},
	{"mkfs.erofs", {"/usr/bin/mkfs.erofs", "/usr/sbin/mkfs.erofs"}, "erofs-utils", "builds images", true},
	{"npm", {"/usr/bin/npm", "/usr/local/bin/npm"}, "npm", "builds images with npm packages", false},
	[DOCTOR_TOOL_NFT] = {"nft",
			     {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"},
			     "nftables",
			     "shows the rules of the cells",
			     false},
	{"slirp4netns", {"/usr/bin/slirp4netns"}, "slirp4netns", "the network of cells without root", false},
	[DOCTOR_TOOL_NEWUIDMAP] = {"newuidmap",
				   {"/usr/bin/newuidmap"},
				   "uidmap",
				   "a user for each process, without root",
				   false},
};

struct look {
	const char *root;
	const struct doctor_live *live;
	struct doctor_finding *out;
	size_t n;
};

__attribute__((format(printf, 6, 7))) static void say(struct look *l, const char *check, bool required,
						      enum doctor_verdict v, const char *advice,
						      const char *fmt, ...)
{
	struct doctor_finding *f = &l->out[l->n++];
	va_list ap;

	*f = (struct doctor_finding){.check = check, .required = required, .verdict = v};
	va_start(ap, fmt);
	(void)vsnprintf(f->detail, sizeof(f->detail), fmt, ap);
	va_end(ap);
	if (v != DOCTOR_YES)
		(void)snprintf(f->advice, sizeof(f->advice), "%s", advice);
}

/* A file's first line without its end. @return false: it is not there */
static bool line(const struct look *l, const char *name, char *ret, size_t size)
{
	char path[PATH_MAX];

	ret[0] = '\0';
	(void)snprintf(path, sizeof(path), "%s%s", l->root, name);
	autofile FILE *f = fopen(path, "re");
	if (!f)
		return false;
	if (fgets(ret, (int)size, f))
		ret[strcspn(ret, "\n")] = '\0';
	return true;
}

static bool there(const struct look *l, const char *name)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s%s", l->root, name);
	return access(path, F_OK) == 0;
}

static bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = text; (p = strstr(p, word)); p += n)
		if ((p == text || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
			return true;
	return false;
}

static void kernel(struct look *l)
{
	unsigned major = 0, minor = 0;
	char release[128];

	(void)line(l, "/proc/sys/kernel/osrelease", release, sizeof(release));
	bool known = sscanf(release, "%u.%u", &major, &minor) == 2;
	bool ok = known && (major > 5 || (major == 5 && minor >= 10));
	say(l, "kernel", true, ok ? DOCTOR_YES : DOCTOR_NO, "creel needs Linux 5.10 or later", "Linux %.64s",
	    known ? release : "unknown");
	ok = there(l, "/proc/sys/kernel/seccomp/actions_avail");
	say(l, "seccomp", true, ok ? DOCTOR_YES : DOCTOR_NO, "a kernel with CONFIG_SECCOMP_FILTER",
	    ok ? "system calls can be filtered" : "system calls cannot be filtered");
}

static void kvm(struct look *l)
{
	const struct doctor_live *v = l->live;

	if (v->kvm != 0)
		say(l, "kvm", false, DOCTOR_NO,
		    v->kvm == EACCES ? "join the group that owns /dev/kvm (usermod -aG kvm USER, then log "
				       "in "
				       "again); until then guests run under emulation (TCG): slower, and as "
				       "separate"
				     : "guests run under emulation (TCG): slower, and as separate; for KVM "
				       "switch virtualisation on in the firmware, then modprobe kvm_intel "
				       "or "
				       "kvm_amd",
		    "/dev/kvm: %s", strerror(v->kvm));
	else if (!v->kvm_known && v->image)
		say(l, "kvm", false, DOCTOR_MAYBE, "the first `creel up` tries again",
		    "/dev/kvm opens; the guest that was to prove it was not booted");
	else if (!v->kvm_known)
		say(l, "kvm", false, DOCTOR_MAYBE,
		    "`creel build base`, then `creel doctor` boots a guest under it: some hosts "
		    "have a "
		    "/dev/kvm under which guests hang",
		    "/dev/kvm opens; that it runs guests is not proved yet");
	else if (v->kvm_runs)
		say(l, "kvm", false, DOCTOR_YES, "", "a guest ran: %s", v->kvm_why);
	else
		say(l, "kvm", false, DOCTOR_NO,
		    "guests run under emulation (TCG): slower, and as separate; `creel doctor "
		    "--fix` has it "
		    "tried again",
		    "/dev/kvm opens and runs no guest: %s", v->kvm_why);
}

static void tun(struct look *l)
{
	int e = l->live->tun;

	say(l, "tun", false, e == 0 ? DOCTOR_YES : DOCTOR_NO,
	    e == EACCES ? "let this user read and write /dev/net/tun: chmod 0666 /dev/net/tun, or "
			  "a rule of udev"
			: "modprobe tun",
	    "/dev/net/tun%s%s", e ? ": " : " opens", e ? strerror(e) : "");
}

/* @return whether a user may make them and use them */
static bool userns(struct look *l)
{
	char max[32], clone[32], apparmor[32], enabled[32];
	bool root = l->live->uid == 0;
	enum doctor_verdict no = root ? DOCTOR_MAYBE : DOCTOR_NO;

	bool has_max = line(l, "/proc/sys/user/max_user_namespaces", max, sizeof(max));
	bool has_clone = line(l, "/proc/sys/kernel/unprivileged_userns_clone", clone, sizeof(clone));
	if (has_max && strcmp(max, "0") == 0)
		say(l, "user-namespaces", false, no,
		    "needed without root: sysctl -w user.max_user_namespaces=10000",
		    "switched off: user.max_user_namespaces is 0");
	else if (has_clone && strcmp(clone, "0") == 0)
		say(l, "user-namespaces", false, no,
		    "needed without root: sysctl -w kernel.unprivileged_userns_clone=1",
		    "only root may make them: kernel.unprivileged_userns_clone is 0");
	else if (l->live->userns != 0)
		say(l, "user-namespaces", false, no,
		    "needed without root: a kernel with CONFIG_USER_NS, and no rule that forbids "
		    "them (see "
		    "apparmor)",
		    "user and network namespaces: %s", strerror(l->live->userns));
	else
		say(l, "user-namespaces", false, DOCTOR_YES, "", "a user and network namespace can be made");

	bool on = line(l, "/sys/module/apparmor/parameters/enabled", enabled, sizeof(enabled)) &&
		  enabled[0] == 'Y';
	bool restricts = line(l, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", apparmor,
			      sizeof(apparmor)) &&
			 apparmor[0] == '1';
	say(l, "apparmor", false, on && restricts ? no : DOCTOR_YES,
	    "needed without root: a profile for creel with `userns,`, or sysctl -w "
	    "kernel.apparmor_restrict_unprivileged_userns=0",
	    "%s",
	    on && restricts ? "takes every right in a user namespace from a program without a profile"
	    : on            ? "runs, and does not restrict user namespaces"
			    : "does not run");
	return l->out[l->n - 1].verdict == DOCTOR_YES && l->out[l->n - 2].verdict == DOCTOR_YES;
}

/* @return the row's verdict, which mode() needs */
static enum doctor_verdict subuid(struct look *l)
{
	static const char advice[] = "only without root: usermod --add-subuids 100000-165535 --add-subgids "
				     "100000-165535 USER";
	unsigned long long most[2] = {0, 0};
	char text[256], uid[24];

	(void)snprintf(uid, sizeof(uid), "%u", (unsigned)l->live->uid);
	for (int i = 0; i < 2; i++) {
		char path[PATH_MAX];
		(void)snprintf(path, sizeof(path), "%s%s", l->root, i ? "/etc/subgid" : "/etc/subuid");
		autofile FILE *f = fopen(path, "re");
		while (f && fgets(text, sizeof(text), f)) {
			unsigned long long first, n;
			char who[64];
			if (sscanf(text, "%63[^:]:%llu:%llu", who, &first, &n) == 3 &&
			    (strcmp(who, l->live->user) == 0 || strcmp(who, uid) == 0))
				most[i] = MAX(most[i], n);
		}
	}
	if (l->live->uid == 0)
		say(l, "subuid", false, DOCTOR_YES, "", "root needs no range");
	else if (most[0] >= 65536 && most[1] >= 65536)
		say(l, "subuid", false, DOCTOR_YES, "", "a range of %llu users and %llu groups", most[0],
		    most[1]);
	else
		say(l, "subuid", false, DOCTOR_NO, advice,
		    "/etc/subuid and /etc/subgid have %llu users and %llu groups for %.63s; 65536 "
		    "are wanted",
		    most[0], most[1], l->live->user);
	return l->out[l->n - 1].verdict;
}

static void cgroups(struct look *l)
{
	char controllers[256];

	if (line(l, "/sys/fs/cgroup/cgroup.controllers", controllers, sizeof(controllers))) {
		bool ok = has_word(controllers, "memory") && has_word(controllers, "pids");
		say(l, "cgroups", false, ok ? DOCTOR_YES : DOCTOR_NO,
		    "boot with cgroup_enable=memory; without it a cell's memory is not limited on "
		    "the host's side",
		    ok ? "v2, with memory and pids" : "v2, without memory or pids: %.100s", controllers);
	} else if (there(l, "/sys/fs/cgroup/memory/cgroup.procs") &&
		   there(l, "/sys/fs/cgroup/pids/cgroup.procs")) {
		say(l, "cgroups", false, DOCTOR_YES, "", "v1, with memory and pids");
	} else {
		say(l, "cgroups", false, DOCTOR_NO,
		    "mount -t cgroup2 none /sys/fs/cgroup; without it a cell's memory and "
		    "processes are not "
		    "limited on the host's side, and `up` needs --allow-reduced",
		    "no hierarchy with memory and pids at /sys/fs/cgroup");
	}
}

static void network(struct look *l)
{
	const struct doctor_live *v = l->live;

	say(l, "nf_tables", false, v->nft == 0 ? DOCTOR_YES : DOCTOR_NO,
	    "modprobe nf_tables; without it a cell has no network", "%s%s",
	    v->nft ? "no answer: " : "answers in a namespace of its own", v->nft ? strerror(v->nft) : "");
	if (v->audit == EPERM)
		say(l, "audit", false, DOCTOR_MAYBE,
		    "reads of secrets on the host are events only when creeld runs as root",
		    "only root may ask");
	else if ((v->audit != 0 || v->audit_locked) && v->fanotify == 0)
		say(l, "audit", false, DOCTOR_MAYBE,
		    v->audit_locked
			    ? "it was locked by `auditctl -e 2`: no rule can be placed until a restart"
			    : "a kernel with CONFIG_AUDIT, not booted with audit=0; until then fanotify "
			      "tells of reads and writes of secrets, and not who was refused",
		    "kernel audit: %s; fanotify takes its place",
		    v->audit_locked ? "locked" : strerror(v->audit));
	else if (v->audit != 0 || v->audit_locked)
		say(l, "audit", false, DOCTOR_NO,
		    "a kernel with CONFIG_AUDIT, not booted with audit=0, or with CONFIG_FANOTIFY; without "
		    "them reads of secrets on the host are no events",
		    "kernel audit: %s; fanotify: %s", v->audit_locked ? "locked" : strerror(v->audit),
		    strerror(v->fanotify));
	else
		say(l, "audit", false, DOCTOR_YES, "", "kernel audit answers, %s",
		    v->audit_on ? "and is on" : "and is off until creeld needs it");
}

/* iptables where the chain is iptables', so that what is typed is kept with the other rules of its kind. */
static void firewall_advice(const struct doctor_wall *w, char ret[320])
{
	const char *chain = w->docker ? "DOCKER-USER" : w->chain;

	if (w->iptables)
		(void)snprintf(
			ret, 320,
			"iptables -I %.40s -i creel-+ -j ACCEPT && iptables -I %.40s -o creel-+ -m conntrack "
			"--ctstate RELATED,ESTABLISHED -j ACCEPT",
			chain, chain);
	else
		(void)snprintf(
			ret, 320,
			"nft insert rule %s %.40s %.40s iifname 'creel-*' accept && nft insert rule %s %.40s "
			"%.40s oifname 'creel-*' ct state established,related accept",
			w->family, w->table, w->chain, w->family, w->table, w->chain);
}

/* creel changes nothing of it: it says which rule is missing. */
static void firewall(struct look *l)
{
	const struct doctor_wall *w = &l->live->wall;
	char advice[320];

	firewall_advice(w, advice);
	if (l->live->uid != 0)
		say(l, "firewall", false, DOCTOR_YES, "",
		    "what a rootless cell sends is its user's, and no forwarded packet");
	else if (w->n_drops > 0)
		say(l, "firewall", false, DOCTOR_NO, advice,
		    "chain %.40s of table %s %.40s drops forwarded packets and has no rule for creel's: cells "
		    "reach nothing outside",
		    w->chain, w->family, w->table);
	else if (w->legacy)
		say(l, "firewall", false, DOCTOR_MAYBE,
		    "see iptables-legacy -S FORWARD: with -P FORWARD DROP, what goes in and out by creel-+ needs "
		    "rules that accept it",
		    "this host has rules of iptables-legacy, which are not read here");
	else if (!w->known)
		say(l, "firewall", false, DOCTOR_MAYBE, "apt-get install nftables, then creel doctor",
		    "whether this host's own rules drop what cells send was not seen: nft does not answer");
	else
		say(l, "firewall", false, DOCTOR_YES, "", "%s",
		    w->n_let > 0 ? "drops forwarded packets, and has rules that let creel's through"
				 : "no chain of this host's drops forwarded packets");
}

static void disk(struct look *l)
{
	unsigned long long mib = l->live->disk_mib;

	if (!l->live->cache[0])
		say(l, "disk", true, DOCTOR_NO, "set CREEL_CACHE_DIR", "there is no cache folder");
	else
		say(l, "disk", true, mib >= 4096 ? DOCTOR_YES : DOCTOR_NO,
		    "an image and the work of building it take up to 4 GiB: make room, or set "
		    "CREEL_CACHE_DIR",
		    "%llu MiB free for %.120s", mib, l->live->cache);
}

const char *doctor_tool_find(const char *root, const struct doctor_tool *tool, char *buf, size_t size)
{
	for (size_t i = 0; i < ELEMENTSOF(tool->paths) && tool->paths[i]; i++) {
		(void)snprintf(buf, size, "%s%s", root, tool->paths[i]);
		if (access(buf, X_OK) == 0)
			return buf;
	}
	return NULL;
}

static void tools(struct look *l)
{
	char path[PATH_MAX], advice[200];

	for (size_t i = 0; i < DOCTOR_TOOLS; i++) {
		const struct doctor_tool *t = &doctor_tools[i];
		const char *version = l->live->versions[i];
		const char *at = doctor_tool_find(l->root, t, path, sizeof(path));
		(void)snprintf(advice, sizeof(advice), "%s: apt-get install %s", t->what, t->package);
		if (at)
			say(l, t->name, t->required, DOCTOR_YES, "", "%.120s%s%s", at + strlen(l->root),
			    version[0] ? ", " : "", version);
		else
			say(l, t->name, t->required, DOCTOR_NO, advice, "not installed");
	}
}

/* Which creeld `creel up` would start. */
static void mode(struct look *l, bool may_userns, bool has_ids)
{
	char path[PATH_MAX];
	bool maps = doctor_tool_find(l->root, &doctor_tools[DOCTOR_TOOL_NEWUIDMAP], path, sizeof(path));
	bool slirp = doctor_tool_find(l->root, &doctor_tools[DOCTOR_TOOL_SLIRP], path, sizeof(path));

	if (l->live->uid == 0)
		say(l, "mode", false, DOCTOR_YES, "", "root");
	else if (may_userns && has_ids && maps)
		say(l, "mode", false, DOCTOR_MAYBE,
		    slirp ? "as root (sudo creel up) cells have control groups and kernel audit too"
			  : "apt-get install slirp4netns, for a network; as root (sudo creel up) cells have control "
			    "groups and kernel audit too",
		    "rootless, as %.63s: cells %s; a machine's memory and processes limited by setrlimit; no audit "
		    "of secrets",
		    l->live->user,
		    slirp ? "whose network goes by slirp4netns" : "without a network (egress: none)");
	else
		say(l, "mode", false, DOCTOR_NO, "mend that row, or sudo creel up",
		    "rootless, and that does not work here: see %s",
		    !may_userns ? "user-namespaces and apparmor"
		    : has_ids   ? "newuidmap"
				: "subuid");
}

size_t doctor_look(const char *prefix, const struct doctor_live *live, struct doctor_finding ret[DOCTOR_ROWS])
{
	struct look l = {.root = prefix, .live = live, .out = ret};

	kernel(&l);
	kvm(&l);
	tun(&l);
	bool may_userns = userns(&l);
	bool has_ids = subuid(&l) == DOCTOR_YES;
	cgroups(&l);
	network(&l);
	firewall(&l);
	disk(&l);
	tools(&l);
	mode(&l, may_userns, has_ids);
	return l.n;
}

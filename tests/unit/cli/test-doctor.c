/* What the doctor says of recorded trees: a file is PATH=LINE, a folder's place is made as needed. */
#include "base/cleanup.h"
#include "doctor.h"
#include "tests/cmocka-all.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define KERNEL "/proc/sys/kernel/osrelease=6.1.0-28-amd64", "/proc/sys/kernel/seccomp/actions_avail=kill"
#define V2     "/sys/fs/cgroup/cgroup.controllers=cpuset cpu io memory hugetlb pids rdma misc"
#define V1     "/sys/fs/cgroup/memory/cgroup.procs=1", "/sys/fs/cgroup/pids/cgroup.procs=1"
#define TOOLS                                                                                 \
	"/usr/bin/qemu-system-x86_64=x", "/usr/libexec/virtiofsd=x", "/usr/bin/mmdebstrap=x", \
		"/usr/bin/mkfs.erofs=x", "/usr/bin/newuidmap=x"
#define RANGES "/etc/subuid=me:100000:65536", "/etc/subgid=1000:100000:65536"

/* a host where all is well, for a user of its own */
static const struct doctor_live good = {.uid = 1000,
					.user = "me",
					.kvm_known = true,
					.kvm_runs = true,
					.kvm_why = "0.8 s",
					.cache = "/c",
					.disk_mib = 9999,
					.versions = {"7.2.22"}};

static struct doctor_live with(int kvm, int tun, int userns, int nft, int audit)
{
	struct doctor_live v = good;

	v.kvm = kvm;
	v.tun = tun;
	v.userns = userns;
	v.nft = nft;
	v.audit = audit;
	v.fanotify = audit; /* missing together; apart: audit_and_fanotify() */
	return v;
}

static const struct {
	const char *name;
	const char *tree[16];
	int kvm, tun, userns, nft, audit;
	bool root, hangs, unproved;
	/* CHECK VERDICT, and what detail and advice have in them */
	const char *want[8][4];
} cases[] = {
	{"a Debian 12 with systemd",
	 {KERNEL, V2, TOOLS, RANGES},
	 .want = {{"kernel", "yes", "6.1.0-28"},
		  {"kvm", "yes", "a guest ran"},
		  {"cgroups", "yes", "v2"},
		  {"subuid", "yes", "65536 users and 65536 groups"},
		  {"qemu-system-x86_64", "yes", "/usr/bin/qemu-system-x86_64, 7.2.22"},
		  {"virtiofsd", "yes", "/usr/libexec/virtiofsd"},
		  {"npm", "no", "not installed", "apt-get install npm"},
		  {"mode", "maybe", "rootless, as me: cells without a network", "install slirp4netns"}}},
	{"the same with slirp4netns",
	 {KERNEL, V2, TOOLS, RANGES, "/usr/bin/slirp4netns=x"},
	 .want = {{"mode", "maybe", "as me: cells whose network goes by slirp4netns", "sudo creel up"},
		  {"firewall", "yes", "no forwarded packet"}}},
	{"nothing at all",
	 {NULL},
	 ENOENT,
	 ENOENT,
	 EPERM,
	 ENOENT,
	 EPROTONOSUPPORT,
	 .want = {{"kernel", "no", "unknown", "5.10"},
		  {"seccomp", "no"},
		  {"kvm", "no", "No such file", "emulation"},
		  {"tun", "no", "No such file", "modprobe tun"},
		  {"cgroups", "no", "no hierarchy", "mount -t cgroup2"},
		  {"mmdebstrap", "no", "not installed", "apt-get install mmdebstrap"},
		  {"nf_tables", "no", "No such file", "modprobe nf_tables"},
		  {"audit", "no", "not supported", "CONFIG_AUDIT"}}},
	{"an old kernel", {"/proc/sys/kernel/osrelease=5.9.16"}, .want = {{"kernel", "no", "5.9.16"}}},
	{"a kernel just new enough", {"/proc/sys/kernel/osrelease=5.10.0"}, .want = {{"kernel", "yes"}}},
	{"cgroups v1", {V1}, .want = {{"cgroups", "yes", "v1"}}},
	{"cgroups v1 without pids", {"/sys/fs/cgroup/memory/cgroup.procs=1"}, .want = {{"cgroups", "no"}}},
	{"hybrid", {V1, "/sys/fs/cgroup/unified/cgroup.controllers="}, .want = {{"cgroups", "yes", "v1"}}},
	{"cgroups v2 without memory (a Raspberry Pi)",
	 {"/sys/fs/cgroup/cgroup.controllers=cpuset cpu io pids"},
	 .want = {{"cgroups", "no", "without memory", "cgroup_enable=memory"}}},
	{"a name that only begins so",
	 {"/sys/fs/cgroup/cgroup.controllers=memoryx pids"},
	 .want = {{"cgroups", "no"}}},
	{"Ubuntu's restriction",
	 {"/sys/module/apparmor/parameters/enabled=Y",
	  "/proc/sys/kernel/apparmor_restrict_unprivileged_userns=1"},
	 0,
	 0,
	 EPERM,
	 EPERM,
	 EPERM,
	 .want = {{"apparmor", "no", "a program without a profile", "a profile for creel"},
		  {"user-namespaces", "no", "not permitted", "apparmor"},
		  {"mode", "no", "see user-namespaces and apparmor", "sudo creel up"},
		  {"audit", "maybe", "only root"}}},
	{"the same as root",
	 {"/sys/module/apparmor/parameters/enabled=Y",
	  "/proc/sys/kernel/apparmor_restrict_unprivileged_userns=1"},
	 .root = true,
	 .want = {{"apparmor", "maybe"},
		  {"user-namespaces", "yes"},
		  {"subuid", "yes", "root needs no range"},
		  {"mode", "yes", "root"}}},
	{"AppArmor that does not restrict",
	 {"/sys/module/apparmor/parameters/enabled=Y",
	  "/proc/sys/kernel/apparmor_restrict_unprivileged_userns=0"},
	 .want = {{"apparmor", "yes", "does not restrict"}}},
	{"namespaces for root alone",
	 {"/proc/sys/kernel/unprivileged_userns_clone=0"},
	 .want = {{"user-namespaces", "no", "unprivileged_userns_clone is 0", "sysctl -w kernel."}}},
	{"namespaces for nobody",
	 {"/proc/sys/user/max_user_namespaces=0"},
	 .want = {{"user-namespaces", "no", "max_user_namespaces is 0", "sysctl -w user."}}},
	{"ranges of others",
	 {"/etc/subuid=you:100000:65536\nmee:1:65536", "/etc/subgid=me:1:65535"},
	 .want = {{"subuid", "no", "0 users and 65535 groups for me", "usermod --add-subuids"},
		  {"mode", "no", "see subuid"}}},
	{"a range, and nothing to map it with", {RANGES}, .want = {{"mode", "no", "see newuidmap", "mend"}}},
	{"namespaces, and a restriction on them",
	 {RANGES, TOOLS, "/sys/module/apparmor/parameters/enabled=Y",
	  "/proc/sys/kernel/apparmor_restrict_unprivileged_userns=1"},
	 .want = {{"user-namespaces", "yes"}, {"mode", "no", "see user-namespaces and apparmor"}}},
	{"a second line has it",
	 {"/etc/subuid=you:1:9\nme:1:70000", "/etc/subgid=x\n\nme:1:70000"},
	 .want = {{"subuid", "yes"}}},
	{"no right to /dev/kvm",
	 {NULL},
	 EACCES,
	 EACCES,
	 .want = {{"kvm", "no", "Permission denied", "usermod -aG kvm"},
		  {"tun", "no", "Permission denied", "chmod 0666"}}},
	{"KVM that hangs", {NULL}, .hangs = true, .want = {{"kvm", "no", "runs no guest: 10 s", "--fix"}}},
	{"KVM unproved",
	 {NULL},
	 .unproved = true,
	 .want = {{"kvm", "maybe", "not proved", "creel build base"}}},
};

static int gone(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void plant(const char *root, const char *spec)
{
	char path[PATH_MAX];
	const char *text = strchr(spec, '=') + 1;

	(void)snprintf(path, sizeof(path), "%s%.*s", root, (int)(text - 1 - spec), spec);
	for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		(void)mkdir(path, 0755);
	}
	autofile FILE *f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "%s\n", text);
	(void)chmod(path, 0755);
}

static const char *const words[] = {"yes", "no", "maybe"};

static void trees(void **state)
{

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct doctor_finding f[DOCTOR_ROWS];
		struct doctor_live v = with(cases[i].kvm, cases[i].tun, cases[i].userns, cases[i].nft,
					    cases[i].audit);
		char root[] = "/tmp/test-doctor.XXXXXX";
		assert_non_null(mkdtemp(root));
		for (size_t k = 0; cases[i].tree[k]; k++)
			plant(root, cases[i].tree[k]);
		if (cases[i].root)
			v.uid = 0;
		if (cases[i].hangs) {
			v.kvm_runs = false;
			strcpy(v.kvm_why, "10 s without a word");
		}
		if (cases[i].unproved)
			v.kvm_known = false;
		size_t n = doctor_look(root, &v, f);
		assert_true(n > 10 && n <= DOCTOR_ROWS);
		(void)nftw(root, gone, 8, FTW_DEPTH | FTW_PHYS);
		for (size_t w = 0; w < ELEMENTSOF(cases[i].want) && cases[i].want[w][0]; w++) {
			const char *const *want = cases[i].want[w];
			size_t at = 0;
			while (at < n && strcmp(f[at].check, want[0]) != 0)
				at++;
			if (at == n || strcmp(words[f[at].verdict], want[1]) != 0 ||
			    (want[2] && !strstr(f[at].detail, want[2])) ||
			    (want[3] && !strstr(f[at].advice, want[3])))
				fail_msg("%s: %s: %s, %s (%s)", cases[i].name, want[0],
					 at < n ? words[f[at].verdict] : "-", at < n ? f[at].detail : "",
					 at < n ? f[at].advice : "");
		}
		for (size_t at = 0; at < n; at++) {
			if ((f[at].verdict == DOCTOR_YES) != !f[at].advice[0])
				fail_msg("%s: %s: every no has advice, and no yes", cases[i].name,
					 f[at].check);
			for (size_t k = 0; k < at; k++)
				if (strcmp(f[k].check, f[at].check) == 0)
					fail_msg("two rows are called %s", f[k].check);
		}
	}
}

/* as nft 1.0.6 prints them */
#define CHAIN(family, table, name, more)                                                 \
	"{\"chain\":{\"family\":\"" family "\",\"table\":\"" table "\",\"name\":\"" name \
	"\",\"handle\":1" more "}}"
#define FORWARD(policy) ",\"type\":\"filter\",\"hook\":\"forward\",\"prio\":0,\"policy\":\"" policy "\""
#define RULE(family, table, chain, expr)                                                  \
	"{\"rule\":{\"family\":\"" family "\",\"table\":\"" table "\",\"chain\":\"" chain \
	"\",\"handle\":2,\"expr\":[" expr "]}}"
#define BY(key, op, name) \
	"{\"match\":{\"op\":\"" op "\",\"left\":{\"meta\":{\"key\":\"" key "\"}},\"right\":\"" name "\"}}"
#define ACCEPT ",{\"counter\":{\"packets\":0,\"bytes\":0}},{\"accept\":null}"
#define DOCKER CHAIN("ip", "filter", "FORWARD", FORWARD("drop"))

static void the_hosts_own_firewall(void **state)
{
	static const struct {
		const char *rules, *verdict, *detail, *advice;
		bool legacy;
	} all[] = {
		{"", "yes", "no chain"},
		{CHAIN("ip", "filter", "FORWARD", FORWARD("accept")), "yes", "no chain"},
		{CHAIN("inet", "creel-00000a01", "forward", FORWARD("drop")), "yes", "no chain"},
		{CHAIN("ip6", "filter", "FORWARD", FORWARD("drop")), "yes", "no chain"},
		{CHAIN("inet", "f", "input", ",\"hook\":\"input\",\"policy\":\"drop\""), "yes", "no chain"},
		{DOCKER, "no", "chain FORWARD of table ip filter drops",
		 "iptables -I FORWARD -i creel-+ -j ACCEPT"},
		{DOCKER "," CHAIN("ip", "filter", "DOCKER-USER", ""), "no", "FORWARD",
		 "iptables -I DOCKER-USER -o creel-+ -m conntrack"},
		{DOCKER "," CHAIN("ip", "nat", "DOCKER-USER", ""), "no", "FORWARD", "iptables -I FORWARD -i"},
		{DOCKER "," RULE("ip", "filter", "DOCKER-USER", BY("iifname", "==", "creel-*") ACCEPT), "no",
		 "FORWARD", "iptables"},
		{DOCKER
		 "," RULE("ip", "filter", "DOCKER-USER", BY("iifname", "==", "creel-*") ACCEPT) "," RULE(
			 "ip", "filter", "DOCKER-USER", BY("oifname", "==", "creel-*") ACCEPT),
		 "yes", "let creel's through"},
		{DOCKER
		 "," RULE("ip", "filter", "DOCKER-USER", BY("iifname", "==", "creel-*") ACCEPT) "," RULE(
			 "ip", "filter", "DOCKER-USER", BY("oifname", "==", "creel-*") ",{\"drop\":null}"),
		 "no", "FORWARD", "iptables"},
		{DOCKER "," RULE("ip", "nat", "x", BY("iifname", "==", "creel-*")) "," RULE(
			 "ip", "filter", "x", BY("oifname", "!=", "creel-*")),
		 "no", "FORWARD", "iptables"},
		{CHAIN("inet", "firewalld", "filter_FORWARD", FORWARD("accept")) "," RULE(
			 "inet", "firewalld", "filter_FORWARD",
			 BY("iifname", "==", "lo") ACCEPT) "," RULE("inet", "firewalld", "filter_FORWARD",
								    "{\"reject\":{\"type\":\"icmpx\"}}"),
		 "no", "chain filter_FORWARD of table inet firewalld",
		 "nft insert rule inet firewalld filter_FORWARD oifname 'creel-*' ct state established"},
		{CHAIN("inet", "f", "fw", FORWARD("accept")) "," RULE(
			 "inet", "f", "fw", BY("iifname", "==", "lo") ",{\"drop\":null}"),
		 "yes", "no chain"},
		{"", "maybe", "iptables-legacy", "iptables-legacy -S FORWARD", true},
		{NULL, "maybe", "was not seen", "nftables"},
	};
	struct doctor_finding f[DOCTOR_ROWS];
	char text[4096];

	for (size_t i = 0; i < ELEMENTSOF(all); i++) {
		struct doctor_live v = good;
		size_t at = 0;
		v.uid = 0;
		(void)snprintf(text, sizeof(text), "{\"nftables\":[{\"metainfo\":{}}%s%s]}",
			       all[i].rules && all[i].rules[0] ? "," : "", all[i].rules ? all[i].rules : "");
		assert_int_equal(doctor_wall_read(text, all[i].rules ? strlen(text) : 7, &v.wall),
				 all[i].rules != NULL);
		v.wall.legacy = all[i].legacy;
		size_t n = doctor_look("/nonexistent", &v, f);
		while (at < n && strcmp(f[at].check, "firewall") != 0)
			at++;
		if (at == n || strcmp(words[f[at].verdict], all[i].verdict) != 0 ||
		    !strstr(f[at].detail, all[i].detail) ||
		    (all[i].advice && !strstr(f[at].advice, all[i].advice)))
			fail_msg("case %zu: %s, %s (%s)", i, words[f[at].verdict], f[at].detail,
				 f[at].advice);
	}
}

static void audit_and_fanotify(void **state)
{
	static const struct {
		int audit, fanotify;
		bool locked;
		const char *verdict, *detail;
	} all[] = {
		{0, 0, false, "yes", "kernel audit answers"},
		{EPROTONOSUPPORT, 0, false, "maybe", "fanotify takes its place"},
		{0, 0, true, "maybe", "locked; fanotify takes its place"},
		{0, ENOSYS, true, "no", "locked; fanotify: Function not implemented"},
		{0, ENOSYS, false, "yes", "kernel audit answers"},
	};
	struct doctor_finding f[DOCTOR_ROWS];

	for (size_t i = 0; i < ELEMENTSOF(all); i++) {
		struct doctor_live v = with(0, 0, 0, 0, all[i].audit);
		size_t at = 0;
		v.fanotify = all[i].fanotify;
		v.audit_locked = all[i].locked;
		size_t n = doctor_look("/nonexistent", &v, f);
		while (at < n && strcmp(f[at].check, "audit") != 0)
			at++;
		if (at == n || strcmp(words[f[at].verdict], all[i].verdict) != 0 ||
		    !strstr(f[at].detail, all[i].detail) || (i > 0 && i < 4 && !f[at].advice[0]))
			fail_msg("case %zu: %s", i, at < n ? f[at].detail : "-");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(trees), cmocka_unit_test(the_hosts_own_firewall),
					   cmocka_unit_test(audit_and_fanotify)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

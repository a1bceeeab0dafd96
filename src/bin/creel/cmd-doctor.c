#include "accel.h"
#include "base/cleanup.h"
#include "cmds.h"
#include "where.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * What this host can do: a row a check, each with what to do about a "no". Nothing is changed.
 */
enum verdict { YES, NO, MAYBE };

struct finding {
	enum verdict verdict;
	char detail[200];
	const char *advice; /* shown unless the verdict is yes */
};

static void say(struct finding *f, enum verdict v, const char *advice, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void say(struct finding *f, enum verdict v, const char *advice, const char *fmt, ...)
{
	va_list ap;

	f->verdict = v;
	f->advice = advice;
	va_start(ap, fmt);
	(void)vsnprintf(f->detail, sizeof(f->detail), fmt, ap);
	va_end(ap);
}

static void check_kvm(struct finding *f)
{
	autofd int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	bool known, kvm;
	char why[160];

	accel_known(&known, &kvm, why, sizeof(why));

	if (fd < 0)
		say(f, NO, "guests run under emulation (TCG): slower, and as separate; for KVM, load kvm_intel "
			   "or kvm_amd and join the group kvm",
		    "/dev/kvm: %s", strerror(errno));
	else if (!known)
		say(f, MAYBE, "the first `creel up` boots a guest under it, as some hosts have a /dev/kvm under "
			      "which guests hang",
		    "/dev/kvm opens; that it runs guests is not proved yet");
	else if (kvm)
		say(f, YES, NULL, "%s", why);
	else
		say(f, NO, "guests run under emulation (TCG): slower, and as separate; to have it tried again, "
			   "remove `accelerator` from the cache folder",
		    "%s", why);
}

static void check_tun(struct finding *f)
{
	autofd int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		say(f, NO, "load the module tun, and let this user read and write /dev/net/tun",
		    "/dev/net/tun: %s", strerror(errno));
	else
		say(f, YES, NULL, "/dev/net/tun opens");
}

static void check_userns(struct finding *f)
{
	int ws = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ? errno : 0);
	if (pid < 0 || waitpid(pid, &ws, 0) < 0 || !WIFEXITED(ws))
		say(f, NO, "try again", "the test process did not run");
	else if (WEXITSTATUS(ws) != 0)
		say(f, NO, "needed without root: sysctl kernel.unprivileged_userns_clone=1; on Ubuntu also "
			   "kernel.apparmor_restrict_unprivileged_userns=0 or a profile",
		    "user and network namespaces: %s", strerror(WEXITSTATUS(ws)));
	else
		say(f, YES, NULL, "a user and network namespace can be made");
}

static void check_subuid(struct finding *f)
{
	struct stat st;

	if (stat("/etc/subuid", &st) < 0 || st.st_size == 0)
		say(f, NO, "only without root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
		    "/etc/subuid is empty");
	else
		say(f, YES, NULL, "/etc/subuid has ranges");
}

static void check_cgroup(struct finding *f)
{
	struct stat st;

	if (stat("/sys/fs/cgroup/cgroup.controllers", &st) == 0)
		say(f, YES, NULL, "cgroup v2");
	else if (stat("/sys/fs/cgroup/memory", &st) == 0 && stat("/sys/fs/cgroup/pids", &st) == 0)
		say(f, YES, NULL, "cgroup v1 with memory and pids");
	else
		say(f, NO, "mount cgroup2 at /sys/fs/cgroup; without it a cell's memory and processes are not "
			   "limited on the host's side",
		    "no cgroup hierarchy with memory and pids");
}

static void check_disk(struct finding *f)
{
	struct creel_err err = {0};
	struct statvfs st;
	char cache[512];

	if (where_cache(cache, sizeof(cache), &err) < 0) {
		say(f, NO, "set CREEL_CACHE_DIR", "%s", err.msg);
		return;
	}
	/* the nearest folder that is there */
	while (statvfs(cache, &st) < 0 && strrchr(cache, '/') != cache)
		*strrchr(cache, '/') = '\0';
	unsigned long long mib = (unsigned long long)st.f_bavail * st.f_frsize >> 20;
	say(f, mib >= 4096 ? YES : NO, "an image and the work of building it take up to 4 GiB: make room, or "
				       "set CREEL_CACHE_DIR",
	    "%llu MiB free in %s", mib, cache);
}

static bool in_path(const char *name)
{
	static const char *const dirs[] = {"/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"};
	char path[128];

	for (size_t i = 0; i < ELEMENTSOF(dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dirs[i], name);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static void check_tools(struct finding *f)
{
	static const char *const tools[] = {"qemu-system-x86_64", "mmdebstrap", "mkfs.erofs"};
	char missing[120] = "";

	for (size_t i = 0; i < ELEMENTSOF(tools); i++)
		if (!in_path(tools[i])) {
			size_t n = strlen(missing);
			(void)snprintf(missing + n, sizeof(missing) - n, " %s", tools[i]);
		}
	if (missing[0])
		say(f, NO, "apt-get install qemu-system-x86 mmdebstrap erofs-utils", "missing:%s", missing);
	else
		say(f, YES, NULL, "qemu-system-x86_64, mmdebstrap and mkfs.erofs are there");
}

static void check_root(struct finding *f)
{
	if (geteuid() == 0)
		say(f, YES, NULL, "running as root");
	else
		say(f, MAYBE, "building an image and the jail need root for now",
		    "running as uid %u", (unsigned)geteuid());
}

static const struct {
	const char *name;
	bool required; /* a "no" makes the exit status 3 */
	void (*check)(struct finding *f);
} checks[] = {
	{"kvm", false, check_kvm},	 {"tun", false, check_tun},	{"user-namespaces", false, check_userns},
	{"subuid", false, check_subuid}, {"cgroups", false, check_cgroup}, {"disk", true, check_disk},
	{"tools", true, check_tools},	 {"root", true, check_root},
};

int cmd_doctor(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static const char *const words[] = {"yes", "no", "maybe"};
	bool bad = false;

	if (argc > 1)
		return creel_err_set(err, CREEL_E_USAGE, 0, "doctor takes no argument");
	for (size_t i = 0; i < ELEMENTSOF(checks); i++) {
		struct finding f = {0};
		checks[i].check(&f);
		bad = bad || (checks[i].required && f.verdict == NO);
		if (cli->json) { /* our own words, without quotes in them */
			printf("{\"check\":\"%s\",\"verdict\":\"%s\",\"detail\":\"%s\"", checks[i].name,
			       words[f.verdict], f.detail);
			if (f.verdict != YES)
				printf(",\"advice\":\"%s\"", f.advice);
			puts("}");
			continue;
		}
		printf("%-16s %-6s %s\n", checks[i].name, words[f.verdict], f.detail);
		if (f.verdict != YES)
			printf("%-16s        -> %s\n", "", f.advice);
	}
	return bad ? 3 : 0;
}

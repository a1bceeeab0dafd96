#include "accel.h"
#include "base/cleanup.h"
#include "doctor.h"
#include "load.h"
#include "where.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

static int opens(const char *path)
{
	autofd int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

/* One question over netlink. @return 0 and the answer's octets after its header, or an errno */
static int netlink_ask(int protocol, uint16_t type, const void *body, size_t len, void *ret, size_t size)
{
	static const struct timeval patience = {.tv_sec = 2};
	struct {
		struct nlmsghdr h;
		char data[256];
	} m = {.h = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(len),
		     .nlmsg_type = type,
		     .nlmsg_flags = NLM_F_REQUEST}};

	autofd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		return errno;
	memcpy(m.data, body, len);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    send(fd, &m, m.h.nlmsg_len, 0) < 0)
		return errno;
	ssize_t n = recv(fd, &m, sizeof(m), 0);
	if (n < (ssize_t)sizeof(m.h))
		return n < 0 ? errno : EPROTO;
	if (m.h.nlmsg_type == NLMSG_ERROR) {
		int code = 0;
		memcpy(&code, m.data, sizeof(code));
		return code < 0 ? -code : EPROTO;
	}
	memcpy(ret, m.data, MIN((size_t)n - sizeof(m.h), size));
	return 0;
}

/* The kernel asks for CAP_NET_ADMIN, which is had in a namespace of one's own. */
static int nft_ask(void)
{
	const struct nfgenmsg body = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};
	char answer[64];

	return netlink_ask(NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, &body, sizeof(body),
			   answer, sizeof(answer));
}

/* Exit status of a child that did it, as an errno; 255: it did not run */
static int in_child(int (*what)(void))
{
	pid_t pid = fork();
	int ws = 0;

	if (pid == 0)
		_exit(what() & 0xff);
	if (pid < 0 || waitpid(pid, &ws, 0) < 0 || !WIFEXITED(ws))
		return EAGAIN;
	return WEXITSTATUS(ws);
}

static int userns_make(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ? errno : 0;
}

static int nft_in_userns(void)
{
	int e = geteuid() == 0 ? (unshare(CLONE_NEWNET) < 0 ? errno : 0) : userns_make();

	return e ? e : nft_ask();
}

static void audit_ask(struct doctor_live *v)
{
	struct audit_status s = {0};

	v->audit = netlink_ask(NETLINK_AUDIT, AUDIT_GET, "", 0, &s, sizeof(s));
	v->audit_on = v->audit == 0 && s.enabled != 0;
	v->audit_locked = v->audit == 0 && s.enabled == 2;
	autofd int fan = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY);
	v->fanotify = fan < 0 ? errno : 0;
}

static void disk_look(struct doctor_live *v)
{
	struct creel_err err = {0};
	struct statvfs st = {0};
	char dir[512];

	if (where_cache(v->cache, sizeof(v->cache), &err) < 0) {
		v->cache[0] = '\0';
		return;
	}
	memcpy(dir, v->cache, sizeof(dir));
	/* the nearest folder that is there */
	while (statvfs(dir, &st) < 0 && strrchr(dir, '/') != dir)
		*strrchr(dir, '/') = '\0';
	v->disk_mib = (unsigned long long)st.f_bavail * st.f_frsize >> 20;
}

/* What a program prints, up to @p size. @param both  what it says on standard error too */
static size_t output_of(char *const argv[], bool both, char *ret, size_t size)
{
	char *const env[] = {(char[]){"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, (char[]){"LC_ALL=C"}, NULL};
	posix_spawn_file_actions_t fa;
	size_t len = 0;
	int out[2];
	pid_t pid;

	ret[0] = '\0';
	if (pipe2(out, O_CLOEXEC) < 0)
		return 0;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	if (both)
		posix_spawn_file_actions_adddup2(&fa, out[1], 2);
	else
		posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	int e = posix_spawn(&pid, argv[0], &fa, NULL, argv, env);
	posix_spawn_file_actions_destroy(&fa);
	close(out[1]);
	struct pollfd p = {.fd = out[0], .events = POLLIN};
	while (e == 0 && len + 1 < size && poll(&p, 1, 5000) > 0) {
		ssize_t n = read(out[0], ret + len, size - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(out[0]); /* who writes on is ended by SIGPIPE, who is silent by us */
	if (e == 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	ret[len] = '\0';
	return len;
}

/* "QEMU emulator version 7.2.22 (Debian ...)": the first word that begins with a digit */
static void version_read(const char *path, const char *option, char *ret, size_t size)
{
	char *const argv[] = {(char *)(uintptr_t)path, (char *)(uintptr_t)option, NULL};
	char text[8192];

	(void)output_of(argv, true, text, sizeof(text));
	for (char *save = NULL, *w = strtok_r(text, " \n\tv(", &save); w;
	     w = strtok_r(NULL, " \n\tv(", &save))
		if (w[0] >= '0' && w[0] <= '9' && strchr(w, '.')) {
			w[strspn(w, "0123456789.")] = '\0';
			(void)snprintf(ret, size, "%.40s", w);
			return;
		}
}

/* A guest is booted under KVM if one can be: the base image is there, and nobody did it before. */
static void kvm_try(struct doctor_live *v)
{
	struct load_recipe autoclean(load_recipe_fini) recipe = {.dirfd = -1};
	struct creel_image image = {0};
	struct creel_err err = {0};
	bool runs;

	accel_known(&v->kvm_known, &v->kvm_runs, v->kvm_why, sizeof(v->kvm_why));
	if (v->kvm != 0 || v->kvm_known || load_recipe("base", -1, &recipe, &err) < 0 ||
	    load_image_look(&recipe, -1, &image, &v->image, &err) < 0)
		return;
	if (v->image && accel_kvm(&image, &runs, &err) == 0)
		accel_known(&v->kvm_known, &v->kvm_runs, v->kvm_why, sizeof(v->kvm_why));
}

static void wall_look(struct doctor_wall *ret)
{
	enum { MOST = 32 << 20 }; /* of a host with many containers */
	char path[512], tables[64] = "";

	if (!doctor_tool_find("", &doctor_tools[DOCTOR_TOOL_NFT], path, sizeof(path)) || geteuid() != 0)
		return;
	char *const argv[] = {path, (char[]){"-j"}, (char[]){"list"}, (char[]){"ruleset"}, NULL};
	autofree char *text = malloc(MOST);
	if (text)
		(void)doctor_wall_read(text, output_of(argv, false, text, MOST), ret);
	autofile FILE *f = fopen("/proc/net/ip_tables_names", "re");
	while (f && fgets(tables, sizeof(tables), f))
		ret->legacy |= strcmp(tables, "filter\n") == 0;
}

void doctor_try(struct doctor_live *ret)
{
	struct passwd *pw = getpwuid(geteuid());
	char path[512];

	*ret = (struct doctor_live){.uid = geteuid()};
	if (pw)
		(void)snprintf(ret->user, sizeof(ret->user), "%s", pw->pw_name);
	else
		(void)snprintf(ret->user, sizeof(ret->user), "uid %u", (unsigned)ret->uid);
	ret->kvm = opens("/dev/kvm");
	ret->tun = opens("/dev/net/tun");
	ret->userns = in_child(userns_make);
	ret->nft = in_child(nft_in_userns);
	wall_look(&ret->wall);
	audit_ask(ret);
	disk_look(ret);
	kvm_try(ret);
	for (size_t i = 0; i < DOCTOR_TOOLS; i++) {
		if (!doctor_tool_find("", &doctor_tools[i], path, sizeof(path)))
			continue;
		version_read(path, "--version", ret->versions[i], sizeof(ret->versions[i]));
		if (!ret->versions[i][0])
			version_read(path, "-V", ret->versions[i], sizeof(ret->versions[i]));
	}
}

static bool modprobe(const char *module)
{
	char *const argv[] = {(char[]){"modprobe"}, (char[]){"-q"}, (char *)(uintptr_t)module, NULL};
	char *const env[] = {(char[]){"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, NULL};
	pid_t pid;
	int ws = 0;

	return posix_spawn(&pid, "/sbin/modprobe", NULL, NULL, argv, env) == 0 &&
	       waitpid(pid, &ws, 0) == pid && WIFEXITED(ws) && WEXITSTATUS(ws) == 0;
}

bool doctor_fix(const struct doctor_finding *f, const struct doctor_live *v, char *ret, size_t size)
{
	static const struct {
		const char *check, *modules[2];
	} loads[] = {{"kvm", {"kvm_intel", "kvm_amd"}},
		     {"tun", {"tun", NULL}},
		     {"nf_tables", {"nf_tables", NULL}}};
	char path[600];

	if (strcmp(f->check, "disk") == 0 && v->cache[0] && mkdir(v->cache, 0755) == 0) {
		(void)snprintf(ret, size, "made the folder %.200s", v->cache);
		return true;
	}
	if (strcmp(f->check, "kvm") == 0 && v->kvm == 0 && v->kvm_known) {
		(void)snprintf(path, sizeof(path), "%s/accelerator", v->cache);
		if (unlink(path) == 0) {
			(void)snprintf(ret, size, "forgot the earlier answer, so that it is tried again");
			return true;
		}
	}
	for (size_t i = 0; v->uid == 0 && i < ELEMENTSOF(loads); i++)
		for (size_t k = 0; k < 2 && strcmp(f->check, loads[i].check) == 0 && loads[i].modules[k];
		     k++) {
			if (strcmp(f->check, "kvm") == 0 && v->kvm == 0)
				continue; /* it is loaded: it only runs no guest */
			if (modprobe(loads[i].modules[k])) {
				(void)snprintf(ret, size, "loaded the module %s", loads[i].modules[k]);
				return true;
			}
		}
	return false;
}

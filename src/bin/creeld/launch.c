#include "base/log.h"
#include "linux/cgroup.h"
#include "linux/proc.h"
#include "linux/unixsock.h"
#include "monitor.h"
#include "vmm/vmm.h"
#include "wire/cpio.h"
#include "words.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/*
 * A cell as processes: the machine and its creel-cell, each in a jail of its own with exactly the
 * descriptors made here. Whatever fails, nothing of it stays.
 */
uid_t launch_uid(const struct mon_cell *c, enum mon_role role)
{
	return monitor_uid((unsigned)(MON_UID_CELLS + (size_t)(c - mon.cells) * MON_UID_STEP + role));
}

struct six_text {
	char address[INET6_ADDRSTRLEN], gateway[INET6_ADDRSTRLEN], mac[18];
};

static void six_boot(const struct mon_cell *c, struct creel_boot *boot, struct six_text *t)
{
	const struct creel_link link = net_link(c);
	const uint8_t *m = link.gateway_mac;

	if (!link.six)
		return;
	boot->address6 = inet_ntop(AF_INET6, &link.addr6, t->address, sizeof(t->address));
	boot->gateway6 = inet_ntop(AF_INET6, &link.gateway6, t->gateway, sizeof(t->gateway));
	(void)snprintf(t->mac, sizeof(t->mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
		       m[5]);
	boot->gateway_mac = t->mac;
}

/* The image's initramfs, and behind it a second archive with this start's configuration. */
static int initrd_write(const struct mon_cell *c, int dirfd, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) cfg, autoclean(creel_buf_fini) tail;
	struct creel_buf autoclean(creel_buf_fini) ca;
	autofree struct creel_boot *boot = calloc(1, sizeof(*boot));
	struct creel_cpio cpio;
	struct six_text six;
	struct timespec now;
	struct stat st;
	char path[600];

	creel_buf_init(&cfg, CREEL_BOOT_MAX);
	creel_buf_init(&ca, 16384);
	creel_buf_init(&tail, CREEL_BOOT_MAX + 65536);
	if (!boot)
		return creel_err_nomem(err);
	int r = creel_boot_decode(c->boot.data, c->boot.len, boot, err);
	if (r < 0)
		return r;
	clock_gettime(CLOCK_REALTIME, &now);
	boot->cell = c->name;
	boot->time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	boot->secrets = creel_plan_shares(&c->plan);
	if (c->plan.net.link) {
		boot->address = c->plan.net.address;
		boot->gateway = c->plan.net.gateway;
		six_boot(c, boot, &six);
	}
	if ((r = creel_boot_encode(boot, &cfg, err)) < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/initramfs.cpio", c->plan.image_dir);
	autofd int in = open(path, O_RDONLY | O_CLOEXEC);
	autofd int out = openat(dirfd, "initrd", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
	if (in < 0 || fstat(in, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	if (out < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make the initramfs of this start");
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(out, in, NULL, (size_t)left);
		if (n <= 0)
			return creel_err_set(err, CREEL_E_OS, n < 0 ? errno : EIO, "copy %s", path);
		left -= n;
	}
	r = creel_buf_add(&tail, "\0\0\0", (4 - (size_t)st.st_size % 4) % 4, err);
	creel_cpio_begin(&cpio, &tail);
	if (r == 0)
		r = creel_cpio_add(&cpio, "creel", S_IFDIR | 0755, NULL, 0, err);
	if (r == 0)
		r = creel_cpio_add(&cpio, "creel/boot.cfg", S_IFREG | 0600, cfg.data, cfg.len, err);
	if (r == 0)
		r = broker_ca(c->name, &ca, err);
	if (r == 0 && ca.len > 0)
		r = creel_cpio_add(&cpio, "creel/ca.pem", S_IFREG | 0444, ca.data, ca.len, err);
	if (r == 0)
		r = creel_cpio_end(&cpio, err);
	if (r == 0 && write(out, tail.data, tail.len) != (ssize_t)tail.len)
		r = creel_err_set(err, CREEL_E_OS, errno, "write the initramfs of this start");
	return r;
}

/* Made from the declared size and grown to it; never shrunk, never looked into. */
static int volume_open(const struct mon_cell *c, size_t i, struct creel_err *err)
{
	char name[80];
	struct stat st;

	(void)snprintf(name, sizeof(name), "volumes/%s", c->name);
	if (mkdirat(mon.state_fd, name, 0700) < 0 && errno != EEXIST)
		return creel_err_set(err, CREEL_E_OS, errno, "make folder %s", name);
	(void)snprintf(name, sizeof(name), "volumes/%s/%s.img", c->name, c->plan.volumes[i].name);
	autofd int fd = openat(mon.state_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", name);
	if (!S_ISREG(st.st_mode))
		return creel_err_set(err, CREEL_E_INVALID, 0, "%s is no file", name);
	if ((uint64_t)st.st_size < c->plan.volumes[i].octets &&
	    ftruncate(fd, (off_t)c->plan.volumes[i].octets) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "grow %s", name);
	return steal_fd(&fd);
}

/* One group a cell, named after the state folder too: two of them may have cells of one name. */
static void group_name(const char *cell, char ret[80])
{
	uint8_t hash[16];
	char hex[33];

	crypto_generichash(hash, sizeof(hash), (const uint8_t *)mon.state, strlen(mon.state), NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	(void)snprintf(ret, 80, "creel-%.12s-%s", hex, cell);
}

/* The guest's memory is the machine's, and what the machine and its helpers need comes on top. */
static void group_make(struct mon_cell *c)
{
	const struct creel_cgroup_limits limits = {.memory = ((uint64_t)c->plan.memory_mib + 384) << 20,
						   .pids = 128 + 4 * c->plan.cpus};
	struct creel_err err = {0};
	char name[80];

	group_name(c->name, name);
	c->grouped = false;
	if (mon.rootless)
		return; /* control groups are root's; creeld.start says that the limits are the process's own */
	c->grouped = creel_cgroup_make(name, &limits, &err) == 0;
	if (!c->grouped) {
		creel_log_warn("cell %s: limits of memory and processes on the machine alone: %s", c->name,
			       err.msg);
		(void)creel_cgroup_remove(name, &err);
	}
}

/* In place of the control group, by setrlimit(2): what the machine maps beside its guest's memory is not
 * all used, so the bound is wide; it stops one that runs away, not one that takes a little more. */
static void limit_words(const struct mon_cell *c, struct words *w)
{
	word(w, "--memory");
	wordf(w, "%u", c->plan.memory_mib + 4096);
	word(w, "--processes");
	wordf(w, "%u", 128 + 4 * c->plan.cpus);
}

static int spawn(struct mon_cell *c, enum mon_role role, const struct words *w, int log, const int *fds,
		 size_t n_fds, struct creel_err *err)
{
	struct mon_proc *p = &c->procs[role];
	int r = words_ok(w, err);

	if (r < 0)
		return r;
	pid_t pid = creel_proc_spawn(w->v, log, fds, n_fds, CREEL_PROC_PIDNS, &p->pidfd, err);
	if (pid < 0)
		return (int)pid;
	p->pid = pid;
	char group[80];
	group_name(c->name, group);
	if (c->grouped && (r = creel_cgroup_add(group, pid, err)) < 0)
		return r;
	if ((r = creel_proc_start(pid, &p->start, err)) < 0)
		return r;
	return launch_watch(c, role, err);
}

static int cell_spawn(struct mon_cell *c, int dirfd, int log, int chan, int qmp, int console, int words,
		      struct creel_err *err)
{
	struct words w = {.n = 0};
	char path[64] = "engine.sock";

	autofd int listener = creel_unix_listen(dirfd, path, SOCK_SEQPACKET, 0600, err);
	if (listener < 0)
		return listener;
	int fds[] = {chan, qmp, listener, console, words};
	jail_words(&w, launch_uid(c, ROLE_CELL), 2 + (int)ELEMENTSOF(fds), false);
	word(&w, "--files");
	word(&w, "2400");
	word(&w, "--bind-exec");
	wordf(&w, "%s:/creel-cell", mon.cell_path);
	word(&w, "--");
	word(&w, "/creel-cell");
	word(&w, mon.vmm->name);
	return spawn(c, ROLE_CELL, &w, log, fds, ELEMENTSOF(fds), err);
}

/*
 * The server of the secrets' share. It is given a socket that listens, to which the machine's end is
 * connected already, and of the host sees the staged folder alone, read-only.
 */
static int share_spawn(struct mon_cell *c, int dirfd, int log, int *ret_machine_fd, struct creel_err *err)
{
	static const char *const servers[] = {"/usr/lib/qemu/virtiofsd"};
	struct words w = {.n = 0};
	const char *server = NULL;

	for (size_t i = 0; i < ELEMENTSOF(servers); i++)
		if (access(servers[i], X_OK) == 0)
			server = servers[i];
	if (!server)
		return creel_err_set(err, CREEL_E_NOTFOUND, 0,
				     "virtiofsd is missing; try: apt install qemu-system-common");
	int r = stage_secrets(c, err);
	if (r < 0)
		return r;
	audit_cell(c);
	autofd int listener = creel_unix_listen(dirfd, "share.sock", SOCK_STREAM, 0600, err);
	if (listener < 0)
		return listener;
	(void)fcntl(listener, F_SETFL, 0);
	autofd int machine = creel_unix_connect(dirfd, "share.sock", SOCK_STREAM, err);
	if (machine < 0)
		return machine;
	jail_words(&w, launch_uid(c, ROLE_SHARE), 3, true);
	word(&w, "--share");
	word(&w, "--bind-exec");
	wordf(&w, "%s:/virtiofsd", server);
	word(&w, "--bind");
	wordf(&w, "%s/run/cells/%s/secrets:/share", mon.state, c->name);
	static const char *const args[] = {
		"--", "/virtiofsd", "--fd=3", "-f", "-o", "source=/share", "-o", "sandbox=chroot", "-o",
		"cache=none", "-o",
		/* all that it would keep: it needs none to read */
		"modcaps=-chown:-dac_override:-fowner:-fsetid:-setgid:-setuid:-mknod:-setfcap", "-o",
		"log_level=warn", "--rlimit-nofile=0"};
	for (size_t i = 0; i < ELEMENTSOF(args); i++)
		word(&w, args[i]);
	if ((r = spawn(c, ROLE_SHARE, &w, log, &listener, 1, err)) < 0)
		return r;
	*ret_machine_fd = steal_fd(&machine);
	return 0;
}

struct machine {
	int chan, qmp, console, share, tap, log;
	uint8_t mac[6];
	int fds[6 + CREEL_VMM_DISKS];
	size_t n_fds;
};

static int machine_fd(struct machine *m, int fd)
{
	m->fds[m->n_fds++] = fd;
	return (int)m->n_fds + 2;
}

static int machine_spawn(struct mon_cell *c, struct machine *m, const int *disks, struct creel_err *err)
{
	struct creel_vmm_argv autoclean(creel_vmm_argv_fini) argv;
	struct words w = {.n = 0};
	char serials[CREEL_PLAN_VOLUMES][21];

	struct creel_vmm_spec spec = {
		.name = c->name,
		.cpus = c->plan.cpus,
		.memory_mib = c->plan.memory_mib,
		.accel = c->plan.kvm ? CREEL_ACCEL_KVM : CREEL_ACCEL_TCG,
		.tsc_khz = creel_vmm_tsc_khz(),
		.kernel = "/kernel",
		.initrd = "/initrd",
		.control_fd = machine_fd(m, m->chan),
		.qmp_fd = machine_fd(m, m->qmp),
		.console_fd = machine_fd(m, m->console),
		.virtiofs_fd = m->share >= 0 ? machine_fd(m, m->share) : -1,
		.tap_fd = m->tap >= 0 ? machine_fd(m, m->tap) : -1,
		.n_disks = 1 + c->plan.n_volumes,
		.disks = {{.fd = machine_fd(m, disks[0]), .serial = "root", .read_only = true}},
	};
	for (size_t i = 0; i < c->plan.n_volumes; i++) {
		(void)snprintf(serials[i], sizeof(serials[i]), "v-%s", c->plan.volumes[i].name);
		spec.disks[i + 1].fd = machine_fd(m, disks[i + 1]);
		spec.disks[i + 1].serial = serials[i];
	}
	memcpy(spec.mac, m->mac, sizeof(spec.mac));
	creel_vmm_argv_init(&argv);
	int r = mon.vmm->argv(&spec, &argv, err);
	if (r < 0)
		return r;
	jail_words(&w, launch_uid(c, ROLE_VMM), (int)m->n_fds + 2, true);
	if (c->plan.kvm)
		kvm_words(&w);
	if (!c->grouped)
		limit_words(c, &w);
	qemu_words(&w, mon.vmm_path);
	word(&w, "--bind");
	wordf(&w, "%s/vmlinuz:/kernel", c->plan.image_dir);
	word(&w, "--bind");
	wordf(&w, "%s/run/cells/%s/initrd:/initrd", mon.state, c->name);
	word(&w, "--");
	word(&w, mon.vmm_path);
	for (size_t i = 1; i < argv.n; i++)
		word(&w, argv.words[i]);
	return spawn(c, ROLE_VMM, &w, m->log, m->fds, m->n_fds, err);
}

static int launch_in(struct mon_cell *c, int dirfd, struct creel_err *err)
{
	int chan[2] = {-1, -1}, qmp[2] = {-1, -1}, console[2] = {-1, -1}, words[2] = {-1, -1};
	int disks[1 + CREEL_PLAN_VOLUMES];
	char path[600];
	size_t n = 0;
	int r = 0;

	/* what its programs say on the host, as creel-cell passes it on; kept until the next start */
	(void)snprintf(path, sizeof(path), "log/%s", c->name);
	autofd int log = openat(mon.state_fd, path,
				O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (log < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make the cell's %s", path);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, chan) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qmp) < 0 ||
	    /* a console that nobody reads must not stop the machine: what does not fit is dropped */
	    pipe2(console, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "make the cell's sockets");
	(void)snprintf(path, sizeof(path), "%s/root.erofs", c->plan.image_dir);
	if (r == 0 && (disks[n] = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	else if (r == 0)
		n++;
	for (size_t i = 0; r == 0 && i < c->plan.n_volumes; i++)
		if ((r = disks[n] = volume_open(c, i, err)) >= 0) {
			n++;
			r = 0;
		}
	struct machine m = {.chan = chan[1],
			    .qmp = qmp[1],
			    .console = console[1],
			    .share = -1,
			    .tap = -1,
			    .log = words[1]};
	if (r == 0 && creel_plan_shares(&c->plan))
		r = share_spawn(c, dirfd, words[1], &m.share, err);
	if (r == 0 && c->plan.net.link)
		r = net_cell_up(c, &m.tap, m.mac, err);
	if (r == 0)
		r = broker_stage(c, err);
	if (r == 0)
		r = initrd_write(c, dirfd, err);
	if (r == 0)
		r = cell_spawn(c, dirfd, log, chan[0], qmp[0], console[0], words[0], err);
	if (r == 0)
		r = machine_spawn(c, &m, disks, err);
	if (m.share >= 0)
		close(m.share);
	if (m.tap >= 0)
		close(m.tap); /* it goes with the machine */
	for (size_t i = 0; i < n; i++)
		close(disks[i]);
	for (size_t i = 0; i < 2; i++) {
		if (chan[i] >= 0)
			close(chan[i]);
		if (qmp[i] >= 0)
			close(qmp[i]);
		if (console[i] >= 0)
			close(console[i]);
		if (words[i] >= 0)
			close(words[i]);
	}
	return r;
}

int launch_cell(struct mon_cell *c, int *ret_engine_fd, struct creel_err *err)
{
	struct timespec now;
	int fd = -1;

	for (size_t i = 0; i < ROLE_COUNT; i++)
		c->procs[i] = (struct mon_proc){.pidfd = -1};
	c->status = -1;
	c->dns = (struct mon_dns){.pins = -1};
	c->flow = (struct mon_flow){.pins = -1};
	c->broker = (struct mon_broker){.keeper = -1, .front = -1};
	c->ran = c->plan;
	launch_clean(c->name);
	group_make(c);
	if (mkdirat(mon.cells_fd, c->name, 0700) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make the cell's run folder");
	autofd int dirfd = openat(mon.cells_fd, c->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dirfd < 0 ? creel_err_set(err, CREEL_E_OS, errno, "open the cell's run folder") : 0;
	clock_gettime(CLOCK_REALTIME, &now);
	c->started_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	if (r == 0)
		r = launch_in(c, dirfd, err);
	if (r == 0)
		r = adopt_save(c, dirfd, err);
	if (r == 0 && (r = fd = creel_unix_connect(dirfd, "engine.sock", SOCK_SEQPACKET, err)) >= 0)
		r = 0;
	if (r < 0) {
		launch_kill(c);
		net_cell_down(c);
		audit_cell_gone(c);
		launch_clean(c->name);
		return creel_err_add(err, "start cell '%s'", c->name);
	}
	c->running = true;
	*ret_engine_fd = fd;
	return 0;
}

static void proc_gone(evutil_socket_t fd, short what, void *ctx)
{
	struct mon_cell *c = ctx;
	siginfo_t info = {0};

	/* creel-cell ends when its machine closes the control socket: the machine itself is just behind */
	if (c->procs[ROLE_CELL].pidfd == fd && c->procs[ROLE_VMM].pidfd >= 0) {
		struct pollfd p = {.fd = c->procs[ROLE_VMM].pidfd, .events = POLLIN};
		(void)poll(&p, 1, 500);
		fd = p.fd;
	}
	/* and creel-cell has the machine's last words still to pass on before it ends */
	else if (c->procs[ROLE_VMM].pidfd == fd && c->procs[ROLE_CELL].pidfd >= 0) {
		struct pollfd p = {.fd = c->procs[ROLE_CELL].pidfd, .events = POLLIN};
		(void)poll(&p, 1, 500);
	}
	/* an adopted machine is not our child: how it ended is not known; one that lives on gets killed */
	if (c->procs[ROLE_VMM].pidfd == fd &&
	    waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid != 0)
		c->status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
	/* without its machine or its channel a cell is no cell */
	if (c->running)
		monitor_cell_gone(c);
}

int launch_watch(struct mon_cell *c, enum mon_role role, struct creel_err *err)
{
	struct mon_proc *p = &c->procs[role];

	p->gone = event_new(mon.base, p->pidfd, EV_READ, proc_gone, c);
	if (!p->gone || event_add(p->gone, NULL) < 0)
		return creel_err_nomem(err);
	return 0;
}

bool launch_oom(const struct mon_cell *c)
{
	char group[80];

	group_name(c->name, group);
	return c->grouped && creel_cgroup_oom(group);
}

void launch_kill(struct mon_cell *c)
{
	struct creel_err err = {0};

	for (size_t i = 0; i < ROLE_COUNT; i++) {
		struct mon_proc *p = &c->procs[i];
		if (p->gone)
			event_free(p->gone);
		if (p->pidfd >= 0) {
			siginfo_t info = {0};
			if (creel_proc_kill(p->pidfd, SIGKILL, &err) < 0)
				creel_log_error(&err);
			/* killed for certain, and a zombie must not stay; an adopted one is init's child */
			if (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED) == 0 && i == ROLE_VMM &&
			    c->status < 0)
				c->status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
			close(p->pidfd);
		}
		*p = (struct mon_proc){.pidfd = -1};
	}
}

void launch_clean(const char *name)
{
	static const char *const files[] = {"initrd",    "engine.sock", "share.sock", "procs",
					    "procs.new", "plan",        "boot",       "policy"};
	autofd int dirfd = openat(mon.cells_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	struct creel_err err = {0};
	char group[80];
	group_name(name, group);
	if (!mon.rootless && creel_cgroup_remove(group, &err) < 0)
		creel_log_error(&err);
	if (dirfd >= 0) {
		stage_drop(name);
		broker_drop(name);
	}
	for (size_t i = 0; dirfd >= 0 && i < ELEMENTSOF(files); i++)
		(void)unlinkat(dirfd, files[i], 0);
	if (dirfd >= 0 && unlinkat(mon.cells_fd, name, AT_REMOVEDIR) < 0)
		creel_log_warn("run/cells/%s: %s", name, strerror(errno));
}

int launch_engine(struct creel_err *err)
{
	struct words w = {.n = 0};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make the engine's socket");
	autofd int theirs = pair[1];
	mon.engine = pair[0];
	int fds[] = {theirs, mon.api_listener, mon.record_fd};
	jail_words(&w, monitor_uid(MON_UID_ENGINE), 2 + (int)ELEMENTSOF(fds), false);
	word(&w, "--files");
	word(&w, "8192");
	word(&w, "--bind-exec");
	wordf(&w, "%s:/creeld", mon.engine_path);
	word(&w, "--");
	word(&w, "/creeld");
	word(&w, "--engine");
	word(&w, audit_way_name());
	word(&w, audit_why());
	if (mon.rootless)
		wordf(&w, "%u", (unsigned)mon.owner);
	int r = words_ok(&w, err);
	pid_t pid = r < 0 ? r
			  : creel_proc_spawn(w.v, STDERR_FILENO, fds, ELEMENTSOF(fds), CREEL_PROC_PIDNS,
					     &mon.engine_proc.pidfd, err);
	if (pid < 0) {
		close(mon.engine);
		mon.engine = -1;
		return creel_err_add(err, "start the engine");
	}
	mon.engine_proc.pid = pid;
	return 0;
}

struct port {
	const char *address;
	uint16_t number;
};

static int port_open(void *ctx, struct creel_err *err)
{
	static const int on = 1;
	const struct port *p = ctx;
	union {
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} at = {.v4 = {0}};
	bool six = strchr(p->address, ':');

	if (six) {
		at.v6.sin6_family = AF_INET6;
		at.v6.sin6_port = htons(p->number);
		(void)inet_pton(AF_INET6, p->address, &at.v6.sin6_addr);
	} else {
		at.v4.sin_family = AF_INET;
		at.v4.sin_port = htons(p->number);
		(void)inet_pton(AF_INET, p->address, &at.v4.sin_addr);
	}
	autofd int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&at, six ? sizeof(at.v6) : sizeof(at.v4)) < 0 || listen(fd, 64) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "publish %s port %u", p->address, p->number);
	return steal_fd(&fd);
}

int launch_port(const struct creel_plan *plan, size_t i, struct creel_err *err)
{
	struct port p = {plan->ports[i].address, plan->ports[i].host};

	return outside_do(port_open, &p, err);
}

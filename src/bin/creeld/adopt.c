#include "base/log.h"
#include "linux/proc.h"
#include "monitor.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/*
 * What a cell's run folder says about its processes: `procs`, a line "ROLE PID START" each and the
 * time of the start, and `plan` and `boot`, what it was started with. Only the monitor writes there.
 */
static const char *const roles[ROLE_COUNT] = {"vmm",  "cell",     "share",  "dns",
					      "flow", "flow-old", "broker", "broker-front"};

static int file_write(int dirfd, const char *name, const void *data, size_t len, struct creel_err *err)
{
	autofd int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		return creel_err_set(err, CREEL_E_OS, errno, "write %s", name);
	return 0;
}

int adopt_save(const struct mon_cell *c, int dirfd, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;

	creel_buf_init(&text, 4096);
	int r = creel_buf_addf(&text, err, "started %llu\ngrouped %d 0\nslot %d 0\n",
			       (unsigned long long)c->started_ns, c->grouped, (int)(c - mon.cells));
	for (size_t i = 0; r == 0 && i < ROLE_COUNT; i++)
		if (c->procs[i].pidfd >= 0)
			r = creel_buf_addf(&text, err, "%s %d %llu\n", roles[i], (int)c->procs[i].pid,
					   (unsigned long long)c->procs[i].start);
	if (r == 0)
		r = file_write(dirfd, "plan", c->plan_text.data, c->plan_text.len, err);
	if (r == 0)
		r = file_write(dirfd, "boot", c->boot.data, c->boot.len, err);
	if (r == 0)
		r = file_write(dirfd, "policy", c->policy.data, c->policy.len, err);
	if (r == 0)
		r = file_write(dirfd, "procs.new", text.data, text.len, err);
	if (r == 0 && renameat(dirfd, "procs.new", dirfd, "procs") < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "write procs");
	return r;
}

static int file_read(int dirfd, const char *name, struct creel_buf *out, struct creel_err *err)
{
	uint8_t buf[8192];
	ssize_t n;

	autofd int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", name);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (creel_buf_add(out, buf, (size_t)n, err) < 0)
			return err->code;
	return n < 0 ? creel_err_set(err, CREEL_E_OS, errno, "read %s", name) : 0;
}

static int plan_load(struct mon_cell *c, int dirfd, struct creel_err *err)
{
	creel_buf_init(&c->plan_text, CREEL_PLAN_MAX);
	creel_buf_init(&c->boot, CREEL_BOOT_MAX);
	creel_buf_init(&c->policy, CREEL_POLICYTEXT_MAX);
	int r = file_read(dirfd, "plan", &c->plan_text, err);
	if (r == 0)
		r = file_read(dirfd, "boot", &c->boot, err);
	if (r == 0)
		r = file_read(dirfd, "policy", &c->policy, err);
	if (r == 0)
		r = creel_plan_decode(c->plan_text.data, c->plan_text.len, &c->plan, err);
	c->planned = r == 0;
	c->ran = c->plan;
	return r < 0 || !c->plan.net.link ? r : net_cell_adopt(c, err);
}

static int procs_load(struct mon_cell *c, int dirfd, struct creel_err *err)
{
	autofd int fd = openat(dirfd, "procs", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[128], name[16];
	unsigned long long n;
	int pid;

	if (!f)
		return creel_err_set(err, CREEL_E_OS, errno, "open procs");
	(void)steal_fd(&fd);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "started %llu", &n) == 1)
			c->started_ns = n;
		if (sscanf(line, "%15s %d %llu", name, &pid, &n) != 3)
			continue;
		if (strcmp(name, "grouped") == 0)
			c->grouped = pid == 1;
		for (size_t i = 0; i < ROLE_COUNT; i++) {
			struct creel_err gone = {0};
			if (strcmp(name, roles[i]) != 0)
				continue;
			c->procs[i].pid = pid;
			c->procs[i].start = n;
			c->procs[i].pidfd = creel_proc_open(pid, n, &gone);
		}
	}
	return 0;
}

/* Its old place, after which its users and its NFLOG group are named: the filter has them as they were. */
static struct mon_cell *slot_of(int dirfd)
{
	autofd int fd = openat(dirfd, "procs", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[128];
	int slot = -1;

	if (f)
		(void)steal_fd(&fd);
	while (f && slot < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "slot %d", &slot) != 1 || slot < 0 || slot >= MON_CELLS)
			slot = -1;
	if (slot >= 0 && !mon.cells[slot].name[0])
		return &mon.cells[slot];
	/* not written down: from the end, where it takes nobody's */
	for (size_t i = MON_CELLS; i > 0; i--)
		if (!mon.cells[i - 1].name[0])
			return &mon.cells[i - 1];
	return NULL;
}

static void adopt_one(const char *name)
{
	struct creel_err err = {0};

	autofd int dirfd = openat(mon.cells_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct mon_cell *c = dirfd < 0 ? NULL : slot_of(dirfd);
	if (!c || !creel_plan_name_ok(name, CREEL_PLAN_NAME - 1))
		return;
	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	for (size_t i = 0; i < ROLE_COUNT; i++)
		c->procs[i] = (struct mon_proc){.pidfd = -1};
	c->status = -1;
	int r = procs_load(c, dirfd, &err);
	if (r == 0)
		r = plan_load(c, dirfd, &err);
	bool whole = r == 0 && c->procs[ROLE_VMM].pidfd >= 0 && c->procs[ROLE_CELL].pidfd >= 0;
	c->dns.pins = -1;
	/* its socket to the monitor before us is closed: another is started beside the engine */
	if (c->procs[ROLE_DNS].pidfd >= 0)
		dns_stop(c);
	flow_adopt(c);
	/* so are these: their requests under way are cut */
	c->broker = (struct mon_broker){.keeper = -1, .front = -1};
	broker_stop(c);
	for (size_t i = 0; whole && i < ROLE_DNS; i++)
		if (c->procs[i].pidfd >= 0 && launch_watch(c, (enum mon_role)i, &err) < 0)
			whole = false;
	if (whole) {
		c->running = c->adopted = true;
		creel_log_info("found cell %s running", name);
		return;
	}
	creel_log_info("cell %s did not survive: removing what is left of it", name);
	launch_kill(c);
	net_cell_down(c);
	launch_clean(name);
	/* what was planned and is gone is said to the engine, for the record */
	c->lost = c->planned;
	if (!c->lost)
		c->name[0] = '\0';
}

int adopt_all(struct creel_err *err)
{
	int fd = openat(mon.cells_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		return creel_err_set(err, CREEL_E_OS, errno, "read run/cells");
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.')
			adopt_one(e->d_name);
	return 0;
}

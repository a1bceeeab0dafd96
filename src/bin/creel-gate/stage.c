#include "base/clock.h"
#include "base/log.h"
#include "gate.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

void gate_hash(const void *data, size_t len, uint8_t ret[32])
{
	(void)crypto_generichash(ret, 32, data, len, NULL, 0);
}

/* A folder of the tool's user, made when it is missing, that nobody else may write into. */
static int folder(int at, const char *name, int *ret_fd, struct creel_err *err)
{
	struct stat st;

	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s", name);
	autofd int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", name);
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return creel_err_set(err, CREEL_E_DENIED, 0, "%s may be written by others", name);
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int below_home(const struct creel_gateconf *conf, const char *name, int *ret_fd, struct creel_err *err)
{
	autofd int home = open(conf->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return home < 0 ? creel_err_set(err, CREEL_E_OS, errno, "open %s", conf->home)
			: folder(home, name, ret_fd, err);
}

int stage_home(const struct creel_gateconf *conf, int *ret_fd, struct creel_err *err)
{
	return below_home(conf, ".creel-gate", ret_fd, err);
}

int stage_shared(const struct creel_gateconf *conf, int *ret_fd, struct creel_err *err)
{
	return below_home(conf, "shared", ret_fd, err);
}

int stage_lock(int dir, const char *name, int how, int *ret_fd, struct creel_err *err)
{
	const struct timespec moment = {.tv_nsec = 20000000};
	int64_t end = creel_clock_ms() + GATE_LOCK_MS;

	autofd int fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open the gate's %s", name);
	while (flock(fd, how | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return creel_err_set(err, CREEL_E_OS, errno, "lock the gate's %s", name);
		if (creel_clock_ms() > end)
			return creel_err_set(err, CREEL_E_TIMEOUT, 0,
					     "another call is not done yet: try again later");
		(void)nanosleep(&moment, NULL);
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* A lock on an octet of one file: it goes with the process, whatever ends it. */
int stage_slot(struct gate_call *call, struct creel_err *err)
{
	autofd int home = -1;
	int r = stage_home(call->conf, &home, err);

	if (r < 0)
		return r;
	autofd int fd = openat(home, "slots", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open the gate's slots");
	for (int i = 0; i < GATE_SLOTS; i++) {
		struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = i, .l_len = 1};
		if (fcntl(fd, F_OFD_SETLK, &l) == 0) {
			call->slot = steal_fd(&fd);
			return 0;
		}
	}
	return creel_err_set(err, CREEL_E_BUSY, 0, "%d calls are open already: wait for one", GATE_SLOTS);
}

DIR *stage_list(int dir)
{
	autofd int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d)
		fd = -1;
	return d;
}

int stage_size(int dir, uint64_t *ret_octets, size_t *ret_n, struct creel_err *err)
{
	uint64_t octets = 0;
	size_t n = 0;
	struct dirent *e;
	struct stat st;

	autodir DIR *d = stage_list(dir);
	if (!d)
		return creel_err_set(err, CREEL_E_OS, errno, "read a folder");
	while ((e = readdir(d)) != NULL)
		if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
			octets += (uint64_t)st.st_size;
			n++;
		}
	*ret_octets = octets;
	*ret_n = n;
	return 0;
}

int stage_open(int dir, const char *name, int *ret_fd, uint64_t *ret_len, struct creel_err *err)
{
	struct stat st;

	autofd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ELOOP))
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_DENIED, 0,
				     errno == ENOENT ? "there is no file `%.200s` in the shared folder"
						     : "`%.200s` is a link",
				     name);
	if (fd < 0 || fstat(fd, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open `%.200s`", name);
	/* a second name would be a way to change it, or to read what is not shared */
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return creel_err_set(err, CREEL_E_DENIED, 0, "`%.200s` is no plain file with one name", name);
	*ret_len = (uint64_t)st.st_size;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static void empty(int dir)
{
	struct dirent *e;

	autodir DIR *d = stage_list(dir);
	if (!d)
		return;
	while ((e = readdir(d)) != NULL)
		(void)unlinkat(dir, e->d_name, 0);
}

static void remove_one(int stage, const char *name)
{
	autofd int fd = openat(stage, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		empty(fd);
	(void)unlinkat(stage, name, AT_REMOVEDIR);
}

/*
 * What killed gates left goes: a folder that lives is locked by its call. @return what the living ones hold.
 * The caller has the lock of all that stage.
 */
static uint64_t sweep(int stage)
{
	struct creel_err ignored = {0};
	uint64_t all = 0, octets;
	struct dirent *e;
	size_t n;

	autodir DIR *d = stage_list(stage);
	if (!d)
		return 0;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		autofd int fd = openat(stage, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
			remove_one(stage, e->d_name);
		else if (stage_size(fd, &octets, &n, &ignored) == 0)
			all += octets;
	}
	return all;
}

static int copy(struct gate_file *f, int from, int to, uint64_t room, struct creel_err *err)
{
	crypto_generichash_state h;
	static uint8_t buf[65536];
	ssize_t n;

	(void)crypto_generichash_init(&h, NULL, 0, sizeof(f->hash));
	f->len = 0;
	while ((n = read(from, buf, sizeof(buf))) > 0) {
		f->len += (uint64_t)n;
		if (f->len > room)
			return creel_err_set(err, CREEL_E_TOOBIG, 0,
					     "the copies of files are over what `shared` allows");
		if (write(to, buf, (size_t)n) != n)
			return creel_err_set(err, CREEL_E_OS, errno, "copy `%.200s`", f->name);
		(void)crypto_generichash_update(&h, buf, (unsigned long long)n);
	}
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read `%.200s`", f->name);
	(void)crypto_generichash_final(&h, f->hash, sizeof(f->hash));
	return 0;
}

static int copies(struct gate_call *call, int shared, uint64_t room, struct creel_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < call->n_files; i++) {
		struct gate_file *f = &call->file[i];
		autofd int from = -1, to = -1;
		bool again = false;
		if (f->out)
			continue;
		/* a file that is named twice is one copy; each name says its hash */
		for (size_t k = 0; k < i; k++)
			if (!call->file[k].out && strcmp(call->file[k].name, f->name) == 0) {
				f->len = call->file[k].len;
				memcpy(f->hash, call->file[k].hash, sizeof(f->hash));
				again = true;
			}
		uint64_t len;
		r = again ? 0 : stage_open(shared, f->name, &from, &len, err);
		if (r < 0 || again)
			continue;
		to = openat(call->stage, f->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
		r = to < 0 ? creel_err_set(err, CREEL_E_OS, errno, "make a copy of `%.200s`", f->name)
			   : copy(f, from, to, room, err);
		room -= r == 0 ? f->len : 0;
	}
	return r;
}

int stage_take(struct gate_call *call, struct creel_err *err)
{
	struct gate_call *c = call;
	autofd int home = -1, stage = -1, shared = -1, lock = -1;
	int r = stage_home(c->conf, &home, err);

	if (r == 0)
		r = folder(home, "stage", &stage, err);
	if (r == 0)
		r = stage_shared(c->conf, &shared, err);
	if (r == 0)
		r = stage_lock(home, "stage.lock", LOCK_EX, &lock, err);
	if (r < 0)
		return r;
	uint64_t held = sweep(stage);
	(void)snprintf(c->stage_name, sizeof(c->stage_name), "%d-%jd", (int)getpid(), (intmax_t)time(NULL));
	if (mkdirat(stage, c->stage_name, 0700) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a folder for the call's files");
	r = folder(stage, c->stage_name, &c->stage, err);
	if (r == 0 && flock(c->stage, LOCK_EX | LOCK_NB) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "lock the call's folder");
	if (r == 0)
		r = copies(c, shared, c->conf->shared > held ? c->conf->shared - held : 0, err);
	return r;
}

/* One file that the tool wrote: out of its folder into the shared one, when there is room. */
static int keep_one(struct gate_call *call, int shared, const struct gate_file *f, struct creel_err *err)
{
	uint64_t len, octets, old = 0;
	struct stat st;
	size_t n;
	autofd int fd = -1;
	int r = stage_open(call->stage, f->name, &fd, &len, err);

	if (r == 0)
		r = stage_size(shared, &octets, &n, err);
	if (r < 0)
		return r;
	if (fstatat(shared, f->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		old = (uint64_t)st.st_size;
		n--;
	}
	if (n >= GATE_SHARED_FILES || octets - old + len > call->conf->shared)
		return creel_err_set(err, CREEL_E_TOOBIG, 0,
				     "the shared folder is full: remove something from it");
	if (fchmod(fd, 0600) < 0 || renameat(call->stage, f->name, shared, f->name) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "move it to the shared folder");
	return 0;
}

void stage_keep(struct gate_call *call)
{
	autofd int home = -1, shared = -1, lock = -1;
	struct creel_err err = {0};
	int r = stage_home(call->conf, &home, &err);

	if (r == 0)
		r = stage_shared(call->conf, &shared, &err);
	if (r == 0)
		r = stage_lock(home, "shared.lock", LOCK_EX, &lock, &err);
	for (size_t i = 0; r == 0 && i < call->n_files; i++) {
		struct creel_err why = {0};
		if (!call->file[i].out)
			continue;
		/* a tool that failed has written nothing, and said so */
		if (keep_one(call, shared, &call->file[i], &why) == 0 || why.code == CREEL_E_NOTFOUND)
			continue;
		(void)creel_err_add(&why, "keep `%.100s`", call->file[i].name);
		creel_log_error(&why);
	}
	if (r < 0)
		creel_log_error(&err);
}

void stage_drop(struct gate_call *call)
{
	struct creel_err ignored = {0};
	autofd int home = -1, stage = -1;

	if (call->stage < 0)
		return;
	empty(call->stage);
	if (stage_home(call->conf, &home, &ignored) == 0 && folder(home, "stage", &stage, &ignored) == 0)
		(void)unlinkat(stage, call->stage_name, AT_REMOVEDIR);
	close(call->stage);
	call->stage = -1;
}

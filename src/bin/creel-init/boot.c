#include "init.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

static int mount_at(const char *what, const char *where, const char *type, unsigned long flags,
		    const char *data, struct creel_err *err)
{
	(void)mkdir(where, 0755);
	if (mount(what, where, type, flags, data) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "mount %s at %s", type ? type : what, where);
	return 0;
}

static void modules_load(void)
{
	autofile FILE *f = fopen("/creel/modules", "re");
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		autofd int fd = open(line, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
			say("module %s: %s", line, strerror(errno));
	}
}

/* The disk whose virtio serial is @p serial; waits a little, as probing is asynchronous. */
static int disk_find(const char *serial, char *ret_path, size_t size, struct creel_err *err)
{
	for (int tries = 0; tries < 300; tries++) {
		autodir DIR *d = opendir("/sys/block");
		for (struct dirent *e; d && (e = readdir(d));) {
			char path[300], have[32] = "", node[300];
			(void)snprintf(path, sizeof(path), "/sys/block/%s/serial", e->d_name);
			autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd < 0 || read(fd, have, sizeof(have) - 1) <= 0)
				continue;
			have[strcspn(have, "\n")] = '\0';
			if (strcmp(have, serial) == 0) {
				int n = snprintf(node, sizeof(node), "/dev/%s", e->d_name);
				if ((size_t)n < size && access(node, F_OK) == 0) {
					memcpy(ret_path, node, (size_t)n + 1);
					return 0;
				}
			}
		}
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	}
	return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no disk with serial %s", serial);
}

int boot_root(struct creel_err *err)
{
	char dev[64];
	int r;

	if ((r = mount_at("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755", err)) < 0 ||
	    (r = mount_at("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, err)) < 0 ||
	    (r = mount_at("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, err)) < 0)
		return r;
	modules_load();
	if ((r = disk_find("root", dev, sizeof(dev), err)) < 0 ||
	    (r = mount_at(dev, "/ro", "erofs", MS_RDONLY, NULL, err)) < 0 ||
	    (r = mount_at("tmpfs", "/rw", "tmpfs", 0, "mode=0755,size=50%", err)) < 0)
		return r;
	(void)mkdir("/rw/up", 0755);
	(void)mkdir("/rw/work", 0755);
	r = mount_at("overlay", "/new", "overlay", 0, "lowerdir=/ro,upperdir=/rw/up,workdir=/rw/work", err);
	if (r < 0)
		return r;
	static const char *const moved[] = {"/dev", "/proc", "/sys"};
	for (size_t i = 0; i < ELEMENTSOF(moved); i++) {
		char to[16];
		(void)snprintf(to, sizeof(to), "/new%s", moved[i]);
		(void)mkdir(to, 0755);
		if (mount(moved[i], to, NULL, MS_MOVE, NULL) < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "move %s", moved[i]);
	}
	if (chdir("/new") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "switch to the new root");
	if ((r = mount_at("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
			  "mode=0620,gid=5,ptmxmode=0666", err)) < 0 ||
	    (r = mount_at("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, NULL, err)) < 0 ||
	    (r = mount_at("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755", err)) < 0 ||
	    (r = mount_at("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", err)) < 0)
		return r;
	(void)!symlink("/proc/self/fd", "/dev/fd");
	return 0;
}

int boot_run(const char *const argv[])
{
	pid_t pid = fork();
	int ws = 0;

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		dup2(null, 0);
		static const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
		execvpe(argv[0], (char **)argv, (char **)env);
		_exit(127);
	}
	if (pid < 0)
		return 127;
	while (waitpid(pid, &ws, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(ws) ? WEXITSTATUS(ws) : 128 + WTERMSIG(ws);
}

/* ext4's superblock at 1024: magic at 56, blocks at 4, log2 of the block size - 10 at 24 */
static int volume_look(const char *dev, bool *ret_blank, bool *ret_ext, uint64_t *ret_fs, uint64_t *ret_disk,
		       struct creel_err *err)
{
	static uint8_t head[65536];
	autofd int fd = open(dev, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, head, sizeof(head), 0) != sizeof(head) ||
	    ioctl(fd, BLKGETSIZE64, ret_disk) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read %s", dev);
	const uint8_t *sb = head + 1024;
	*ret_blank = true;
	for (size_t i = 0; i < sizeof(head) && *ret_blank; i++)
		*ret_blank = head[i] == 0;
	*ret_ext = sb[56] == 0x53 && sb[57] == 0xef;
	*ret_fs = ((uint64_t)sb[4] | (uint64_t)sb[5] << 8 | (uint64_t)sb[6] << 16 | (uint64_t)sb[7] << 24)
		  << (10 + (sb[24] & 7));
	return 0;
}

static int volume_mount(const struct creel_boot_volume *v, struct creel_err *err)
{
	char dev[64], serial[32];
	bool blank = false, ext = false;
	uint64_t fs = 0, disk = 0;
	int r;

	(void)snprintf(serial, sizeof(serial), "v-%s", v->name);
	if ((r = disk_find(serial, dev, sizeof(dev), err)) < 0 ||
	    (r = volume_look(dev, &blank, &ext, &fs, &disk, err)) < 0)
		return r;
	if (blank) {
		r = boot_run((const char *const[]){"mke2fs", "-q", "-F", "-t", "ext4", "-E",
						   "lazy_itable_init=1,lazy_journal_init=1,discard", dev,
						   NULL});
		if (r != 0)
			return creel_err_set(err, CREEL_E_CHILD, 0, "mke2fs on %s: status %d", dev, r);
	} else if (!ext) {
		return creel_err_set(err, CREEL_E_BROKEN, 0,
				     "%s holds something that is not ext4; it is left as it is", dev);
	} else {
		r = boot_run((const char *const[]){"e2fsck", "-p", dev, NULL});
		if (r & ~3)
			return creel_err_set(err, CREEL_E_BROKEN, 0,
					     "e2fsck could not mend %s by itself (status %d)", dev, r);
		if (r)
			chan_control(CREEL_CTL_NOTE, 0, 0, "a volume was mended by e2fsck");
	}
	for (char path[256], *p = strncpy(path, v->at, sizeof(path) - 1) + 1; p; *p++ = '/') {
		path[sizeof(path) - 1] = '\0';
		p = strchrnul(p, '/');
		bool last = *p == '\0';
		*p = '\0';
		(void)mkdir(path, 0755);
		if (last)
			break;
	}
	if (mount(dev, v->at, "ext4", MS_NOSUID | MS_NODEV, NULL) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "mount %s at %s", dev, v->at);
	if (!blank && disk >= fs + (1 << 20)) {
		r = boot_run((const char *const[]){"resize2fs", dev, NULL});
		if (r != 0)
			say("resize2fs %s: status %d", dev, r);
	}
	return 0;
}

int boot_volumes(const struct creel_boot *boot, struct creel_err *err)
{
	for (size_t i = 0; i < boot->n_volumes; i++) {
		int r = volume_mount(&boot->volumes[i], err);
		if (r < 0)
			return creel_err_add(err, "volume %s", boot->volumes[i].name);
	}
	return 0;
}

void boot_unmount(const struct creel_boot *boot)
{
	sync();
	for (size_t i = boot->n_volumes; i-- > 0;)
		if (umount2(boot->volumes[i].at, 0) < 0 && errno != EINVAL) {
			say("unmount %s: %s", boot->volumes[i].at, strerror(errno));
			(void)mount(NULL, boot->volumes[i].at, NULL, MS_REMOUNT | MS_RDONLY, NULL);
		}
	sync();
}

/*
 * Open the folder of @p path (absolute), making what is missing for @p f's owner. No link is
 * followed: the agent owns these trees, and we are root.
 */
static int parent_open(const char *path, const struct creel_boot_file *f, const char **ret_base)
{
	autofd int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *p = path + 1;

	for (const char *slash; dir >= 0 && (slash = strchr(p, '/')); p = slash + 1) {
		char name[256];
		if (slash == p)
			continue;
		if ((size_t)(slash - p) >= sizeof(name))
			return -1;
		memcpy(name, p, (size_t)(slash - p));
		name[slash - p] = '\0';
		if (strcmp(name, "..") == 0)
			return -1;
		if (mkdirat(dir, name, 0755) == 0) {
			/* below a home that is the owner's; above it stays root's */
			struct stat st;
			if (fstat(dir, &st) == 0 && (st.st_uid == f->uid || p != path + 1)) {
				(void)!fchownat(dir, name, f->uid, f->gid, AT_SYMLINK_NOFOLLOW);
				/* what a service keeps is nobody else's to read */
				if (f->uid != 0)
					(void)!fchmodat(dir, name, 0700, 0);
			}
		}
		int next = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(dir);
		dir = next;
	}
	*ret_base = p;
	return steal_fd(&dir);
}

/*
 * A service's home is its own; it is made here because its volume may be new, with every folder that is
 * missing on the way, which are root's but in a folder of the service's own. No link is followed: the
 * tree may be the agent's.
 */
void boot_home(const char *home, uint32_t uid, uint32_t gid)
{
	autofd int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *p = home + strspn(home, "/");

	for (size_t n; dir >= 0 && (n = strcspn(p, "/")) > 0; p += n + strspn(p + n, "/")) {
		char name[256];
		struct stat st;
		bool last = p[n + strspn(p + n, "/")] == '\0';
		if (n >= sizeof(name))
			return;
		memcpy(name, p, n);
		name[n] = '\0';
		if (strcmp(name, "..") == 0)
			return;
		if (mkdirat(dir, name, last ? 0700 : 0755) == 0 &&
		    (last || (fstat(dir, &st) == 0 && st.st_uid == uid)))
			(void)!fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW);
		int next = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(dir);
		dir = next;
	}
}

static bool same(int dir, const char *base, const struct creel_boot_file *f)
{
	autofd int fd = openat(dir, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size != f->content_len ||
	    (st.st_mode & 07777) != f->mode || st.st_uid != f->uid || st.st_gid != f->gid)
		return false;
	autofree char *have = malloc(f->content_len + 1);
	return have && read(fd, have, f->content_len) == (ssize_t)f->content_len &&
	       memcmp(have, f->content, f->content_len) == 0;
}

static int file_put(const struct creel_boot_file *f, struct creel_err *err)
{
	const char *base = NULL;
	autofd int dir = parent_open(f->path, f, &base);
	struct stat st;

	if (dir < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open the folder of %s", f->path);
	bool there = fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (there && (!f->declared || same(dir, base, f)))
		return 0;
	autofd int fd = openat(dir, ".creel-new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
			       0600);
	if (fd < 0 || write(fd, f->content, f->content_len) != (ssize_t)f->content_len ||
	    fchown(fd, f->uid, f->gid) < 0 || fchmod(fd, f->mode) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "write %s", f->path);
	if (there && S_ISDIR(st.st_mode))
		return creel_err_set(err, CREEL_E_EXISTS, 0, "%s is a folder", f->path);
	if (renameat(dir, ".creel-new", dir, base) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "put back %s", f->path);
	if (there) {
		char note[200];
		(void)snprintf(note, sizeof(note), "put back %s", f->path);
		chan_control(CREEL_CTL_NOTE, 0, 0, note);
	}
	return 0;
}

int boot_files(const struct creel_boot *boot, struct creel_err *err)
{
	for (size_t i = 0; i < boot->n_files; i++) {
		struct creel_err one = {0};
		if (file_put(&boot->files[i], &one) < 0) {
			say("%s", one.msg);
			*err = one;
		}
	}
	return err->code;
}

#include "base/cleanup.h"
#include "step.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* a mount point that every host has; covered in our namespace alone */
static const char root[] = "/proc";

/* A copy of what is mounted at @p from, made before the new root covers anything. */
struct copy {
	int fd; /* -1: it is not there */
	const char *to;
	bool rw, device, dir;
};
enum { COPIES = STEP_BINDS + 40 };

/*
 * What a build's programs need of the host. Of /etc only what tells where libraries, certificates and
 * package keys are.
 */
static const char *const programs[] = {
	"/usr",
	"/bin",
	"/sbin",
	"/lib",
	"/lib32",
	"/lib64",
	"/libx32",
	"/etc/alternatives",
	"/etc/ld.so.cache",
	"/etc/ld.so.conf",
	"/etc/ld.so.conf.d",
	"/etc/ssl",
	"/etc/pki/tls",
	"/etc/ca-certificates",
	"/etc/dpkg",
	"/etc/perl",
	"/etc/apt/trusted.gpg.d",
	"/etc/apt/keyrings",
	"/etc/mke2fs.conf",
	"/etc/debian_version",
};
static const char *const devices[] = {"/dev/null",   "/dev/zero",    "/dev/full",
				      "/dev/random", "/dev/urandom", "/dev/tty"};

static int copy_take(struct copy *c, const char *from, const char *to, bool rw, bool device, bool must,
		     struct creel_err *err)
{
	struct stat st;

	*c = (struct copy){.fd = -1, .to = to, .rw = rw, .device = device};
	if (stat(from, &st) < 0)
		return must ? creel_err_set(err, CREEL_E_OS, errno, "%s", from) : 0;
	c->dir = S_ISDIR(st.st_mode);
	c->fd = (int)syscall(SYS_open_tree, AT_FDCWD, from,
			     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (c->dir ? AT_RECURSIVE : 0));
	if (c->fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "take %s", from);
	return 0;
}

static int parents_make(const char *path, struct creel_err *err)
{
	char copy[PATH_MAX];

	(void)snprintf(copy, sizeof(copy), "%s", path);
	for (char *p = copy + sizeof(root); (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return creel_err_set(err, CREEL_E_OS, errno, "make %s", copy);
	}
	return 0;
}

static int copy_place(const struct copy *c, struct creel_err *err)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | (c->rw ? 0 : MOUNT_ATTR_RDONLY) |
					      (c->device ? 0 : MOUNT_ATTR_NODEV)};
	char to[PATH_MAX];
	int r;

	if (c->fd < 0)
		return 0;
	if ((size_t)snprintf(to, sizeof(to), "%s%s", root, c->to) >= sizeof(to))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "path %s", c->to);
	if ((r = parents_make(to, err)) < 0)
		return r;
	if (c->dir) {
		if (mkdir(to, 0755) < 0 && errno != EEXIST)
			return creel_err_set(err, CREEL_E_OS, errno, "make %s", to);
	} else {
		autofd int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
		if (fd < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "make %s", to);
	}
	if (syscall(SYS_move_mount, c->fd, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "bind %s", c->to);
	/* recursive: what is mounted below a read-only folder is read-only too */
	if (syscall(SYS_mount_setattr, AT_FDCWD, to, c->dir ? AT_RECURSIVE : 0, &attr, sizeof(attr)) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "restrict %s", c->to);
	/* before ids change: the folder's owner outside need not be one of the namespace's */
	if (c->rw && c->dir && chown(to, 0, 0) < 0 && errno != EPERM && errno != EINVAL)
		return creel_err_set(err, CREEL_E_OS, errno, "own %s", c->to);
	return 0;
}

static int text_make(const char *name, const char *text, struct creel_err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s%s", root, name);
	autofd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return creel_err_set(err, CREEL_E_OS, errno, "make %s", path);
	return 0;
}

static int link_make(const char *target, const char *name, struct creel_err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s%s", root, name);
	if (symlink(target, path) < 0 && errno != EEXIST)
		return creel_err_set(err, CREEL_E_OS, errno, "link %s", path);
	return 0;
}

static int skeleton(struct creel_err *err)
{
	static const struct {
		const char *path;
		mode_t mode;
	} dirs[] = {{"/dev", 0755},  {"/dev/shm", 01777}, {"/dev/pts", 0755},
		    {"/etc", 0755},  {"/etc/apt", 0755},  {"/etc/apt/apt.conf.d", 0755},
		    {"/proc", 0555}, {"/run", 0755},      {"/sys", 0555},
		    {"/tmp", 01777}, {"/var", 0755},      {"/var/tmp", 01777}};
	char path[PATH_MAX];
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", root, dirs[i].path);
		if (mkdir(path, dirs[i].mode) < 0 || chmod(path, dirs[i].mode) < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "make %s", path);
	}
	r = text_make(
		"/etc/passwd",
		"root:x:0:0:root:/nonexistent:/bin/sh\n_apt:x:42:65534::/nonexistent:/usr/sbin/nologin\n"
		"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		err);
	if (r == 0)
		r = text_make("/etc/group", "root:x:0:\nshadow:x:42:\nnogroup:x:65534:\n", err);
	if (r == 0)
		r = text_make("/etc/hostname", "build\n", err);
	if (r == 0)
		r = text_make("/etc/hosts", "127.0.0.1 localhost\n", err);
	if (r == 0)
		r = text_make("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n", err);
	if (r == 0)
		r = text_make("/etc/resolv.conf", "", err);
	if (r == 0)
		r = link_make("/proc/self/fd", "/dev/fd", err);
	if (r == 0)
		r = link_make("/proc/self/fd/0", "/dev/stdin", err);
	if (r == 0)
		r = link_make("/proc/self/fd/1", "/dev/stdout", err);
	return r < 0 ? r : link_make("/proc/self/fd/2", "/dev/stderr", err);
}

int step_root(const struct step *s, struct creel_err *err)
{
	struct copy copies[COPIES];
	char proc[PATH_MAX];
	size_t n = 0;
	int r = 0;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make mounts private");
	/* the proxy reads and runs nothing of the host: it is this program, loaded already */
	for (size_t i = 0; r == 0 && !s->host_net && i < ELEMENTSOF(programs); i++)
		r = copy_take(&copies[n++], programs[i], programs[i], false, false, false, err);
	for (size_t i = 0; r == 0 && !s->host_net && i < ELEMENTSOF(devices); i++)
		r = copy_take(&copies[n++], devices[i], devices[i], true, true, false, err);
	for (size_t i = 0; r == 0 && i < s->n_binds; i++)
		r = copy_take(&copies[n++], s->binds[i].from, s->binds[i].to, s->binds[i].rw, false, true,
			      err);
	if (r < 0)
		return r;
	/* files are made by an id that the namespace has; whoever we were could open the above */
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "become the step's root");
	/* a proc of our own process namespace: the kernel allows it while the host's is in view */
	autofd int own = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
	if (own < 0 || syscall(SYS_fsconfig, own, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a proc of the step's own");
	autofd int proc_fd = (int)syscall(SYS_fsmount, own, FSMOUNT_CLOEXEC,
					  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (proc_fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno,
				     "mount a proc of the step's own (a container that hides parts of "
				     "/proc does not allow it)");
	if (mount("step", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=512m,mode=0755") < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "mount the step's root");
	r = skeleton(err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = copy_place(&copies[i], err);
		if (copies[i].fd >= 0)
			close(copies[i].fd);
	}
	if (r < 0)
		return r;
	(void)snprintf(proc, sizeof(proc), "%s/proc", root);
	if (syscall(SYS_move_mount, proc_fd, "", AT_FDCWD, proc, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "place the step's proc");
	if (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
	    chdir("/") < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "change to the step's root");
	(void)umask(022);
	if (!s->host_net && chdir("/work") < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "enter /work");
	return 0;
}

#include "base/cleanup.h"
#include "jail.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* a mount point that every host has and nothing is bound from; covered in our namespace alone */
static const char root[] = "/proc";

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

static int bind_one(const struct jail_bind *b, struct creel_err *err)
{
	unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID;
	char to[PATH_MAX];
	struct stat st;
	int r;

	if ((size_t)snprintf(to, sizeof(to), "%s%s", root, b->to) >= sizeof(to))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "path %s", b->to);
	if (stat(b->from, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "%s", b->from);
	if ((r = parents_make(to, err)) < 0)
		return r;
	if (S_ISDIR(st.st_mode)) {
		if (mkdir(to, 0755) < 0 && errno != EEXIST)
			return creel_err_set(err, CREEL_E_OS, errno, "make %s", to);
	} else {
		autofd int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
		if (fd < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "make %s", to);
	}
	/* MS_BIND|MS_RDONLY alone would stay writable: only the second call makes it read-only */
	if (mount(b->from, to, NULL, MS_BIND, NULL) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "bind %s", b->from);
	if (!b->device)
		flags |= MS_NODEV;
	if (!b->exec)
		flags |= MS_NOEXEC;
	if (mount(NULL, to, NULL, flags, NULL) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s read-only", b->from);
	return 0;
}

/*
 * The host's node belongs to root or to the group kvm, and the jail's user is in neither. A node of our
 * own stands on a file system that allows devices, of which nothing but this one name is then seen.
 */
static int kvm_make(const struct jail *j, struct creel_err *err)
{
	static const char stage[] = "/proc/.stage", node[] = "/proc/.stage/kvm", to[] = "/proc/dev/kvm";
	struct stat st;

	if (stat("/dev/kvm", &st) < 0 || !S_ISCHR(st.st_mode))
		return creel_err_set(err, CREEL_E_OS, errno, "/dev/kvm");
	if (mkdir(stage, 0700) < 0 ||
	    mount("kvm", stage, "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k,mode=0700") < 0 ||
	    mknod(node, S_IFCHR | 0600, st.st_rdev) < 0 || lchown(node, j->uid, j->gid) < 0 ||
	    (mkdir("/proc/dev", 0755) < 0 && errno != EEXIST))
		return creel_err_set(err, CREEL_E_OS, errno, "make the jail's /dev/kvm");
	autofd int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	if (fd < 0 || mount(node, to, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, to, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL) < 0 ||
	    umount2(stage, MNT_DETACH) < 0 || rmdir(stage) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "bind the jail's /dev/kvm");
	return 0;
}

int jail_namespaces(const struct jail *j, struct creel_err *err)
{
	static const struct jail_bind devices[] = {
		{"/dev/null", "/dev/null", true, false},
		{"/dev/zero", "/dev/zero", true, false},
		{"/dev/urandom", "/dev/urandom", true, false},
	};
	int r = 0;

	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | (j->network ? 0 : CLONE_NEWNET)) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make namespaces");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make mounts private");
	if (mount("jail", root, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=1m,mode=0755") < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "mount the jail's root");
	for (size_t i = 0; r == 0 && j->has_devices && i < ELEMENTSOF(devices); i++)
		r = bind_one(&devices[i], err);
	for (size_t i = 0; r == 0 && i < j->n_binds; i++)
		r = bind_one(&j->binds[i], err);
	if (r == 0 && j->kvm)
		r = kvm_make(j, err);
	if (r < 0)
		return r;
	/* of processes of other users nothing is seen in it; it reads /proc/sys/fs/file-max */
	if (j->share && ((mkdir("/proc/proc", 0555) < 0 && errno != EEXIST) ||
			 mount("proc", "/proc/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
			       "hidepid=2") < 0))
		return creel_err_set(err, CREEL_E_OS, errno, "mount proc");
	/* slirp4netns builds a tree of its own in the last of them, and shows itself the first two */
	if (j->uplink &&
	    (mkdir("/proc/etc", 0755) < 0 || mkdir("/proc/run", 0755) < 0 || mkdir("/proc/tmp", 0755) < 0))
		return creel_err_set(err, CREEL_E_OS, errno, "make the jail's folders");
	if (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
	    chdir("/") < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "change to the jail's root");
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make the jail's root read-only");
	return 0;
}

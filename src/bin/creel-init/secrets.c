#include "init.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/*
 * /run/secrets: a ramfs of the cell's, with a copy of each file of the host's share, 0400 and its
 * user's. The share itself cannot say that: its server runs as a user of the host that has no
 * capability, so it can give away only what everybody may read. What this copy stands for stays with
 * the host, whatever root of this cell does to it.
 */
enum { VALUE_MAX = (1 << 20) + 1 }; /* gateway-env is the largest */
static const char DIR_PATH[] = "/run/secrets", NEW[] = ".new";
static int share = -1;

int secrets_mount(const struct creel_boot *boot, struct creel_err *err)
{
	(void)mkdir(DIR_PATH, 0755);
	if (!boot->secrets)
		return 0;
	if (mount("secrets", DIR_PATH, "virtiofs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "mount the secrets' share");
	share = open(DIR_PATH, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (share < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open the secrets' share");
	/* from here on it has no place; this descriptor keeps it */
	if (umount2(DIR_PATH, MNT_DETACH) < 0 ||
	    mount("secrets", DIR_PATH, "ramfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755") < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "mount a ramfs for the secrets");
	return 0;
}

static const struct creel_boot_secret *owner_of(const struct creel_boot *boot, const char *name)
{
	static const struct creel_boot_secret root = {.name = ""};

	for (size_t i = 0; i < boot->n_secrets; i++)
		if (strcmp(boot->secret[i].name, name) == 0)
			return &boot->secret[i];
	return &root;
}

/* @return octets read, -1 and errno: there is no such file, or it cannot be a secret's */
static ssize_t value_read(int dir, const char *name, char *buf)
{
	autofd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	errno = EINVAL;
	if (!S_ISREG(st.st_mode))
		return -1;
	while (len < VALUE_MAX && (n = read(fd, buf + len, VALUE_MAX - len)) > 0)
		len += (size_t)n;
	if (len == VALUE_MAX)
		errno = EFBIG;
	return n < 0 || len == VALUE_MAX ? -1 : (ssize_t)len;
}

/* @return 1 it was new, 0 it is there already */
static int take_one(const struct creel_boot *boot, int dir, const char *name, char *buf, char *have,
		    struct creel_err *err)
{
	const struct creel_boot_secret *own = owner_of(boot, name);
	ssize_t len = value_read(share, name, buf);
	struct stat st;

	if (len < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read secret %s", name);
	if (value_read(dir, name, have) == len && memcmp(buf, have, (size_t)len) == 0 &&
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & 07777) == 0400 &&
	    st.st_uid == own->uid && st.st_gid == own->gid)
		return 0;
	(void)unlinkat(dir, NEW, 0);
	autofd int fd = openat(dir, NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (fd < 0 || write(fd, buf, (size_t)len) != len || fchown(fd, own->uid, own->gid) < 0 ||
	    renameat(dir, NEW, dir, name) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "put secret %s", name);
	return 1;
}

bool secrets_take(const struct creel_boot *boot, struct creel_err *err)
{
	autofd int dir = share < 0 ? -1 : open(DIR_PATH, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autofree char *buf = malloc(VALUE_MAX), *have = malloc(VALUE_MAX);
	autodir DIR *d = dir < 0 ? NULL : fdopendir(openat(share, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	bool changed = false;

	if (share < 0)
		return false;
	if (!d || !buf || !have) {
		creel_err_set(err, CREEL_E_OS, errno, "read the secrets' share");
		return false;
	}
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.') /* the host writes beside, then renames */
			continue;
		int r = take_one(boot, dir, e->d_name, buf, have, err);
		changed |= r == 1;
	}
	explicit_bzero(buf, VALUE_MAX);
	explicit_bzero(have, VALUE_MAX);
	return changed;
}

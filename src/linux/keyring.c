#include "linux/keyring.h"
#include <errno.h>
#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* a process that does not possess the user's keyring (another session) is to find it all the same:
 * the possessor and the user may view, read, write, search and set attributes; others nothing */
#define PERMISSIONS 0x3f3f0000UL

static long find(const char *name)
{
	return syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", name, 0L);
}

int creel_keyring_put(const char *name, const void *data, size_t len, struct creel_err *err)
{
	long key = syscall(SYS_add_key, "user", name, data, len, KEY_SPEC_USER_KEYRING);

	if (key < 0)
		return creel_err_set(err, errno == ENOSYS ? CREEL_E_UNSUPP : CREEL_E_OS, errno,
				     "put a key into the kernel's keyring");
	if (syscall(SYS_keyctl, KEYCTL_SETPERM, key, PERMISSIONS) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "set the permissions of a key");
	return 0;
}

int creel_keyring_get(const char *name, void *ret, size_t len, struct creel_err *err)
{
	long key = find(name);

	if (key < 0)
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no key '%s' in the kernel's keyring", name);
	long n = syscall(SYS_keyctl, KEYCTL_READ, key, NULL, 0L);
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read a key of the kernel's keyring");
	if ((size_t)n != len || syscall(SYS_keyctl, KEYCTL_READ, key, ret, len) != n)
		return creel_err_set(err, CREEL_E_INVALID, 0, "key '%s' has another length", name);
	return 0;
}

void creel_keyring_drop(const char *name)
{
	long key = find(name);

	if (key >= 0 && syscall(SYS_keyctl, KEYCTL_INVALIDATE, key) < 0)
		(void)syscall(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_USER_KEYRING);
}

#include "accel.h"
#include "base/cleanup.h"
#include "where.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEY = 33 };

/* What the answer depends on, as one word. */
static void key_make(char ret[KEY])
{
	autofile FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256], model[256] = "";
	crypto_generichash_state h;
	struct stat st = {0}, kvm = {0};
	struct utsname u = {0};
	uint8_t hash[16];

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "model name", 10) == 0) {
			memcpy(model, line, sizeof(model));
			break;
		}
	(void)uname(&u);
	(void)stat("/usr/bin/qemu-system-x86_64", &st);
	(void)stat("/dev/kvm", &kvm);
	const long long numbers[] = {st.st_size, st.st_mtime, (long long)kvm.st_rdev};
	(void)crypto_generichash_init(&h, NULL, 0, sizeof(hash));
	(void)crypto_generichash_update(&h, (const uint8_t *)model, strlen(model));
	(void)crypto_generichash_update(&h, (const uint8_t *)u.release, strlen(u.release));
	(void)crypto_generichash_update(&h, (const uint8_t *)u.version, strlen(u.version));
	(void)crypto_generichash_update(&h, (const uint8_t *)numbers, sizeof(numbers));
	(void)crypto_generichash_final(&h, hash, sizeof(hash));
	sodium_bin2hex(ret, KEY, hash, sizeof(hash));
}

static int file_name(char *ret, size_t size, const char *suffix, struct creel_err *err)
{
	char dir[PATH_MAX];
	int r = where_cache(dir, sizeof(dir), err);

	if (r == 0 && (size_t)snprintf(ret, size, "%s/accelerator%s", dir, suffix) >= size)
		r = creel_err_set(err, CREEL_E_TOOBIG, 0, "the cache folder's name is too long");
	return r;
}

/* "yes WHY" or "no WHY" */
static bool answer_read(const char *text, bool *ret_kvm, char *ret_why, size_t size)
{
	if (strncmp(text, "yes ", 4) != 0 && strncmp(text, "no ", 3) != 0)
		return false;
	*ret_kvm = text[0] == 'y';
	(void)snprintf(ret_why, size, "%s", strchr(text, ' ') + 1);
	ret_why[strcspn(ret_why, "\n")] = '\0';
	return true;
}

void accel_known(bool *ret_known, bool *ret_kvm, char *ret_why, size_t size)
{
	char path[PATH_MAX + 32], key[KEY], line[512];
	struct creel_err err = {0};
	struct stat st;

	*ret_known = *ret_kvm = false;
	if (sodium_init() < 0 || file_name(path, sizeof(path), "", &err) < 0)
		return;
	autofile FILE *f = fopen(path, "re");
	key_make(key);
	/* another user's word is not taken */
	if (!f || fstat(fileno(f), &st) < 0 || (st.st_uid != geteuid() && st.st_uid != 0) ||
	    !fgets(line, sizeof(line), f) || strncmp(line, key, KEY - 1) != 0 || line[KEY - 1] != ' ')
		return;
	*ret_known = answer_read(line + KEY, ret_kvm, ret_why, size);
}

/* A cache that cannot be written to costs another try next time, nothing else. */
static void remember(const char *answer)
{
	char path[PATH_MAX + 32], new[PATH_MAX + 32], key[KEY];
	struct creel_err err = {0};

	if (file_name(path, sizeof(path), "", &err) < 0 || file_name(new, sizeof(new), ".new", &err) < 0)
		return;
	key_make(key);
	FILE *f = fopen(new, "we");
	if (!f)
		return;
	bool ok = fprintf(f, "%s %s", key, answer) > 0;
	ok = fclose(f) == 0 && ok;
	if (ok)
		(void)rename(new, path);
}

static int probe(const char *program, const struct creel_image *image, char *ret, size_t size,
		 struct creel_err *err)
{
	char kernel[PATH_MAX], initrd[PATH_MAX];
	size_t len = 0;
	ssize_t n;
	int out[2], ws = 0;

	(void)snprintf(kernel, sizeof(kernel), "%s/vmlinuz", image->dir);
	(void)snprintf(initrd, sizeof(initrd), "%s/initramfs.cpio", image->dir);
	if (pipe2(out, O_CLOEXEC) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a pipe");
	pid_t pid = fork();
	if (pid == 0) {
		if (dup2(out[1], 1) < 0)
			_exit(126);
		execl(program, "creeld", "--probe", "kvm", kernel, initrd, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	while (len + 1 < size && (n = read(out[0], ret + len, size - 1 - len)) > 0)
		len += (size_t)n;
	ret[len] = '\0';
	close(out[0]);
	if (pid < 0 || waitpid(pid, &ws, 0) < 0 || !WIFEXITED(ws) || WEXITSTATUS(ws) != 0)
		return creel_err_set(err, CREEL_E_CHILD, 0, "creeld --probe did not say what KVM does");
	return 0;
}

int accel_kvm(const struct creel_image *image, bool *ret, struct creel_err *err)
{
	char why[256], answer[256], program[PATH_MAX];
	bool known = false, kvm = false;

	accel_known(&known, &kvm, why, sizeof(why));
	if (!known) {
		if (access("/dev/kvm", F_OK) == 0)
			fputs("creel: /dev/kvm is there: booting a guest to see whether it works (once on this "
			      "host, ten seconds at most)\n",
			      stderr);
		int r = where_program("creeld", program, sizeof(program), err);
		if (r == 0)
			r = probe(program, image, answer, sizeof(answer), err);
		if (r < 0)
			return r;
		if (!answer_read(answer, &kvm, why, sizeof(why)))
			return creel_err_set(err, CREEL_E_CHILD, 0, "creeld --probe answered '%.60s'",
					     answer);
		remember(answer);
		fprintf(stderr, "creel: guests run %s: %s\n", kvm ? "under KVM" : "emulated (TCG)", why);
	}
	*ret = kvm;
	return 0;
}

#include "linux/memfd.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;

int creel_memfd_sealed(const char *name, const void *data, size_t len, struct creel_err *err)
{
	autofd int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t at = 0;

	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "create memfd %s", name);
	while (at < len) {
		ssize_t n = write(fd, (const char *)data + at, len - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "write memfd %s", name);
		at += (size_t)n;
	}
	if (lseek(fd, 0, SEEK_SET) < 0 || fcntl(fd, F_ADD_SEALS, seals | F_SEAL_SEAL) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "seal memfd %s", name);
	return steal_fd(&fd);
}

int creel_memfd_read_sealed(int fd, struct creel_buf *out, struct creel_err *err)
{
	int have = fcntl(fd, F_GET_SEALS);
	struct stat st;
	size_t at = 0, start = out->len;
	int r;

	if (have < 0 || (have & seals) != seals)
		return creel_err_set(err, CREEL_E_DENIED, 0, "not a sealed memfd");
	if (fstat(fd, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "stat memfd");
	r = creel_buf_reserve(out, (size_t)st.st_size, err);
	if (r < 0)
		return r;
	while (at < (size_t)st.st_size) {
		ssize_t n = pread(fd, out->data + start + at, (size_t)st.st_size - at, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return creel_err_set(err, CREEL_E_OS, n < 0 ? errno : EIO, "read memfd");
		at += (size_t)n;
	}
	if (out->data) {
		out->len = start + at;
		out->data[out->len] = 0;
	}
	return 0;
}

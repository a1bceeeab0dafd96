#include "linux/flowsum.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE = CREEL_FLOWSUMS * sizeof(struct creel_flowsum) };

int creel_flowsums_new(struct creel_err *err)
{
	autofd int fd = memfd_create("flowsums", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, SIZE) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "create memfd flowsums");
	return steal_fd(&fd);
}

int creel_flowsums_clear(int fd, uint16_t group, struct creel_err *err)
{
	static const struct creel_flowsum none;

	if (pwrite(fd, &none, sizeof(none), (off_t)(group * sizeof(none))) != sizeof(none))
		return creel_err_set(err, CREEL_E_OS, errno, "clear a group's sum");
	return 0;
}

int creel_flowsums_map(int fd, struct creel_flowsum **ret, struct creel_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size != SIZE)
		return creel_err_set(err, CREEL_E_OS, errno, "no memory of sums");
	void *at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return creel_err_set(err, CREEL_E_OS, errno, "map the sums");
	*ret = at;
	return 0;
}

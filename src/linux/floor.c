#include "linux/floor.h"
#include "base/cleanup.h"
#include <errno.h>
#include <stdint.h>

int creel_floor_calls(scmp_filter_ctx f, const char *const *names, size_t n, const char **ret_at)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		int nr = seccomp_syscall_resolve_name(*ret_at = names[i]);
		r = nr < 0 ? -EINVAL : seccomp_rule_add_exact(f, SCMP_ACT_ERRNO(EPERM), nr, 0);
	}
	return r;
}

int creel_floor_kernel(scmp_filter_ctx f, const char **ret_at)
{
	static const char *const names[] = {
		"process_vm_readv",
		"process_vm_writev",
		"bpf",
		"perf_event_open",
		"keyctl",
		"add_key",
		"request_key",
		"kexec_load",
		"kexec_file_load",
		"init_module",
		"finit_module",
		"delete_module",
		"open_by_handle_at",
		"userfaultfd",
		"io_uring_setup",
		"io_uring_enter",
		"io_uring_register",
		"swapon",
		"swapoff",
		"reboot",
		"settimeofday",
		"clock_settime",
		"acct",
		"quotactl",
		"syslog",
		"iopl",
		"ioperm",
		"pidfd_getfd",
		"process_madvise",
		"lookup_dcookie",
	};
	return creel_floor_calls(f, names, ELEMENTSOF(names), ret_at);
}

int creel_floor_families(scmp_filter_ctx f, const int *families, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = seccomp_rule_add_exact(
			f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)families[i]));
	return r;
}

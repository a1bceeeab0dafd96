#include "base/cleanup.h"
#include "base/clock.h"
#include "linux/proc.h"
#include "monitor.h"
#include "words.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * That /dev/kvm opens says little: under some hypervisors KVM makes a machine whose kernel then
 * hangs. So a guest is booted, in the jail that a cell's machine has, and asked for its first word:
 * creel-init without a configuration says that it has none.
 */
enum {
	/* a guest says its word in a second or two; the rest is for a host that is busy */
	KVM_LIMIT_S = 10,
	TCG_LIMIT_S = 60,
};
static const char word_of_guest[] = "creel-init:";

/* True when @p fd said what a guest says; @p ret_why is set when not. */
static bool listen_to(int fd, int limit_s, const char **ret_why)
{
	static char said[65536], hung[64];
	long until = creel_clock_ms() + limit_s * 1000L;
	size_t len = 0;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		long left = until - creel_clock_ms();
		int n = left > 0 ? poll(&p, 1, (int)left) : 0;
		if (n == 0) {
			snprintf(hung, sizeof(hung), "a guest hung: no word of it in %d s", limit_s);
			*ret_why = hung;
			return false;
		}
		if (n < 0)
			continue;
		ssize_t got = read(fd, said + len, sizeof(said) - 1 - len);
		if (got <= 0 || len + (size_t)got == sizeof(said) - 1) {
			*ret_why = "QEMU ended before the guest said a word";
			return false;
		}
		len += (size_t)got;
		said[len] = '\0';
		if (strstr(said, word_of_guest))
			return true;
	}
}

static int machine_run(bool kvm, const char *kernel, const char *initrd, int console, int *ret_pidfd,
		       struct creel_err *err)
{
	struct creel_vmm_argv autoclean(creel_vmm_argv_fini) argv = {0};
	struct words w = {.n = 0};
	int chan[2], qmp[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, chan) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qmp) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make the machine's sockets");
	const int fds[] = {chan[1], qmp[1], console};
	const struct creel_vmm_spec spec = {.name = "probe",
					    .cpus = 1,
					    .memory_mib = 192,
					    .accel = kvm ? CREEL_ACCEL_KVM : CREEL_ACCEL_TCG,
					    .tsc_khz = creel_vmm_tsc_khz(),
					    .kernel = "/kernel",
					    .initrd = "/initrd",
					    .control_fd = 3,
					    .qmp_fd = 4,
					    .console_fd = 5,
					    .virtiofs_fd = -1,
					    .tap_fd = -1};
	creel_vmm_argv_init(&argv);
	int r = mon.vmm->argv(&spec, &argv, err);
	jail_words(&w, monitor_uid(MON_UID_PROBE), 5, true);
	if (kvm)
		kvm_words(&w);
	qemu_words(&w, mon.vmm_path);
	word(&w, "--bind");
	wordf(&w, "%s:/kernel", kernel);
	word(&w, "--bind");
	wordf(&w, "%s:/initrd", initrd);
	word(&w, "--");
	word(&w, mon.vmm_path);
	for (size_t i = 1; r == 0 && i < argv.n; i++)
		word(&w, argv.words[i]);
	if (r == 0)
		r = words_ok(&w, err);
	pid_t pid = r < 0 ? r
			  : creel_proc_spawn(w.v, STDERR_FILENO, fds, ELEMENTSOF(fds), CREEL_PROC_PIDNS,
					     ret_pidfd, err);
	/* our ends stay open: a machine without its control sockets ends */
	close(chan[1]);
	close(qmp[1]);
	return pid < 0 ? (int)pid : 0;
}

int probe_run(bool use_kvm, const char *kernel, const char *initrd, struct creel_err *err)
{
	const char *why = use_kvm ? "a guest boots under KVM" : "a guest boots under emulation";
	struct stat st;
	int console[2], pidfd = -1;

	int r = rootless_enter(NULL, err);

	if (r < 0)
		return r;
	autofd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (use_kvm && kvm < 0) {
		printf("no /dev/kvm: %s\n", strerror(errno));
		return 0;
	}
	if (stat(kernel, &st) < 0 || stat(initrd, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open the kernel and its initramfs");
	if (pipe2(console, O_CLOEXEC) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a pipe");
	r = machine_run(use_kvm, kernel, initrd, console[1], &pidfd, err);
	close(console[1]);
	if (r < 0)
		return r;
	bool runs = listen_to(console[0], use_kvm ? KVM_LIMIT_S : TCG_LIMIT_S, &why);
	close(console[0]);
	(void)creel_proc_kill(pidfd, SIGKILL, err);
	siginfo_t info;
	(void)waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
	close(pidfd);
	printf("%s %s\n", runs ? "yes" : "no", why);
	return 0;
}

#include "base/cleanup.h"
#include "linux/fdpass.h"
#include "linux/floor.h"
#include "step.h"
#include <arpa/inet.h>
#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* creel answers 'M' when the maps stand; anything else, or its end, is an error. */
static int maps_wait(const struct step *s, struct creel_err *err)
{
	char answer = 0;
	size_t n = 0;
	int r = creel_fdpass_send(s->ctl, "U", 1, NULL, 0, err);

	if (r == 0 && (creel_fdpass_recv(s->ctl, &answer, 1, NULL, 0, &n, err) < 0 || answer != 'M'))
		r = creel_err_set(err, CREEL_E_CLOSED, 0, "creel did not write the id maps");
	return r;
}

static int loopback_up(struct creel_err *err)
{
	struct ifreq i = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	autofd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &i) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "bring the loopback up");
	return 0;
}

/* The step's only way out: creel's proxy accepts from this socket, and dials where it stands. */
static int proxy_socket(const struct step *s, struct creel_err *err)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(STEP_PROXY_PORT),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	autofd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 128) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "listen for the proxy");
	int r = creel_fdpass_send(s->ctl, "L", 1, (const int[]){fd}, 1, err);
	char answer = 0;
	size_t n = 0;
	if (r == 0 && (creel_fdpass_recv(s->ctl, &answer, 1, NULL, 0, &n, err) < 0 || answer != 'P'))
		r = creel_err_set(err, CREEL_E_CLOSED, 0, "creel did not start the proxy");
	return r;
}

int step_namespaces(const struct step *s, struct creel_err *err)
{
	if (unshare(CLONE_NEWUSER) < 0)
		return creel_err_set(err, CREEL_E_OS, errno,
				     "this kernel or its settings forbid user namespaces (see sysctl "
				     "user.max_user_namespaces, kernel.unprivileged_userns_clone, "
				     "kernel.apparmor_restrict_unprivileged_userns)");
	int r = maps_wait(s, err);
	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
		    (s->host_net ? 0 : CLONE_NEWNET)) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make namespaces");
	if (!s->host_net)
		r = loopback_up(err);
	if (r == 0 && s->net)
		r = proxy_socket(s, err);
	return r;
}

/*
 * Kernel code that no build has a use for, and what namespaces do not divide (keyrings). What a root
 * within its namespace may do stays: package scripts mount, chroot and chown.
 */
static int filter(struct creel_err *err)
{
	static const char *const denied[] = {"setns", "fanotify_init"};
	static const int families[] = {17 /* PACKET */, 40 /* VSOCK */, 38 /* ALG */, 44 /* XDP */};
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int r = f ? 0 : -ENOMEM;
	const char *at = "start";

	if (r == 0)
		r = creel_floor_kernel(f, &at);
	if (r == 0)
		r = creel_floor_calls(f, denied, ELEMENTSOF(denied), &at);
	if (r == 0) {
		at = "socket";
		r = creel_floor_families(f, families, ELEMENTSOF(families));
	}
	if (r == 0) {
		at = "load";
		r = seccomp_load(f);
	}
	if (f)
		seccomp_release(f);
	return r < 0 ? creel_err_set(err, CREEL_E_OS, -r, "seccomp: %s", at) : 0;
}

int step_identity(const struct step *s, struct creel_err *err)
{
	const struct rlimit none = {0, 0};
	const unsigned id = s->nobody ? 65534 : 0;

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "set limits");
	if (setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "change group");
	if (!s->caps) {
		capng_clear(CAPNG_SELECT_BOTH);
		if (capng_apply(CAPNG_SELECT_BOUNDS) < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "clear the bounding set");
	}
	if (setresuid(id, id, id) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "change user");
	if (!s->caps && capng_apply(CAPNG_SELECT_CAPS) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "drop capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "set no_new_privs");
	return filter(err);
}

/*
 * What a captured VMM would try, one line a try: "got NAME" when it worked, "no NAME" when not. Static,
 * so that the jail needs to show it no library. Arguments: a TCP port that listens on the host's
 * loopback, and "uplink" for what a captured slirp4netns would try.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void try(const char *name, int worked)
{
	printf("%s %s\n", worked ? "got" : "no", name);
	fflush(stdout);
}

static int in_child(int (*f)(void))
{
	int ws = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(f() ? 0 : 1);
	waitpid(pid, &ws, 0);
	return WIFEXITED(ws) && WEXITSTATUS(ws) == 0;
}

static int new_userns(void)
{
	return unshare(CLONE_NEWUSER) == 0;
}
static int new_mount(void)
{
	return unshare(CLONE_NEWNS) == 0 && mount("x", "/", "tmpfs", MS_REMOUNT | MS_BIND, NULL) == 0;
}
static int trace_parent(void)
{
	return ptrace(PTRACE_SEIZE, getppid(), 0, 0) == 0;
}

/* with a bit set that the kernel does not look at, and a filter may */
static int high_socket(int family, int type)
{
	return (int)syscall(SYS_socket, 0x100000000L | family, type, 0);
}

/* It has the host's network namespace: its filter alone keeps it from programs that listen on abstract names. */
static void uplink(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int s = socket(AF_INET, SOCK_STREAM, 0);

	printf("%s\n", s >= 0 ? "may open IPv4" : "may not open IPv4");
	try("unix", socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	try("unix-high", high_socket(AF_UNIX, SOCK_STREAM) >= 0);
	try("ipv6", socket(AF_INET6, SOCK_STREAM, 0) >= 0);
	try("netlink", high_socket(AF_NETLINK, SOCK_RAW) >= 0);
	try("listen", bind(s, (struct sockaddr *)&any, sizeof(any)) == 0 && listen(s, 1) == 0);
	try("userns", in_child(new_userns));
	try("log", pwrite(3, "", 1, 2 << 20) == 1);
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)atoi(argv[1])),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	if (argc > 2) {
		uplink();
		return 0;
	}
	try("shadow", open("/etc/shadow", O_RDONLY) >= 0);
	try("home", open("/root", O_RDONLY | O_DIRECTORY) >= 0);
	try("proc", open("/proc/1/status", O_RDONLY) >= 0);
	try("write",
	    open("/tmp/.creel-captive", O_WRONLY | O_CREAT, 0600) >= 0 && unlink("/tmp/.creel-captive") == 0);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	try("loopback", s >= 0 && connect(s, (struct sockaddr *)&a, sizeof(a)) == 0);
	try("netlink", socket(AF_NETLINK, SOCK_RAW, 0) >= 0);
	try("netlink-high", high_socket(AF_NETLINK, SOCK_RAW) >= 0);
	try("packet", socket(AF_PACKET, SOCK_RAW, 0) >= 0);
	try("userns", in_child(new_userns));
	try("mount", in_child(new_mount));
	try("ptrace", in_child(trace_parent));
	try("setuid", setuid(0) == 0);
	try("mknod", mknod("/dev/creel-sda", S_IFBLK | 0600, 8 << 8) == 0 && unlink("/dev/creel-sda") == 0);
	try("bpf", !(syscall(SYS_bpf, 99, NULL, 0) < 0 && errno == EPERM));
	try("keyctl", !(syscall(SYS_keyctl, 0, -3, 0) < 0 && errno == EPERM));
	try("fd", fcntl(9, F_GETFD) >= 0); /* one that nobody meant to hand over */
	return 0;
}

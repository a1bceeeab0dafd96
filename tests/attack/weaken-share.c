/*
 * weaken-share PID: make the share of the server PID writable on the host's side, and nothing else: the
 * bind in its namespace loses its read-only flag. The twin of tests/attack/secrets.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%s/ns/mnt", argc > 1 ? argv[1] : "");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNS) < 0 ||
	    mount(NULL, "/share", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
		perror("weaken-share");
		return 1;
	}
	return 0;
}

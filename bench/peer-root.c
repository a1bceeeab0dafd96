/*
 * The initramfs of the systemd peer: loads the modules listed in /creel/modules, mounts /dev/vda
 * and hands over to its init. No more than a distribution's own initramfs does.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	char line[256];
	FILE *f = fopen("/creel/modules", "re");

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		int fd = open(line, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			syscall(SYS_finit_module, fd, "", 0);
		close(fd);
	}
	mkdir("/dev", 0755);
	mkdir("/new", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, "");
	for (int i = 0; i < 100 && mount("/dev/vda", "/new", "ext4", 0, "") < 0; i++)
		usleep(20000);
	if (chdir("/new") < 0 || mount("/dev", "dev", NULL, MS_MOVE, NULL) < 0 ||
	    mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		return 1;
	execl("/sbin/init", "init", (char *)NULL);
	return 1;
}

/* The peer of `boot`: the least that a guest can do after its kernel. Says READY and waits. */
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

int main(void)
{
	mount("devtmpfs", "/dev", "devtmpfs", 0, "");
	int fd = open("/dev/ttyS0", O_WRONLY);
	if (fd >= 0 && write(fd, "READY\n", 6) == 6)
		for (;;)
			pause();
	return 1;
}

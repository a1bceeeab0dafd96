/*
 * channel-guest MODE: root in a cell that turned on its own control channel. It takes the channel's
 * descriptor from creel-init and writes what creel-init never would. Linked statically: it is copied
 * into the cell.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* creel-init's descriptor of the channel's port: opening the port again is refused by the kernel. */
static int channel_take(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);

	for (int n = 0; n < 64; n++) {
		char path[64], to[128];
		(void)snprintf(path, sizeof(path), "/proc/1/fd/%d", n);
		ssize_t len = readlink(path, to, sizeof(to) - 1);
		if (len <= 0)
			continue;
		to[len] = '\0';
		if (strstr(to, "vport") || strstr(to, "virtio-ports"))
			return (int)syscall(SYS_pidfd_getfd, pidfd, n, 0);
	}
	return -1;
}

static void frame(uint8_t *p, uint8_t type, uint16_t stream, uint32_t len)
{
	const uint8_t head[8] = {type,
				 0,
				 (uint8_t)stream,
				 (uint8_t)(stream >> 8),
				 (uint8_t)len,
				 (uint8_t)(len >> 8),
				 (uint8_t)(len >> 16),
				 (uint8_t)(len >> 24)};
	memcpy(p, head, sizeof(head));
}

static void push(int fd, const uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
			continue;
		}
		if (n <= 0)
			exit(3);
		p += n;
		len -= (size_t)n;
	}
}

int main(int argc, char **argv)
{
	static uint8_t buf[65536];
	int fd = channel_take();
	const char *mode = argc > 1 ? argv[1] : "";

	if (fd < 0) {
		perror("take the channel");
		return 2;
	}
	srandom(1);
	if (strcmp(mode, "garbage") == 0) {
		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = (uint8_t)random();
		for (int i = 0; i < 64; i++)
			push(fd, buf, sizeof(buf));
	} else if (strcmp(mode, "length") == 0) {
		frame(buf, 4, 1, 0xffffffff); /* DATA of 4 GiB */
		push(fd, buf, 8);
		for (int i = 0; i < 64; i++)
			push(fd, buf, sizeof(buf));
	} else if (strcmp(mode, "notes") == 0) {
		/* well-formed control messages, as many as go through in some seconds */
		static const uint8_t note[6] = {4 /* a note */};
		time_t end = time(NULL) + 8;
		unsigned long sent = 0;
		enum { LEN = 6 + 199 };
		frame(buf, 2, 0, LEN);
		memcpy(buf + 8, note, sizeof(note));
		memset(buf + 8 + 6, 'n', LEN - 6);
		for (; time(NULL) < end; sent++)
			push(fd, buf, 8 + LEN);
		printf("%lu\n", sent);
	} else if (strcmp(mode, "window") == 0) {
		/* WINDOW: an overflow of what may be sent, on whichever stream is open */
		memset(buf + 8, 0xff, 4);
		for (uint16_t id = 1; id < 2000; id++) {
			frame(buf, 5, id, 4);
			push(fd, buf, 12);
			push(fd, buf, 12);
		}
	} else if (strcmp(mode, "open") == 0) {
		frame(buf, 3, 7, 1); /* OPEN is the host's alone */
		buf[8] = 1;
		push(fd, buf, 9);
	} else {
		return 2;
	}
	return 0;
}

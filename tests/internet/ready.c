/*
 * ready ADDR...: returns 0 when every name server answers a question (its zone's or the root's SOA, by
 * UDP), and something takes TCP on ports 80 and 443; 1 after 20 s, saying who did not.
 */
#include "base/cleanup.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static bool dns(const char *addr)
{
	/* the root's SOA, recursion asked for */
	static const unsigned char q[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\0\0\6\0\1";
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(53)};
	unsigned char msg[2048];
	autofd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd p = {fd, POLLIN, 0};

	(void)inet_pton(AF_INET, addr, &a.sin_addr);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || send(fd, q, sizeof(q) - 1, 0) < 0 ||
	    poll(&p, 1, 200) != 1)
		return false;
	/* any answer but "server failure": an authority for another zone refuses */
	return recv(fd, msg, sizeof(msg), 0) >= 12 && (msg[3] & 15) != 2;
}

static bool tcp(uint16_t port)
{
	struct sockaddr_in a = {AF_INET, htons(port), {htonl(0x7f000001)}, {0}};
	autofd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + 20;

	for (int i = 1; i < argc; i++)
		while (!dns(argv[i])) {
			if (time(NULL) > end) {
				fprintf(stderr, "ready: %s does not answer\n", argv[i]);
				return 1;
			}
			(void)usleep(5000);
		}
	while (!tcp(80) || !tcp(443)) {
		if (time(NULL) > end) {
			fputs("ready: no web server\n", stderr);
			return 1;
		}
		(void)usleep(5000);
	}
	return 0;
}

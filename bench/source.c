/*
 * source ADDRESS PORT: for the guests of bench/pipe. A client sends "N\n" and gets N octets.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char block[65536];
	struct sockaddr_in at = {.sin_family = AF_INET};
	int on = 1, l = socket(AF_INET, SOCK_STREAM, 0);

	signal(SIGPIPE, SIG_IGN);
	if (argc < 3 || inet_pton(AF_INET, argv[1], &at.sin_addr) != 1)
		return 2;
	at.sin_port = htons((uint16_t)atoi(argv[2]));
	if (l < 0 || setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(l, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(l, 4) < 0)
		return 1;
	for (int fd; (fd = accept(l, NULL, NULL)) >= 0; close(fd)) {
		char line[32] = "";
		for (size_t n = 0; n < sizeof(line) - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n'; n++)
			;
		for (long left = atol(line); left > 0;) {
			ssize_t n = write(fd, block,
					  left < (long)sizeof(block) ? (size_t)left : sizeof(block));
			if (n <= 0)
				break;
			left -= n;
		}
	}
	return 0;
}

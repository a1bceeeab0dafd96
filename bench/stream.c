/*
 * One TCP stream that begins as TLS does, for bench/throughput: a hello with a name, the beginning of a
 * server's answer, and then octets as fast as they go.
 *
 *   stream serve ADDR PORT                     until it is killed
 *   stream ADDR PORT NAME SECONDS out|in       prints Mbit/s, as the receiving side has it
 */
#include "flownet.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char block[1 << 17];

static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static int whole(int fd, void *p, size_t n)
{
	return recv(fd, p, n, MSG_WAITALL) == (ssize_t)n;
}

/* Until @p end, 0: until nobody takes more. */
static void pour(int fd, double end)
{
	while ((end == 0 || now_s() < end) && send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
		;
}

static uint64_t drink(int fd, double end)
{
	uint64_t sum = 0;
	ssize_t n;

	while ((end == 0 || now_s() < end) && (n = recv(fd, block, sizeof(block), 0)) > 0)
		sum += (uint64_t)n;
	return sum;
}

static void served(int fd)
{
	static const uint8_t answer[5 + 122] = {22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3, 1};
	uint8_t in[512];
	char way;

	must(whole(fd, in, 5), "hello");
	size_t n = (size_t)in[3] << 8 | in[4];
	must(n <= sizeof(in) - 5 && whole(fd, in + 5, n), "hello");
	must(send(fd, answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer), "answer");
	must(whole(fd, &way, 1), "way");
	if (way == 'i')
		pour(fd, 0);
	uint64_t sum = way == 'o' ? drink(fd, 0) : 0;
	(void)send(fd, &sum, sizeof(sum), MSG_NOSIGNAL);
	exit(0);
}

static void serve(const struct sockaddr_in *at)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)signal(SIGCHLD, SIG_IGN);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	must(bind(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 && listen(fd, 16) == 0, "listen");
	for (;;) {
		int c = accept(fd, NULL, NULL);
		if (c >= 0 && fork() == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			served(c);
		}
		close(c);
	}
}

static void client(const struct sockaddr_in *to, const char *name, double seconds, const char *way)
{
	uint8_t p[512];
	uint64_t sum = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	must(strlen(name) < 200 && connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0, "connect");
	size_t n = flownet_hello(p, sizeof(p), name, false, 0, 16384);
	must(send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n && whole(fd, p, 5 + 122), "the server's answer");
	must(send(fd, way, 1, MSG_NOSIGNAL) == 1, "way");
	double from = now_s();
	if (way[0] == 'o') {
		pour(fd, from + seconds);
		(void)shutdown(fd, SHUT_WR);
		must(whole(fd, &sum, sizeof(sum)), "the server's count");
	} else {
		sum = drink(fd, from + seconds);
	}
	printf("%.1f\n", (double)sum * 8 / 1e6 / (now_s() - from));
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	bool server = argc == 4 && strcmp(argv[1], "serve") == 0;

	if (!server && argc != 6)
		return 2;
	must(inet_pton(AF_INET, argv[1 + server], &at.sin_addr) == 1, "address");
	at.sin_port = htons((uint16_t)atoi(argv[2 + server]));
	if (server)
		serve(&at);
	client(&at, argv[3], atof(argv[4]), argv[5]);
	return 0;
}

/*
 * sink FILE: whatever is not DNS or the web. TCP on ports 22, 853, 4444, 5432, 6667: the first octets are
 * answered by `hello ADDRESS PORT` and then echoed; 25 and 587: mail, kept; UDP on 123, 443, 4444: echoed; UDP on 4444 by IPv6: noted as "udp6", without addresses.
 * Each is a line of FILE: {"proto":"tcp","to":...,"port":N,"from":...,"data":"..."}, when its first octets
 * come, and for mail once it is whole.
 */
#include "base/cleanup.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static FILE *out;

static void note(const char *proto, struct sockaddr_in to, struct sockaddr_in from, const char *data,
		 size_t n)
{
	char text[3000];
	size_t t = 0;

	for (size_t i = 0; i < n && t < sizeof(text) - 8; i++) {
		unsigned char c = (unsigned char)data[i];
		if (c == '"' || c == '\\' || c < 32 || c > 126)
			t += (size_t)sprintf(text + t, "\\u%04x", c);
		else
			text[t++] = (char)c;
	}
	text[t] = 0;
	char to_text[INET_ADDRSTRLEN];
	(void)inet_ntop(AF_INET, &to.sin_addr, to_text, sizeof(to_text));
	fprintf(out, "{\"proto\":\"%s\",\"to\":\"%s\",\"port\":%u,\"from\":\"%s\",\"data\":\"%s\"}\n", proto,
		to_text, ntohs(to.sin_port), inet_ntoa(from.sin_addr), text);
	(void)fflush(out);
}

static void echo(int c, struct sockaddr_in to, struct sockaddr_in from)
{
	char buf[4096];
	bool first = true;
	ssize_t n;

	while ((n = read(c, buf, sizeof(buf))) > 0) {
		if (first) {
			note("tcp", to, from, buf, (size_t)MIN(n, 400));
			(void)dprintf(c, "hello %s %u\n", inet_ntoa(to.sin_addr), ntohs(to.sin_port));
		}
		first = false;
		(void)!write(c, buf, (size_t)n);
	}
}

static void mail(int c, struct sockaddr_in to, struct sockaddr_in from)
{
	char line[1200], text[2900] = "";
	size_t t = 0;
	bool data = false;
	autofile FILE *in = fdopen(dup(c), "r");

	(void)dprintf(c, "220 mail.example ESMTP\r\n");
	while (in && fgets(line, sizeof(line), in)) {
		size_t n = strcspn(line, "\r\n");
		if (data && strcmp(line, ".\r\n") == 0) {
			note("mail", to, from, text, t);
			(void)dprintf(c, "250 kept\r\n");
			data = false;
			t = 0;
			continue;
		}
		if (t + n + 1 < sizeof(text)) {
			memcpy(text + t, line, n);
			text[t + n] = '\n';
			t += n + 1;
		}
		if (data)
			continue;
		if (strncasecmp(line, "DATA", 4) == 0) {
			data = true;
			(void)dprintf(c, "354 go on\r\n");
		} else if (strncasecmp(line, "QUIT", 4) == 0) {
			(void)dprintf(c, "221 bye\r\n");
			return;
		} else {
			(void)dprintf(c, "250 ok\r\n");
		}
	}
}

/* @return -1 (which poll passes over) where the kernel has no IPv6 */
static int six(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(4444)};
	int on = 1, fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		perror("sink");
		_exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	static const uint16_t tcp[] = {22, 853, 4444, 5432, 6667, 25, 587}, udp[] = {123, 443, 4444};
	enum { N_TCP = ELEMENTSOF(tcp), SIX = N_TCP + ELEMENTSOF(udp), N };
	struct pollfd p[N];
	int on = 1;

	out = argc == 2 ? fopen(argv[1], "ae") : NULL;
	if (!out)
		return 2;
	(void)signal(SIGCHLD, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	p[SIX] = (struct pollfd){six(), POLLIN, 0};
	for (int i = 0; i < SIX; i++) {
		struct sockaddr_in a = {.sin_family = AF_INET};
		a.sin_port = htons(i < N_TCP ? tcp[i] : udp[i - N_TCP]);
		p[i] = (struct pollfd){
			socket(AF_INET, (i < N_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0), POLLIN, 0};
		(void)setsockopt(p[i].fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		(void)setsockopt(p[i].fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
		if (bind(p[i].fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		    (i < N_TCP && listen(p[i].fd, 1024) < 0)) {
			perror("sink");
			return 1;
		}
	}
	while (poll(p, N, -1) >= 0)
		for (int i = 0; i < N; i++) {
			struct sockaddr_in from = {0}, to = {0};
			socklen_t len = sizeof(from);
			if (!p[i].revents)
				continue;
			if (i == SIX) {
				char buf[2048];
				ssize_t n = recv(p[i].fd, buf, sizeof(buf), 0);
				to.sin_port = htons(4444);
				if (n > 0)
					note("udp6", to, from, buf, (size_t)MIN(n, 400));
				continue;
			}
			if (i >= N_TCP) {
				char buf[2048], ctl[256];
				struct iovec v = {buf, sizeof(buf)};
				struct msghdr m = {&from, sizeof(from), &v, 1, ctl, sizeof(ctl), 0};
				ssize_t n = recvmsg(p[i].fd, &m, 0);
				struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
				to.sin_port = htons(udp[i - N_TCP]);
				if (h)
					memcpy(&to.sin_addr,
					       &((struct in_pktinfo *)(void *)CMSG_DATA(h))->ipi_addr, 4);
				if (n > 0) {
					/* from the address that was asked: the control message goes back with it */
					note("udp", to, from, buf, (size_t)MIN(n, 400));
					v.iov_len = (size_t)n;
					if (h)
						((struct in_pktinfo *)(void *)CMSG_DATA(h))->ipi_ifindex = 0;
					(void)sendmsg(p[i].fd, &m, 0);
				}
				continue;
			}
			autofd int c = accept4(p[i].fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);
			if (c < 0 || fork() != 0)
				continue;
			(void)alarm(600);
			len = sizeof(to);
			(void)getsockname(c, (struct sockaddr *)&to, &len);
			if (tcp[i] == 25 || tcp[i] == 587)
				mail(c, to, from);
			else
				echo(c, to, from);
			_exit(0);
		}
	return 1;
}

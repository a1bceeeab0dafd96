/*
 * netpeer ADDR ZONE PORT...: a small internet for tests/e2e/network. DNS on ADDR (UDP and TCP), from
 * ZONE: lines `NAME ADDRESS...`, IPv4 or IPv6, the last name winning nothing special; and on each PORT, of whatever
 * address this namespace has, TCP: the first octets are answered by `hello ADDRESS PORT` and the flow
 * is then echoed. Each query is a line on standard output.
 */
#include "base/cleanup.h"
#include "wire/be.h"
#include "wire/dns.h"
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *zone_path;

static size_t answer(const uint8_t *msg, size_t len, uint8_t *out)
{
	struct creel_dns_query q;
	struct creel_err err = {0};
	char line[512];
	bool known = false;
	unsigned n = 0;

	if (creel_dns_query_parse(msg, len, &q, &err) < 0)
		return 0;
	printf("%s %u\n", q.name.text, q.type);
	fflush(stdout);
	size_t at = 12 + q.question_len;
	memset(out, 0, 12);
	memcpy(out + 12, q.question, q.question_len);
	autofile FILE *f = fopen(zone_path, "re"); /* read anew: a test may change it */
	while (f && fgets(line, sizeof(line), f)) {
		char *save = line, *name = strsep(&save, " \n"), *w;
		if (strcmp(name, q.name.text) != 0)
			continue;
		known = true;
		while ((q.type == CREEL_DNS_A || q.type == CREEL_DNS_AAAA) &&
		       (w = strsep(&save, " \n")) != NULL) {
			bool six = strchr(w, ':');
			if (!*w || six != (q.type == CREEL_DNS_AAAA))
				continue;
			memcpy(out + at, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4", 12);
			out[at + 3] = (uint8_t)q.type;
			out[at + 11] = six ? 16 : 4;
			(void)inet_pton(six ? AF_INET6 : AF_INET, w, out + at + 12);
			at += six ? 28 : 16;
			n++;
		}
	}
	creel_put_be16(out, q.id);
	out[2] = 0x85;
	out[3] = (uint8_t)(0x80 | (known ? 0 : 3));
	out[5] = 1;
	out[7] = (uint8_t)n;
	return at;
}

static void dns_tcp(int c)
{
	uint8_t msg[4096], out[8192];

	for (;;) {
		size_t n = 0, want = 2;
		while (n < want) {
			ssize_t k = read(c, msg + n, want - n);
			if (k <= 0)
				_exit(0);
			n += (size_t)k;
			if (n == 2)
				want = 2 + (size_t)creel_be16(msg);
			if (want > sizeof(msg))
				_exit(0);
		}
		n = answer(msg + 2, n - 2, out + 2);
		creel_put_be16(out, (uint16_t)n);
		(void)!write(c, out, n + 2);
	}
}

static void hello(int c)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct sockaddr_in6 me;
	socklen_t ml = sizeof(me);
	char buf[4096], addr[INET6_ADDRSTRLEN];
	bool first = true;
	ssize_t n;

	while ((n = read(c, buf, sizeof(buf))) > 0) {
		if (first) {
			(void)getsockname(c, (struct sockaddr *)&me, &ml);
			const uint8_t *a = me.sin6_addr.s6_addr;
			bool four = memcmp(a, mapped, sizeof(mapped)) == 0;
			(void)inet_ntop(four ? AF_INET : AF_INET6, four ? a + 12 : a, addr, sizeof(addr));
			(void)dprintf(c, "hello %s %u\n", addr, ntohs(me.sin6_port));
		}
		first = false;
		(void)!write(c, buf, (size_t)n);
	}
	_exit(0);
}

/* @p addr  NULL: all, of both families */
static int listener(const char *addr, uint16_t port, int type)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, type, 0), on = 1;
	char mapped[64];

	bool six = addr && strchr(addr, ':');
	(void)snprintf(mapped, sizeof(mapped), "%s%s", six ? "" : addr ? "::ffff:" : "::", addr ? addr : "");
	(void)inet_pton(AF_INET6, mapped, &a.sin6_addr);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 256) < 0)) {
		perror("netpeer");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct pollfd p[64];
	nfds_t n = 2;

	if (argc < 3 || argc > 60)
		return 2;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGCHLD, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	zone_path = argv[2];
	p[0] = (struct pollfd){listener(argv[1], 53, SOCK_DGRAM), POLLIN, 0};
	p[1] = (struct pollfd){listener(argv[1], 53, SOCK_STREAM), POLLIN, 0};
	for (int i = 3; i < argc; i++)
		p[n++] = (struct pollfd){listener(NULL, (uint16_t)atoi(argv[i]), SOCK_STREAM), POLLIN, 0};
	for (;;) {
		if (poll(p, n, -1) < 0)
			return 1;
		for (nfds_t i = 0; i < n; i++) {
			uint8_t msg[4096], out[8192];
			struct sockaddr_in6 from;
			socklen_t fl = sizeof(from);
			if (!(p[i].revents & POLLIN))
				continue;
			if (i == 0) {
				ssize_t k = recvfrom(p[0].fd, msg, sizeof(msg), 0, (struct sockaddr *)&from,
						     &fl);
				size_t len = k > 0 ? answer(msg, (size_t)k, out) : 0;
				if (len)
					(void)sendto(p[0].fd, out, len, 0, (struct sockaddr *)&from, fl);
				continue;
			}
			int c = accept(p[i].fd, NULL, NULL);
			if (fork() == 0) {
				(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
				if (i == 1)
					dns_tcp(c);
				hello(c);
			}
			close(c);
		}
	}
}

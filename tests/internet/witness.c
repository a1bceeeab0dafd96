/*
 * witness FILE: each IPv4 or IPv6 packet that comes in by eth0, as a line: `FROM > TO PROTO [SPORT DPORT]
 * LEN PAYLOAD`, the payload's first 200 octets with what is not printable as a dot. What is not here
 * did not leave the host.
 */
#include "base/cleanup.h"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void line(FILE *out, const unsigned char *p, size_t n)
{
	char from[64] = "?", to[64] = "?";
	size_t head = 0;
	unsigned proto = 0;

	if (n >= 20 && p[0] >> 4 == 4) {
		head = (p[0] & 15) * 4U;
		proto = p[9];
		(void)inet_ntop(AF_INET, p + 12, from, sizeof(from));
		(void)inet_ntop(AF_INET, p + 16, to, sizeof(to));
	} else if (n >= 40 && p[0] >> 4 == 6) {
		head = 40;
		proto = p[6];
		(void)inet_ntop(AF_INET6, p + 8, from, sizeof(from));
		(void)inet_ntop(AF_INET6, p + 24, to, sizeof(to));
	}
	fprintf(out, "%s > %s %u", from, to, proto);
	if ((proto == IPPROTO_TCP || proto == IPPROTO_UDP) && n >= head + 4)
		fprintf(out, " %u %u", p[head] << 8 | p[head + 1], p[head + 2] << 8 | p[head + 3]);
	fprintf(out, " %zu ", n);
	for (size_t i = head; i < n && i < head + 200; i++)
		putc(p[i] > 32 && p[i] < 127 ? p[i] : '.', out);
	putc('\n', out);
}

int main(int argc, char **argv)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	autofile FILE *out = argc == 2 ? fopen(argv[1], "ae") : NULL;
	autofd int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));
	unsigned char buf[65536];
	int size = 16 << 20;

	a.sll_ifindex = (int)if_nametoindex("eth0");
	/* a machine's card gives what is for all, or for others, only to who asks for it */
	struct packet_mreq all = {.mr_ifindex = a.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
	(void)setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (!out || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		perror("witness");
		return 1;
	}
	for (;;) {
		struct sockaddr_ll from;
		socklen_t fl = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &fl);
		if (n <= 0 || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		if (from.sll_protocol != htons(ETH_P_IP) && from.sll_protocol != htons(ETH_P_IPV6))
			continue;
		line(out, buf, (size_t)n);
		(void)fflush(out);
	}
}

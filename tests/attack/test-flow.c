/*
 * Wall: creel-flow and the filter around it. Attacks: what an agent would try to reach a name that it may
 * not, on an address that it may; by names, by requests, by TCP segments that two readers see differently;
 * and errors forged about another cell's flow. The twin is the same filter without the check of names (or
 * with a rule that lets all related packets pass), where each attack must succeed, or the test is blind.
 */
#include "base/cleanup.h"
#include "flownet.h"
#include "tests/cmocka-all.h"
#include "wire/be.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct flownet net;
static uint8_t hello[4096], evil_hello[4096];

static const char policy[] =
	"mode listed 1\nsubnet 192.168.83.0/24\nallow 2 good.example\nallow 3 good.example:80\n"
	"allow 4 good.example:8080\nallow 5 good.example:8443\nallow 6 second.example\n";

#define GET(path, host) "GET " path " HTTP/1.1\r\nHost: " host "\r\n\r\n"
#define POST            "POST /p HTTP/1.1\r\nHost: good.example\r\n"

enum hello_kind { HELLO_NONE, HELLO_EVIL, HELLO_BARE, HELLO_ECH, HELLO_SECOND };

static const struct {
	const char *what;
	uint16_t port;
	enum hello_kind hello;
	const char *text; /* sent, when it is no hello */
	const char *mark; /* the attack has worked when the server sees it */
} attacks[] = {
	{"TLS: another name on a shared address", 443, HELLO_EVIL, NULL, "evil.example"},
	{"TLS: an allowed name that resolved elsewhere", 443, HELLO_SECOND, NULL, "second.example"},
	{"TLS: no name", 443, HELLO_BARE, NULL, "\x16\x03\x01"},
	{"TLS: an encrypted hello", 443, HELLO_ECH, NULL, "good.example"},
	{"TLS: another name on 8080", 8080, HELLO_EVIL, NULL, "evil.example"},
	{"TLS: another name on 8443", 8443, HELLO_EVIL, NULL, "evil.example"},
	{"HTTP: another name on 80", 80, HELLO_NONE, GET("/", "evil.example"), "evil.example"},
	{"HTTP: another name on 443", 443, HELLO_NONE, GET("/", "evil.example"), "evil.example"},
	{"HTTP: another name on 8080", 8080, HELLO_NONE, GET("/", "evil.example"), "evil.example"},
	{"HTTP: another name on 8443", 8443, HELLO_NONE, GET("/", "evil.example"), "evil.example"},
	{"TLS on 80", 80, HELLO_EVIL, NULL, "evil.example"},
	{"HTTP: a second request", 80, HELLO_NONE, GET("/", "good.example") GET("/", "evil.example"),
	 "evil.example"},
	{"HTTP: an absolute target", 80, HELLO_NONE,
	 "GET http://evil.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n", "evil.example"},
	{"HTTP: Host twice", 80, HELLO_NONE,
	 "GET / HTTP/1.1\r\nHost: good.example\r\nHost: evil.example\r\n\r\n", "evil.example"},
	{"HTTP: a folded Host", 80, HELLO_NONE,
	 "GET / HTTP/1.1\r\nX: y\r\n Host: evil.example\r\nHost: good.example\r\n\r\n", "evil.example"},
	{"HTTP: lines ended by LF", 80, HELLO_NONE, "GET / HTTP/1.1\nHost: evil.example\n\n", "evil.example"},
	{"HTTP: two lengths", 80, HELLO_NONE,
	 POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET("/", "evil.example"),
	 "evil.example"},
	{"HTTP: a chunk's extension", 80, HELLO_NONE,
	 POST "Transfer-Encoding: chunked\r\n\r\n0;a\n\r\n\r\n" GET("/", "evil.example"), "evil.example"},
	{"HTTP: a trailer", 80, HELLO_NONE,
	 POST "Transfer-Encoding: chunked\r\n\r\n0\r\nHost: evil.example\r\n\r\n", "evil.example"},
	{"HTTP: CONNECT", 80, HELLO_NONE, "CONNECT evil.example:443 HTTP/1.1\r\nHost: good.example\r\n\r\n",
	 "evil.example"},
	{"HTTP: h2c", 80, HELLO_NONE, "GET / HTTP/1.1\r\nHost: good.example\r\nUpgrade: h2c\r\n\r\n", "h2c"},
	{"HTTP: HTTP/2 from the first octet", 80, HELLO_NONE, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n evil.example",
	 "evil.example"},
};

/* The octets that a server gets until the connection ends or is quiet: is the mark among them? */
static bool server_saw(int listener, const char *mark)
{
	char got[8192];
	size_t n = 0;
	int s = flownet_accept(listener, 500);

	if (s < 0)
		return false;
	struct pollfd p = {.fd = s, .events = POLLIN};
	while (n < sizeof(got) - 1 && !memmem(got, n, mark, strlen(mark)) && poll(&p, 1, 500) > 0) {
		ssize_t k = recv(s, got + n, sizeof(got) - 1 - n, 0);
		if (k <= 0)
			break;
		n += (size_t)k;
	}
	close(s);
	return memmem(got, n, mark, strlen(mark)) != NULL;
}

static bool by_names(size_t i, int listener)
{
	const char *name = attacks[i].hello == HELLO_EVIL     ? "evil.example"
			   : attacks[i].hello == HELLO_SECOND ? "second.example"
			   : attacks[i].hello == HELLO_ECH    ? "good.example"
							      : NULL;
	int g = flownet_connect(&net, NET_A, "192.0.2.10", attacks[i].port, FLOWNET_WAIT_MS);

	if (g < 0)
		fail_msg("%s: connect: %s", attacks[i].what, strerror(-g));
	if (attacks[i].text)
		(void)send(g, attacks[i].text, strlen(attacks[i].text), MSG_NOSIGNAL);
	else
		(void)send(g, hello,
			   flownet_hello(hello, sizeof(hello), name, attacks[i].hello == HELLO_ECH, 0, 16384),
			   MSG_NOSIGNAL);
	bool saw = server_saw(listener, attacks[i].mark);
	close(g);
	return saw;
}

/* After a retry request, a second hello with another name. */
static bool second_hello(int listener)
{
	static const uint8_t retry[] =
		"\x16\3\3\0\x2c\2\0\0\x28\3\3\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e"
		"\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c\0\x13\1\0\0\0";
	size_t n = flownet_hello(hello, sizeof(hello), "good.example", false, 0, 16384);
	int g = flownet_connect(&net, NET_A, "192.0.2.10", 443, FLOWNET_WAIT_MS);
	char got[4096] = "";
	size_t len = 0;

	assert_true(g >= 0);
	flownet_send(g, hello, n);
	int s = flownet_accept(listener, -1);
	flownet_expect(s, hello, n);
	flownet_send(s, retry, sizeof(retry) - 1);
	flownet_expect(g, retry, sizeof(retry) - 1);
	flownet_send(g, evil_hello,
		     flownet_hello(evil_hello, sizeof(evil_hello), "evil.example", false, 0, 16384));
	struct pollfd p = {.fd = s, .events = POLLIN};
	while (len < sizeof(got) && poll(&p, 1, 500) > 0) {
		ssize_t k = recv(s, got + len, sizeof(got) - len, 0);
		if (k <= 0)
			break;
		len += (size_t)k;
	}
	close(g);
	close(s);
	return memmem(got, len, "evil.example", 12) != NULL;
}

/* --- TCP by hand ------------------------------------------------------------------------------- */

struct raw {
	int fd;
	uint16_t port;
	uint32_t seq, ack;
};
enum { SYN = 2, ACK = 16, PSH = 8, BAD_SUM = 0x100 };

static uint32_t sum(const uint8_t *p, size_t n)
{
	uint32_t s = 0;

	for (size_t i = 0; i < n; i += 2)
		s += (uint32_t)p[i] << 8 | (i + 1 < n ? p[i + 1] : 0);
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void segment(const struct raw *r, unsigned flags, uint32_t seq, const void *data, size_t len)
{
	uint8_t p[40 + 2048] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 168, 83, 2, 192, 0, 2, 10};
	struct sockaddr_in a = {.sin_family = AF_INET};

	inet_pton(AF_INET, "192.0.2.10", &a.sin_addr);
	creel_put_be16(p + 20, r->port);
	creel_put_be16(p + 22, 443);
	creel_put_be32(p + 24, seq);
	creel_put_be32(p + 28, flags & ACK ? r->ack : 0);
	p[32] = 0x50;
	p[33] = (uint8_t)flags;
	creel_put_be16(p + 34, 60000);
	memcpy(p + 40, data, len);
	uint16_t check = fold(sum(p + 12, 8) + 6 + 20 + (uint32_t)len + sum(p + 20, 20 + len));
	creel_put_be16(p + 36, flags & BAD_SUM ? (uint16_t)(check ^ 0x5a5a) : check);
	assert_int_equal(sendto(r->fd, p, 40 + len, 0, (struct sockaddr *)&a, sizeof(a)), 40 + len);
}

static struct raw raw_open(void)
{
	static uint16_t port = 40000;
	struct raw r = {flownet_socket(&net, NET_A, AF_INET, SOCK_RAW, IPPROTO_TCP), port++, 1000, 0};
	const int one = 1;
	uint8_t in[2048];

	assert_int_equal(setsockopt(r.fd, IPPROTO_IP, IP_HDRINCL, &one, sizeof(one)), 0);
	segment(&r, SYN, r.seq++, "", 0);
	for (;;) {
		ssize_t n = recv(r.fd, in, sizeof(in), 0);
		if (n <= 0)
			fail_msg("no answer to SYN");
		if (n >= 40 && creel_be16(in + 22) == r.port && (in[33] & (SYN | ACK)) == (SYN | ACK))
			break;
	}
	r.ack = creel_be32(in + 24) + 1;
	segment(&r, ACK, r.seq, "", 0);
	return r;
}

static const char *const segments[] = {
	"TCP: a good hello with a bad checksum, then another",
	"TCP: the good end out of order, then another over it",
	"TCP: a hello, then a good one in its place",
};

static bool by_segments(size_t i, int listener)
{
	size_t n = flownet_hello(hello, sizeof(hello), "good.example", false, 0, 16384);
	struct raw r = raw_open();

	assert_int_equal(flownet_hello(evil_hello, sizeof(evil_hello), "evil.example", false, 0, 16384), n);
	if (i == 0) {
		segment(&r, ACK | PSH | BAD_SUM, r.seq, hello, n);
		segment(&r, ACK | PSH, r.seq, evil_hello, n);
	} else if (i == 1) {
		segment(&r, ACK | PSH, r.seq + 20, hello + 20, n - 20);
		segment(&r, ACK | PSH, r.seq, evil_hello, n);
	} else {
		segment(&r, ACK | PSH, r.seq, evil_hello, n);
		segment(&r, ACK | PSH, r.seq, hello, n);
	}
	bool saw = server_saw(listener, "evil.example");
	close(r.fd);
	return saw;
}

/* --- a flood of hellos that never end ------------------------------------------------------------------- */

/* Are they all held, or is their memory? One that is honest stands behind them, and must pass in any case. */
static bool half_hellos(int listener)
{
	enum { FLOOD = 700, PART = 40000, MOST_KB = 32 << 10 };
	static uint8_t large[70000];
	static int g[FLOOD];
	int ended = 0;
	size_t n = flownet_hello(large, sizeof(large), "good.example", false, 60000, 16384);

	assert_true(n > PART);
	for (int i = 0; i < FLOOD; i++) {
		g[i] = flownet_connect(&net, NET_A, "192.0.2.10", 443, FLOWNET_WAIT_MS);
		if (g[i] < 0)
			fail_msg("half hello %d: connect: %s", i, strerror(-g[i]));
		(void)fcntl(g[i], F_SETFL, O_NONBLOCK);
		(void)send(g[i], large, PART, MSG_NOSIGNAL);
	}
	autofd int honest = flownet_connect(&net, NET_A, "192.0.2.10", 443, FLOWNET_WAIT_MS);
	if (honest < 0)
		fail_msg("behind half hellos: connect: %s", strerror(-honest));
	n = flownet_hello(hello, sizeof(hello), "good.example", false, 0, 16384);
	flownet_send(honest, hello, n);
	autofd int s = flownet_accept(listener, -1);
	flownet_expect(s, hello, n);
	long kb = flownet_memory_kb(net.cell[0].flow);
	for (int i = 0; i < FLOOD; i++) {
		ended += flownet_end(g[i], 0) == 'R';
		close(g[i]);
	}
	printf("# half hellos: %d of %d ended, %ld KiB\n", ended, FLOOD, kb);
	return ended < FLOOD / 2 || (!FLOWNET_SANITIZED && kb > MOST_KB);
}

/* --- ICMP -------------------------------------------------------------------------------------- */

/*
 * An error from cell B, to @p to, that quotes a packet between the addresses and ports: does it get to @p at?
 * Quoted is what conntrack would know a flow of cell A by: as the server sees it, or as the cell does.
 */
static bool forged(const char *to, enum flownet_ns at, const char *qsrc, uint16_t qsport, const char *qdst,
		   uint16_t qdport)
{
	uint8_t p[8 + 28] = {3,    4, 0, 0,  0, 0, 2,    0, /* fragmentation needed, 512 */
			     0x45, 0, 0, 60, 0, 0, 0x40, 0, 63, 6};
	struct sockaddr_in a = {.sin_family = AF_INET};
	autofd int out = flownet_socket(&net, NET_B, AF_INET, SOCK_RAW, IPPROTO_ICMP);
	autofd int in = flownet_socket(&net, at, AF_INET, SOCK_RAW, IPPROTO_ICMP);
	struct pollfd poll_in = {.fd = in, .events = POLLIN};
	uint8_t got[256];

	inet_pton(AF_INET, to, &a.sin_addr);
	inet_pton(AF_INET, qsrc, p + 8 + 12);
	inet_pton(AF_INET, qdst, p + 8 + 16);
	creel_put_be16(p + 8 + 20, qsport);
	creel_put_be16(p + 8 + 22, qdport);
	creel_put_be16(p + 2, fold(sum(p, sizeof(p))));
	assert_int_equal(sendto(out, p, sizeof(p), 0, (struct sockaddr *)&a, sizeof(a)), sizeof(p));
	while (poll(&poll_in, 1, 500) > 0) {
		ssize_t n = recv(in, got, sizeof(got), 0);
		if (n >= 20 + 8 && got[20] == 3 && got[21] == 4)
			return true;
	}
	return false;
}

static int number, failed;

static void told(const char *what, bool weak, bool strong)
{
	number++;
	failed += !weak || strong;
	printf("%sok %d - %s%s\n", weak && !strong ? "" : "not ", number, what,
	       !weak    ? ": the twin did not get it, so this test is blind"
	       : strong ? ": it worked"
			: "");
}

int main(void)
{
	static bool got[2][64];
	static const uint16_t ports[] = {443, 80, 8080, 8443};
	int listeners[4];
	size_t n = 0;

	flownet_up(&net, 230);
	/* the guest's own kernel knows nothing of the connections that are made by hand, nor takes their ports */
	flownet_sh(
		"nsenter -t %d -n sh -c 'echo 41000 60999 >/proc/sys/net/ipv4/ip_local_port_range; nft add table ip t; "
		"nft add chain ip t o { type filter hook output priority 0 \\; }; "
		"nft add rule ip t o tcp sport 40000-40999 tcp flags \\& rst == rst drop'",
		net.holder[NET_A]);
	for (int i = 0; i < 4; i++)
		listeners[i] = flownet_listen(&net, NET_INTERNET, ports[i]);
	for (int strong = 0; strong < 2; strong++) {
		flownet_cell(&net, 0, policy, strong, 0);
		if (strong)
			flownet_flow_start(&net, 0);
		flownet_pin(&net, 0, "good.example", "192.0.2.10", 600);
		flownet_pin(&net, 0, "second.example", "192.0.2.11", 600);
		n = 0;
		for (size_t i = 0; i < ELEMENTSOF(attacks); i++) {
			int l = listeners[attacks[i].port == 443    ? 0
					  : attacks[i].port == 80   ? 1
					  : attacks[i].port == 8080 ? 2
								    : 3];
			got[strong][n++] = by_names(i, l);
		}
		got[strong][n++] = second_hello(listeners[0]);
		for (size_t i = 0; i < ELEMENTSOF(segments); i++)
			got[strong][n++] = by_segments(i, listeners[0]);
	}
	/* the same creel-flow, but for its bounds */
	bool flooded[2];
	flooded[1] = half_hellos(listeners[0]);
	flownet_flow_kill(&net, 0);
	assert_non_null(getenv("CREEL_FLOW_WEAK"));
	assert_int_equal(setenv("CREEL_FLOW", getenv("CREEL_FLOW_WEAK"), 1), 0);
	flownet_flow_start(&net, 0);
	flownet_pin(&net, 0, "good.example", "192.0.2.10", 600);
	flooded[0] = half_hellos(listeners[0]);
	flownet_flow_kill(&net, 0);
	printf("1..%zu\n", n + 3);
	for (size_t i = 0; i < n; i++)
		told(i < ELEMENTSOF(attacks)    ? attacks[i].what
		     : i == ELEMENTSOF(attacks) ? "TLS: a second hello with another name"
						: segments[i - ELEMENTSOF(attacks) - 1],
		     got[0][i], got[1][i]);

	/* a flow of A that is not redirected, and B that speaks of it */
	flownet_cell(&net, 0, "mode listed 1\nsubnet 192.168.83.0/24\nallow 2 192.0.2.10/32:443\n", false, 0);
	flownet_cell(&net, 1, "mode listed 1\nsubnet 192.168.83.0/24\nallow 2 192.0.2.0/24:443\n", false, 0);
	autofd int g = flownet_connect(&net, NET_A, "192.0.2.10", 443, FLOWNET_WAIT_MS);
	assert_true(g >= 0);
	uint16_t port = flownet_port(g);
	bool got_a[2], got_s[2];
	for (int weak = 0; weak < 2; weak++) {
		if (weak)
			flownet_sh("nft insert rule inet creel forward ct state related accept");
		got_a[weak] = forged("203.0.113.2", NET_A, "203.0.113.2", port, "192.0.2.10", 443);
		got_s[weak] = forged("192.0.2.10", NET_INTERNET, "192.0.2.10", 443, "192.168.83.2", port);
	}
	told("TLS: 700 hellos that do not end", flooded[0], flooded[1]);
	told("ICMP: an error about another cell's flow, to that cell", got_a[1], got_a[0]);
	told("ICMP: an error about another cell's flow, to its server", got_s[1], got_s[0]);
	flownet_down(&net);
	return failed > 0;
}

/*
 * creel-flow between a guest and an internet, with the real filter's redirect: what passes, octet by
 * octet, what is refused and how, and what happens when a peer of it goes.
 */
#include "base/cleanup.h"
#include "flownet.h"
#include "linux/fdpass.h"
#include "tests/cmocka-all.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct flownet net;
static int tls, http; /* listening in the internet: 443, 80 */
static uint8_t hello[90000];

static const char policy[] = "mode listed 1\n"
			     "subnet 192.168.83.0/24\n"
			     "allow 2 good.example\n"
			     "allow 3 *.good.example\n"
			     "allow 4 good.example:80\n"
			     "allow 5 raw.example:443/raw\n"
			     "allow 6 alt.example:8443\n"
			     "allow 7 other.example:80\n"
			     "deny 8 bad.good.example\n";

#define QUIET_MS 200 /* how long nothing may happen */

static int setup(void **state)
{
	flownet_up(&net, 170);
	flownet_cell(&net, 0, policy, true, 0);
	flownet_flow_start(&net, 0);
	tls = flownet_listen(&net, NET_INTERNET, 443);
	http = flownet_listen(&net, NET_INTERNET, 80);
	flownet_pin(&net, 0, "good.example", "192.0.2.10", 600);
	flownet_pin(&net, 0, "sub.good.example", "192.0.2.11", 600);
	flownet_pin(&net, 0, "other.example", "192.0.2.12", 600);
	return 0;
}

static int teardown(void **state)
{
	flownet_down(&net);
	return 0;
}

static int guest(uint16_t port)
{
	int fd = flownet_connect(&net, NET_A, "192.0.2.10", port, FLOWNET_WAIT_MS);

	if (fd < 0)
		fail_msg("connect: %s", strerror(-fd));
	return fd;
}

/* A checked TLS connection, both its ends. */
static void pair_open(int *ret_guest, int *ret_server)
{
	size_t n = flownet_hello(hello, sizeof(hello), "good.example", false, 0, 16384);

	*ret_guest = guest(443);
	flownet_send(*ret_guest, hello, n);
	*ret_server = flownet_accept(tls, -1);
	flownet_expect(*ret_server, hello, n);
	flownet_send(*ret_server, "answer", 6); /* no HelloRetryRequest: decided for good */
	flownet_expect(*ret_guest, "answer", 6);
	(void)flownet_event(&net, 0, CREEL_FLOWMSG_ALLOW, flownet_port(*ret_guest));
}

static void nothing_passes_before_the_decision(void **state)
{
	size_t n = flownet_hello(hello, sizeof(hello), "GOOD.example", false, 0, 16384);
	autofd int g = guest(443);
	uint16_t port = flownet_port(g);

	flownet_send(g, hello, 3);
	flownet_send(g, hello + 3, 20);
	assert_int_equal(flownet_accept(tls, QUIET_MS), -1);
	assert_int_equal(flownet_end(g, 0), '.');
	for (size_t i = 23; i < n; i++) /* a segment each */
		flownet_send(g, hello + i, 1);
	autofd int s = flownet_accept(tls, -1);
	flownet_expect(s, hello, n);
	struct creel_flowmsg m = flownet_event(&net, 0, CREEL_FLOWMSG_ALLOW, port);
	assert_string_equal(m.name, "good.example");
	assert_int_equal(m.line, 2);
	assert_int_equal(m.dport, 443);
	assert_memory_equal(m.src + 10, "\xff\xff\xc0\xa8\x53\x02", 6);
	assert_memory_equal(m.dst + 10, "\xff\xff\xc0\x00\x02\x0a", 6);
	/* both ways, and each end for itself */
	flownet_send(s, "from the server", 15);
	flownet_expect(g, "from the server", 15);
	flownet_send(g, "from the guest", 14);
	assert_int_equal(shutdown(g, SHUT_WR), 0);
	flownet_expect(s, "from the guest", 14);
	assert_int_equal(flownet_end(s, FLOWNET_WAIT_MS), 'F');
	flownet_send(s, "last words", 10);
	close(steal_fd(&s));
	flownet_expect(g, "last words", 10);
	assert_int_equal(flownet_end(g, FLOWNET_WAIT_MS), 'F');
	m = flownet_event(&net, 0, CREEL_FLOWMSG_END, port);
	assert_int_equal(m.reason, CREEL_FLOW_OK);
	assert_int_equal(m.bytes_out, n + 14);
	assert_int_equal(m.bytes_in, 25);
	assert_string_equal(m.name, "good.example");
}

static void large_hellos(void **state)
{
	static const struct {
		size_t pad, record;
	} c[] = {{40000, 16384}, {60000, 16384}, {2000, 100}, {1200, 7}};

	for (size_t i = 0; i < ELEMENTSOF(c); i++) {
		size_t n = flownet_hello(hello, sizeof(hello), "good.example", false, c[i].pad, c[i].record);
		autofd int g = guest(443);
		flownet_send(g, hello, n / 2);
		assert_int_equal(flownet_accept(tls, 20), -1);
		flownet_send(g, hello + n / 2, n - n / 2);
		autofd int s = flownet_accept(tls, -1);
		flownet_expect(s, hello, n);
		flownet_send(g, "early", 5); /* held until the server has answered */
		flownet_send(s, "ok", 2);
		flownet_expect(g, "ok", 2);
		flownet_expect(s, "early", 5);
		(void)flownet_event(&net, 0, CREEL_FLOWMSG_ALLOW, flownet_port(g));
	}
}

static void refused_hellos(void **state)
{
	static const struct {
		const char *name;
		bool ech;
		const char *raw;
		enum creel_flow_reason reason;
	} c[] = {
		{NULL, false, NULL, CREEL_FLOW_NO_NAME},
		{"good.example", true, NULL, CREEL_FLOW_ECH},
		{"evil.example", false, NULL, CREEL_FLOW_POLICY},     /* another name on this address */
		{"bad.good.example", false, NULL, CREEL_FLOW_POLICY}, /* denied */
		{"sub.good.example", false, NULL, CREEL_FLOW_PIN},    /* allowed, and resolved elsewhere */
		{"deep.good.example", false, NULL, CREEL_FLOW_PIN},   /* allowed, and never resolved */
		{"alt.example", false, NULL, CREEL_FLOW_POLICY},      /* allowed on another port */
		{"192.0.2.10", false, NULL, CREEL_FLOW_POLICY},
		{NULL, false, "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n", CREEL_FLOW_HELLO},
		{NULL, false, "SSH-2.0-x\r\n", CREEL_FLOW_HELLO},
		{NULL, false, "\x16\x03\x01\x40\x01", CREEL_FLOW_HELLO},
		{NULL, false, "\x16\x03\x01\x00\x05\x02\x00\x00\x01", CREEL_FLOW_HELLO},
	};

	for (size_t i = 0; i < ELEMENTSOF(c); i++) {
		size_t n = c[i].raw ? (i == 10   ? 5
				       : i == 11 ? 9
						 : strlen(c[i].raw))
				    : flownet_hello(hello, sizeof(hello), c[i].name, c[i].ech, 0, 16384);
		autofd int g = guest(443);
		uint16_t port = flownet_port(g);
		flownet_send(g, c[i].raw ? (const void *)c[i].raw : hello, n);
		char end = flownet_end(g, FLOWNET_WAIT_MS);
		struct creel_flowmsg m = flownet_event(&net, 0, CREEL_FLOWMSG_DENY, port);
		if (end != 'R' || m.reason != c[i].reason)
			fail_msg("case %zu: ended by %c, %s", i, end, creel_flow_reason_name(m.reason));
	}
	assert_int_equal(flownet_accept(tls, QUIET_MS), -1); /* none of them */
	autofd int g = guest(443);
	uint16_t port = flownet_port(g);
	close(steal_fd(&g));
	assert_int_equal(flownet_event(&net, 0, CREEL_FLOWMSG_DENY, port).reason, CREEL_FLOW_CLOSED);
}

static void a_second_hello_may_not_name_another(void **state)
{
	static const char *const names[] = {"good.example", "evil.example", NULL};
	static const uint8_t retry[] =
		"\x16\3\3\0\x2c\2\0\0\x28\3\3\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e"
		"\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c\0\x13\1\0\0\0";
	static const uint8_t ccs[] = "\x14\3\3\0\1\1";

	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		size_t n = flownet_hello(hello, sizeof(hello), "good.example", false, 0, 16384);
		autofd int g = guest(443);
		uint16_t port = flownet_port(g);
		flownet_send(g, hello, n);
		autofd int s = flownet_accept(tls, -1);
		flownet_expect(s, hello, n);
		(void)flownet_event(&net, 0, CREEL_FLOWMSG_ALLOW, port);
		flownet_send(s, retry, sizeof(retry) - 1);
		flownet_expect(g, retry, sizeof(retry) - 1);
		n = flownet_hello(hello, sizeof(hello), names[i], false, 100, 60);
		flownet_send(g, ccs, 6);
		flownet_send(g, hello, n);
		if (i == 0) {
			flownet_expect(s, ccs, 6);
			flownet_expect(s, hello, n);
			flownet_send(s, "done", 4);
			flownet_expect(g, "done", 4);
			continue;
		}
		char b[sizeof(hello)];
		ssize_t k = recv(s, b, sizeof(b), 0); /* of what was sent, the one record may have come */
		assert_true(k <= 6);
		assert_int_equal(k > 0 ? flownet_end(s, FLOWNET_WAIT_MS) : 'R', 'R');
		assert_int_equal(flownet_end(g, FLOWNET_WAIT_MS), 'R');
		assert_int_equal(flownet_event(&net, 0, CREEL_FLOWMSG_DENY, port).reason,
				 names[i] ? CREEL_FLOW_RENAMED : CREEL_FLOW_NO_NAME);
	}
}

#define GET(path, host) "GET " path " HTTP/1.1\r\nHost: " host "\r\n\r\n"
#define POST            "POST /p HTTP/1.1\r\nHost: good.example\r\n"

static void every_request_is_checked(void **state)
{
	static const struct {
		const char *send; /* all at once, and then octet by octet */
		size_t pass;      /* so many octets reach the server, when nothing is refused */
		enum creel_flow_reason reason;
	} c[] = {
		{GET("/1", "good.example") GET("/2", "good.example"), 0, 0},
		{POST "Content-Length: 5\r\n\r\nhello" GET("/2", "good.example"), 0, 0},
		{POST
		 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" GET("/2", "good.example:80"),
		 0, 0},
		{GET("/1", "evil.example"), 0, CREEL_FLOW_POLICY},
		{GET("/1", "other.example"), 0, CREEL_FLOW_PIN},
		{GET("/1", "good.example:8080"), 0, CREEL_FLOW_HOST},
		{GET("/1", "192.0.2.10"), 0, CREEL_FLOW_POLICY},
		{GET("/1", "good.example") GET("/2", "evil.example"), 0, CREEL_FLOW_POLICY},
		{POST "Content-Length: 5\r\n\r\nhello" GET("/2", "evil.example"), 0, CREEL_FLOW_POLICY},
		{POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET("/2", "evil.example"), 0,
		 CREEL_FLOW_POLICY},
		/* where a body ends for one and not for the other */
		{POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0,
		 CREEL_FLOW_REQUEST},
		{POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 0, CREEL_FLOW_REQUEST},
		{POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 0, CREEL_FLOW_REQUEST},
		{POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 0, CREEL_FLOW_REQUEST},
		{POST "Transfer-Encoding: chunked\r\n\r\n0\r\nHost: evil.example\r\n\r\n", 0,
		 CREEL_FLOW_REQUEST},
		{POST "Transfer-Encoding: chunked\r\n\r\n5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n", 0,
		 CREEL_FLOW_REQUEST},
		{POST "Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n", 0, CREEL_FLOW_REQUEST},
		{"GET / HTTP/1.1\r\nHost: good.example\r\nHost: evil.example\r\n\r\n", 0, CREEL_FLOW_REQUEST},
		{"GET / HTTP/1.1\nHost: good.example\n\n", 0, CREEL_FLOW_REQUEST},
		{"GET / HTTP/1.1\r\nX: y\r\n Host: evil.example\r\nHost: good.example\r\n\r\n", 0,
		 CREEL_FLOW_REQUEST},
		{"GET http://evil.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n", 0, CREEL_FLOW_REQUEST},
		{"CONNECT evil.example:443 HTTP/1.1\r\nHost: good.example\r\n\r\n", 0, CREEL_FLOW_REQUEST},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, CREEL_FLOW_REQUEST},
		{"GET /\r\n\r\n", 0, CREEL_FLOW_REQUEST},
		{"GET / HTTP/1.1\r\nHost: good.example\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 0,
		 CREEL_FLOW_UPGRADE},
		{GET("/1",
		     "good.example") "GET / HTTP/1.1\r\nHost: good.example\r\nUpgrade: websocket\r\n\r\n",
		 0, CREEL_FLOW_UPGRADE},
	};

	for (size_t i = 0; i < 2 * ELEMENTSOF(c); i++) {
		const char *s = c[i / 2].send;
		size_t n = strlen(s);
		autofd int g = guest(80), up = -1;
		uint16_t port = flownet_port(g);
		if (i % 2) {
			for (size_t k = 0; k < n; k++) /* what was refused may be gone already */
				if (send(g, s + k, 1, MSG_NOSIGNAL) != 1)
					break;
		} else {
			flownet_send(g, s, n);
		}
		if (c[i / 2].reason == CREEL_FLOW_OK) {
			up = flownet_accept(http, -1);
			flownet_expect(up, s, n);
			close(steal_fd(&g));
			assert_int_equal(flownet_end(up, FLOWNET_WAIT_MS), 'F');
			continue;
		}
		struct creel_flowmsg m = flownet_event(&net, 0, CREEL_FLOWMSG_DENY, port);
		char end = flownet_end(g, FLOWNET_WAIT_MS);
		/* a send that failed has told of the reset already */
		if (m.reason != c[i / 2].reason || (end != 'R' && !(i % 2 && end == 'F')))
			fail_msg("case %zu: %s, ended by %c", i, creel_flow_reason_name(m.reason), end);
		/* of an earlier request the server may have something; of the refused one, nothing */
		while ((up = flownet_accept(http, 20)) >= 0) {
			char got[2000] = "";
			for (size_t k = 0; k < sizeof(got) - 1;) {
				ssize_t l = recv(up, got + k, sizeof(got) - 1 - k, 0);
				if (l <= 0)
					break;
				k += (size_t)l;
			}
			if (strstr(got, "evil") || strstr(got, "Upgrade"))
				fail_msg("case %zu: the server got `%s`", i, got);
			close(steal_fd(&up));
		}
	}
}

static void websockets(void **state)
{
	static const char ask[] =
		"GET /ws HTTP/1.1\r\nHost: good.example\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n";
	static const char yes[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n",
			  no[] = "HTTP/1.1 200 OK\r\n\r\n";

	for (int i = 0; i < 2; i++) {
		autofd int g = guest(80);
		uint16_t port = flownet_port(g);
		flownet_send(g, ask, strlen(ask));
		autofd int s = flownet_accept(http, -1);
		flownet_expect(s, ask, strlen(ask));
		if (i == 0) {
			flownet_send(s, yes, strlen(yes));
			flownet_expect(g, yes, strlen(yes));
			flownet_send(g, "\x81\x80 frames\n", 10);
			flownet_expect(s, "\x81\x80 frames\n", 10);
			continue;
		}
		/* it was not switched: what follows is a request like any */
		static const char evil[] = GET("/", "evil.example");
		flownet_send(g, evil, strlen(evil));
		assert_int_equal(flownet_end(s, QUIET_MS), '.'); /* held */
		flownet_send(s, no, strlen(no));
		flownet_expect(g, no, strlen(no));
		assert_int_equal(flownet_end(s, FLOWNET_WAIT_MS), 'R');
		assert_int_equal(flownet_event(&net, 0, CREEL_FLOWMSG_DENY, port).reason, CREEL_FLOW_POLICY);
	}
}

static void what_the_server_does_is_what_the_guest_sees(void **state)
{
	size_t n = flownet_hello(hello, sizeof(hello), "alt.example", false, 0, 16384);
	int g, s;

	/* nobody listens on 8443 */
	flownet_pin(&net, 0, "alt.example", "192.0.2.10", 600);
	autofd int refused = guest(8443);
	uint16_t port = flownet_port(refused);
	flownet_send(refused, hello, n);
	assert_int_equal(flownet_end(refused, FLOWNET_WAIT_MS), 'R');
	assert_int_equal(flownet_event(&net, 0, CREEL_FLOWMSG_END, port).reason, CREEL_FLOW_UPSTREAM);
	/* it resets */
	pair_open(&g, &s);
	const struct linger now = {1, 0};
	(void)setsockopt(s, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(s);
	assert_int_equal(flownet_end(g, FLOWNET_WAIT_MS), 'R');
	close(g);
	/* the guest resets */
	pair_open(&g, &s);
	(void)setsockopt(g, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(g);
	assert_int_equal(flownet_end(s, FLOWNET_WAIT_MS), 'R');
	close(s);
}

static void raw_entries_are_not_looked_at(void **state)
{
	flownet_pin(&net, 0, "raw.example", "198.51.100.5", 600);
	autofd int g = flownet_connect(&net, NET_A, "198.51.100.5", 443, FLOWNET_WAIT_MS);
	assert_true(g >= 0);
	autofd int s = flownet_accept(tls, -1);
	flownet_send(s, "I speak first", 13);
	flownet_expect(g, "I speak first", 13);
}

/* As creel-flow's user, whatever its code would do. */
static bool captured_reaches(const char *addr, uint16_t port)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setresuid(FLOWNET_UID, FLOWNET_UID, FLOWNET_UID) < 0)
			_exit(2);
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
		struct pollfd p = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), .events = POLLOUT};
		int e = 0;
		socklen_t len = sizeof(e);
		inet_pton(AF_INET, addr, &a.sin_addr);
		if (connect(p.fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS)
			_exit(1);
		if (poll(&p, 1, 2000) <= 0 || getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
			_exit(1);
		_exit(e != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 0;
}

static void a_captured_one_is_held_to_the_pins(void **state)
{
	assert_true(captured_reaches("192.0.2.10", 443)); /* so it can be seen */
	close(flownet_accept(tls, -1));
	assert_false(captured_reaches("192.0.2.10", 8080));
	assert_false(captured_reaches("192.0.2.12", 443)); /* pinned for HTTP alone */
	assert_false(captured_reaches("198.51.100.5", 443));
	assert_false(captured_reaches("192.168.83.3", 22));
	assert_false(captured_reaches("203.0.113.1", 443));
}

static void only_by_redirect(void **state)
{
	assert_int_equal(flownet_connect(&net, NET_A, "192.168.83.1", FLOWNET_PORT, 300), -ETIMEDOUT);
	assert_int_equal(flownet_connect(&net, NET_A, "192.0.2.10", FLOWNET_PORT, 300), -ETIMEDOUT);
	assert_int_equal(flownet_connect(&net, NET_A, "192.0.2.11", 80, 300), -ETIMEDOUT); /* no pin */
	assert_int_equal(flownet_connect(&net, NET_B, "192.0.2.10", 443, 300), -ETIMEDOUT);
}

#define MEMORY_KB (FLOWNET_SANITIZED ? 512 << 10 : 32 << 10)

static long memory_kb(void)
{
	return flownet_memory_kb(net.cell[0].flow);
}

static void slow_readers_hold_what_is_sent(void **state)
{
	enum { TOTAL = 32 << 20 };
	static uint8_t block[65536], in[65536];
	size_t sent = 0, got = 0;
	int g, s;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (uint8_t)(i * 31 >> 3);
	for (int way = 0; way < 2; way++) {
		pair_open(&g, &s);
		uint16_t port = flownet_port(g);
		struct pollfd p[2] = {{way ? s : g, POLLOUT, 0}, {way ? g : s, POLLIN, 0}};
		(void)fcntl(p[0].fd, F_SETFL, O_NONBLOCK);
		(void)fcntl(p[1].fd, F_SETFL, O_NONBLOCK);
		/* nobody reads: at some time no more is taken */
		for (sent = got = 0; poll(p, 1, 300) > 0 && sent < TOTAL;) {
			ssize_t k = send(p[0].fd, block + sent % sizeof(block),
					 sizeof(block) - sent % sizeof(block), MSG_NOSIGNAL);
			if (k < 0 && errno != EAGAIN)
				fail_msg("after %zu: %s", sent, strerror(errno));
			sent += k > 0 ? (size_t)k : 0;
		}
		assert_true(sent < TOTAL);
		assert_true(memory_kb() < MEMORY_KB);
		while (got < TOTAL) {
			if (poll(p + (sent == TOTAL), sent == TOTAL ? 1 : 2, FLOWNET_WAIT_MS) <= 0)
				fail_msg("%zu of %zu came", got, sent);
			ssize_t k = sent < TOTAL
					    ? send(p[0].fd, block + sent % sizeof(block),
						   MIN(sizeof(block) - sent % sizeof(block), TOTAL - sent),
						   MSG_NOSIGNAL)
					    : 0;
			if (k < 0 && errno != EAGAIN)
				fail_msg("after %zu: %s", sent, strerror(errno));
			sent += k > 0 ? (size_t)k : 0;
			k = recv(p[1].fd, in, sizeof(block) - got % sizeof(block), 0);
			if (k > 0 && memcmp(in, block + got % sizeof(block), (size_t)k) != 0)
				fail_msg("other octets at %zu", got);
			got += k > 0 ? (size_t)k : 0;
		}
		close(g);
		close(s);
		assert_int_equal(flownet_event(&net, 0, CREEL_FLOWMSG_END, port).type, CREEL_FLOWMSG_END);
	}
}

/* What a guest that went away did not take is in no other connection, though they share a pipe. */
static void what_is_left_is_nobodys(void **state)
{
	static uint8_t block[65536];
	const struct linger now = {1, 0};
	int g, s, other_g, other_s;

	memset(block, 'x', sizeof(block));
	pair_open(&other_g, &other_s);
	for (int i = 0; i < 3; i++) {
		pair_open(&g, &s);
		/* both are there when it looks: first octets for the guest, then the guest's reset */
		(void)kill(net.cell[0].flow, SIGSTOP);
		flownet_send(s, block, sizeof(block));
		(void)setsockopt(g, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(g);
		(void)kill(net.cell[0].flow, SIGCONT);
		assert_int_equal(flownet_end(s, FLOWNET_WAIT_MS), 'R');
		close(s);
		flownet_send(other_s, "its own", 7);
		flownet_expect(other_g, "its own", 7);
	}
	close(other_g);
	close(other_s);
}

static void half_hellos(size_t len)
{
	enum { N = 700 };
	static int g[N];
	size_t n = flownet_hello(hello, sizeof(hello), "good.example", false, 60000, 16384);
	unsigned ended = 0;
	uint16_t port = 0;

	assert_true(n > len);
	for (int i = 0; i < N; i++) {
		g[i] = guest(443);
		port = i == 0 ? flownet_port(g[i]) : port;
		(void)fcntl(g[i], F_SETFL, O_NONBLOCK);
		(void)send(g[i], hello, len, MSG_NOSIGNAL);
	}
	/* one that is honest, amid them */
	n = flownet_hello(hello, sizeof(hello), "good.example", false, 0, 16384);
	autofd int mine = guest(443);
	flownet_send(mine, hello, n);
	autofd int s = flownet_accept(tls, -1);
	flownet_expect(s, hello, n);
	assert_true(memory_kb() < MEMORY_KB);
	for (int i = 0; i < N; i++) {
		ended += flownet_end(g[i], 0) == 'R';
		close(g[i]);
	}
	if (ended < N / 2)
		fail_msg("%u of %d were ended", ended, N);
	assert_int_equal(flownet_event(&net, 0, CREEL_FLOWMSG_DENY, port).reason, CREEL_FLOW_BUSY);
}

static void half_hellos_are_bounded(void **state)
{
	half_hellos(40);    /* by their number */
	half_hellos(40000); /* by their octets */
}

static void withdrawn(void **state)
{
	static const char less[] = "mode listed 1\nsubnet 192.168.83.0/24\nallow 2 good.example\n";
	size_t n = strlen(GET("/1", "good.example"));
	int g, s;

	net.n_seen = 0;
	pair_open(&g, &s);
	autofd int hg = guest(80);
	flownet_send(hg, GET("/1", "good.example"), n);
	autofd int hs = flownet_accept(http, -1);
	flownet_expect(hs, GET("/1", "good.example"), n);
	flownet_cell(&net, 0, less, true, 0); /* without its HTTP */
	assert_int_equal(flownet_end(hg, FLOWNET_WAIT_MS), 'R');
	assert_int_equal(flownet_end(hs, FLOWNET_WAIT_MS), 'R');
	flownet_send(g, "goes on", 7);
	flownet_expect(s, "goes on", 7);
	/* a name taken back */
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_UNPIN, .name = "good.example"};
	uint8_t buf[CREEL_FLOWMSG_MAX];
	assert_true(send(net.cell[0].monitor, buf, creel_flowmsg_encode(&m, buf), 0) > 0);
	assert_int_equal(flownet_end(g, FLOWNET_WAIT_MS), 'R');
	assert_int_equal(flownet_end(s, FLOWNET_WAIT_MS), 'R');
	close(g);
	close(s);
	flownet_cell(&net, 0, policy, true, 0);
	flownet_pin(&net, 0, "good.example", "192.0.2.10", 600);
	pair_open(&g, &s);
	close(g);
	close(s);
}

static void a_pins_end_cuts_nothing(void **state)
{
	flownet_pin(&net, 0, "sub.good.example", "198.51.100.5", 2);
	size_t len = flownet_hello(hello, sizeof(hello), "sub.good.example", false, 0, 16384);
	/* the raw pin of that address is of the same port: it would pass unseen */
	flownet_cell(&net, 0, policy, true, 0);
	autofd int g = flownet_connect(&net, NET_A, "198.51.100.5", 443, FLOWNET_WAIT_MS);
	assert_true(g >= 0);
	flownet_send(g, hello, len);
	autofd int s = flownet_accept(tls, -1);
	flownet_expect(s, hello, len);
	flownet_send(s, "x", 1);
	flownet_expect(g, "x", 1);
	sleep(3);
	flownet_send(g, "still", 5);
	flownet_expect(s, "still", 5);
}

static void without_the_engine_nothing_new(void **state)
{
	int g, s, events[2];
	struct creel_err err = {0};
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_EVENTS};
	uint8_t buf[CREEL_FLOWMSG_MAX];
	size_t n = flownet_hello(hello, sizeof(hello), "good.example", false, 0, 16384);

	pair_open(&g, &s);
	uint16_t port = flownet_port(g);
	close(net.cell[0].events);
	net.n_seen = 0;
	usleep(100000); /* it may see that first, or refuse; both are right, and the next is sure */
	autofd int waits = guest(443);
	flownet_send(waits, hello, n);
	assert_int_equal(flownet_accept(tls, QUIET_MS), -1);
	flownet_send(g, "goes on", 7);
	flownet_expect(s, "goes on", 7);
	close(g);
	close(s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, events), 0);
	assert_int_equal(creel_fdpass_send(net.cell[0].monitor, buf, creel_flowmsg_encode(&m, buf),
					   &events[1], 1, &err),
			 0);
	close(events[1]);
	net.cell[0].events = events[0];
	/* what ended in between is told now, and what waited is taken */
	assert_string_equal(flownet_event(&net, 0, CREEL_FLOWMSG_END, port).name, "good.example");
	autofd int late = flownet_accept(tls, -1);
	flownet_expect(late, hello, n);
}

static void dead_it_refuses(void **state)
{
	int g, s;

	pair_open(&g, &s);
	flownet_flow_kill(&net, 0);
	assert_int_equal(flownet_end(g, FLOWNET_WAIT_MS) != 'D', 1);
	close(g);
	close(s);
	assert_int_equal(flownet_connect(&net, NET_A, "192.0.2.10", 443, FLOWNET_WAIT_MS), -ECONNREFUSED);
	flownet_flow_start(&net, 0);
	/* the monitor tells it the pins again */
	flownet_pin(&net, 0, "good.example", "192.0.2.10", 600);
	pair_open(&g, &s);
	/* without the monitor, what flows goes on, nothing new is taken, and then it ends */
	close(net.cell[0].monitor);
	net.cell[0].monitor = -1;
	int r;
	for (int i = 0; i < 200; i++) {
		r = flownet_connect(&net, NET_A, "192.0.2.10", 443, FLOWNET_WAIT_MS);
		if (r == -ECONNREFUSED)
			break;
		if (r >= 0) /* or reset: it was in the queue when the listener went */
			close(r);
		usleep(20000);
	}
	assert_int_equal(r, -ECONNREFUSED);
	flownet_send(g, "goes on", 7);
	flownet_expect(s, "goes on", 7);
	close(g);
	close(s);
	int status;
	assert_int_equal(waitpid(net.cell[0].flow, &status, 0), net.cell[0].flow);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	net.cell[0].flow = 0;
	close(net.cell[0].events);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_passes_before_the_decision),
		cmocka_unit_test(large_hellos),
		cmocka_unit_test(refused_hellos),
		cmocka_unit_test(a_second_hello_may_not_name_another),
		cmocka_unit_test(every_request_is_checked),
		cmocka_unit_test(websockets),
		cmocka_unit_test(what_the_server_does_is_what_the_guest_sees),
		cmocka_unit_test(only_by_redirect),
		cmocka_unit_test(a_captured_one_is_held_to_the_pins),
		cmocka_unit_test(slow_readers_hold_what_is_sent),
		cmocka_unit_test(what_is_left_is_nobodys),
		cmocka_unit_test(half_hellos_are_bounded),
		cmocka_unit_test(withdrawn),
		cmocka_unit_test(a_pins_end_cuts_nothing),
		cmocka_unit_test(raw_entries_are_not_looked_at),
		cmocka_unit_test(without_the_engine_nothing_new),
		cmocka_unit_test(dead_it_refuses),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

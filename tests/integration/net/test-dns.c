/*
 * creel-dns in a namespace of the test's own, between a guest (this test), a stand-in upstream, the
 * monitor's end of the pins and the engine's end of the events.
 */
#include "base/cleanup.h"
#include "flownet.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "policy/egress.h"
#include "tests/cmocka-all.h"
#include "wire/be.h"
#include "wire/dns.h"
#include "wire/dnsmsg.h"
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int pins, events, upstream;
static pid_t child;
static atomic_int upstream_queries, pins_seen, pins_refuse, pins_silent;
static struct creel_dnsmsg last_pin;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What the internet says. */
static const struct {
	const char *name;
	uint16_t type;
	const char *rdata; /* "A 192.0.2.10": addresses, blank between; else a text of that many octets */
} zone[] = {
	{"good.example", CREEL_DNS_A, "192.0.2.10 192.0.2.11"},
	{"other.good.example", CREEL_DNS_A, "192.0.2.12"},
	{"new.example", CREEL_DNS_A, "192.0.2.13"},
	{"rebind.good.example", CREEL_DNS_A, "192.0.2.14 10.0.0.5"},
	{"meta.good.example", CREEL_DNS_A, "169.254.169.254"},
	{"host.good.example", CREEL_DNS_A, "203.0.113.1"},
	{"lan.good.example", CREEL_DNS_A, "192.168.83.3"},
	{"denied.good.example", CREEL_DNS_A, "198.51.100.9"},
	{"big.good.example", CREEL_DNS_TXT, "3000"},
	{"small.good.example", CREEL_DNS_TXT, "100"},
	{"later.example", CREEL_DNS_A, "192.0.2.15"},
	{"moved.example", CREEL_DNS_A, "203.0.113.9"},
};

/* Aliases whose target is a question of its own; each of the long ones leads to the next. */
static bool alias_of(const char *name, char target[256])
{
	static const char part[] = "cccccccccccccccccccccccccccccccccccccccccccccccccc";

	if (strcmp(name, "first.good.example") == 0)
		snprintf(target, 256, "alias.good.example");
	else if (strcmp(name, "long.good.example") == 0)
		snprintf(target, 256, "0.%s.%s.%s.%s.example", part, part, part, part);
	else if (name[0] >= '0' && name[0] < '5' && name[1] == '.')
		snprintf(target, 256, "%c%.250s", name[0] + 1, name + 1);
	else
		return false;
	return true;
}

static void *upstream_run(void *arg)
{
	uint8_t msg[4096], out[8192];

	for (;;) {
		struct sockaddr_in from;
		socklen_t fl = sizeof(from);
		ssize_t n = recvfrom(upstream, msg, sizeof(msg), 0, (struct sockaddr *)&from, &fl);
		struct creel_dns_query q;
		struct creel_err err = {0};
		if (n <= 0)
			return NULL;
		if (creel_dns_query_parse(msg, (size_t)n, &q, &err) < 0)
			continue;
		atomic_fetch_add(&upstream_queries, 1);
		size_t at = 12 + q.question_len;
		unsigned answers = 0;
		bool known = false;
		memset(out, 0, 12);
		memcpy(out + 12, q.question, q.question_len);
		if (strcmp(q.name.text, "alias.good.example") == 0) { /* a CNAME to good.example */
			memcpy(out + at, "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x12", 14);
			at += 14;
			if (q.type == CREEL_DNS_A) {
				memcpy(out + at, "\xc0\x12\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x0a", 16);
				at += 16;
			}
			answers = q.type == CREEL_DNS_A ? 2 : 1;
			known = true;
		}
		char target[256];
		if (alias_of(q.name.text, target)) {
			memcpy(out + at, "\xc0\x0c\0\5\0\1\0\0\0\x3c", 10);
			size_t n_target = flownet_labels(out + at + 12, target);
			creel_put_be16(out + at + 10, (uint16_t)n_target);
			at += 12 + n_target;
			answers = 1;
			known = true;
		}
		if (q.name.text[0] == '5' && q.name.text[1] == '.') { /* where the long chain ends */
			memcpy(out + at, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x10", 16);
			at += 16;
			answers = 1;
			known = true;
		}
		for (size_t i = 0; i < ELEMENTSOF(zone); i++) {
			if (strcmp(zone[i].name, q.name.text) != 0)
				continue;
			known = true;
			if (zone[i].type != q.type)
				continue;
			if (q.type == CREEL_DNS_TXT) {
				size_t len = (size_t)atoi(zone[i].rdata), start = at + 12, put = 0;
				memcpy(out + at, "\xc0\x0c\0\x10\0\1\0\0\0\x3c\0\0", 12);
				for (at = start; put < len; put += 100) {
					out[at] = 99;
					memset(out + at + 1, 't', 99);
					at += 100;
				}
				creel_put_be16(out + start - 2, (uint16_t)(at - start));
				answers++;
				continue;
			}
			char copy[64], *save = copy, *w;
			snprintf(copy, sizeof(copy), "%s", zone[i].rdata);
			while ((w = strsep(&save, " ")) != NULL) {
				memcpy(out + at, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4", 12);
				inet_pton(AF_INET, w, out + at + 12);
				at += 16;
				answers++;
			}
		}
		creel_put_be16(out, q.id);
		out[2] = 0x81;
		out[3] = (uint8_t)(0x80 | (known ? 0 : 3));
		out[5] = 1;
		out[7] = (uint8_t)answers;
		(void)sendto(upstream, out, at, 0, (struct sockaddr *)&from, fl);
	}
}

static void send_to(int fd, const struct creel_dnsmsg *m)
{
	uint8_t buf[CREEL_DNSMSG_MAX];
	size_t n = creel_dnsmsg_encode(m, buf);

	assert_int_equal(send(fd, buf, n, MSG_NOSIGNAL), n);
}

static void *monitor_run(void *arg)
{
	uint8_t buf[CREEL_DNSMSG_PACKET];
	struct creel_err err = {0};
	struct creel_dnsmsg m;
	ssize_t n;

	while ((n = recv(pins, buf, sizeof(buf), 0)) > 0)
		for (size_t at = 0; creel_dnsmsg_next(buf, (size_t)n, &at, &m, &err) > 0;) {
			if (m.type != CREEL_DNSMSG_PIN)
				continue;
			atomic_fetch_add(&pins_seen, 1);
			pthread_mutex_lock(&lock);
			last_pin = m;
			pthread_mutex_unlock(&lock);
			if (atomic_load(&pins_silent))
				continue;
			const struct creel_dnsmsg done = {.type = CREEL_DNSMSG_PINNED,
							  .id = m.id,
							  .result = atomic_load(&pins_refuse) ? CREEL_E_OS
											      : 0};
			send_to(pins, &done);
		}
	return NULL;
}

static socklen_t loopback(int family, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in four = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 six = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	if (family == AF_INET)
		memcpy(ret, &four, sizeof(four));
	else
		memcpy(ret, &six, sizeof(six));
	return family == AF_INET ? sizeof(four) : sizeof(six);
}

static int bound(int family, int type, uint16_t port)
{
	struct sockaddr_storage a = {0};
	socklen_t len = loopback(family, port, &a);
	int fd = socket(family, type, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static int setup(void **state)
{
	int pair[2], pair2[2], small = 16384;
	char conf[2048], fdarg[16];
	struct creel_err err = {0};
	struct ifreq ifr = {.ifr_name = "lo"};
	pthread_t t;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ifr.ifr_flags = IFF_UP;
	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &ifr) < 0)
		return -1;
	close(s);
	upstream = bound(AF_INET6, SOCK_DGRAM, 5353); /* by IPv4: test-scale, and all that boots */
	int udp = bound(AF_INET, SOCK_DGRAM, 53), tcp = bound(AF_INET, SOCK_STREAM, 53);
	int udp6 = bound(AF_INET6, SOCK_DGRAM, 53), tcp6 = bound(AF_INET6, SOCK_STREAM, 53);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair2) < 0)
		return -1;
	pins = pair[0];
	events = pair2[0];
	/* soon full: the flood's events do not fit */
	(void)setsockopt(pair2[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	snprintf(
		conf, sizeof(conf),
		"udp %d\ntcp %d\npins %d\nevents %d\nmode ask 7\nallow 8 good.example\nallow 8 *.good.example\n"
		"deny 9 bad.good.example\ndeny 10 198.51.100.0/24\nreach 11 gog 22\ncell agent 192.168.83.2\n"
		"cell gog 192.168.83.3\nsubnet 192.168.83.0/24\nhost 203.0.113.1\nupstream ::1@5353\n"
		"udp %d\ntcp %d\nula fd12:3456:789a::/48\nreach 12 six 22 ipv6\ncell six 192.168.83.4\n",
		udp, tcp, pair[1], pair2[1], udp6, tcp6);
	int fd = creel_memfd_sealed("conf", conf, strlen(conf), &err);
	int inherit = dup(fd);
	snprintf(fdarg, sizeof(fdarg), "%d", inherit);
	child = fork();
	if (child == 0) {
		close(upstream);
		close(pins);
		close(events);
		execl(getenv("CREEL_DNS"), "creel-dns", fdarg, NULL);
		_exit(127);
	}
	close(udp);
	close(tcp);
	close(udp6);
	close(tcp6);
	close(pair[1]);
	close(pair2[1]);
	close(fd);
	close(inherit);
	return pthread_create(&t, NULL, upstream_run, NULL) || pthread_create(&t, NULL, monitor_run, NULL);
}

static int teardown(void **state)
{
	int status;

	kill(child, SIGTERM);
	return waitpid(child, &status, 0) == child ? 0 : -1;
}

struct reply {
	uint8_t b[65536];
	size_t n;
	unsigned rcode, answers;
	bool tc;
	int ede; /* -1: none */
	char text[256], addrs[256];
};

static void reply_read(struct reply *r)
{
	struct creel_dns_walk w;
	struct creel_dns_rr rr;
	struct creel_err err = {0};

	r->ede = -1;
	r->rcode = r->b[3] & 15;
	r->tc = r->b[2] & 2;
	r->answers = creel_be16(r->b + 6);
	assert_int_equal(creel_dns_walk_init(&w, r->b, r->n, &err), 0);
	while (creel_dns_walk_next(&w, &rr, &err) > 0) {
		char a[64];
		if (rr.type == CREEL_DNS_A && inet_ntop(AF_INET, rr.rdata, a, sizeof(a)))
			snprintf(r->addrs + strlen(r->addrs), sizeof(r->addrs) - strlen(r->addrs), "%s ", a);
		if (rr.type == CREEL_DNS_AAAA && inet_ntop(AF_INET6, rr.rdata, a, sizeof(a)))
			snprintf(r->addrs + strlen(r->addrs), sizeof(r->addrs) - strlen(r->addrs), "%s ", a);
		if (rr.type == CREEL_DNS_OPT && rr.rdlen >= 6 && creel_be16(rr.rdata) == 15) {
			r->ede = creel_be16(rr.rdata + 4);
			memcpy(r->text, rr.rdata + 6, rr.rdlen - 6U);
		}
	}
}

static int ask_by = AF_INET;

/* @return false when no answer came in time */
static bool ask_raw(const uint8_t *msg, size_t len, bool tcp, int ms, struct reply *r)
{
	struct sockaddr_storage a = {0};
	socklen_t a_len = loopback(ask_by, 53, &a);
	autofd int fd = socket(ask_by, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t framed[4098];

	memset(r, 0, sizeof(*r));
	assert_int_equal(connect(fd, (struct sockaddr *)&a, a_len), 0);
	if (tcp) {
		creel_put_be16(framed, (uint16_t)len);
		memcpy(framed + 2, msg, len);
		assert_int_equal(send(fd, framed, 1, 0), 1); /* in pieces */
		usleep(2000);
		assert_int_equal(send(fd, framed + 1, len + 1, 0), len + 1);
		size_t have = 0, want = 2;
		while (have < want) {
			if (poll(&p, 1, ms) <= 0)
				return false;
			ssize_t n = recv(fd, r->b + have, want - have, 0);
			if (n <= 0)
				return false;
			have += (size_t)n;
			if (have == 2 && want == 2)
				want = 2U + creel_be16(r->b);
		}
		r->n = have - 2;
		memmove(r->b, r->b + 2, r->n);
	} else {
		assert_int_equal(send(fd, msg, len, 0), len);
		if (poll(&p, 1, ms) <= 0)
			return false;
		ssize_t n = recv(fd, r->b, sizeof(r->b), 0);
		if (n < 12)
			return false;
		r->n = (size_t)n;
	}
	reply_read(r);
	return true;
}

static size_t query_make(uint8_t *msg, const char *name, uint16_t type, bool edns)
{
	memcpy(msg, "\x42\x42\1\0\0\1\0\0\0\0\0\0", 12);
	msg[11] = edns;
	size_t at = 12 + flownet_labels(msg + 12, name);
	creel_put_be16(msg + at, type);
	creel_put_be16(msg + at + 2, 1);
	at += 4;
	if (edns) {
		memcpy(msg + at, "\0\0\x29\x04\xd0\0\0\0\0\0\0", 11);
		at += 11;
	}
	return at;
}

static struct reply reply;
static void ask(const char *name, uint16_t type, bool tcp)
{
	uint8_t msg[600];
	size_t n = query_make(msg, name, type, true);

	/* the first question may come before creel-dns listens in its loop: its sockets hold it */
	if (!ask_raw(msg, n, tcp, 5000, &reply))
		fail_msg("no answer for %s", name);
	assert_int_equal(creel_be16(reply.b), 0x4242);
}

/* The next event, of what came together; @return false: none within @p ms */
static bool event_next(struct creel_dnsmsg *ret, int ms)
{
	static uint8_t buf[CREEL_DNSMSG_PACKET];
	static size_t n, at;
	struct pollfd p = {.fd = events, .events = POLLIN};
	struct creel_err err = {0};

	while (creel_dnsmsg_next(buf, n, &at, ret, &err) <= 0) {
		if (poll(&p, 1, ms) <= 0)
			return false;
		ssize_t got = recv(events, buf, sizeof(buf), 0);
		if (got <= 0)
			return false;
		n = (size_t)got;
		at = 0;
	}
	return true;
}

/* Wait for one event of a type about a name; others are passed over. */
static struct creel_dnsmsg event_wait(uint8_t type, const char *name)
{
	struct creel_dnsmsg m = {0};

	while (event_next(&m, 2000))
		if (m.type == type && strcmp(m.name, name) == 0)
			return m;
	fail_msg("no event %u of %s", type, name);
	return m;
}

static void an_allowed_name_is_pinned_then_answered(void **state)
{
	int before = atomic_load(&pins_seen);

	ask("gOOd.eXample", CREEL_DNS_A, false);
	assert_int_equal(reply.rcode, 0);
	assert_int_equal(reply.answers, 2);
	assert_non_null(strstr(reply.addrs, "192.0.2.10 "));
	assert_int_equal(atomic_load(&pins_seen), before + 1);
	pthread_mutex_lock(&lock);
	assert_string_equal(last_pin.name, "good.example");
	assert_int_equal(last_pin.n_addrs, 2);
	assert_memory_equal(last_pin.addr[0], "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2", 15);
	assert_int_equal(last_pin.ttl, 120); /* the floor: 60 was said */
	pthread_mutex_unlock(&lock);
	assert_memory_equal(reply.b + 12, "\4gOOd\7eXample", 13); /* the asker's letters */
	struct creel_dnsmsg m = event_wait(CREEL_DNSMSG_QUERY, "good.example");
	assert_int_equal(m.n_addrs, 2);
	/* from the cache now; the set has its addresses for another minute, so the monitor is not asked */
	int up = atomic_load(&upstream_queries);
	ask("good.example", CREEL_DNS_A, true);
	assert_int_equal(reply.answers, 2);
	assert_int_equal(atomic_load(&upstream_queries), up);
	assert_int_equal(atomic_load(&pins_seen), before + 1);
}

static void a_chain_is_followed(void **state)
{
	ask("alias.good.example", CREEL_DNS_A, false);
	assert_int_equal(reply.rcode, 0);
	assert_int_equal(reply.answers, 3); /* the CNAME, and what it leads to */
	assert_non_null(strstr(reply.addrs, "192.0.2.11 "));
	pthread_mutex_lock(&lock);
	assert_string_equal(last_pin.name, "alias.good.example"); /* the policy's name is the asked one */
	pthread_mutex_unlock(&lock);
	struct creel_dnsmsg m = event_wait(CREEL_DNSMSG_QUERY, "alias.good.example");
	assert_string_equal(m.chain, "good.example");
	assert_int_equal(m.n_addrs, 2);
	ask("first.good.example", CREEL_DNS_A, false); /* each name between is on the record */
	assert_int_equal(reply.answers, 4);
	m = event_wait(CREEL_DNSMSG_QUERY, "first.good.example");
	assert_string_equal(m.chain, "alias.good.example good.example");
	ask("first.good.example", CREEL_DNS_TXT, false); /* without an address, too */
	m = event_wait(CREEL_DNSMSG_QUERY, "first.good.example");
	assert_string_equal(m.chain, "alias.good.example good.example");
	/* what the record cannot hold is not answered, and nothing is pinned */
	int before = atomic_load(&pins_seen);
	ask("long.good.example", CREEL_DNS_A, false);
	assert_int_equal(reply.rcode, CREEL_DNS_SERVFAIL);
	assert_int_equal(reply.answers, 0);
	m = event_wait(CREEL_DNSMSG_REFUSE, "long.good.example");
	assert_int_equal(m.why, CREEL_DNSMSG_WHY_ANSWER);
	assert_memory_equal(m.chain, "0.ccc", 5);
	assert_int_equal(atomic_load(&pins_seen), before);
}

static void nothing_goes_upstream_that_is_refused(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		unsigned rcode;
		int ede;
	} c[] = {
		{"bad.good.example", CREEL_DNS_A, CREEL_DNS_NXDOMAIN, CREEL_EDE_BLOCKED},
		{"BAD.good.example", CREEL_DNS_AAAA, CREEL_DNS_NXDOMAIN, CREEL_EDE_BLOCKED},
		{"other.good.example", 10 /* NULL */, CREEL_DNS_REFUSED, CREEL_EDE_PROHIBITED},
		{"other.good.example", CREEL_DNS_ANY, CREEL_DNS_REFUSED, CREEL_EDE_PROHIBITED},
		{"other.good.example", 252 /* AXFR */, CREEL_DNS_REFUSED, CREEL_EDE_PROHIBITED},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.good.example", CREEL_DNS_A,
		 CREEL_DNS_NXDOMAIN, CREEL_EDE_BLOCKED},
		{"a b.good.example", CREEL_DNS_A, CREEL_DNS_NXDOMAIN, CREEL_EDE_BLOCKED},
		{"localhost", CREEL_DNS_A, CREEL_DNS_NXDOMAIN, CREEL_EDE_BLOCKED},
		{"web.creel", CREEL_DNS_A, CREEL_DNS_NXDOMAIN, CREEL_EDE_BLOCKED},
		{"good.example", CREEL_DNS_AAAA, CREEL_DNS_NOERROR, -1}, /* no IPv6 in this cell */
	};
	int before = atomic_load(&upstream_queries);

	for (size_t i = 0; i < ELEMENTSOF(c); i++) {
		ask(c[i].name, c[i].type, false);
		if (reply.rcode != c[i].rcode || reply.ede != c[i].ede || reply.answers != 0 ||
		    creel_be16(reply.b + 8) != 0)
			fail_msg("case %zu: rcode %u ede %d `%s`", i, reply.rcode, reply.ede, reply.text);
	}
	assert_int_equal(atomic_load(&upstream_queries), before);
	ask("bad.good.example", CREEL_DNS_A, false);
	assert_string_equal(reply.text, "denied by the cell's policy, line 9");
	struct creel_dnsmsg m = event_wait(CREEL_DNSMSG_REFUSE, "bad.good.example");
	assert_int_equal(m.line, 9);
	assert_int_equal(m.why, CREEL_WHY_ENTRY_DENY);
	/* the true reason where the policy was not what said no */
	ask("other.good.example", CREEL_DNS_ANY, false);
	m = event_wait(CREEL_DNSMSG_REFUSE, "other.good.example");
	assert_int_equal(m.why, CREEL_DNSMSG_WHY_TYPE);
	ask("a b.good.example", CREEL_DNS_A, false);
	m = event_wait(CREEL_DNSMSG_REFUSE, "a\\032b.good.example");
	assert_int_equal(m.why, CREEL_DNSMSG_WHY_NAME);
}

static void rebinding_is_refused(void **state)
{
	static const char *const names[] = {"rebind.good.example", "meta.good.example", "host.good.example",
					    "lan.good.example", "denied.good.example"};
	int before = atomic_load(&pins_seen);

	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		ask(names[i], CREEL_DNS_A, false);
		if (reply.rcode != CREEL_DNS_NXDOMAIN || reply.ede != CREEL_EDE_FILTERED || reply.answers)
			fail_msg("%s: rcode %u, %s", names[i], reply.rcode, reply.addrs);
	}
	assert_int_equal(atomic_load(&pins_seen), before);
}

static void a_new_name_asks_once_and_waits_for_nobody(void **state)
{
	uint8_t msg[600];
	struct creel_dnsmsg m;
	int before = atomic_load(&upstream_queries);
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	ask("new.example", CREEL_DNS_A, false); /* the engine says nothing */
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 1000);
	assert_int_equal(reply.rcode, CREEL_DNS_NXDOMAIN);
	assert_int_equal(reply.ede, CREEL_EDE_PROHIBITED);
	(void)event_wait(CREEL_DNSMSG_ASK, "new.example");

	/* now the engine answers with the approval's number */
	autofd int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	size_t n = query_make(msg, "new.example", CREEL_DNS_A, true);
	assert_int_equal(sendto(fd, msg, n, 0, (struct sockaddr *)&sa, sizeof(sa)), n);
	m = event_wait(CREEL_DNSMSG_ASK, "new.example");
	m = (struct creel_dnsmsg){.type = CREEL_DNSMSG_APPROVAL, .id = m.id, .count = 17};
	send_to(events, &m);
	memset(&reply, 0, sizeof(reply));
	reply.n = (size_t)recv(fd, reply.b, sizeof(reply.b), 0);
	reply_read(&reply);
	assert_string_equal(reply.text, "approval 17 is pending");
	assert_int_equal(atomic_load(&upstream_queries), before);

	/* granted: it resolves; taken back: it does not */
	m = (struct creel_dnsmsg){.type = CREEL_DNSMSG_GRANT, .ttl = 60, .name = "new.example"};
	send_to(events, &m);
	usleep(50000);
	ask("new.example", CREEL_DNS_A, false);
	assert_string_equal(reply.addrs, "192.0.2.13 ");
	ask("sub.new.example", CREEL_DNS_A, false); /* that name alone */
	assert_int_equal(reply.ede, CREEL_EDE_PROHIBITED);
	m.ttl = 0;
	send_to(events, &m);
	usleep(50000);
	ask("new.example", CREEL_DNS_A, false);
	assert_int_equal(reply.ede, CREEL_EDE_PROHIBITED);
}

static void no_pin_no_answer(void **state)
{
	atomic_store(&pins_refuse, 1);
	ask("good.example", CREEL_DNS_A, false);
	assert_int_equal(reply.rcode, CREEL_DNS_SERVFAIL);
	assert_int_equal(reply.answers, 0);
	atomic_store(&pins_refuse, 0);
	atomic_store(&pins_silent, 1);
	ask("good.example", CREEL_DNS_A, false);
	assert_int_equal(reply.rcode, CREEL_DNS_SERVFAIL);
	atomic_store(&pins_silent, 0);
	ask("good.example", CREEL_DNS_A, false);
	assert_int_equal(reply.rcode, 0);
}

static void cells_that_may_be_reached_resolve(void **state)
{
	ask("gog.creel", CREEL_DNS_A, false);
	assert_string_equal(reply.addrs, "192.168.83.3 ");
	ask("gog.creel", CREEL_DNS_AAAA, false);
	assert_int_equal(reply.rcode, 0);
	assert_int_equal(reply.answers, 0);
	ask("agent.creel", CREEL_DNS_A, false);
	assert_int_equal(reply.rcode, CREEL_DNS_NXDOMAIN);
	/* by IPv6 where both have it */
	ask("six.creel", CREEL_DNS_A, false);
	assert_string_equal(reply.addrs, "192.168.83.4 ");
	ask("six.creel", CREEL_DNS_AAAA, false);
	assert_string_equal(reply.addrs, "fd12:3456:789a::c0a8:5304 ");
	ask("six.creel", CREEL_DNS_TXT, false);
	assert_int_equal(reply.answers, 0);
}

static int asker(int family, const uint8_t *msg, size_t len)
{
	struct sockaddr_storage a = {0};
	socklen_t a_len = loopback(family, 53, &a);
	int fd = socket(family, SOCK_DGRAM, 0);

	assert_int_equal(sendto(fd, msg, len, 0, (struct sockaddr *)&a, a_len), len);
	return fd;
}

static void it_is_asked_by_either_family(void **state)
{
	uint8_t msg[600], b[1500];
	size_t n = query_make(msg, "gog.creel", CREEL_DNS_A, true);
	int fd[6];

	ask_by = AF_INET6;
	for (int tcp = 0; tcp < 2; tcp++) {
		ask("gog.creel", CREEL_DNS_A, tcp);
		assert_string_equal(reply.addrs, "192.168.83.3 ");
		ask("new.example", CREEL_DNS_A, tcp); /* refused as by the other */
		assert_int_equal(reply.rcode, CREEL_DNS_NXDOMAIN);
	}
	ask_by = AF_INET;
	/* at once: what leaves together goes where each came from */
	kill(child, SIGSTOP);
	for (int i = 0; i < 6; i++)
		fd[i] = asker(i % 2 ? AF_INET6 : AF_INET, msg, n);
	kill(child, SIGCONT);
	for (int i = 0; i < 6; i++) {
		struct pollfd p = {.fd = fd[i], .events = POLLIN};
		if (poll(&p, 1, 30000) <= 0)
			fail_msg("the question %d of six is not answered", i);
		assert_true(recv(fd[i], b, sizeof(b), 0) > 12);
		close(fd[i]);
	}
}

static void large_answers_go_by_tcp(void **state)
{
	ask("small.good.example", CREEL_DNS_TXT, false);
	assert_int_equal(reply.answers, 1);
	ask("big.good.example", CREEL_DNS_TXT, false);
	assert_true(reply.tc);
	assert_int_equal(reply.answers, 0);
	assert_true(reply.n < 1232);
	ask("big.good.example", CREEL_DNS_TXT, true);
	assert_false(reply.tc);
	assert_int_equal(reply.answers, 1);
	assert_true(reply.n > 3000);
	ask("nosuch.good.example", CREEL_DNS_A, false);
	assert_int_equal(reply.rcode, CREEL_DNS_NXDOMAIN);
	assert_int_equal(reply.ede, -1);
}

/* A tunnel's names are all new; one domain of its own, so that the others' counts are as they were. */
static void names_below_a_domain_are_capped(void **state)
{
	unsigned refused = 0, told = 0;
	struct creel_dnsmsg m;
	char name[64];

	ask("other.good.example", CREEL_DNS_A, false);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "n%d.good.example", i);
		ask(name, CREEL_DNS_A, false);
		assert_int_equal(reply.rcode, CREEL_DNS_NXDOMAIN); /* upstream has none of them */
		refused += reply.ede == CREEL_EDE_BLOCKED;
		/* read as they come: the socket does not hold them all */
		while (event_next(&m, 0))
			if (m.type == CREEL_DNSMSG_TUNNEL) {
				assert_string_equal(m.name, "good.example");
				assert_int_equal(m.count, 256);
				told++;
			}
	}
	assert_in_range(refused, 40, 60);
	assert_int_equal(told, 1);
	ask("other.good.example", CREEL_DNS_A, false); /* asked for before: it goes on */
	assert_int_equal(reply.answers, 1);
}

static void tell(uint8_t type, const char *text)
{
	struct creel_dnsmsg m = {.type = type};
	struct creel_err err = {0};
	uint8_t buf[CREEL_DNSMSG_MAX];
	size_t n = creel_dnsmsg_encode(&m, buf);
	autofd int fd = creel_memfd_sealed("told", text, strlen(text), &err);

	if (fd < 0 || creel_fdpass_send(pins, buf, n, &fd, 1, &err) < 0)
		fail_msg("%s", err.msg);
}

static void policy_and_hosts_change_live(void **state)
{
	tell(CREEL_DNSMSG_POLICY, "mode listed 1\nallow 2 later.example\nallow 3 moved.example\n");
	/* the message may come behind the first question */
	for (int i = 0; i < 100; i++) {
		ask("later.example", CREEL_DNS_A, false);
		if (reply.answers == 1)
			break;
		usleep(20000);
	}
	assert_int_equal(reply.answers, 1);
	ask("good.example", CREEL_DNS_A, false);
	assert_int_equal(reply.ede, CREEL_EDE_BLOCKED);
	ask("moved.example", CREEL_DNS_A, false);
	assert_int_equal(reply.answers, 1);
	tell(CREEL_DNSMSG_HOSTS, "host 203.0.113.9\nhost 2001:db8::9\n");
	for (int i = 0; i < 100 && reply.ede != CREEL_EDE_FILTERED; i++) {
		ask("moved.example", CREEL_DNS_A, false);
		usleep(20000);
	}
	assert_int_equal(reply.ede, CREEL_EDE_FILTERED);
	tell(CREEL_DNSMSG_POLICY, "mode ask 7\nallow 8 good.example\nallow 8 *.good.example\n");
}

static void garbage_ends_nothing(void **state)
{
	static const struct {
		const char *b;
		size_t n;
		int rcode; /* -1: silence */
	} c[] = {
		{"x", 1, -1},
		{"\x42\x42\1\0\0\0\0\0\0\0\0\0", 12, CREEL_DNS_FORMERR},
		{"\x42\x42\x81\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", 19, -1}, /* an answer */
		{"\x42\x42\x29\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", 19, CREEL_DNS_NOTIMP},
		{"\x42\x42\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", 18, CREEL_DNS_FORMERR}, /* a loop */
		{"\x42\x42\1\0\0\1\0\0\0\0\0\0\1a", 14, CREEL_DNS_FORMERR},
	};
	static uint8_t noise[4000];
	unsigned seed = 3;

	for (size_t i = 0; i < ELEMENTSOF(c); i++) {
		bool got = ask_raw((const uint8_t *)c[i].b, c[i].n, false, c[i].rcode < 0 ? 200 : 3000,
				   &reply);
		if (got != (c[i].rcode >= 0) || (got && (int)reply.rcode != c[i].rcode))
			fail_msg("case %zu: %d %u", i, got, reply.rcode);
	}
	for (int i = 0; i < 300; i++) {
		struct sockaddr_in a = {.sin_family = AF_INET,
					.sin_port = htons(53),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		autofd int fd = socket(AF_INET, SOCK_DGRAM, 0);
		for (size_t k = 0; k < sizeof(noise); k++)
			noise[k] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
		(void)sendto(fd, noise, (seed >> 16) % sizeof(noise), 0, (struct sockaddr *)&a, sizeof(a));
	}
	usleep(300000);
	ask("good.example", CREEL_DNS_A, false);
	assert_int_equal(reply.rcode, 0);
	assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
}

/* What was told of a flood that nobody read in time: its events and what was counted in their place, until
 * the event of a name asked for after it. */
static unsigned flood_told(const char *name, const char *after, unsigned *ret_lost)
{
	struct creel_dnsmsg m;
	unsigned told = 0, lost = 0;

	while (event_next(&m, 5000) && strcmp(m.name, after) != 0) {
		if (m.type == CREEL_DNSMSG_LOST)
			lost += m.count;
		told += strcmp(m.name, name) == 0;
	}
	*ret_lost = lost;
	return told + lost;
}

static void a_flood_is_held_down(void **state)
{
	struct creel_dnsmsg before;
	unsigned lost = 0;
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	autofd int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int size = 4 << 20, got = 0;
	uint8_t msg[600], in[2048];
	size_t n = query_make(msg, "bad.good.example", CREEL_DNS_A, false);

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	while (event_next(&before, 0))
		;
	for (int i = 0; i < 20000; i++) {
		(void)sendto(fd, msg, n, 0, (struct sockaddr *)&a, sizeof(a));
		if (i % 100 == 0)
			usleep(1000);
	}
	while (poll(&p, 1, 1000) > 0 && recv(fd, in, sizeof(in), 0) > 0)
		got++;
	if (got < 100 || got > 8000)
		fail_msg("%d of 20000 were answered", got);
	sleep(1);
	/* what fitted is read, then comes the count of what did not, and what was asked for after it */
	unsigned told = 0, last;
	while (event_next(&before, 0))
		told += strcmp(before.name, "bad.good.example") == 0;
	ask("good.example", CREEL_DNS_A, false);
	assert_int_equal(reply.rcode, 0);
	last = flood_told("bad.good.example", "good.example", &lost);
	assert_int_equal(told + last, got);
	assert_true(lost > 0);
}

static void without_the_monitor_it_ends(void **state)
{
	int status;

	shutdown(pins, SHUT_RDWR);
	close(pins);
	for (int i = 0; i < 100 && waitpid(child, &status, WNOHANG) == 0; i++)
		usleep(20000);
	assert_int_equal(kill(child, 0), -1);
	child = fork(); /* something for the teardown to end */
	if (child == 0)
		_exit(pause());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_allowed_name_is_pinned_then_answered),
		cmocka_unit_test(a_chain_is_followed),
		cmocka_unit_test(nothing_goes_upstream_that_is_refused),
		cmocka_unit_test(rebinding_is_refused),
		cmocka_unit_test(a_new_name_asks_once_and_waits_for_nobody),
		cmocka_unit_test(no_pin_no_answer),
		cmocka_unit_test(cells_that_may_be_reached_resolve),
		cmocka_unit_test(it_is_asked_by_either_family),
		cmocka_unit_test(large_answers_go_by_tcp),
		cmocka_unit_test(names_below_a_domain_are_capped),
		cmocka_unit_test(policy_and_hosts_change_live),
		cmocka_unit_test(garbage_ends_nothing),
		cmocka_unit_test(a_flood_is_held_down),
		cmocka_unit_test(without_the_monitor_it_ends),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

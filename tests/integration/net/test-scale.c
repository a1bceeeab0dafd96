/*
 * 10,000 names and 100,000 addresses in one cell: its creel-dns resolves them, the monitor's own code pins
 * them in the kernel's set, its creel-flow knows them; then allow and deny are as ever, memory is bounded,
 * and what goes over a limit is refused and told.
 */
#include "base/cleanup.h"
#include "flownet.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "net/pinning.h"
#include "policy/pins.h"
#include "tests/cmocka-all.h"
#include "wire/be.h"
#include "wire/dns.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NAMES = CREEL_PINS_NAMES, EACH = CREEL_PINS_ADDRS / CREEL_PINS_NAMES, AT_ONCE = 400 };

static struct flownet net;
static struct creel_buf policy;
static struct creel_pins pins;
static int upstream, pins_fd, events_fd, tls;
static pid_t dns;
static atomic_int told, refused, events_query, events_lost;
static atomic_uint last_why;

static int64_t now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Address @p k of name @p i, in network order. */
static struct in_addr addr_of(unsigned i, unsigned k)
{
	return (struct in_addr){htonl(0x0b000000U + i * EACH + k)};
}

/* --- the internet's resolver: nI.example has EACH addresses ------------------------------------------ */

static void *upstream_run(void *arg)
{
	uint8_t msg[4096], out[4096];

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
		size_t at = 12 + q.question_len;
		unsigned i = q.name.text[0] == 'n' ? (unsigned)atoi(q.name.text + 1) : NAMES;
		memset(out, 0, 12);
		memcpy(out + 12, q.question, q.question_len);
		for (unsigned k = 0; q.type == CREEL_DNS_A && k < EACH; k++) {
			struct in_addr a = addr_of(i, k);
			memcpy(out + at, "\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4", 12);
			memcpy(out + at + 12, &a, 4);
			at += 16;
			out[7]++;
		}
		creel_put_be16(out, q.id);
		out[2] = 0x81;
		out[3] = 0x80;
		out[5] = 1;
		(void)sendto(upstream, out, at, 0, (struct sockaddr *)&from, fl);
	}
}

/* --- the monitor and the engine ---------------------------------------------------------------------- */

static int tell_flow(void *ctx, const struct creel_dnsmsg *pin, bool granted, struct creel_err *err)
{
	const struct creel_flowmsg m = creel_pinning_flowmsg(pin, NULL, granted);
	uint8_t buf[CREEL_FLOWMSG_MAX];

	atomic_fetch_add(&told, 1);
	return creel_fdpass_send(net.cell[0].monitor, buf, creel_flowmsg_encode(&m, buf), NULL, 0, err);
}

static void refused_why(void *ctx, const struct creel_err *err)
{
	atomic_fetch_add(&refused, 1);
}

static void *monitor_run(void *arg)
{
	const struct creel_pinning p = {.nft = &net.nft,
					.link = "cl-83.2",
					.policy = &net.cell[0].policy.policy,
					.pins = &pins,
					.told = tell_flow,
					.refused = refused_why};
	static struct creel_dnsmsg m[CREEL_PINNING_MAX];
	static uint8_t buf[CREEL_DNSMSG_PACKET];
	int result[CREEL_PINNING_MAX];
	struct pollfd wait = {pins_fd, POLLIN, 0};

	while (poll(&wait, 1, -1) > 0 && !(wait.revents & POLLHUP)) {
		struct creel_err err = {0};
		size_t n = 0;
		ssize_t got;
		while (n <= CREEL_PINNING_MAX - CREEL_DNSMSG_AT_ONCE &&
		       (got = recv(pins_fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			for (size_t at = 0; creel_dnsmsg_next(buf, (size_t)got, &at, &m[n], &err) > 0;)
				n++;
		creel_pinning_write(&p, m, result, n, now_s());
		for (size_t i = 0; i < n; i++) {
			const struct creel_dnsmsg done = {
				.type = CREEL_DNSMSG_PINNED, .id = m[i].id, .result = result[i]};
			(void)send(pins_fd, buf, creel_dnsmsg_encode(&done, buf), MSG_NOSIGNAL);
		}
	}
	return NULL;
}

static void *engine_run(void *arg)
{
	static uint8_t buf[CREEL_DNSMSG_PACKET];
	struct creel_dnsmsg m;
	struct creel_err err = {0};
	ssize_t n;

	while ((n = recv(events_fd, buf, sizeof(buf), 0)) > 0)
		for (size_t at = 0; creel_dnsmsg_next(buf, (size_t)n, &at, &m, &err) > 0;) {
			if (m.type == CREEL_DNSMSG_QUERY)
				atomic_fetch_add(&events_query, 1);
			else if (m.type == CREEL_DNSMSG_LOST)
				atomic_fetch_add(&events_lost, (int)m.count);
			else if (m.type == CREEL_DNSMSG_REFUSE)
				atomic_store(&last_why, m.why);
		}
	return NULL;
}

static int udp(uint16_t port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 4 << 20;

	assert_true(fd >= 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void dns_start(void)
{
	int pair[2], pair2[2], at = udp(53), size = 2 << 20;
	struct creel_buf autoclean(creel_buf_fini) conf;
	struct creel_err err = {0};
	char arg[16];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair2), 0);
	for (int i = 0; i < 2; i++) /* as the monitor does */
		assert_int_equal(setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)), 0);
	pins_fd = pair[0];
	events_fd = pair2[0];
	creel_buf_init(&conf, CREEL_POLICYTEXT_MAX);
	int fds[4] = {at, pair[1], pair2[1], -1};
	assert_int_equal(creel_buf_addf(&conf, &err,
					"udp %d\npins %d\nevents %d\nupstream 127.0.0.1@5353\nrate 0\n%s", at,
					pair[1], pair2[1], creel_buf_str(&policy)),
			 0);
	fds[3] = creel_memfd_sealed("conf", conf.data, conf.len, &err);
	(void)snprintf(arg, sizeof(arg), "%d", fds[3]);
	dns = fork();
	if (dns == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (size_t i = 0; i < ELEMENTSOF(fds); i++)
			(void)fcntl(fds[i], F_SETFD, 0);
		execl(getenv("CREEL_DNS"), "creel-dns", arg, NULL);
		_exit(127);
	}
	for (size_t i = 0; i < ELEMENTSOF(fds); i++)
		close(fds[i]);
}

static int setup(void **state)
{
	struct creel_err err = {0};
	pthread_t t;

	flownet_up(&net, 170);
	/* every address is the internet's */
	flownet_sh("nsenter -t %d -n ip route add local 11.0.0.0/8 dev lo", net.holder[NET_INTERNET]);
	creel_buf_init(&policy, CREEL_POLICYTEXT_MAX);
	assert_int_equal(creel_buf_adds(&policy, "mode listed 1\nsubnet 192.168.83.0/24\n", &err), 0);
	/* each of a domain of its own: so many names below one are a tunnel */
	for (unsigned i = 0; i < NAMES; i++)
		assert_int_equal(creel_buf_addf(&policy, &err, "allow %u n%u.example\n", i + 2, i), 0);
	assert_int_equal(creel_buf_adds(&policy, "allow 90000 more.example\ndeny 90001 bad.example\n", &err),
			 0);
	flownet_cell(&net, 0, creel_buf_str(&policy), true, 0);
	flownet_cell(&net, 1, "mode listed 1\nsubnet 192.168.83.0/24\nallow 2 raw.example:8443/raw\n", true,
		     0);
	assert_int_equal(creel_pins_init(&pins, CREEL_PINS_NAMES, CREEL_PINS_ADDRS, &err), 0);
	flownet_flow_start(&net, 0);
	upstream = udp(5353);
	tls = flownet_listen(&net, NET_INTERNET, 443);
	dns_start();
	return pthread_create(&t, NULL, upstream_run, NULL) || pthread_create(&t, NULL, monitor_run, NULL) ||
	       pthread_create(&t, NULL, engine_run, NULL);
}

static int teardown(void **state)
{
	kill(dns, SIGKILL);
	(void)waitpid(dns, NULL, 0);
	flownet_down(&net);
	return 0;
}

/* --- the guest ----------------------------------------------------------------------------------------- */

static size_t question(uint8_t *msg, uint16_t id, const char *name)
{
	memset(msg, 0, 12);
	creel_put_be16(msg, id);
	msg[2] = 1;
	msg[5] = 1;
	size_t at = 12 + flownet_labels(msg + 12, name);
	memcpy(msg + at, "\0\1\0\1", 4);
	return at + 4;
}

static int resolver(void)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* @return the rcode; @p ret_answers may be NULL */
static unsigned ask(const char *name, unsigned *ret_answers)
{
	uint8_t msg[512], in[4096];
	autofd int fd = resolver();
	struct pollfd p = {fd, POLLIN, 0};
	size_t n = question(msg, 1, name);

	for (int tries = 0; tries < 10; tries++) {
		assert_int_equal(send(fd, msg, n, 0), n);
		if (poll(&p, 1, FLOWNET_WAIT_MS) > 0 && recv(fd, in, sizeof(in), 0) >= 12) {
			if (ret_answers)
				*ret_answers = creel_be16(in + 6);
			return in[3] & 15;
		}
	}
	fail_msg("%s: no answer", name);
	return 0;
}

/* Some are on their way at any time; one that does not come in time is asked again. */
static void all_names_resolve(void)
{
	static bool have[NAMES];
	uint8_t msg[512], in[4096];
	char name[32];
	autofd int fd = resolver();
	struct pollfd p = {fd, POLLIN, 0};
	unsigned next = 0, got = 0, under_way = 0;
	int quiet = 0, size = 4 << 20;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	memset(have, 0, sizeof(have));
	while (got < NAMES) {
		while (under_way < AT_ONCE && next < NAMES) {
			(void)snprintf(name, sizeof(name), "n%u.example", next);
			assert_true(send(fd, msg, question(msg, (uint16_t)next, name), 0) > 0);
			next++;
			under_way++;
		}
		if (poll(&p, 1, 5000) <= 0) {
			if (++quiet == 12)
				fail_msg("%u of %d names resolved, then nothing", got, NAMES);
			for (unsigned i = 0; i < next; i++) {
				(void)snprintf(name, sizeof(name), "n%u.example", i);
				if (!have[i])
					(void)send(fd, msg, question(msg, (uint16_t)i, name), 0);
			}
			continue;
		}
		ssize_t n = recv(fd, in, sizeof(in), 0);
		unsigned id = n >= 12 ? creel_be16(in) : NAMES;
		if (id >= NAMES || have[id])
			continue;
		if ((in[3] & 15) != 0 || creel_be16(in + 6) != EACH)
			fail_msg("n%u.example: code %u, %u addresses", id, in[3] & 15U, creel_be16(in + 6));
		have[id] = true;
		got++;
		under_way--;
	}
}

static bool connects(unsigned i, unsigned k, unsigned named)
{
	static uint8_t hello[2048];
	char addr[32], name[32];
	struct in_addr a = addr_of(i, k);

	(void)inet_ntop(AF_INET, &a, addr, sizeof(addr));
	(void)snprintf(name, sizeof(name), "n%u.example", named);
	size_t n = flownet_hello(hello, sizeof(hello), name, false, 0, 16384);
	autofd int g = flownet_connect(&net, NET_A, addr, 443, i < NAMES ? FLOWNET_WAIT_MS : 500);
	if (g < 0)
		return false;
	flownet_send(g, hello, n);
	struct pollfd p[2] = {{g, POLLIN, 0}, {tls, POLLIN, 0}};
	if (poll(p, 2, FLOWNET_WAIT_MS) <= 0 || !(p[1].revents & POLLIN))
		return false; /* ended by creel-flow */
	autofd int s = flownet_accept(tls, -1);
	flownet_expect(s, hello, n);
	flownet_send(s, "x", 1);
	flownet_expect(g, "x", 1);
	return true;
}

static void allow_and_deny_work(void)
{
	for (unsigned i = 0; i < NAMES; i += NAMES / 20) {
		assert_true(connects(i, i % EACH, i));
		assert_false(connects(i, i % EACH, (i + 1) % NAMES)); /* that name is not at this address */
	}
	assert_true(connects(NAMES - 1, EACH - 1, NAMES - 1));
	assert_false(connects(2 * NAMES, 0, 1)); /* nobody resolved to it */
	assert_int_equal(ask("bad.example", NULL), CREEL_DNS_NXDOMAIN);
	assert_int_equal(ask("other.example", NULL), CREEL_DNS_NXDOMAIN);
}

static void counted(void *ctx, const char *name, const uint8_t addr[16], uint32_t ttl)
{
	(*(size_t *)ctx)++;
}

static void bounded(const char *who, pid_t pid, long most_mb)
{
	long kb = flownet_memory_kb(pid);

	print_message("# %s: %ld KiB\n", who, kb);
	if (!FLOWNET_SANITIZED && kb > most_mb << 10)
		fail_msg("%s has %ld KiB, over %ld MiB", who, kb, most_mb);
}

static void ten_thousand_names_hold(void **state)
{
	struct creel_err err = {0};
	size_t in_set = 0;

	all_names_resolve();
	assert_int_equal(pins.n_names, NAMES);
	assert_int_equal(pins.n_addrs, NAMES * EACH);
	assert_true(told >= NAMES);
	assert_int_equal(refused, 0);
	assert_int_equal(creel_nft_pins(&net.nft, "cl-83.2", counted, &in_set, &err), 0);
	assert_int_equal(in_set, NAMES * EACH);
	allow_and_deny_work();
	/* each question is on its way to the record, or counted as lost */
	for (int i = 0; i < 600 && events_query + events_lost < NAMES; i++)
		usleep(100000);
	assert_true(events_query + events_lost >= NAMES);
}

static void memory_is_bounded(void **state)
{
	int first = told;

	all_names_resolve(); /* again: what is there is not kept twice, and mostly not asked for again */
	assert_int_equal(pins.n_addrs, NAMES * EACH);
	print_message("# %d of %d names were pinned again\n", told - first, NAMES);
	assert_true(told - first < NAMES / 4);
	bounded("creel-dns", dns, 64);
	bounded("creel-flow", net.cell[0].flow, 32);
}

static void one_more_is_refused_and_told(void **state)
{
	unsigned answers = 99;

	atomic_store(&last_why, 0);
	assert_int_equal(ask("more.example", &answers), CREEL_DNS_SERVFAIL);
	assert_int_equal(answers, 0);
	assert_true(refused > 0);
	for (int i = 0; i < 600 && last_why == 0; i++)
		usleep(100000);
	assert_int_equal(last_why, CREEL_DNSMSG_WHY_PIN);
	assert_false(connects(NAMES, 0, NAMES));
	allow_and_deny_work();
}

static void a_new_creel_flow_knows_all_of_it(void **state)
{
	struct creel_err err = {0};
	size_t left = 1;
	int size = 4 << 20;

	flownet_flow_kill(&net, 0);
	assert_false(connects(0, 0, 0));
	flownet_flow_start(&net, 0);
	(void)setsockopt(net.cell[0].monitor, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	/* as the monitor does: it has gone to sleep before the other reads at all */
	kill(net.cell[0].flow, SIGSTOP);
	(void)fcntl(net.cell[0].monitor, F_SETFL, O_NONBLOCK);
	assert_int_equal(creel_pinning_replay(&pins, NULL, net.cell[0].monitor, now_s(), &left, &err), 0);
	(void)fcntl(net.cell[0].monitor, F_SETFL, 0);
	kill(net.cell[0].flow, SIGCONT);
	assert_int_equal(left, 0);
	allow_and_deny_work();
	bounded("creel-flow", net.cell[0].flow, 32);
}

static void a_changed_policy_keeps_them(void **state)
{
	struct creel_err err = {0};
	size_t in_set = 0;

	assert_int_equal(creel_buf_adds(&policy, "deny 90002 n1.example\n", &err), 0);
	flownet_cell(&net, 0, creel_buf_str(&policy), true, 0);
	assert_int_equal(creel_nft_pins(&net.nft, "cl-83.2", counted, &in_set, &err), 0);
	assert_int_equal(in_set, NAMES * EACH);
	assert_false(connects(1, 0, 1));
	assert_true(connects(2, 0, 2));
}

/* The set's own size, in a cell whose names are few. */
static void a_full_set_takes_no_more(void **state)
{
	struct creel_pins own;
	struct creel_pinning p = {.nft = &net.nft,
				  .link = "cl-83.3",
				  .policy = &net.cell[1].policy.policy,
				  .pins = &own,
				  .told = tell_flow,
				  .refused = refused_why};
	struct creel_dnsmsg m = {.type = CREEL_DNSMSG_PIN, .name = "raw.example", .ttl = 600, .n_addrs = 1};
	static struct creel_nft_edit edits[500];
	struct creel_err err = {0};
	int result, were = refused, told_before = told;
	size_t in_set = 0;
	uint32_t at = 0;

	assert_int_equal(creel_pins_init(&own, 10, 10, &err), 0);
	for (int r = 0; r == 0 && at < 1000000; at += ELEMENTSOF(edits)) {
		for (uint32_t i = 0; i < ELEMENTSOF(edits); i++)
			edits[i] = (struct creel_nft_edit){.addr = {htonl(0x0c000000U + at + i)},
							   .opening = {8443, false, CREEL_WAY_TCP},
							   .name = "raw.example",
							   .ttl = 3600};
		r = creel_nft_pin_all(&net.nft, "cl-83.3", edits, ELEMENTSOF(edits), &err);
	}
	/* the batch that did not fit left nothing */
	assert_int_equal(creel_nft_pins(&net.nft, "cl-83.3", counted, &in_set, &err), 0);
	assert_int_equal(in_set, at - ELEMENTSOF(edits));
	assert_true(in_set >= CREEL_PINS_ADDRS);
	memcpy(m.addr[0], (uint8_t[]){[10] = 0xff, 0xff, 13, 0, 0, 1}, 16);
	creel_pinning_write(&p, &m, &result, 1, now_s());
	assert_true(result < 0);
	assert_int_equal(refused, were + 1);
	assert_int_equal(told, told_before); /* nor does creel-flow hear of it */
	creel_pins_fini(&own);
	assert_true(connects(2, 0, 2)); /* the other cell has its own */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_thousand_names_hold),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(one_more_is_refused_and_told),
		cmocka_unit_test(a_new_creel_flow_knows_all_of_it),
		cmocka_unit_test(a_changed_policy_keeps_them),
		cmocka_unit_test(a_full_set_takes_no_more),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * dns-cell CREEL-DNS CREEL-FLOW RECORD UPSTREAM[@PORT]: one creel-dns on 127.0.0.1:53 of this network
 * namespace with what stands around it, for bench/dns: the monitor's part, by the monitor's own code
 * (net/pinning.h), which writes each pin into a real set of the cell's before the answer leaves and tells a
 * real creel-flow, and one that reads as creel-flowlog does; and the engine's, which writes each event into a
 * real record. Prints `ready`; at SIGTERM, as JSON, what was written and what the set has.
 */
#include "base/cleanup.h"
#include "event/record.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "net/pinning.h"
#include "policy/policytext.h"
#include "wire/dnsmsg.h"
#include "wire/flowmsg.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char policy_text[] = "mode listed 1\nallow 2 *.example\nsubnet 192.168.83.0/24\n";
static volatile sig_atomic_t over;
static int said[2]; /* the engine's last word, to be printed behind the monitor's */

static void on_term(int sig)
{
	over = 1;
}

static void die(const char *what, const struct creel_err *err)
{
	fprintf(stderr, "dns-cell: %s: %s\n", what, err ? err->msg : strerror(errno));
	exit(1);
}

/* --- the engine's part: each event a line, groups of them committed within 100 ms ------------ */

static void note(struct creel_record *rec, const struct creel_dnsmsg *m)
{
	struct creel_event e = {.kind = CREEL_EV_DNS_QUERY, .cell = "agent"};
	struct creel_err err = {0};
	char addrs[INET_ADDRSTRLEN] = "";

	if (m->n_addrs)
		(void)inet_ntop(AF_INET, m->addr[0] + 12, addrs, sizeof(addrs));
	creel_event_str(&e, "name", m->name);
	creel_event_str(&e, "type", "A");
	creel_event_str(&e, "result", m->rcode ? "NXDOMAIN" : "NOERROR");
	creel_event_str(&e, "addresses", addrs);
	creel_event_num(&e, "ttl", m->ttl);
	creel_event_num(&e, "ms", m->ms);
	if (creel_record_append(rec, &e, &err) == CREEL_E_TOOBIG &&
	    (creel_record_commit(rec, &err) < 0 || creel_record_append(rec, &e, &err) < 0))
		die("record", &err);
}

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* In groups, as engine/journal.c: on disk within 100 ms. */
static void engine(int fd, const char *dir)
{
	struct creel_record rec;
	struct creel_err err = {0};
	struct pollfd p = {fd, POLLIN, 0};
	static uint8_t buf[CREEL_DNSMSG_PACKET];
	struct creel_dnsmsg m;
	unsigned long n = 0, lost = 0;
	int64_t due = 0; /* when what was appended is committed; 0: nothing was */
	int dirfd = open(dir, O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0 || creel_record_open(dirfd, 0, &rec, &err) < 0)
		die("record", &err);
	for (bool more = true; more;) {
		int r = poll(&p, 1, 10);
		ssize_t k = 0;
		for (int i = 0; r > 0 && i < 4096 && (k = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0; i++)
			for (size_t at = 0; creel_dnsmsg_next(buf, (size_t)k, &at, &m, &err) > 0;) {
				if (m.type == CREEL_DNSMSG_LOST)
					lost += m.count;
				else
					note(&rec, &m);
				n += m.type != CREEL_DNSMSG_LOST;
			}
		more = k != 0 || r <= 0;
		int64_t now = now_ms();
		if (due == 0 && rec.at.seq != rec.committed.seq)
			due = now + 100;
		if (due > 0 && (now >= due || !more)) {
			if (creel_record_commit(&rec, &err) < 0)
				die("record", &err);
			due = 0;
		}
	}
	(void)dprintf(said[1], "\"events\":%lu,\"lost\":%lu}", n, lost);
	exit(0);
}

/* --- the monitor's ------------------------------------------------------------------------------- */

static struct {
	struct creel_nft nft;
	struct creel_policytext text;
	struct creel_pins pins;
	int flow, flowlog;
	unsigned long pinned, refused, batches;
} mon;

static int64_t now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static int told(void *ctx, const struct creel_dnsmsg *pin, bool granted, struct creel_err *err)
{
	const struct creel_flowmsg m = creel_pinning_flowmsg(pin, NULL, granted);
	uint8_t buf[CREEL_FLOWMSG_MAX];
	size_t len = creel_flowmsg_encode(&m, buf);

	(void)creel_fdpass_send(mon.flowlog, buf, len, NULL, 0, err);
	mon.pinned++;
	return creel_fdpass_send(mon.flow, buf, len, NULL, 0, err);
}

static void refused(void *ctx, const struct creel_err *err)
{
	if (mon.refused++ == 0)
		fprintf(stderr, "dns-cell: refused: %s\n", err->msg);
}

static size_t pins_take(int fd, struct creel_dnsmsg *m)
{
	static uint8_t buf[CREEL_DNSMSG_PACKET];
	struct creel_err err = {0};
	size_t n = 0;
	ssize_t got;

	while (n <= CREEL_PINNING_MAX - CREEL_DNSMSG_AT_ONCE &&
	       (got = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		for (size_t at = 0; creel_dnsmsg_next(buf, (size_t)got, &at, &m[n], &err) > 0;)
			n++;
	return n;
}

static void pins_write(int fd)
{
	static struct creel_dnsmsg m[CREEL_PINNING_MAX];
	static struct creel_dnsmsg_packet out;
	const struct creel_pinning p = {.nft = &mon.nft,
					.link = "cl-83.2",
					.policy = &mon.text.policy,
					.pins = &mon.pins,
					.told = told,
					.refused = refused};
	int result[CREEL_PINNING_MAX];
	size_t n = pins_take(fd, m);

	creel_pinning_write(&p, m, result, n, now_s());
	for (size_t i = 0; i < n; i++) {
		const struct creel_dnsmsg done = {
			.type = CREEL_DNSMSG_PINNED, .id = m[i].id, .result = result[i]};
		(void)creel_dnsmsg_put(&out, &done);
		if (out.n == CREEL_DNSMSG_AT_ONCE || i + 1 == n) {
			if (send(fd, out.buf, out.len, MSG_NOSIGNAL) < 0)
				return;
			out.len = out.n = 0;
		}
	}
	mon.batches += n > 0;
}

static void counted(void *ctx, const char *name, const uint8_t addr[16], uint32_t ttl)
{
	(*(unsigned long *)ctx)++;
}

static void cell_add(void)
{
	struct creel_nft_cell c = {.link = "cl-83.2",
				   .mac = {2, 0, 0, 0, 83, 2},
				   .policy = &mon.text.policy,
				   .dns_uid = 65000,
				   .flow_uid = 65001,
				   .flow_port = 3129};
	struct creel_err err = {0};

	(void)inet_pton(AF_INET, "192.168.83.2", &c.addr);
	(void)inet_pton(AF_INET, "192.168.83.1", &c.gateway);
	if (creel_policytext_read(policy_text, strlen(policy_text), NULL, NULL, &mon.text, &err) < 0 ||
	    creel_pins_init(&mon.pins, CREEL_PINS_NAMES, CREEL_PINS_ADDRS, &err) < 0)
		die("policy", &err);
	if (creel_nft_open(&mon.nft, &err) < 0 || creel_nft_table(&mon.nft, NULL, &err) < 0 ||
	    creel_nft_cell_add(&mon.nft, &c, &err) < 0)
		die("filter", &err);
}

/* --- their processes --------------------------------------------------------------------------- */

static int bound(int type, uint16_t port)
{
	struct sockaddr_in a = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || (type == SOCK_STREAM && listen(fd, 64) < 0))
		die("a port", NULL);
	return fd;
}

/* Two ends; what waits in them is bounded as the monitor does it. */
static void pair_make(int ret[2])
{
	int size = 4 << 20;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0)
		die("sockets", NULL);
	for (int i = 0; i < 2; i++)
		(void)setsockopt(ret[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
}

static pid_t child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* A program that is given its configuration as a descriptor; @p fds are those that it names. */
static pid_t spawn(const char *path, const char *name, const char *conf, const int *fds, size_t n)
{
	struct creel_err err = {0};
	char arg[16];
	int fd = creel_memfd_sealed("conf", conf, strlen(conf), &err);
	pid_t pid = fd < 0 ? -1 : child();

	if (pid == 0) {
		for (size_t i = 0; i < n; i++)
			(void)fcntl(fds[i], F_SETFD, 0);
		(void)snprintf(arg, sizeof(arg), "%d", dup(fd));
		execl(path, name, arg, NULL);
		_exit(127);
	}
	if (pid < 0)
		die(name, &err);
	close(fd);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	return pid;
}

/* What reads and throws away: creel-flow's events are none here, and creel-flowlog's part is to read. */
static void reader(int fd)
{
	static char buf[CREEL_FLOWMSG_PACKET];

	if (child() == 0) {
		while (recv(fd, buf, sizeof(buf), 0) > 0)
			;
		_exit(0);
	}
	close(fd);
}

static pid_t flow_start(const char *path)
{
	int pins[2], events[2], log[2];
	char conf[256];

	pair_make(pins);
	pair_make(events);
	pair_make(log);
	const int fds[] = {bound(SOCK_STREAM, 3129), pins[1], events[1]};
	(void)snprintf(conf, sizeof(conf), "listen %d\npins %d\nevents %d\n%s", fds[0], fds[1], fds[2],
		       policy_text);
	mon.flow = pins[0];
	mon.flowlog = log[0];
	pid_t pid = spawn(path, "creel-flow", conf, fds, ELEMENTSOF(fds));
	reader(events[0]);
	reader(log[1]);
	return pid;
}

static pid_t dns_start(const char *path, const char *upstream, int pins, int events)
{
	const int fds[] = {bound(SOCK_DGRAM, 53), pins, events};
	char conf[512];

	(void)snprintf(conf, sizeof(conf), "udp %d\npins %d\nevents %d\nupstream %.60s\nrate 0\n%s", fds[0],
		       pins, events, upstream, policy_text);
	return spawn(path, "creel-dns", conf, fds, ELEMENTSOF(fds));
}

static pid_t engine_start(const char *dir, const int events[2])
{
	pid_t pid = child();

	if (pid == 0) {
		(void)signal(SIGTERM, SIG_IGN);
		close(events[1]);
		engine(events[0], dir);
	}
	close(events[0]);
	return pid;
}

int main(int argc, char **argv)
{
	struct creel_err err = {0};
	unsigned long in_set = 0;
	int pins[2], events[2];
	char last[128] = "";

	if (argc != 5)
		return 2;
	if (pipe2(said, O_CLOEXEC) < 0)
		die("pipe", NULL);
	cell_add();
	/* the engine first, which is to see the end of its socket: no other child holds it */
	pair_make(events);
	pid_t eng = engine_start(argv[3], events);
	pair_make(pins);
	pid_t dns = dns_start(argv[1], argv[4], pins[1], events[1]);
	pid_t flow = flow_start(argv[2]);
	(void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_term}, NULL);
	puts("ready");
	(void)fflush(stdout);
	struct pollfd p = {pins[0], POLLIN, 0};
	while (!over && (poll(&p, 1, 1000) >= 0 || errno == EINTR) && !(p.revents & POLLHUP))
		pins_write(pins[0]);
	(void)kill(dns, SIGTERM);
	(void)kill(flow, SIGTERM);
	(void)waitpid(dns, NULL, 0);
	(void)waitpid(flow, NULL, 0);
	if (creel_nft_pins(&mon.nft, "cl-83.2", counted, &in_set, &err) < 0)
		die("the set", &err);
	printf("{\"pins\":%lu,\"batches\":%lu,\"in_set\":%lu,\"refused\":%lu,", mon.pinned, mon.batches,
	       in_set, mon.refused);
	(void)waitpid(eng, NULL, 0);
	(void)fcntl(said[0], F_SETFL, O_NONBLOCK);
	(void)!read(said[0], last, sizeof(last) - 1);
	puts(last);
	return 0;
}

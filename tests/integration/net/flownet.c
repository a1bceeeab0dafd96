#include "tests/cmocka-all.h"
#include "flownet.h"
#include "base/cleanup.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "wire/be.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const links[] = {"cl-83.2", "cl-83.3", "up0"};

void flownet_sh(const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (system(line) != 0)
		fail_msg("%s", line);
}

static int ns_open(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void holder(struct flownet *n, int i, unsigned seconds)
{
	int ready[2];
	char b;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	n->holder[i] = fork();
	if (n->holder[i] == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)alarm(seconds);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &b, 1), 1);
	close(ready[0]);
	n->ns[i] = ns_open(n->holder[i]);
}

void flownet_up(struct flownet *n, unsigned seconds)
{
	struct creel_err err = {0};

	*n = (struct flownet){.ns = {-1, -1, -1, -1}};
	(void)signal(SIGPIPE, SIG_IGN);
	(void)alarm(seconds);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	n->ns[NET_HOST] = ns_open(getpid());
	flownet_sh("ip link set lo up");
	for (int i = 0; i < 3; i++) {
		holder(n, i, seconds);
		flownet_sh("ip link add %s type veth peer name eth0 netns %d && ip link set %s up", links[i], n->holder[i],
			   links[i]);
		if (i < 2) {
			n->cell[i].monitor = n->cell[i].events = -1;
			flownet_sh("nsenter -t %d -n sh -c 'ip link set lo up; ip link set eth0 address 02:00:00:00:00:%02x up && "
				   "ip addr add 192.168.83.%d/32 dev eth0 && ip route add 192.168.83.1 dev eth0 && "
				   "ip route add default via 192.168.83.1'", n->holder[i], i + 2, i + 2);
			flownet_sh("ip addr add 192.168.83.1/32 dev %s && ip route add 192.168.83.%d dev %s src 192.168.83.1",
				   links[i], i + 2, links[i]);
			continue;
		}
		flownet_sh("nsenter -t %d -n sh -c 'ip link set lo up; ip link set eth0 up; ip addr add 203.0.113.1/24 dev eth0; "
			   "for a in 192.0.2.10 192.0.2.11 192.0.2.12 198.51.100.5; do ip addr add $a/32 dev eth0; done; "
			   "ip route add 192.168.83.0/24 via 203.0.113.2'",
			   n->holder[i]);
		flownet_sh("ip addr add 203.0.113.2/24 dev up0 && ip route add default via 203.0.113.1");
	}
	flownet_sh("cd /proc/sys/net; echo 1 >ipv4/ip_forward; echo 0 >netfilter/nf_conntrack_tcp_loose; "
		   "echo 1 >netfilter/nf_conntrack_acct; echo 1 >netfilter/nf_conntrack_events");
	if (creel_nft_open(&n->nft, &err) < 0 || creel_nft_table(&n->nft, "up0", &err) < 0)
		fail_msg("%s", err.msg);
}

void flownet_down(struct flownet *n)
{
	for (int i = 0; i < 2; i++) {
		flownet_flow_kill(n, i);
		creel_policytext_fini(&n->cell[i].policy);
	}
	for (int i = 0; i < 3; i++)
		if (n->holder[i] > 0) {
			kill(n->holder[i], SIGKILL);
			waitpid(n->holder[i], NULL, 0);
		}
	for (int i = 0; i < 4; i++)
		if (n->ns[i] >= 0)
			close(n->ns[i]);
	creel_nft_close(&n->nft);
}

void flownet_cell(struct flownet *n, int i, const char *policy, bool named, uint16_t log_group)
{
	struct creel_nft_cell c = {.link = links[i], .policy = &n->cell[i].policy.policy, .mac = {2, 0, 0, 0, 0, (uint8_t)(i + 2)},
				   .log_group = log_group};
	struct creel_nft_reach reach[8];
	struct creel_err err = {0};
	char addr[32];

	snprintf(addr, sizeof(addr), "192.168.83.%d", i + 2);
	inet_pton(AF_INET, addr, &c.addr);
	inet_pton(AF_INET, "192.168.83.1", &c.gateway);
	if (n->cell[i].added && n->cell[i].named != named) {
		c.flow_uid = n->cell[i].named ? FLOWNET_UID + (uid_t)i : 0;
		if (creel_nft_cell_remove(&n->nft, &c, &err) < 0)
			fail_msg("%s", err.msg);
		n->cell[i].added = false;
	}
	c.flow_uid = named ? FLOWNET_UID + (uid_t)i : 0;
	c.flow_port = named ? FLOWNET_PORT : 0;
	creel_policytext_fini(&n->cell[i].policy);
	n->cell[i].text = policy;
	if (creel_policytext_read(policy, strlen(policy), NULL, NULL, &n->cell[i].policy, &err) < 0)
		fail_msg("%s", err.msg);
	const struct creel_policy_spec *s = &n->cell[i].policy.spec;
	for (size_t k = 0; k < s->n_reach && k < 8; k++) { /* the one other cell */
		snprintf(addr, sizeof(addr), "192.168.83.%d", 3 - i);
		inet_pton(AF_INET, addr, &reach[k].addr);
		reach[k].port = s->reach[k].port;
		c.n_reach = k + 1;
	}
	c.reach = reach;
	if ((n->cell[i].added ? creel_nft_cell_change(&n->nft, &c, NULL, 0, &err)
			      : creel_nft_cell_add(&n->nft, &c, &err)) < 0)
		fail_msg("%s", err.msg);
	n->cell[i].added = true;
	n->cell[i].named = named;
	if (n->cell[i].monitor >= 0) {
		struct creel_flowmsg m = {.type = CREEL_FLOWMSG_POLICY};
		uint8_t buf[CREEL_FLOWMSG_MAX];
		autofd int fd = creel_memfd_sealed("policy", policy, strlen(policy), &err);
		assert_true(fd >= 0);
		if (creel_fdpass_send(n->cell[i].monitor, buf, creel_flowmsg_encode(&m, buf), &fd, 1, &err) < 0)
			fail_msg("%s", err.msg);
	}
}

void flownet_flow_start(struct flownet *n, int i)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(FLOWNET_PORT)};
	const char *exe = getenv("CREEL_FLOW");
	int monitor[2], events[2], one = 1;
	struct creel_err err = {0};
	struct creel_buf autoclean(creel_buf_fini) text;

	assert_non_null(exe);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, monitor), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, events), 0);
	autofd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, "192.168.83.1", &at.sin_addr);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, links[i], (socklen_t)strlen(links[i])), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 256), 0);
	creel_buf_init(&text, 65536);
	assert_int_equal(creel_buf_addf(&text, &err, "listen 3\npins 4\nevents 5\n%s", n->cell[i].text), 0);
	autofd int memfd = creel_memfd_sealed("conf", text.data, text.len, &err);
	assert_true(memfd >= 0);
	pid_t pid = fork();
	if (pid == 0) {
		const int fds[] = {fd, monitor[1], events[1], memfd};
		int up[4];
		for (int k = 0; k < 4; k++)
			up[k] = fcntl(fds[k], F_DUPFD, 20);
		for (int k = 0; k < 4; k++)
			(void)dup2(up[k], 3 + k);
		(void)close_range(7, ~0U, 0);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setresgid(FLOWNET_UID, FLOWNET_UID, FLOWNET_UID) < 0 ||
		    setresuid(FLOWNET_UID + (uid_t)i, FLOWNET_UID + (uid_t)i, FLOWNET_UID + (uid_t)i) < 0)
			_exit(9);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(exe, exe, "6", NULL);
		_exit(127);
	}
	close(monitor[1]);
	close(events[1]);
	n->cell[i].flow = pid;
	n->cell[i].monitor = monitor[0];
	n->cell[i].events = events[0];
}

void flownet_flow_kill(struct flownet *n, int i)
{
	if (n->cell[i].flow > 0) {
		kill(n->cell[i].flow, SIGKILL);
		waitpid(n->cell[i].flow, NULL, 0);
		close(n->cell[i].monitor);
		close(n->cell[i].events);
	}
	n->cell[i].flow = 0;
	n->cell[i].monitor = n->cell[i].events = -1;
	n->n_seen = 0;
}

void flownet_pin(struct flownet *n, int i, const char *name, const char *addr, uint32_t ttl)
{
	struct creel_opening o[8];
	struct creel_flowmsg m = {.type = CREEL_FLOWMSG_PIN, .ttl = ttl, .n_addrs = 1};
	struct creel_err err = {0};
	uint8_t buf[CREEL_FLOWMSG_MAX];
	struct in_addr a;
	size_t k = creel_policy_openings(&n->cell[i].policy.policy, name, false, o, 8);

	assert_int_equal(inet_pton(AF_INET, addr, &a), 1);
	if (creel_nft_pin(&n->nft, links[i], name, &a, 1, o, k, ttl, &err) < 0)
		fail_msg("%s", err.msg);
	if (n->cell[i].monitor < 0)
		return;
	memcpy(m.name, name, strlen(name));
	m.addr[0][10] = m.addr[0][11] = 0xff;
	memcpy(m.addr[0] + 12, &a, 4);
	size_t len = creel_flowmsg_encode(&m, buf);
	assert_int_equal(send(n->cell[i].monitor, buf, len, MSG_NOSIGNAL), len);
}

void flownet_enter(const struct flownet *n, enum flownet_ns ns)
{
	assert_int_equal(setns(n->ns[ns], CLONE_NEWNET), 0);
}

int flownet_socket(const struct flownet *n, enum flownet_ns ns, int family, int type, int proto)
{
	struct timeval t = {FLOWNET_WAIT_MS / 1000, 0};
	int one = 1;

	flownet_enter(n, ns);
	int fd = socket(family, type | SOCK_CLOEXEC, proto);
	flownet_enter(n, NET_HOST);
	assert_true(fd >= 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET && type == SOCK_STREAM)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int flownet_listen(const struct flownet *n, enum flownet_ns ns, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = flownet_socket(n, ns, AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1024), 0);
	return fd;
}

int flownet_connect(const struct flownet *n, enum flownet_ns ns, const char *addr, uint16_t port, int wait_ms)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct pollfd p = {.events = POLLOUT};
	int e = 0;
	socklen_t len = sizeof(e);

	inet_pton(AF_INET, addr, &a.sin_addr);
	p.fd = flownet_socket(n, ns, AF_INET, SOCK_STREAM, 0);
	(void)fcntl(p.fd, F_SETFL, O_NONBLOCK);
	if (connect(p.fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS)
		e = errno;
	if (e == 0 && poll(&p, 1, wait_ms) <= 0)
		e = ETIMEDOUT;
	if (e == 0)
		(void)getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &e, &len);
	if (e != 0) {
		close(p.fd);
		return -e;
	}
	(void)fcntl(p.fd, F_SETFL, 0);
	return p.fd;
}

int flownet_accept(int fd, int wait_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timeval t = {FLOWNET_WAIT_MS / 1000, 0};

	if (poll(&p, 1, wait_ms < 0 ? FLOWNET_WAIT_MS : wait_ms) <= 0) {
		if (wait_ms < 0)
			fail_msg("nobody connects");
		return -1;
	}
	int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(c >= 0);
	(void)setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	(void)setsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	return c;
}

void flownet_send(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t at = 0; at < len;) {
		ssize_t k = send(fd, p + at, len - at, MSG_NOSIGNAL);
		if (k <= 0)
			fail_msg("send: %s after %zu", strerror(errno), at);
		at += (size_t)k;
	}
}

void flownet_expect(int fd, const void *data, size_t len)
{
	uint8_t *got = malloc(len + 1);
	size_t at = 0;

	assert_non_null(got);
	while (at < len) {
		ssize_t k = recv(fd, got + at, len - at, 0);
		if (k <= 0)
			fail_msg("%zu of %zu octets, then %s", at, len, k ? strerror(errno) : "the end");
		at += (size_t)k;
	}
	assert_memory_equal(got, data, len);
	free(got);
}

char flownet_end(int fd, int wait_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char b;

	if (poll(&p, 1, wait_ms) <= 0)
		return '.';
	ssize_t k = recv(fd, &b, 1, 0);
	return k > 0 ? 'D' : k == 0 ? 'F' : errno == ECONNRESET ? 'R' : '?';
}

uint16_t flownet_port(int fd)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin_port);
}

struct creel_flowmsg flownet_event(struct flownet *n, int i, uint8_t type, uint16_t port)
{
	static uint8_t buf[CREEL_FLOWMSG_PACKET];
	struct pollfd p = {.fd = n->cell[i].events, .events = POLLIN};
	struct creel_err err = {0};

	for (;;) {
		for (size_t k = 0; k < n->n_seen; k++)
			if (n->seen[k].type == type && (!port || n->seen[k].sport == port)) {
				struct creel_flowmsg m = n->seen[k];
				memmove(&n->seen[k], &n->seen[k + 1], (n->n_seen - k - 1) * sizeof(m));
				n->n_seen--;
				return m;
			}
		if (poll(&p, 1, FLOWNET_WAIT_MS) <= 0)
			for (size_t k = 0; k < n->n_seen; k++)
				fprintf(stderr, "seen: type %u port %u reason %u name %s\n", n->seen[k].type, n->seen[k].sport,
					n->seen[k].reason, n->seen[k].name);
		if (p.revents == 0)
			fail_msg("no event %u of port %u", type, port);
		ssize_t len = recv(p.fd, buf, sizeof(buf), 0);
		if (len <= 0)
			fail_msg("creel-flow is gone");
		size_t at = 0;
		struct creel_flowmsg m;
		while (creel_flowmsg_next(buf, (size_t)len, &at, &m, &err) > 0)
			if (n->n_seen < ELEMENTSOF(n->seen))
				n->seen[n->n_seen++] = m;
		assert_int_equal(at, len);
	}
}

/* a part with a length of @p width octets before it, which is filled in by close_part() */
static uint8_t *open_part(uint8_t **p, unsigned width)
{
	uint8_t *at = *p;

	*p += width;
	return at;
}
static void close_part(uint8_t *at, const uint8_t *end, unsigned width)
{
	size_t n = (size_t)(end - at) - width;

	for (unsigned i = 0; i < width; i++)
		at[i] = (uint8_t)(n >> 8 * (width - 1 - i));
}

size_t flownet_hello(uint8_t *buf, size_t size, const char *name, bool ech, size_t pad, size_t record)
{
	static uint8_t msg[70000];
	uint8_t *p = msg, *whole, *exts, *ext, *list, *host;

	*p++ = 1;
	whole = open_part(&p, 3);
	*p++ = 3;
	*p++ = 3;
	for (unsigned i = 0; i < 32; i++)
		*p++ = (uint8_t)(i * 7);
	*p++ = 0;
	memcpy(p, "\0\2\x13\1\1\0", 6);
	p += 6;
	exts = open_part(&p, 2);
	if (name) {
		memcpy(p, "\0\0", 2);
		p += 2;
		ext = open_part(&p, 2);
		list = open_part(&p, 2);
		*p++ = 0;
		host = open_part(&p, 2);
		memcpy(p, name, strlen(name));
		p += strlen(name);
		close_part(host, p, 2);
		close_part(list, p, 2);
		close_part(ext, p, 2);
	}
	memcpy(p, "\0\x2b\0\3\2\3\4", 7);
	p += 7;
	if (ech) {
		memcpy(p, "\xfe\x0d\0\1\0", 5);
		p += 5;
	}
	if (pad) { /* a large key share, say */
		memcpy(p, "\0\x33", 2);
		p += 2;
		ext = open_part(&p, 2);
		memset(p, 0x5a, pad);
		p += pad;
		close_part(ext, p, 2);
	}
	close_part(exts, p, 2);
	close_part(whole, p, 3);
	size_t len = (size_t)(p - msg), at = 0, out = 0;
	while (at < len) {
		size_t k = MIN(len - at, record);
		assert_true(out + 5 + k <= size);
		memcpy(buf + out, "\x16\3\1", 3);
		creel_put_be16(buf + out + 3, (uint16_t)k);
		memcpy(buf + out + 5, msg + at, k);
		out += 5 + k;
		at += k;
	}
	return out;
}

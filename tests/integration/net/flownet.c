#include "flownet.h"
#include "base/cleanup.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "tests/cmocka-all.h"
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

bool flownet_output_has(const char *command, const char *needle)
{
	char line[512];
	bool found = false;
	FILE *f = popen(command, "r");

	while (f && fgets(line, sizeof(line), f))
		found = found || strstr(line, needle);
	if (f)
		pclose(f);
	return found;
}

static int ns_open(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

pid_t flownet_holder(unsigned seconds, int *ret_ns)
{
	int ready[2];
	char b;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
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
	*ret_ns = ns_open(pid);
	return pid;
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
		n->holder[i] = flownet_holder(seconds, &n->ns[i]);
		flownet_sh("ip link add %s type veth peer name eth0 netns %d && ip link set %s up", links[i],
			   n->holder[i], links[i]);
		if (i < 2) {
			n->cell[i].monitor = n->cell[i].events = -1;
			flownet_sh(
				"nsenter -t %d -n sh -c 'ip link set lo up; ip link set eth0 address 02:00:00:00:00:%02x up && "
				"ip addr add 192.168.83.%d/32 dev eth0 && ip route add 192.168.83.1 dev eth0 && "
				"ip route add default via 192.168.83.1'",
				n->holder[i], i + 2, i + 2);
			flownet_sh(
				"ip addr add 192.168.83.1/32 dev %s && ip route add 192.168.83.%d dev %s src 192.168.83.1",
				links[i], i + 2, links[i]);
			continue;
		}
		flownet_sh(
			"nsenter -t %d -n sh -c 'ip link set lo up; ip link set eth0 up; ip addr add 203.0.113.1/24 dev eth0; "
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

/* The address of an interface, in a shell's words: /sys is another namespace's. */
#define MAC_OF(in, name) "$(" in " ip -br link show dev " name " | awk '{ print $3 }')"

void flownet_six(struct flownet *n)
{
	n->six = true;
	flownet_sh("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
	for (int i = 0; i < 2; i++) {
		flownet_sh("ip -6 addr add " FLOWNET_ULA "c0a8:5301/128 dev %s nodad && "
			   "ip -6 route add " FLOWNET_ULA "c0a8:530%d dev %s && "
			   "ip -6 neigh add " FLOWNET_ULA
			   "c0a8:530%d lladdr 02:00:00:00:00:%02x dev %s nud permanent",
			   links[i], i + 2, links[i], i + 2, i + 2, links[i]);
		flownet_sh("mac=" MAC_OF("",
					 "%s") "; nsenter -t %d -n sh -c \"ip -6 addr add " FLOWNET_ULA
					       "c0a8:530%d/128 dev eth0 nodad && ip -6 route add " FLOWNET_ULA
					       "c0a8:5301 dev eth0 && "
					       "ip -6 neigh add " FLOWNET_ULA
					       "c0a8:5301 lladdr $mac dev eth0 nud permanent && "
					       "ip -6 route add default via " FLOWNET_ULA "c0a8:5301\"",
			   links[i], n->holder[i], i + 2);
	}
	/* what translators would make of 10.1.1.1 and 192.0.2.10, and what no cell may have */
	flownet_sh(
		"mac=" MAC_OF(
			"",
			"up0") "; nsenter -t %d -n sh -c \"ip -6 addr add 2001:db8::1/64 dev eth0 nodad; "
			       "for a in 2001:db8:10::10 2001:db8:10::11 2001:db8:10::66 fd99::1 fec0::1 2001::1 100::1 64:ff9b::192.0.2.10 "
			       "64:ff9b::10.1.1.1 2002:a01:101::1 ::10.1.1.1; do ip -6 addr add \\$a/128 dev eth0 nodad || exit 1; done; "
			       "ip -6 neigh add 2001:db8::2 lladdr $mac dev eth0 nud permanent; "
			       "ip -6 route add " FLOWNET_ULA "/48 via 2001:db8::2\"",
		n->holder[2]);
	flownet_sh(
		"ip -6 addr add 2001:db8::2/64 dev up0 nodad && ip -6 route add default via 2001:db8::1 && "
		"ip -6 neigh add 2001:db8::1 dev up0 nud permanent lladdr " MAC_OF("nsenter -t %d -n",
										   "eth0"),
		n->holder[2]);
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
	struct creel_nft_cell c = {.link = links[i],
				   .policy = &n->cell[i].policy.policy,
				   .mac = {2, 0, 0, 0, 0, (uint8_t)(i + 2)},
				   .log_group = log_group};
	struct creel_nft_reach reach[8];
	struct creel_err err = {0};
	char addr[64];

	snprintf(addr, sizeof(addr), "192.168.83.%d", i + 2);
	inet_pton(AF_INET, addr, &c.addr);
	inet_pton(AF_INET, "192.168.83.1", &c.gateway);
	c.six = n->six;
	snprintf(addr, sizeof(addr), FLOWNET_ULA "c0a8:530%d", i + 2);
	inet_pton(AF_INET6, addr, &c.addr6);
	inet_pton(AF_INET6, FLOWNET_ULA "c0a8:5301", &c.gateway6);
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
	for (size_t k = 0; k < s->n_reach && c.n_reach < 7; k++) { /* the one other cell */
		struct creel_nft_reach *to = &reach[c.n_reach++];
		*to = (struct creel_nft_reach){.port = s->reach[k].port};
		snprintf(to->link, sizeof(to->link), "%s", links[1 - i]);
		snprintf(addr, sizeof(addr), "192.168.83.%d", 3 - i);
		inet_pton(AF_INET, addr, &to->addr);
		if (!s->reach[k].six)
			continue;
		reach[c.n_reach] = *to;
		snprintf(addr, sizeof(addr), FLOWNET_ULA "c0a8:530%d", 3 - i);
		inet_pton(AF_INET6, addr, &reach[c.n_reach++].addr6);
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
		if (creel_fdpass_send(n->cell[i].monitor, buf, creel_flowmsg_encode(&m, buf), &fd, 1, &err) <
		    0)
			fail_msg("%s", err.msg);
	}
}

/* Its second listener, on the gateway's IPv6 address. */
static int listener6(int i)
{
	struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(FLOWNET_PORT)};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET6, FLOWNET_ULA "c0a8:5301", &at.sin6_addr);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, links[i], (socklen_t)strlen(links[i])),
			 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 256), 0);
	return fd;
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
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, links[i], (socklen_t)strlen(links[i])),
			 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 256), 0);
	creel_buf_init(&text, CREEL_POLICYTEXT_MAX);
	autofd int six = n->six ? listener6(i) : -1;
	assert_int_equal(creel_buf_addf(&text, &err, "listen 3\npins 4\nevents 5\n%s%s",
					n->six ? "listen 7\n" : "", n->cell[i].text),
			 0);
	autofd int memfd = creel_memfd_sealed("conf", text.data, text.len, &err);
	assert_true(memfd >= 0);
	pid_t pid = fork();
	if (pid == 0) {
		const int fds[] = {fd, monitor[1], events[1], memfd, six};
		int up[5], n_fds = six < 0 ? 4 : 5;
		for (int k = 0; k < n_fds; k++)
			up[k] = fcntl(fds[k], F_DUPFD, 20);
		for (int k = 0; k < n_fds; k++)
			(void)dup2(up[k], 3 + k);
		(void)close_range(3U + (unsigned)n_fds, ~0U, 0);
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
	struct creel_nft_edit e[8];
	size_t k = creel_policy_openings(&n->cell[i].policy.policy, name, false, o, 8);
	bool six = strchr(addr, ':');

	m.addr[0][10] = m.addr[0][11] = 0xff;
	assert_int_equal(inet_pton(six ? AF_INET6 : AF_INET, addr, m.addr[0] + (six ? 0 : 12)), 1);
	for (size_t x = 0; x < k; x++) {
		e[x] = (struct creel_nft_edit){.opening = o[x], .name = name, .ttl = ttl};
		if (six)
			memcpy(&e[x].addr6, m.addr[0], 16);
		else
			memcpy(&e[x].addr, m.addr[0] + 12, 4);
	}
	if (creel_nft_pin_all(&n->nft, links[i], e, k, &err) < 0)
		fail_msg("%s", err.msg);
	if (n->cell[i].monitor < 0)
		return;
	memcpy(m.name, name, strlen(name));
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
	if ((family == AF_INET || family == AF_INET6) && type == SOCK_STREAM)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int flownet_listen(const struct flownet *n, enum flownet_ns ns, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = flownet_socket(n, ns, n->six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, n->six ? (struct sockaddr *)&six : (struct sockaddr *)&a,
			      n->six ? sizeof(six) : sizeof(a)),
			 0);
	assert_int_equal(listen(fd, 1024), 0);
	return fd;
}

int flownet_connect(const struct flownet *n, enum flownet_ns ns, const char *addr, uint16_t port, int wait_ms)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct pollfd p = {.events = POLLOUT};
	bool six = strchr(addr, ':');
	int e = 0;
	socklen_t len = sizeof(e);

	assert_int_equal(
		inet_pton(six ? AF_INET6 : AF_INET, addr, six ? (void *)&a6.sin6_addr : (void *)&a.sin_addr),
		1);
	p.fd = flownet_socket(n, ns, six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	(void)fcntl(p.fd, F_SETFL, O_NONBLOCK);
	if (connect(p.fd, six ? (struct sockaddr *)&a6 : (struct sockaddr *)&a,
		    six ? sizeof(a6) : sizeof(a)) < 0 &&
	    errno != EINPROGRESS)
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
	struct sockaddr_in6 a = {0}; /* the port of an IPv4 one is at the same place */
	socklen_t len = sizeof(a);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin6_port);
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
				fprintf(stderr, "seen: type %u port %u reason %u name %s\n", n->seen[k].type,
					n->seen[k].sport, n->seen[k].reason, n->seen[k].name);
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

long flownet_memory_kb(pid_t pid)
{
	char path[64], line[256];
	long kb = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	autofile FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		(void)sscanf(line, "VmRSS: %ld", &kb);
	assert_true(kb > 0);
	return kb;
}

size_t flownet_labels(uint8_t *out, const char *name)
{
	size_t at = 0;

	for (const char *p = name; *p;) {
		size_t n = strcspn(p, ".");
		out[at++] = (uint8_t)n;
		memcpy(out + at, p, n);
		at += n;
		p += n + (p[n] == '.');
	}
	out[at++] = 0;
	return at;
}

/*
 * dns-cell CREEL-DNS RECORD UPSTREAM[@PORT]: one creel-dns on 127.0.0.1:53 of this network namespace with
 * what stands around it, for bench/dns: the monitor's part, which writes each pin into a real set of the
 * cell's before the answer leaves, and the engine's, which writes each event into a real record. Prints
 * `ready`; at SIGTERM, as JSON, what was written.
 */
#include "base/cleanup.h"
#include "event/record.h"
#include "linux/memfd.h"
#include "net/nft.h"
#include "policy/policytext.h"
#include "wire/dnsmsg.h"
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
#include <unistd.h>

static const char policy_text[] = "mode listed 1\nallow 2 *.bench.example\nsubnet 192.168.83.0/24\n";
static volatile sig_atomic_t over;

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

static void engine(int fd, const char *dir)
{
	struct creel_record rec;
	struct creel_err err = {0};
	struct pollfd p = {fd, POLLIN, 0};
	uint8_t buf[CREEL_DNSMSG];
	struct creel_dnsmsg m;
	unsigned long n = 0, lost = 0;
	int dirfd = open(dir, O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0 || creel_record_open(dirfd, 0, &rec, &err) < 0)
		die("record", &err);
	for (bool more = true; more;) {
		int r = poll(&p, 1, 100);
		ssize_t k = 0;
		for (int i = 0; r > 0 && i < 4096; i++) {
			k = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
			if (k != CREEL_DNSMSG || creel_dnsmsg_decode(buf, sizeof(buf), &m, &err) < 0)
				break;
			if (m.type == CREEL_DNSMSG_LOST)
				lost += m.count;
			else
				note(&rec, &m);
			n += m.type != CREEL_DNSMSG_LOST;
		}
		more = k != 0 || r <= 0;
		if (creel_record_commit(&rec, &err) < 0)
			die("record", &err);
	}
	printf("\"events\":%lu,\"lost\":%lu}\n", n, lost);
	exit(0);
}

/* --- the monitor's ------------------------------------------------------------------------------- */

static unsigned long pins, batches;

static void pins_write(int fd, struct creel_nft *nft, const struct creel_policy *policy)
{
	enum { MOST = 64 };
	struct creel_dnsmsg m[MOST];
	struct creel_nft_edit edits[MOST * 4];
	struct creel_opening o[4];
	struct creel_err err = {0};
	uint8_t buf[CREEL_DNSMSG];
	size_t n = 0, n_edits = 0;

	while (n < MOST && recv(fd, buf, sizeof(buf), MSG_DONTWAIT) == CREEL_DNSMSG &&
	       creel_dnsmsg_decode(buf, sizeof(buf), &m[n], &err) == 0) {
		size_t k = creel_policy_openings(policy, m[n].name, false, o, 2);
		for (size_t a = 0; a < MIN((size_t)m[n].n_addrs, (size_t)2); a++)
			for (size_t i = 0; i < k; i++) {
				edits[n_edits] = (struct creel_nft_edit){.opening = o[i], .name = m[n].name, .ttl = m[n].ttl};
				memcpy(&edits[n_edits++].addr, m[n].addr[a] + 12, 4);
			}
		n++;
	}
	int r = n_edits ? creel_nft_pin_all(nft, "cl-83.2", edits, n_edits, &err) : 0;
	if (r < 0)
		die("pin", &err);
	for (size_t i = 0; i < n; i++) {
		struct creel_dnsmsg done = {.type = CREEL_DNSMSG_PINNED, .id = m[i].id, .result = r};
		creel_dnsmsg_encode(&done, buf);
		if (send(fd, buf, sizeof(buf), MSG_NOSIGNAL) < 0)
			return;
	}
	pins += n;
	batches += n > 0;
}

static void cell_add(struct creel_nft *nft, const struct creel_policy *policy)
{
	struct creel_nft_cell c = {.link = "cl-83.2", .mac = {2, 0, 0, 0, 83, 2}, .policy = policy, .dns_uid = 65000,
				   .flow_uid = 65001, .flow_port = 3129};
	struct creel_err err = {0};

	(void)inet_pton(AF_INET, "192.168.83.2", &c.addr);
	(void)inet_pton(AF_INET, "192.168.83.1", &c.gateway);
	if (creel_nft_open(nft, &err) < 0 || creel_nft_table(nft, NULL, &err) < 0 || creel_nft_cell_add(nft, &c, &err) < 0)
		die("filter", &err);
}

static int udp53(void)
{
	struct sockaddr_in a = {AF_INET, htons(53), {htonl(INADDR_LOOPBACK)}, {0}};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("port 53", NULL);
	return fd;
}

int main(int argc, char **argv)
{
	struct creel_policytext text;
	struct creel_nft nft;
	struct creel_err err = {0};
	int pair[2], events[2];
	char conf[1024], arg[16];

	if (argc != 4)
		return 2;
	if (creel_policytext_read(policy_text, strlen(policy_text), NULL, NULL, &text, &err) < 0)
		die("policy", &err);
	cell_add(&nft, &text.policy);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, events) < 0)
		die("sockets", NULL);
	pid_t eng = fork();
	if (eng == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)signal(SIGTERM, SIG_IGN);
		close(events[1]);
		close(pair[0]);
		close(pair[1]);
		engine(events[0], argv[2]);
	}
	(void)snprintf(conf, sizeof(conf), "udp %d\npins %d\nevents %d\nupstream %s\nrate 0\n%s", udp53(), pair[1], events[1],
		       argv[3], policy_text);
	int fd = creel_memfd_sealed("conf", conf, strlen(conf), &err);
	(void)snprintf(arg, sizeof(arg), "%d", fd < 0 ? -1 : dup(fd));
	pid_t dns = fork();
	if (dns == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		close(events[0]);
		execl(argv[1], "creel-dns", arg, NULL);
		_exit(127);
	}
	close(pair[1]);
	close(events[0]);
	close(events[1]);
	(void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_term}, NULL);
	puts("ready");
	(void)fflush(stdout);
	struct pollfd p = {pair[0], POLLIN, 0};
	while (!over && (poll(&p, 1, 1000) >= 0 || errno == EINTR) && !(p.revents & POLLHUP))
		pins_write(pair[0], &nft, &text.policy);
	(void)kill(dns, SIGTERM);
	(void)waitpid(dns, NULL, 0);
	printf("{\"pins\":%lu,\"batches\":%lu,", pins, batches);
	(void)fflush(stdout);
	(void)waitpid(eng, NULL, 0);
	return 0;
}

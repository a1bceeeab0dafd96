/*
 * Events of new flows: so many UDP flows as fast as a cell can begin them, from the first packet to the
 * last event. Prints a line a run: events a second, flows told, flows lost. Arguments: runs, flows.
 */
#include "flownet.h"
#include "linux/fdpass.h"
#include "linux/flowsum.h"
#include "net/conntrack.h"
#include "net/nflog.h"
#include "tests/cmocka-all.h"
#include "wire/be.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct flownet net;
static int events;

static void flood(unsigned n)
{
	int fd = flownet_socket(&net, NET_A, AF_INET, SOCK_RAW, IPPROTO_RAW);
	uint8_t p[29] = {0x45, 0, 0, 29, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 168, 83, 2, 192, 0, 2, 10};
	struct sockaddr_in a = {.sin_family = AF_INET};

	inet_pton(AF_INET, "192.0.2.10", &a.sin_addr);
	creel_put_be16(p + 22, 5000);
	creel_put_be16(p + 24, 9);
	for (unsigned i = 0; i < n; i++) {
		creel_put_be16(p + 20, (uint16_t)(1024 + i % 60000));
		(void)sendto(fd, p, sizeof(p), 0, (struct sockaddr *)&a, sizeof(a));
	}
	close(fd);
}

static bool none(void *ctx, const struct creel_ct_flow *f)
{
	return false;
}

/* Until so many beginnings are told or known as lost, or nothing comes any more. */
static void told(uint64_t want, uint64_t *ret_told, uint64_t *ret_lost)
{
	static uint8_t buf[CREEL_FLOWMSG_PACKET];
	struct pollfd p = {.fd = events, .events = POLLIN};
	struct creel_flowmsg m;
	struct creel_err err = {0};
	uint64_t t = 0, l = 0;

	while (t + l < want && poll(&p, 1, 5000) > 0) {
		ssize_t n = recv(events, buf, sizeof(buf), 0);
		for (size_t at = 0; n > 0 && creel_flowmsg_next(buf, (size_t)n, &at, &m, &err) > 0;) {
			t += m.type == CREEL_FLOWMSG_ALLOW;
			l += m.type == CREEL_FLOWMSG_LOST && m.way == 0 ? m.count : 0;
		}
	}
	*ret_told = t;
	*ret_lost = l;
}

int main(int argc, char **argv)
{
	int runs = atoi(argv[1]), m[2], e[2];
	unsigned n = (unsigned)atoi(argv[2]);
	struct creel_flowmsg cell = {.type = CREEL_FLOWMSG_CELL, .dport = 1, .cell = "a"};
	uint8_t buf[CREEL_FLOWMSG_MAX];
	struct creel_err err = {0};

	flownet_up(&net, 500);
	flownet_cell(&net, 0, "mode listed 1\nsubnet 192.168.83.0/24\n", false, 1);
	/* without the bound on a cell's flows: what is measured stands behind it */
	flownet_sh("nft flush chain inet creel cl-83.2 && nft add rule inet creel cl-83.2 goto cl-83.2.ok");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, m) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, e) < 0)
		return 1;
	int flows = creel_flowends_open(&err), group = creel_nflog_open(1, &err),
	    sums = creel_flowsums_new(&err);
	pid_t child = fork();
	if (child == 0) {
		char text[4][12];
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(text[0], sizeof(text[0]), "%d", m[1]);
		snprintf(text[1], sizeof(text[1]), "%d", e[1]);
		snprintf(text[2], sizeof(text[2]), "%d", flows);
		snprintf(text[3], sizeof(text[3]), "%d", sums);
		(void)fcntl(flows, F_SETFD, 0);
		(void)fcntl(sums, F_SETFD, 0);
		execl(getenv("CREEL_FLOWLOG"), "creel-flowlog", text[0], text[1], text[2], text[3], NULL);
		_exit(127);
	}
	events = e[0];
	inet_pton(AF_INET6, "::ffff:192.168.83.2", cell.src);
	if (flows < 0 || group < 0 || sums < 0 ||
	    creel_fdpass_send(m[0], buf, creel_flowmsg_encode(&cell, buf), &group, 1, &err) < 0) {
		fprintf(stderr, "flow: %s\n", err.msg);
		return 1;
	}
	for (int r = 0; r < runs; r++) {
		struct timespec from, to;
		uint64_t t, l, cut;
		clock_gettime(CLOCK_MONOTONIC, &from);
		pid_t sender = fork();
		if (sender == 0) {
			flood(n);
			_exit(0);
		}
		told(n, &t, &l);
		clock_gettime(CLOCK_MONOTONIC, &to);
		waitpid(sender, NULL, 0);
		double s = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
		printf("%.0f %lu %lu\n", (double)t / s, t, l);
		fflush(stdout);
		(void)creel_ct_cut(cell.src, none, NULL, &cut, &err);
		for (uint64_t left = 1; left;) /* the ends */
			told(1, &left, &l);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	flownet_down(&net);
	return 0;
}

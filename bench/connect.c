/*
 * The time to the first octet of a new TLS connection to an allowed name: from a cell whose names are
 * checked by creel-flow, and from one that the same filter lets go straight. Prints a line a run:
 * median ms of each. Arguments: runs, connections a run.
 */
#include "flownet.h"
#include "tests/cmocka-all.h"
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct flownet net;
static const char policy[] = "mode listed 1\nsubnet 192.168.83.0/24\nallow 2 good.example\n";

static size_t drop(char *p, size_t size, size_t n, void *ctx)
{
	return size * n;
}

static double once(enum flownet_ns from)
{
	struct curl_slist *resolve = curl_slist_append(NULL, "good.example:443:192.0.2.10");
	CURL *c = curl_easy_init();
	curl_off_t us = 0;

	curl_easy_setopt(c, CURLOPT_URL, "https://good.example/");
	curl_easy_setopt(c, CURLOPT_RESOLVE, resolve);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(c, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
	flownet_enter(&net, from);
	CURLcode r = curl_easy_perform(c);
	flownet_enter(&net, NET_HOST);
	if (r != CURLE_OK) {
		fprintf(stderr, "connect: %s\n", curl_easy_strerror(r));
		exit(1);
	}
	curl_easy_getinfo(c, CURLINFO_STARTTRANSFER_TIME_T, &us);
	curl_easy_cleanup(c);
	curl_slist_free_all(resolve);
	return (double)us / 1000;
}

static int order(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

int main(int argc, char **argv)
{
	int runs = atoi(argv[1]), n = atoi(argv[2]);
	double *t[2] = {calloc((size_t)n, sizeof(double)), calloc((size_t)n, sizeof(double))};
	char in[CREEL_FLOWMSG_PACKET];

	flownet_up(&net, 500);
	flownet_cell(&net, 0, policy, true, 0);
	flownet_cell(&net, 1, policy, false, 0);
	flownet_flow_start(&net, 0);
	flownet_pin(&net, 0, "good.example", "192.0.2.10", 3600);
	flownet_pin(&net, 1, "good.example", "192.0.2.10", 3600);
	pid_t server = fork();
	if (server == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		flownet_enter(&net, NET_INTERNET);
		execlp("openssl", "openssl", "s_server", "-quiet", "-www", "-accept", "192.0.2.10:443",
		       "-cert", argv[3], "-key", argv[4], NULL);
		_exit(127);
	}
	int probe = -1;
	for (int i = 0; i < 200 && probe < 0; i++) {
		probe = flownet_connect(&net, NET_B, "192.0.2.10", 443, 1000);
		if (probe < 0)
			usleep(20000);
	}
	close(probe);
	for (int i = 0; i < 10; i++)
		(void)(once(NET_A) + once(NET_B));
	for (int r = 0; r < runs; r++) {
		for (int i = 0; i < n; i++) { /* one and the other */
			t[0][i] = once(NET_A);
			t[1][i] = once(NET_B);
			while (recv(net.cell[0].events, in, sizeof(in), MSG_DONTWAIT) > 0)
				;
		}
		qsort(t[0], (size_t)n, sizeof(double), order);
		qsort(t[1], (size_t)n, sizeof(double), order);
		printf("%.3f %.3f\n", t[0][n / 2], t[1][n / 2]);
		fflush(stdout);
	}
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	flownet_down(&net);
	free(t[0]);
	free(t[1]);
	return 0;
}

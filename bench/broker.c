/*
 * A host, and who asks it by TLS and through a cell's broker.
 *
 * broker host ADDRESS PORT CERTIFICATE KEY MB
 *   /small is two octets, /stream so many MB in chunks of 4096
 * broker ask DIRECT BROKER CA RUNS REQUESTS MB NAME:PORT:ADDRESS...
 *   Two URLs' beginnings, and where their names are. Prints a line a run: the median of a small request,
 *   ms, direct and by the broker, over connections that stay open; then the rate of a stream, MB/s.
 */
#include "base/cleanup.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 4096 };
static size_t stream_octets;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "broker: %s: %m\n", what);
	exit(1);
}

static bool answer(SSL *ssl)
{
	static const char small[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	static const char stream[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
	char head[4096], piece[PIECE + 16];
	int n = 0;

	while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0) {
		int r = SSL_read(ssl, head + n, (int)sizeof(head) - 1 - n);
		if (r <= 0)
			return false;
		n += r;
	}
	head[n] = '\0';
	if (!strstr(head, "/stream"))
		return SSL_write(ssl, small, sizeof(small) - 1) > 0;
	if (SSL_write(ssl, stream, sizeof(stream) - 1) <= 0)
		return false;
	n = snprintf(piece, sizeof(piece), "%x\r\n", PIECE);
	memset(piece + n, 'x', PIECE);
	memcpy(piece + n + PIECE, "\r\n", 2);
	for (size_t left = stream_octets; left > 0; left -= PIECE)
		if (SSL_write(ssl, piece, n + PIECE + 2) <= 0)
			return false;
	return SSL_write(ssl, "0\r\n\r\n", 5) > 0;
}

static void *visitor(void *ctx)
{
	SSL *ssl = ctx;

	if (SSL_accept(ssl) == 1)
		while (answer(ssl))
			;
	close(SSL_get_fd(ssl));
	SSL_free(ssl);
	return NULL;
}

static int host(char **argv)
{
	static const int on = 1;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	pthread_t t;

	stream_octets = (size_t)atoi(argv[6]) << 20;
	if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, argv[4]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, argv[5], SSL_FILETYPE_PEM) != 1)
		fail("the certificate");
	if (inet_pton(AF_INET, argv[2], &at.sin_addr) != 1 ||
	    bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 16) < 0)
		fail("listen");
	puts("ready");
	(void)fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		SSL *ssl = fd < 0 ? NULL : SSL_new(ctx);
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (!ssl || SSL_set_fd(ssl, fd) != 1 || pthread_create(&t, NULL, visitor, ssl) != 0)
			fail("a visitor");
		(void)pthread_detach(t);
	}
}

/* --- measured --------------------------------------------------------------------------------- */

static size_t drop(char *p, size_t size, size_t n, void *ctx)
{
	*(size_t *)ctx += size * n;
	return size * n;
}

/* @return ms from the request to its answer's end */
static double once(CURL *c, const char *url, size_t octets)
{
	curl_off_t us = 0;
	size_t got = 0;
	long status = 0;

	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &got);
	CURLcode r = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	if (r != CURLE_OK || status != 200 || got != octets) {
		fprintf(stderr, "broker: %s: %s, status %ld, %zu octets\n", url, curl_easy_strerror(r),
			status, got);
		exit(1);
	}
	curl_easy_getinfo(c, CURLINFO_TOTAL_TIME_T, &us);
	return (double)us / 1000;
}

static int order(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static int ask(char **argv)
{
	int runs = atoi(argv[5]), n = atoi(argv[6]);
	size_t octets = (size_t)atoi(argv[7]) << 20;
	struct curl_slist *at = NULL;
	char url[2][2][200];
	CURL *c[2];
	double *t[2];

	for (size_t i = 8; argv[i]; i++)
		at = curl_slist_append(at, argv[i]);
	for (size_t w = 0; w < 2; w++) {
		c[w] = curl_easy_init();
		t[w] = calloc((size_t)n, sizeof(double));
		curl_easy_setopt(c[w], CURLOPT_RESOLVE, at);
		curl_easy_setopt(c[w], CURLOPT_WRITEFUNCTION, drop);
		curl_easy_setopt(c[w], CURLOPT_TIMEOUT, 120L);
		curl_easy_setopt(c[w], CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
		curl_easy_setopt(c[w], CURLOPT_CAINFO, argv[4]);
		(void)snprintf(url[w][0], sizeof(url[w][0]), "%s/small", argv[2 + w]);
		(void)snprintf(url[w][1], sizeof(url[w][1]), "%s/stream", argv[2 + w]);
		for (int i = 0; i < 20; i++)
			(void)once(c[w], url[w][0], 2);
	}
	for (int r = 0; r < runs; r++) {
		double rate[2];
		for (int i = 0; i < n; i++)
			for (size_t w = 0; w < 2; w++) /* one and the other */
				t[w][i] = once(c[w], url[w][0], 2);
		for (size_t w = 0; w < 2; w++) {
			qsort(t[w], (size_t)n, sizeof(double), order);
			rate[w] = (double)octets / 1000 / once(c[w], url[w][1], octets);
		}
		printf("%.3f %.3f %.1f %.1f\n", t[0][n / 2], t[1][n / 2], rate[0], rate[1]);
		(void)fflush(stdout);
	}
	for (size_t w = 0; w < 2; w++) {
		curl_easy_cleanup(c[w]);
		free(t[w]);
	}
	curl_slist_free_all(at);
	return 0;
}

int main(int argc, char **argv)
{
	(void)signal(SIGPIPE, SIG_IGN);
	if (argc == 7 && strcmp(argv[1], "host") == 0)
		return host(argv);
	return argc > 8 && strcmp(argv[1], "ask") == 0 ? ask(argv) : 2;
}

/*
 * wsecho PORT: a WebSocket server on the loopback of a cell (RFC 6455): it takes any number of clients,
 * one process each, and sends back what it gets. Static, so that a cell needs nothing for it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static uint32_t rol(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

/* FIPS 180-4, for less than 120 octets */
static void sha1(const char *text, size_t len, uint8_t out[20])
{
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	uint8_t block[128] = {0};
	size_t blocks = len + 9 > 64 ? 2 : 1;

	memcpy(block, text, len);
	block[len] = 0x80;
	block[blocks * 64 - 2] = (uint8_t)(len * 8 >> 8);
	block[blocks * 64 - 1] = (uint8_t)(len * 8);
	for (size_t b = 0; b < blocks; b++) {
		uint32_t w[80], v[5];
		for (size_t i = 0; i < 16; i++) {
			const uint8_t *p = block + b * 64 + i * 4;
			w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
		}
		for (size_t i = 16; i < 80; i++)
			w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
		memcpy(v, h, sizeof(v));
		for (size_t i = 0; i < 80; i++) {
			uint32_t f = i < 20   ? (v[1] & v[2]) | (~v[1] & v[3])
				     : i < 40 ? v[1] ^ v[2] ^ v[3]
				     : i < 60 ? (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3])
					      : v[1] ^ v[2] ^ v[3];
			uint32_t k = i < 20   ? 0x5a827999
				     : i < 40 ? 0x6ed9eba1
				     : i < 60 ? 0x8f1bbcdc
					      : 0xca62c1d6;
			uint32_t t = rol(v[0], 5) + f + v[4] + k + w[i];
			v[4] = v[3];
			v[3] = v[2];
			v[2] = rol(v[1], 30);
			v[1] = v[0];
			v[0] = t;
		}
		for (size_t i = 0; i < 5; i++)
			h[i] += v[i];
	}
	for (size_t i = 0; i < 20; i++)
		out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const uint8_t in[21], char out[29])
{
	static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < 7; i++) {
		uint32_t v = (uint32_t)in[i * 3] << 16 | (uint32_t)in[i * 3 + 1] << 8 | in[i * 3 + 2];
		for (size_t k = 0; k < 4; k++)
			out[i * 4 + k] = abc[v >> (18 - 6 * k) & 63];
	}
	out[27] = '=';
	out[28] = '\0';
}

static bool all(int fd, void *data, size_t len, bool out)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = out ? write(fd, (char *)data + at, len - at)
				: read(fd, (char *)data + at, len - at);
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static bool shake(int fd)
{
	char head[4096], text[200], accept[29];
	uint8_t digest[21] = {0};
	size_t len = 0;

	while (len < sizeof(head) - 1 && read(fd, head + len, 1) == 1) {
		head[++len] = '\0';
		if (len > 4 && strcmp(head + len - 4, "\r\n\r\n") == 0)
			break;
	}
	char *key = strcasestr(head, "\r\nSec-WebSocket-Key: ");
	if (!key)
		return false;
	int n = snprintf(text, sizeof(text), "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 21);
	sha1(text, (size_t)n, digest);
	base64(digest, accept);
	return dprintf(fd,
		       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		       "Sec-WebSocket-Accept: %s\r\n\r\n",
		       accept) > 0;
}

/* One frame in, unmasked, the same out; false at the end. */
static bool echo(int fd)
{
	static uint8_t data[4 << 20];
	uint8_t head[10], mask[4];
	size_t n_head = 2;

	if (!all(fd, head, 2, false))
		return false;
	uint64_t len = head[1] & 127;
	size_t more = len == 126 ? 2 : len == 127 ? 8 : 0;
	if (!all(fd, head + 2, more, false) || !all(fd, mask, 4, false))
		return false;
	if (more > 0)
		len = 0;
	for (size_t i = 0; i < more; i++)
		len = len << 8 | head[2 + i];
	if (len > sizeof(data) || !all(fd, data, len, false))
		return false;
	for (size_t i = 0; i < len; i++)
		data[i] ^= mask[i % 4];
	n_head += more;
	head[1] &= 127;
	if ((head[0] & 15) == 9) /* ping: pong */
		head[0] = 0x8a;
	return all(fd, head, n_head, true) && all(fd, data, len, true) && (head[0] & 15) != 8;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0))};
	int on = 1, l = socket(AF_INET, SOCK_STREAM, 0);

	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (l < 0 || setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(l, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(l, 16) < 0)
		return 1;
	for (;;) {
		int fd = accept(l, NULL, NULL);
		if (fd < 0 || fork() != 0) {
			close(fd);
			continue;
		}
		if (shake(fd))
			while (echo(fd))
				;
		return 0;
	}
}

#include "linux/hostcall.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 250 };

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int read_all(int fd, uint8_t *buf, size_t len, int64_t until_ms, struct creel_err *err)
{
	for (size_t at = 0; at < len;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = until_ms - now_ms();
		int r = left <= 0 ? 0 : poll(&p, 1, (int)MIN(left, (int64_t)3600000));
		if (r == 0 && left <= 0)
			return creel_err_set(err, CREEL_E_TIMEOUT, 0, "the host has not answered in time");
		if (r <= 0)
			continue;
		ssize_t n = recv(fd, buf + at, len - at, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return creel_err_set(err, CREEL_E_CLOSED, 0, "the host's answer was cut");
		at += (size_t)n;
	}
	return 0;
}

static int write_all(int fd, const uint8_t *buf, size_t len, struct creel_err *err)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, buf + at, len - at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return creel_err_set(err, CREEL_E_CLOSED, errno, "ask the host");
		at += (size_t)n;
	}
	return 0;
}

static int once(const struct sockaddr_un *a, uint8_t type, const struct creel_buf *payload, int64_t until_ms,
		struct creel_buf *ret_text, struct creel_err *err)
{
	struct creel_call_head h = {.len = (uint32_t)payload->len, .type = type};
	uint8_t head[CREEL_CALL_HEAD], text[CREEL_CALL_REPLY_MAX];

	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "connect to %s", a->sun_path);
	creel_call_head_encode(&h, head);
	int r = write_all(fd, head, sizeof(head), err);
	if (r == 0)
		r = write_all(fd, payload->data, payload->len, err);
	if (r == 0)
		r = read_all(fd, head, sizeof(head), until_ms, err);
	if (r == 0)
		r = creel_call_head_decode(head, &h, err);
	if (r == 0 && h.type < CREEL_CALL_OK)
		r = creel_err_set(err, CREEL_E_PROTO, 0, "the host's answer is none");
	if (r == 0)
		r = read_all(fd, text, h.len, until_ms, err);
	if (r < 0)
		return r;
	if (h.type == CREEL_CALL_AGAIN)
		return creel_err_set(err, CREEL_E_BUSY, 0, "%.*s", (int)h.len, (const char *)text);
	r = creel_buf_add(ret_text, text, h.len, err);
	return r < 0 ? r : h.type;
}

int creel_hostcall(const char *path, uint8_t type, const struct creel_buf *payload, int timeout_ms,
		   struct creel_buf *ret_text, struct creel_err *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int64_t until = now_ms() + timeout_ms;

	if (!path)
		path = CREEL_CALL_SOCKET;
	if (strlen(path) >= sizeof(a.sun_path) || payload->len > CREEL_CALL_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a question of %zu octets", payload->len);
	strcpy(a.sun_path, path);
	for (;;) {
		/* creel-init closes a connection that is one too many: that is "again" too */
		int r = once(&a, type, payload, until, ret_text, err);
		if (r != CREEL_E_BUSY && r != CREEL_E_CLOSED)
			return r;
		if (now_ms() + PAUSE_MS >= until)
			return creel_err_set(err, CREEL_E_TIMEOUT, 0, "the host has no answer now");
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
		*err = (struct creel_err){0};
	}
}

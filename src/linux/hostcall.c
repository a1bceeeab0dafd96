#include "linux/hostcall.h"
#include "base/clock.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 250 };

/* For how long, and as long as somebody can read at two descriptors; -1: nobody has to. */
struct wait {
	int64_t until_ms;
	int reader[2];
};

/*
 * A pipe or a socket whose other end is closed says so unasked. One is enough: when ssh's client ends, sshd closes
 * standard output at once, and standard error not before the session is over.
 */
static bool reader_gone(struct wait *w, const struct pollfd p[2])
{
	bool lost = false;

	for (size_t i = 0; i < 2; i++)
		if (p[i].revents == POLLNVAL) /* one that was never open tells nothing */
			w->reader[i] = -1;
		else
			lost |= p[i].revents != 0;
	return lost;
}

static int read_all(int fd, uint8_t *buf, size_t len, struct wait *w, struct creel_err *err)
{
	for (size_t at = 0; at < len;) {
		struct pollfd p[] = {
			{.fd = fd, .events = POLLIN}, {.fd = w->reader[0]}, {.fd = w->reader[1]}};
		int64_t left = w->until_ms - creel_clock_ms();
		int r = left <= 0 ? 0 : poll(p, ELEMENTSOF(p), (int)MIN(left, (int64_t)3600000));
		if (r == 0 && left <= 0)
			return creel_err_set(err, CREEL_E_TIMEOUT, 0, "the host has not answered in time");
		if (r <= 0)
			continue;
		if (reader_gone(w, p + 1))
			return creel_err_set(err, CREEL_E_CANCEL, 0, "who asked is gone");
		if (p[0].revents == 0)
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

static int once(const struct sockaddr_un *a, uint8_t type, const struct creel_buf *payload, struct wait *w,
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
		r = read_all(fd, head, sizeof(head), w, err);
	if (r == 0)
		r = creel_call_head_decode(head, &h, err);
	if (r == 0 && h.type < CREEL_CALL_OK)
		r = creel_err_set(err, CREEL_E_PROTO, 0, "the host's answer is none");
	if (r == 0)
		r = read_all(fd, text, h.len, w, err);
	if (r < 0)
		return r;
	if (h.type == CREEL_CALL_AGAIN)
		return creel_err_set(err, CREEL_E_BUSY, 0, "%.*s", (int)h.len, (const char *)text);
	r = creel_buf_add(ret_text, text, h.len, err);
	return r < 0 ? r : h.type;
}

int creel_hostcall_for(const int reader[2], const char *path, uint8_t type, const struct creel_buf *payload,
		       int timeout_ms, struct creel_buf *ret_text, struct creel_err *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct wait w = {creel_clock_ms() + timeout_ms, {reader[0], reader[1]}};

	if (!path)
		path = CREEL_CALL_SOCKET;
	if (strlen(path) >= sizeof(a.sun_path) || payload->len > CREEL_CALL_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a question of %zu octets", payload->len);
	strcpy(a.sun_path, path);
	for (;;) {
		/* creel-init closes a connection that is one too many: that is "again" too */
		int r = once(&a, type, payload, &w, ret_text, err);
		if (r != CREEL_E_BUSY && r != CREEL_E_CLOSED)
			return r;
		if (creel_clock_ms() + PAUSE_MS >= w.until_ms)
			return creel_err_set(err, CREEL_E_TIMEOUT, 0, "the host has no answer now");
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
		*err = (struct creel_err){0};
	}
}

int creel_hostcall(const char *path, uint8_t type, const struct creel_buf *payload, int timeout_ms,
		   struct creel_buf *ret_text, struct creel_err *err)
{
	static const int nobody[] = {-1, -1};

	return creel_hostcall_for(nobody, path, type, payload, timeout_ms, ret_text, err);
}

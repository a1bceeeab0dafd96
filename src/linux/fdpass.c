#include "linux/fdpass.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * CREEL_FDPASS_MAX)];
};

int creel_fdpass_send(int sock, const void *data, size_t len, const int *fds, size_t n_fds,
		      struct creel_err *err)
{
	struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control ctl = {0};
	ssize_t n;

	if (n_fds > CREEL_FDPASS_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "%zu descriptors in a message", n_fds);
	if (n_fds > 0) {
		msg.msg_control = ctl.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	if (errno == EAGAIN)
		return creel_err_set(err, CREEL_E_BUSY, errno, "send message");
	if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
		return creel_err_set(err, CREEL_E_CLOSED, errno, "send message");
	if (errno == EMSGSIZE || errno == ETOOMANYREFS)
		return creel_err_set(err, CREEL_E_TOOBIG, errno, "send message");
	return creel_err_set(err, CREEL_E_OS, errno, "send message");
}

ssize_t creel_fdpass_recv(int sock, void *buf, size_t size, int *ret_fds, size_t max_fds, size_t *ret_n_fds,
			  struct creel_err *err)
{
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	union control ctl = {0};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = ctl.space,
			     .msg_controllen = sizeof(ctl.space)};
	int fds[CREEL_FDPASS_MAX];
	size_t n_fds = 0;
	ssize_t n;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN))
		return creel_err_set(err, CREEL_E_BUSY, errno, "receive message");
	if (n < 0 && errno == ECONNRESET)
		return creel_err_set(err, CREEL_E_CLOSED, errno, "receive message");
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "receive message");
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < got; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n_fds < CREEL_FDPASS_MAX)
				fds[n_fds++] = fd;
			else
				close(fd);
		}
	}
	if (n == 0 || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || n_fds > max_fds) {
		for (size_t i = 0; i < n_fds; i++)
			close(fds[i]);
		if (n == 0)
			return creel_err_set(err, CREEL_E_CLOSED, 0, "peer closed");
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "message cut or with too many descriptors");
	}
	if (n_fds > 0)
		memcpy(ret_fds, fds, sizeof(int) * n_fds);
	*ret_n_fds = n_fds;
	return n;
}

#include "shared.h"
#include "linux/fd.h"
#include "linux/fdpass.h"
#include <errno.h>
#include <event2/buffer.h>
#include <malloc.h>
#include <string.h>
#include <sys/socket.h>

void broker_memory(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 4 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 8 << 20);
}

int64_t broker_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool broker_tell(int fd, const struct creel_brokerev *e)
{
	uint8_t buf[CREEL_BROKER_EVENT_MAX];

	return send(fd, buf, creel_brokerev_encode(e, buf), MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
}

int broker_order_take(int sock, struct broker_order *ret, struct creel_err *err)
{
	char buf[66];
	int fd = -1;
	size_t n_fds = 0;
	ssize_t n = creel_fdpass_recv(sock, buf, sizeof(buf) - 1, &fd, 1, &n_fds, err);

	if (n == CREEL_E_BUSY)
		return 0;
	if (n < 0)
		return (int)n;
	if (n_fds != 1 || (buf[0] != 'E' && buf[0] != 'C')) {
		if (n_fds == 1)
			close(fd);
		return creel_err_set(err, CREEL_E_PROTO, 0, "an order of another kind");
	}
	*ret = (struct broker_order){.what = buf[0], .fd = fd};
	memcpy(ret->name, buf + 1, (size_t)n - 1);
	return 1;
}

int broker_conf_read(int fd, int (*other)(void *ctx, const char *word, char *rest, struct creel_err *err),
		     void *ctx, struct creel_policytext **ret, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;

	creel_buf_init(&text, CREEL_POLICYTEXT_MAX);
	int r = creel_fd_read(fd, &text, err);
	if (r < 0)
		return r;
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return creel_err_nomem(err);
	r = creel_policytext_read((const char *)text.data, text.len, other, ctx, *ret, err);
	if (r == 0 && !(*ret)->brokers)
		r = creel_err_set(err, CREEL_E_INVALID, 0, "no broker is configured");
	return r;
}

void broker_fill(struct bufferevent *bev)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct evbuffer_iovec v;

	(void)evbuffer_unfreeze(in, 0); /* its end is the bufferevent's own */
	if (evbuffer_reserve_space(in, BROKER_FILL, &v, 1) == 1) {
		ssize_t n = recv(bufferevent_getfd(bev), v.iov_base, v.iov_len, MSG_DONTWAIT);
		v.iov_len = n > 0 ? (size_t)n : 0;
		(void)evbuffer_commit_space(in, &v, 1);
	}
	(void)evbuffer_freeze(in, 0);
}

bool broker_frame_put(struct bufferevent *to, enum creel_broker_frame type, const void *data, size_t len)
{
	struct evbuffer *out = bufferevent_get_output(to);
	uint8_t head[CREEL_BROKER_FRAME_HEAD];

	creel_brokerframe_head(head, type, len);
	return len <= CREEL_BROKER_FRAME_MAX && evbuffer_add(out, head, sizeof(head)) == 0 &&
	       (len == 0 || evbuffer_add(out, data, len) == 0);
}

int broker_frame_whole(struct evbuffer *in, enum creel_broker_frame *ret_type, size_t *ret_len,
		       struct creel_err *err)
{
	uint8_t head[CREEL_BROKER_FRAME_HEAD];

	if (evbuffer_copyout(in, head, sizeof(head)) != sizeof(head))
		return 0;
	int r = creel_brokerframe_read(head, ret_type, ret_len, err);
	return r < 0 ? r : evbuffer_get_length(in) >= sizeof(head) + *ret_len;
}

int broker_frame_peek(struct evbuffer *in, enum creel_broker_frame *ret_type, const uint8_t **ret_data,
		      size_t *ret_len, struct creel_err *err)
{
	int r = broker_frame_whole(in, ret_type, ret_len, err);

	if (r <= 0)
		return r;
	const uint8_t *all = evbuffer_pullup(in, (ssize_t)(CREEL_BROKER_FRAME_HEAD + *ret_len));
	if (!all)
		return creel_err_nomem(err);
	*ret_data = all + CREEL_BROKER_FRAME_HEAD;
	return 1;
}

void broker_frame_drop(struct evbuffer *in, size_t len)
{
	(void)evbuffer_drain(in, CREEL_BROKER_FRAME_HEAD + len);
}

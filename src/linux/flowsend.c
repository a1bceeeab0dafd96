#include "linux/flowsend.h"
#include <errno.h>
#include <sys/socket.h>

void creel_flowsend_init(struct creel_flowsend *s, int fd, size_t max)
{
	*s = (struct creel_flowsend){.fd = fd};
	creel_buf_init(&s->q, max);
}

void creel_flowsend_fini(struct creel_flowsend *s)
{
	creel_buf_fini(&s->q);
	s->head = 0;
}

size_t creel_flowsend_waiting(const struct creel_flowsend *s)
{
	return s->q.len - s->head;
}

static void compact(struct creel_flowsend *s)
{
	creel_buf_drain(&s->q, s->head);
	s->head = 0;
}

bool creel_flowsend_put(struct creel_flowsend *s, const struct creel_flowmsg *m)
{
	uint8_t buf[CREEL_FLOWMSG_MAX];
	struct creel_err err = {0};
	size_t n = creel_flowmsg_encode(m, buf);

	if (s->q.max - s->q.len < n)
		compact(s);
	return creel_buf_add(&s->q, buf, n, &err) == 0;
}

/* The octets of as many whole messages as one packet holds. */
static size_t packet(const struct creel_flowsend *s)
{
	const uint8_t *p = s->q.data + s->head;
	size_t have = s->q.len - s->head, n = 0;

	while (n < have) {
		size_t one = CREEL_FLOWMSG_FIXED + p[n + 5] + p[n + 6] + (size_t)16 * p[n + 7];
		if (n + one > CREEL_FLOWMSG_PACKET)
			break;
		n += one;
	}
	return n;
}

/* How many of the filter's packets these messages tell of. */
static uint64_t packets(const uint8_t *p, size_t len)
{
	static struct creel_flowmsg m;
	struct creel_err err = {0};
	uint64_t n = 0;
	size_t at = 0;

	while (creel_flowmsg_next(p, len, &at, &m, &err) > 0)
		if (m.type == CREEL_FLOWMSG_ALLOW || m.type == CREEL_FLOWMSG_DENY)
			n += m.count ? m.count : 1;
		else if (m.type == CREEL_FLOWMSG_LOST && m.way != CREEL_FLOWMSG_END)
			n += m.count;
	return n;
}

int creel_flowsend_flush(struct creel_flowsend *s, struct creel_err *err)
{
	while (s->head < s->q.len) {
		size_t n = packet(s);
		if (s->fd < 0)
			return creel_err_set(err, CREEL_E_CLOSED, 0, "nobody takes events");
		if (send(s->fd, s->q.data + s->head, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
				return 1;
			s->fd = -1;
			return creel_err_set(err, CREEL_E_CLOSED, errno, "send events");
		}
		if (s->sum)
			atomic_fetch_add(&s->sum->told, packets(s->q.data + s->head, n));
		s->head += n;
	}
	compact(s);
	return 0;
}

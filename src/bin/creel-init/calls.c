#include "init.h"
#include "wire/call.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/*
 * Programs of this cell ask the host (wire/call.h): one question a connection. What they send is not
 * looked into here; it gets a number and the uid of who asks. A question's octets are kept only until
 * the channel has taken them, and go one after the other.
 */
enum { CONNS = CREEL_CALLS_OPEN, CONNS_UID = 12 /* of one user; root is never shut out */ };

struct conn {
	struct source src; /* first */
	uint32_t id;
	uid_t uid;
	enum { FREE, READING, QUEUED, SENDING, WAITING, GONE } state;
	size_t want; /* octets of the frame, once its head is read */
	struct creel_buf frame;
};

static struct conn conns[CONNS];
static struct source listener = {.fd = -1};
static uint16_t stream; /* 0: the host has not opened it */
static uint32_t next_id = 1;
static size_t sent; /* of the frame of the one that is SENDING */
static struct creel_buf answers;

static void conn_free(struct conn *c)
{
	if (c->src.fd >= 0)
		source_close(&c->src);
	creel_buf_fini(&c->frame);
	c->state = FREE;
}

static void answer(struct conn *c, uint8_t type, const void *text, size_t len)
{
	struct creel_call_head h = {.len = (uint32_t)len, .type = type};
	uint8_t buf[CREEL_CALL_HEAD + CREEL_CALL_REPLY_MAX];

	creel_call_head_encode(&h, buf);
	memcpy(buf + CREEL_CALL_HEAD, text, len);
	/* into an empty socket, where it has room; who does not read has lost it */
	(void)!send(c->src.fd, buf, CREEL_CALL_HEAD + len, MSG_DONTWAIT | MSG_NOSIGNAL);
	conn_free(c);
}

static void again(struct conn *c)
{
	static const char text[] = "the host does not listen";

	answer(c, CREEL_CALL_AGAIN, text, sizeof(text) - 1);
}

/* Who is to send: the one that has begun, or else one that waits for its turn. */
static struct conn *turn(void)
{
	struct conn *c = NULL;

	for (size_t i = 0; i < CONNS; i++) {
		if (conns[i].state == SENDING)
			return &conns[i];
		if (conns[i].state == QUEUED || conns[i].state == GONE)
			c = &conns[i];
	}
	return c;
}

/* Put the number and the uid into the head, or make the frame that takes a question back. */
static int send_begin(struct conn *c, struct creel_err *err)
{
	struct creel_call_head h = {.id = c->id, .uid = c->uid, .type = CREEL_CALL_CANCEL};
	static const uint8_t room[CREEL_CALL_HEAD];
	int r = 0;

	if (c->state == GONE) {
		creel_buf_clear(&c->frame);
		r = creel_buf_add(&c->frame, room, sizeof(room), err);
	} else {
		h.len = (uint32_t)(c->frame.len - CREEL_CALL_HEAD);
		h.type = c->frame.data[12];
	}
	if (r < 0)
		return r;
	creel_call_head_encode(&h, c->frame.data);
	c->state = SENDING;
	sent = 0;
	return 0;
}

/* One frame after the other, each whole. */
void calls_push(void)
{
	struct creel_err err = {0};
	struct conn *c;

	while (stream && (c = turn())) {
		if (c->state != SENDING && send_begin(c, &err) < 0)
			return;
		ssize_t n = creel_mux_write(in.mux, stream, c->frame.data + sent, c->frame.len - sent, &err);
		if (n <= 0)
			return;
		sent += (size_t)n;
		if (sent < c->frame.len)
			continue;
		bool cancelled = c->frame.data[12] == CREEL_CALL_CANCEL;
		creel_buf_fini(&c->frame);
		c->state = cancelled ? FREE : c->src.fd < 0 ? GONE : WAITING;
	}
}

static void conn_ready(struct source *src, uint32_t events)
{
	struct conn *c = (struct conn *)src;
	struct creel_call_head h;
	struct creel_err err = {0};
	uint8_t buf[4096];
	size_t room = c->state == READING ? MIN(c->want - c->frame.len, sizeof(buf)) : 1;
	ssize_t n = recv(src->fd, buf, room, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || c->state != READING || creel_buf_add(&c->frame, buf, (size_t)n, &err) < 0) {
		/* gone, or says more than a question */
		if (c->state == READING || c->state == QUEUED) {
			conn_free(c);
			return;
		}
		source_close(src);
		if (c->state == WAITING)
			c->state = GONE;
		calls_push();
		return;
	}
	if (c->frame.len == CREEL_CALL_HEAD && c->want == CREEL_CALL_HEAD) {
		if (creel_call_head_decode(c->frame.data, &h, &err) < 0 ||
		    h.type >= CREEL_CALL_QUESTIONS_END) {
			answer(c, CREEL_CALL_INVALID, err.msg, strlen(err.msg));
			return;
		}
		c->want += h.len;
	}
	if (c->frame.len < c->want)
		return;
	if (!stream) {
		again(c);
		return;
	}
	c->state = QUEUED;
	calls_push();
}

static void accept_ready(struct source *src, uint32_t events)
{
	int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t len = sizeof(who);
	struct conn *c = NULL;
	size_t of_uid = 0;

	if (fd < 0)
		return;
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len);
	for (size_t i = 0; i < CONNS; i++) {
		of_uid += conns[i].state != FREE && conns[i].uid == who.uid;
		if (conns[i].state == FREE)
			c = &conns[i];
	}
	if (!c || (of_uid >= CONNS_UID && who.uid != 0)) {
		close(fd);
		return;
	}
	*c = (struct conn){.src = {.fd = fd, .ready = conn_ready},
			   .uid = who.uid,
			   .state = READING,
			   .want = CREEL_CALL_HEAD,
			   .id = next_id++};
	if (next_id == 0)
		next_id = 1;
	creel_buf_init(&c->frame, CREEL_CALL_HEAD + CREEL_CALL_MAX);
	if (source_add(&c->src, EPOLLIN) < 0)
		conn_free(c);
}

void calls_listen(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = CREEL_CALL_SOCKET};

	creel_buf_init(&answers, CREEL_MUX_WINDOW);
	(void)mkdir("/run/creel", 0755);
	(void)unlink(a.sun_path);
	listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	listener.ready = accept_ready;
	if (listener.fd < 0 || bind(listener.fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    chmod(a.sun_path, 0666) < 0 || listen(listener.fd, CONNS) < 0 ||
	    source_add(&listener, EPOLLIN) < 0)
		say("%s: %s", a.sun_path, strerror(errno));
}

void calls_open(uint16_t id)
{
	struct creel_err err = {0};

	if (stream) {
		(void)creel_mux_reset(in.mux, id, "it is open already", &err);
		return;
	}
	stream = id;
	calls_push();
}

bool calls_is(uint16_t id)
{
	return stream && id == stream;
}

void calls_data(const uint8_t *data, size_t len)
{
	struct creel_call_head h;
	struct creel_err err = {0};
	size_t at = 0;

	if (creel_buf_add(&answers, data, len, &err) < 0) {
		calls_close();
		return;
	}
	while (answers.len - at >= CREEL_CALL_HEAD) {
		if (creel_call_head_decode(answers.data + at, &h, &err) < 0 || h.type < CREEL_CALL_OK) {
			say("calls: %s", err.msg);
			break;
		}
		if (answers.len - at - CREEL_CALL_HEAD < h.len)
			break;
		for (size_t i = 0; i < CONNS; i++) {
			if (conns[i].id != h.id || (conns[i].state != WAITING && conns[i].state != GONE))
				continue;
			if (conns[i].state == WAITING)
				answer(&conns[i], h.type, answers.data + at + CREEL_CALL_HEAD, h.len);
			else
				conn_free(&conns[i]); /* answered meanwhile: nothing to take back */
			break;
		}
		at += CREEL_CALL_HEAD + h.len;
	}
	creel_buf_drain(&answers, at);
	(void)creel_mux_consumed(in.mux, stream, len, &err);
}

void calls_close(void)
{
	stream = 0;
	creel_buf_clear(&answers);
	for (size_t i = 0; i < CONNS; i++) {
		if (conns[i].state == FREE || conns[i].state == READING)
			continue;
		if (conns[i].src.fd >= 0)
			again(&conns[i]);
		else
			conn_free(&conns[i]);
	}
}

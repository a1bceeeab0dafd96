#include "cell.h"
#include "wire/ctl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * One descriptor on this side, one stream on the other. From the guest: at most the mux's window
 * stands in `to_fd`, and is given back as the client takes it. To the guest: a client is read only
 * while the stream takes what was read, so nothing queues.
 */
struct relay {
	uint32_t id; /* the engine's */
	uint16_t stream;
	int fd;
	bool fd_eof, guest_eof;
	struct event *read, *write;
	struct creel_buf to_fd, from_fd;
};

static struct relay *relays[CREEL_MUX_STREAMS]; /* by stream modulo */

static struct relay *of(uint16_t stream)
{
	struct relay *r = relays[stream % CREEL_MUX_STREAMS];
	return r && r->stream == stream ? r : NULL;
}

static void relay_free(struct relay *r, uint8_t state, const char *why)
{
	struct creel_err err = {0};

	if (cell.mux && creel_mux_alive(cell.mux, r->stream))
		(void)creel_mux_reset(cell.mux, r->stream, why, &err);
	relays[r->stream % CREEL_MUX_STREAMS] = NULL;
	engine_tell(CREEL_CELL_STREAM_END, state, r->id, 0, why);
	if (r->read)
		event_free(r->read);
	if (r->write)
		event_free(r->write);
	close(r->fd);
	creel_buf_fini(&r->to_fd);
	creel_buf_fini(&r->from_fd);
	free(r);
	chan_kick();
}

/* Both directions said their last and all of it was passed on. */
static bool relay_done(struct relay *r)
{
	if (!(r->guest_eof && r->to_fd.len == 0 && r->fd_eof && r->from_fd.len == 0))
		return false;
	relay_free(r, 0, "");
	return true;
}

/* To the guest what the client said; false when the relay is gone. */
static bool push_guest(struct relay *r)
{
	struct creel_err err = {0};

	if (r->from_fd.len > 0) {
		ssize_t n = creel_mux_write(cell.mux, r->stream, r->from_fd.data, r->from_fd.len, &err);
		if (n < 0) {
			relay_free(r, 1, "the cell closed the stream");
			return false;
		}
		creel_buf_drain(&r->from_fd, (size_t)n);
	}
	chan_kick();
	if (r->from_fd.len > 0) {
		event_del(r->read);
		return true;
	}
	if (r->fd_eof) {
		(void)creel_mux_eof(cell.mux, r->stream, &err);
		chan_kick();
		return !relay_done(r);
	}
	event_add(r->read, NULL);
	return true;
}

static void fd_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct relay *r = ctx;
	struct creel_err err = {0};
	uint8_t buf[32768];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		relay_free(r, 1, "the client went away");
		return;
	}
	if (n == 0) {
		r->fd_eof = true;
		event_del(r->read);
	} else if (creel_buf_add(&r->from_fd, buf, (size_t)n, &err) < 0) {
		relay_free(r, 1, err.msg);
		return;
	}
	(void)push_guest(r);
}

/* To the client what the guest said; false when the relay is gone. */
static bool push_client(struct relay *r)
{
	struct creel_err err = {0};
	size_t done = 0;

	while (done < r->to_fd.len) {
		ssize_t n = send(r->fd, r->to_fd.data + done, r->to_fd.len - done, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			relay_free(r, 1, "the client went away");
			return false;
		}
		done += (size_t)n;
	}
	creel_buf_drain(&r->to_fd, done);
	(void)creel_mux_consumed(cell.mux, r->stream, done, &err);
	chan_kick();
	if (r->to_fd.len > 0) {
		event_add(r->write, NULL);
		return true;
	}
	event_del(r->write);
	if (r->guest_eof)
		(void)shutdown(r->fd, SHUT_WR);
	return !relay_done(r);
}

static void fd_writable(evutil_socket_t fd, short what, void *ctx)
{
	(void)push_client(ctx);
}

void relay_open(uint32_t id, uint8_t kind, const uint8_t *spec, size_t len, int fd)
{
	struct creel_err err = {0};
	struct relay *r = NULL;
	int stream = CREEL_E_CLOSED;

	if (!cell.mux)
		creel_err_set(&err, CREEL_E_CLOSED, 0, "the cell's channel is not there");
	else if (kind == 0 || kind >= CREEL_MUX_CALLS || evutil_make_socket_nonblocking(fd) < 0)
		creel_err_set(&err, CREEL_E_INVALID, 0, "no such kind of stream");
	else if (!(r = calloc(1, sizeof(*r))))
		creel_err_nomem(&err);
	else
		stream = creel_mux_open(cell.mux, kind, spec, len, &err);
	if (stream < 0) {
		free(r);
		close(fd);
		engine_tell(CREEL_CELL_STREAM_END, 1, id, 0, err.msg);
		return;
	}
	r->id = id;
	r->stream = (uint16_t)stream;
	r->fd = fd;
	creel_buf_init(&r->to_fd, CREEL_MUX_WINDOW);
	creel_buf_init(&r->from_fd, 32768);
	r->read = event_new(cell.base, fd, EV_READ | EV_PERSIST, fd_readable, r);
	r->write = event_new(cell.base, fd, EV_WRITE | EV_PERSIST, fd_writable, r);
	relays[stream % CREEL_MUX_STREAMS] = r;
	if (!r->read || !r->write || event_add(r->read, NULL) < 0) {
		relay_free(r, 1, "out of memory");
		return;
	}
	chan_kick();
}

void relay_end_all(const char *why)
{
	for (size_t i = 0; i < CREEL_MUX_STREAMS; i++)
		if (relays[i])
			relay_free(relays[i], 1, why);
}

static void on_hello(void *ctx, uint16_t version)
{
	cell.hello = true;
	calls_start();
}

static void on_service(const struct creel_ctl *c)
{
	size_t i = 0;

	while (i < cell.n_services && strcmp(cell.services[i].name, c->name) != 0)
		i++;
	if (i == CELL_SERVICES) /* no cell has so many: a guest's invention */
		return;
	cell.services[i] = (struct creel_cellmsg){.state = c->state, .a = c->a};
	memcpy(cell.services[i].name, c->name, sizeof(c->name));
	if (i == cell.n_services)
		cell.n_services++;
	engine_tell(CREEL_CELL_SERVICE, c->state, 0, c->a, c->name);
}

static void on_control(void *ctx, const uint8_t *msg, size_t len)
{
	struct creel_err err = {0};
	struct creel_ctl c;

	if (creel_ctl_decode(msg, len, &c, &err) < 0)
		return; /* well framed and not understood: it has no effect */
	switch (c.type) {
	case CREEL_CTL_READY:
		cell.ready = true;
		cell.memory_kb = c.a;
		engine_tell(CREEL_CELL_READY, 0, 0, c.a, "");
		return;
	case CREEL_CTL_MEMORY:
		cell.memory_kb = c.a;
		engine_tell(CREEL_CELL_MEMORY, 0, 0, c.a, "");
		return;
	case CREEL_CTL_SERVICE:
		on_service(&c);
		return;
	case CREEL_CTL_NOTE:
		engine_tell(CREEL_CELL_NOTE, 0, 0, c.a, c.name);
		return;
	case CREEL_CTL_BYE:
		cell.bye = true;
		engine_tell(CREEL_CELL_BYE, 0, 0, 0, "");
		return;
	default:
		return;
	}
}

static void on_data(void *ctx, uint16_t id, const uint8_t *data, size_t len)
{
	struct creel_err err = {0};
	struct relay *r = of(id);

	if (calls_is(id))
		calls_data(data, len);
	if (!r)
		return;
	if (creel_buf_add(&r->to_fd, data, len, &err) < 0)
		relay_free(r, 1, err.msg);
	else
		(void)push_client(r);
}

static void on_eof(void *ctx, uint16_t id)
{
	struct relay *r = of(id);

	if (!r)
		return;
	r->guest_eof = true;
	(void)push_client(r);
}

static void on_reset(void *ctx, uint16_t id, const uint8_t *why, size_t len)
{
	struct relay *r = of(id);
	char text[200];

	if (calls_is(id))
		calls_end();
	if (!r)
		return;
	(void)snprintf(text, sizeof(text), "%.*s", (int)(len < 199 ? len : 199), (const char *)why);
	relay_free(r, 1, text);
}

static void on_writable(void *ctx, uint16_t id)
{
	struct relay *r = of(id);

	if (calls_is(id))
		calls_writable();
	if (r)
		(void)push_guest(r);
}

const struct creel_mux_ops relay_ops = {
	.hello = on_hello,
	.control = on_control,
	.data = on_data,
	.eof = on_eof,
	.reset = on_reset,
	.writable = on_writable,
};

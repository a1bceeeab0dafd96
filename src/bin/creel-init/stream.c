#include "stream.h"
#include "wire/le.h"
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct stream *streams;

static struct stream *find(uint16_t id)
{
	for (struct stream *s = streams; s; s = s->next)
		if (s->id == id)
			return s;
	return NULL;
}

static void stream_free(struct stream *s)
{
	struct stream **p = &streams;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	if (s->in.fd >= 0 && s->in.fd != s->out.fd)
		source_close(&s->in);
	if (s->out.fd >= 0)
		source_close(&s->out);
	if (s->err.fd >= 0)
		source_close(&s->err);
	if (s->pid > 0 && !s->exited) {
		/* the client is gone: as a terminal that closes, then without asking */
		kill(-s->pid, SIGHUP);
		kill(-s->pid, SIGTERM);
	}
	creel_buf_fini(&s->from_host);
	creel_buf_fini(&s->pending);
	free(s->log);
	free(s);
}

void stream_refuse(struct stream *s, const char *why)
{
	struct creel_err err = {0};

	(void)creel_mux_reset(in.mux, s->id, why, &err);
	stream_free(s);
}

bool stream_push(struct stream *s)
{
	struct creel_err err = {0};

	if (s->pending.len > 0) {
		ssize_t n = creel_mux_write(in.mux, s->id, s->pending.data, s->pending.len, &err);
		if (n < 0)
			return false;
		creel_buf_drain(&s->pending, (size_t)n);
	}
	return s->pending.len == 0;
}

static void exec_finish(struct stream *s)
{
	struct creel_err err = {0};

	if (s->reported || !s->exited || s->out.fd >= 0 || s->err.fd >= 0 || s->pending.len > 0)
		return;
	s->reported = true;
	(void)creel_execio_put(&s->pending, CREEL_EXECIO_EXIT, &s->status, 1, &err);
	if (stream_push(s))
		(void)creel_mux_eof(in.mux, s->id, &err);
}

/* Read one piece from a child and send it as @p type; at the end of the pipe, close it. */
static void pump_out(struct stream *s, struct source *src, uint8_t type)
{
	struct creel_err err = {0};
	uint8_t buf[CREEL_EXECIO_MAX];

	if (s->pending.len > 0) {
		source_arm(src, 0);
		return;
	}
	ssize_t n = read(src->fd, buf, sizeof(buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		/* the command is gone and what it wrote is read: do not wait for its children */
		if (s->exited && errno == EAGAIN)
			source_close(src);
	} else if (n <= 0) {
		if (s->in.fd == src->fd)
			s->in.fd = -1;
		source_close(src);
	} else if (type) {
		(void)creel_execio_put(&s->pending, type, buf, (size_t)n, &err);
	} else {
		(void)creel_buf_add(&s->pending, buf, (size_t)n, &err);
	}
	if (!stream_push(s))
		source_arm(src, 0);
	exec_finish(s);
}

static struct stream *of_out(struct source *src)
{
	return (struct stream *)((char *)src - offsetof(struct stream, out));
}

static void feed_child(struct stream *s);

static void out_ready(struct source *src, uint32_t events)
{
	struct stream *s = of_out(src);
	uint16_t id = s->id;

	if (events & EPOLLOUT) {
		feed_child(s);
		if (find(id) != s)
			return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		pump_out(s, src, s->kind == CREEL_MUX_EXEC ? CREEL_EXECIO_OUT : 0);
	if (find(id) != s)
		return;
	if (s->kind == CREEL_MUX_TCP && s->out.fd < 0) {
		struct creel_err err = {0};
		if (s->pending.len == 0) {
			(void)creel_mux_eof(in.mux, s->id, &err);
			if (!creel_mux_alive(in.mux, s->id))
				stream_free(s);
		}
	}
}

static void err_ready(struct source *src, uint32_t events)
{
	pump_out((struct stream *)((char *)src - offsetof(struct stream, err)), src, CREEL_EXECIO_ERR);
}

static void in_ready(struct source *src, uint32_t events)
{
	feed_child((struct stream *)((char *)src - offsetof(struct stream, in)));
}

static void used(struct stream *s, size_t n)
{
	struct creel_err err = {0};

	creel_buf_drain(&s->from_host, n);
	(void)creel_mux_consumed(in.mux, s->id, n, &err);
}

/* Write octets to the descriptor. @return octets taken, -1 when it is closed */
static ssize_t put(int fd, const uint8_t *data, size_t len)
{
	ssize_t n = fd < 0 ? -1 : write(fd, data, len);

	if (n < 0 && fd >= 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n;
}

static struct source *writer(struct stream *s)
{
	return s->kind == CREEL_MUX_TCP || s->tty ? &s->out : &s->in;
}

static void want_write(struct stream *s, bool on)
{
	struct source *w = writer(s);

	if (w->fd < 0)
		return;
	uint32_t e = w == &s->in ? 0 : (w->events & EPOLLIN);
	source_arm(w, on ? e | EPOLLOUT : e);
}

static void close_input(struct stream *s)
{
	s->in_eof = true;
	if (s->kind == CREEL_MUX_TCP) {
		if (s->out.fd >= 0)
			shutdown(s->out.fd, SHUT_WR);
	} else if (s->tty) {
		static const uint8_t ctrl_d = 4;
		(void)put(s->out.fd, &ctrl_d, 1);
	} else if (s->in.fd >= 0) {
		source_close(&s->in);
	}
}

static void feed_exec(struct stream *s)
{
	struct creel_err err = {0};
	const uint8_t *data = NULL;
	uint8_t type = 0;
	size_t len = 0;
	ssize_t n;

	for (;;) {
		n = creel_execio_get(s->from_host.data, s->from_host.len, &type, &data, &len, &err);
		if (n < 0) {
			stream_refuse(s, "malformed exec stream");
			return;
		}
		if (n == 0)
			break;
		if (type == CREEL_EXECIO_IN) {
			ssize_t w = put(writer(s)->fd, data + s->skip, len - s->skip);
			if (w < 0) { /* nobody reads: the octets go nowhere, as with a closed pipe */
				if (s->in.fd >= 0 && !s->tty)
					source_close(&s->in);
				w = (ssize_t)(len - s->skip);
			}
			s->skip += (size_t)w;
			if (s->skip < len) {
				want_write(s, true);
				return;
			}
			s->skip = 0;
		} else if (type == CREEL_EXECIO_IN_EOF) {
			close_input(s);
		} else if (type == CREEL_EXECIO_WINSIZE && len == 4 && s->tty && s->out.fd >= 0) {
			struct winsize ws = {.ws_row = creel_le16(data), .ws_col = creel_le16(data + 2)};
			(void)ioctl(s->out.fd, TIOCSWINSZ, &ws);
		} else if (type == CREEL_EXECIO_SIGNAL && len == 1 && data[0] < 32 && s->pid > 0 &&
			   !s->exited) {
			kill(-s->pid, data[0]);
		}
		used(s, (size_t)n);
	}
	want_write(s, false);
}

static void feed_child(struct stream *s)
{
	if (s->kind == CREEL_MUX_EXEC) {
		feed_exec(s);
		return;
	}
	while (s->from_host.len > 0) {
		ssize_t w = put(s->out.fd, s->from_host.data, s->from_host.len);
		if (w < 0) {
			stream_refuse(s, "connection closed");
			return;
		}
		if (w == 0) {
			want_write(s, true);
			return;
		}
		used(s, (size_t)w);
	}
	want_write(s, false);
	if (s->in_eof)
		close_input(s);
}

static void exec_open(struct stream *s, const uint8_t *buf, size_t len)
{
	struct creel_execspec spec;
	struct creel_err err = {0};
	struct account acc;
	int fd[3];

	if (creel_execspec_decode(buf, len, &spec, &err) < 0) {
		stream_refuse(s, "malformed exec spec");
		return;
	}
	if (!account_find(spec.user, &acc)) {
		char why[128];
		int n = snprintf(why, sizeof(why), "}no user '%.64s' in the cell",
				 spec.user); /* '}' is 125 */
		(void)creel_execio_put(&s->pending, CREEL_EXECIO_ERROR, why, (size_t)n, &err);
		(void)stream_push(s);
		(void)creel_mux_eof(in.mux, s->id, &err);
		return;
	}
	s->tty = spec.tty;
	s->pid = child_start(&spec, &acc, fd);
	if (s->pid < 0) {
		stream_refuse(s, "the cell cannot start another process");
		return;
	}
	s->in.fd = fd[0];
	s->out.fd = fd[1];
	s->err.fd = fd[2];
	s->in.ready = in_ready;
	s->out.ready = out_ready;
	s->err.ready = err_ready;
	if (s->in.fd >= 0)
		source_add(&s->in, 0);
	source_add(&s->out, EPOLLIN);
	if (s->err.fd >= 0)
		source_add(&s->err, EPOLLIN);
}

static void tcp_open(struct stream *s, const uint8_t *buf, size_t len)
{
	struct sockaddr_in a = {.sin_family = AF_INET};

	if (len != 2) {
		stream_refuse(s, "malformed port");
		return;
	}
	a.sin_port = htons(creel_le16(buf));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->out.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	s->out.ready = out_ready;
	if (s->out.fd < 0 ||
	    (connect(s->out.fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS)) {
		stream_refuse(s, "connection refused");
		return;
	}
	source_add(&s->out, EPOLLIN);
}

static void on_open(void *ctx, uint16_t id, uint8_t kind, const uint8_t *spec, size_t len)
{
	struct creel_err err = {0};

	if (kind == CREEL_MUX_CALLS) {
		calls_open(id);
		return;
	}
	struct stream *s = calloc(1, sizeof(*s));
	if (!s) {
		(void)creel_mux_reset(in.mux, id, "out of memory", &err);
		return;
	}
	*s = (struct stream){
		.in.fd = -1, .out.fd = -1, .err.fd = -1, .id = id, .kind = kind, .next = streams};
	creel_buf_init(&s->from_host, CREEL_MUX_WINDOW);
	creel_buf_init(&s->pending, 2 * CREEL_EXECIO_MAX);
	streams = s;
	if (kind == CREEL_MUX_EXEC)
		exec_open(s, spec, len);
	else if (kind == CREEL_MUX_TCP)
		tcp_open(s, spec, len);
	else
		logs_open(s, spec, len);
}

static void on_data(void *ctx, uint16_t id, const uint8_t *data, size_t len)
{
	struct creel_err err = {0};
	struct stream *s = find(id);

	if (calls_is(id))
		calls_data(data, len);
	if (!s)
		return;
	if (s->kind == CREEL_MUX_LOGS || creel_buf_add(&s->from_host, data, len, &err) < 0) {
		stream_refuse(s, "unexpected data");
		return;
	}
	feed_child(s);
}

static void on_eof(void *ctx, uint16_t id)
{
	struct stream *s = find(id);

	if (!s)
		return;
	s->in_eof = true;
	if (s->kind == CREEL_MUX_TCP && s->from_host.len == 0)
		close_input(s);
	/* the client of an exec or a log that ends its side wants no more of it */
	if (s->kind != CREEL_MUX_TCP)
		stream_refuse(s, "closed");
}

static void on_reset(void *ctx, uint16_t id, const uint8_t *why, size_t len)
{
	struct stream *s = find(id);

	if (calls_is(id))
		calls_close();
	if (s)
		stream_free(s);
}

static void on_writable(void *ctx, uint16_t id)
{
	struct creel_err err = {0};
	struct stream *s = find(id);

	if (calls_is(id))
		calls_push();

	if (!s || !stream_push(s))
		return;
	if (s->reported) {
		(void)creel_mux_eof(in.mux, s->id, &err);
		return;
	}
	if (s->kind == CREEL_MUX_LOGS) {
		log_pump(s);
		return;
	}
	if (s->out.fd >= 0)
		source_arm(&s->out, s->out.events | EPOLLIN);
	if (s->err.fd >= 0)
		source_arm(&s->err, EPOLLIN);
	if (s->kind == CREEL_MUX_TCP && s->out.fd < 0)
		(void)creel_mux_eof(in.mux, s->id, &err);
	exec_finish(s);
}

static void on_hello(void *ctx, uint16_t version)
{
}

static void on_control(void *ctx, const uint8_t *msg, size_t len)
{
	struct creel_err err = {0};
	struct creel_ctl c;

	if (creel_ctl_decode(msg, len, &c, &err) < 0)
		return;
	if (c.type == CREEL_CTL_SHUTDOWN && !in.stopping) {
		in.stopping = true;
		services_stop();
	} else if (c.type == CREEL_CTL_PING) {
		chan_control(CREEL_CTL_MEMORY, 0, memory_used_kb(), "");
	} else if (c.type == CREEL_CTL_SECRETS && !in.stopping) {
		if (secrets_take(in.boot, &err))
			services_secrets();
		if (err.code)
			chan_control(CREEL_CTL_NOTE, 0, 0, err.msg);
	}
}

const struct creel_mux_ops stream_ops = {
	.hello = on_hello,
	.control = on_control,
	.open = on_open,
	.data = on_data,
	.eof = on_eof,
	.reset = on_reset,
	.writable = on_writable,
};

bool streams_reaped(pid_t pid, int ws)
{
	for (struct stream *s = streams; s; s = s->next) {
		if (s->pid != pid || s->exited)
			continue;
		s->exited = true;
		s->status = (uint8_t)(WIFEXITED(ws) ? WEXITSTATUS(ws) : 128 + WTERMSIG(ws));
		/* what is still in the pipes goes first; pump_out() closes them when they are empty */
		if (s->out.fd >= 0)
			pump_out(s, &s->out, CREEL_EXECIO_OUT);
		if (s->err.fd >= 0)
			pump_out(s, &s->err, CREEL_EXECIO_ERR);
		exec_finish(s);
		return true;
	}
	return false;
}

void streams_log_grew(void)
{
	for (struct stream *s = streams; s && in.mux; s = s->next)
		if (s->kind == CREEL_MUX_LOGS && s->log_follow)
			log_pump(s);
}

void streams_reset(void)
{
	while (streams)
		stream_free(streams);
	calls_close();
}

#include "init.h"
#include "wire/le.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/*
 * What the host opened. `to_child` holds octets from the host that the descriptor has not taken
 * yet: at most the mux's window, which is given back as they are written. What goes to the host is
 * read only when the last piece was taken, so nothing queues here.
 */
struct stream {
	struct source in, out, err; /* write end, read ends; a terminal and a socket use in and out */
	uint16_t id;
	uint8_t kind;
	bool tty, in_eof, exited, reported;
	pid_t pid;
	uint8_t status;
	struct creel_buf from_host; /* records (exec) or plain octets (tcp) not yet used */
	size_t skip;		    /* octets of the first IN record already written */
	struct creel_buf pending;   /* a piece for the host that it has not taken whole */
	bool log_follow;
	uint64_t log_since;
	struct log *log; /* of each service that is asked for */
	size_t n_log;
	struct stream *next;
};

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

static void refuse(struct stream *s, const char *why)
{
	struct creel_err err = {0};

	(void)creel_mux_reset(in.mux, s->id, why, &err);
	stream_free(s);
}

/* Push `pending`; true when it is empty. */
static bool push(struct stream *s)
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
	if (push(s))
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
	if (!push(s))
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
	pump_out((struct stream *)((char *)src - offsetof(struct stream, err)), src,
		 CREEL_EXECIO_ERR);
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
			refuse(s, "malformed exec stream");
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
			refuse(s, "connection closed");
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

struct account {
	uid_t uid;
	gid_t gid;
	char home[256], shell[128];
};

/* /etc/passwd by hand: no NSS in a static PID 1. @p who is a name or a number. */
static bool account_find(const char *who, struct account *ret)
{
	autofile FILE *f = fopen("/etc/passwd", "re");
	char line[1024];

	*ret = (struct account){.home = "/root", .shell = "/bin/sh"};
	if (who[0] == '\0')
		who = "root";
	while (f && fgets(line, sizeof(line), f)) {
		char *field[7] = {0}, *p = line;
		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < 7 && p; i++)
			field[i] = strsep(&p, ":");
		if (!field[6] || (strcmp(field[0], who) != 0 && strcmp(field[2], who) != 0))
			continue;
		ret->uid = (uid_t)strtoul(field[2], NULL, 10);
		ret->gid = (gid_t)strtoul(field[3], NULL, 10);
		(void)snprintf(ret->home, sizeof(ret->home), "%s", field[5]);
		(void)snprintf(ret->shell, sizeof(ret->shell), "%s", field[6]);
		return true;
	}
	return strcmp(who, "root") == 0;
}

static size_t groups_of(const char *who, gid_t *ret, size_t max)
{
	autofile FILE *f = fopen("/etc/group", "re");
	char line[4096];
	size_t n = 0;

	while (f && n < max && fgets(line, sizeof(line), f)) {
		char *p = line;
		line[strcspn(line, "\n")] = '\0';
		strsep(&p, ":");
		strsep(&p, ":");
		char *gid = strsep(&p, ":");
		for (char *m; p && (m = strsep(&p, ","));)
			if (gid && strcmp(m, who) == 0 && n < max)
				ret[n++] = (gid_t)strtoul(gid, NULL, 10);
	}
	return n;
}

static void exec_child(const struct creel_execspec *spec, const struct account *acc)
{
	const char *env[256 + 8], *argv[3];
	char home[300], user[128];
	gid_t groups[64];
	size_t n = 0, n_groups = groups_of(spec->user, groups, ELEMENTSOF(groups));

	(void)snprintf(home, sizeof(home), "HOME=%s", acc->home);
	(void)snprintf(user, sizeof(user), "USER=%.100s", spec->user[0] ? spec->user : "root");
	env[n++] = home;
	env[n++] = user;
	env[n++] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	env[n++] = "LANG=C.UTF-8";
	if (spec->tty)
		env[n++] = "TERM=xterm-256color";
	for (size_t i = 0; spec->env[i]; i++)
		env[n++] = spec->env[i];
	env[n] = NULL;
	if (setgroups(n_groups, groups) < 0 || setgid(acc->gid) < 0 || setuid(acc->uid) < 0) {
		dprintf(2, "creel: cannot become %s: %s\n", spec->user, strerror(errno));
		_exit(125);
	}
	if (chdir(spec->dir[0] ? spec->dir : acc->home) < 0 && (spec->dir[0] || chdir("/") < 0)) {
		dprintf(2, "creel: %s: %s\n", spec->dir, strerror(errno));
		_exit(125);
	}
	if (spec->argv[0][0] == '\0') { /* `creel shell` names no command */
		argv[0] = acc->shell;
		argv[1] = "-l";
		argv[2] = NULL;
		execvpe(argv[0], (char **)argv, (char **)env);
	} else {
		execvpe(spec->argv[0], (char **)spec->argv, (char **)env);
	}
	dprintf(2, "creel: %s: %s\n", spec->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void exec_open(struct stream *s, const uint8_t *buf, size_t len)
{
	struct creel_execspec spec;
	struct creel_err err = {0};
	struct account acc;
	int i[2] = {-1, -1}, o[2] = {-1, -1}, e[2] = {-1, -1}, pty = -1, tty = -1;

	if (creel_execspec_decode(buf, len, &spec, &err) < 0) {
		refuse(s, "malformed exec spec");
		return;
	}
	if (!account_find(spec.user, &acc)) {
		char why[128];
		int n = snprintf(why, sizeof(why), "}no user '%.64s' in the cell", spec.user); /* '}' is 125 */
		(void)creel_execio_put(&s->pending, CREEL_EXECIO_ERROR, why, (size_t)n, &err);
		(void)push(s);
		(void)creel_mux_eof(in.mux, s->id, &err);
		return;
	}
	struct winsize ws = {.ws_row = spec.rows, .ws_col = spec.cols};
	s->tty = spec.tty;
	int r = spec.tty ? openpty(&pty, &tty, NULL, NULL, &ws)
			 : (pipe2(i, O_CLOEXEC) < 0 || pipe2(o, O_CLOEXEC) < 0 || pipe2(e, O_CLOEXEC) < 0)
			     ? -1
			     : 0;
	pid_t pid = r < 0 ? -1 : fork();
	if (pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		for (int sig = 1; sig < 32; sig++)
			signal(sig, SIG_DFL);
		setsid();
		if (spec.tty) {
			(void)ioctl(tty, TIOCSCTTY, 0);
			(void)!fchown(tty, acc.uid, 5);
		}
		dup2(spec.tty ? tty : i[0], 0);
		dup2(spec.tty ? tty : o[1], 1);
		dup2(spec.tty ? tty : e[1], 2);
		close_range(3, ~0U, 0);
		exec_child(&spec, &acc);
	}
	int done[] = {i[0], o[1], e[1], tty};
	for (size_t k = 0; k < ELEMENTSOF(done); k++)
		if (done[k] >= 0)
			close(done[k]);
	if (pid < 0) {
		int mine[] = {i[1], o[0], e[0], pty};
		for (size_t k = 0; k < ELEMENTSOF(mine); k++)
			if (mine[k] >= 0)
				close(mine[k]);
		refuse(s, "the cell cannot start another process");
		return;
	}
	s->pid = pid;
	s->in.fd = i[1];
	s->out.fd = spec.tty ? pty : o[0];
	s->err.fd = e[0];
	s->in.ready = in_ready;
	s->out.ready = out_ready;
	s->err.ready = err_ready;
	int mine[] = {s->in.fd, s->out.fd, s->err.fd};
	for (size_t k = 0; k < ELEMENTSOF(mine); k++)
		if (mine[k] >= 0) {
			fcntl(mine[k], F_SETFL, O_NONBLOCK);
			fcntl(mine[k], F_SETFD, FD_CLOEXEC);
		}
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
		refuse(s, "malformed port");
		return;
	}
	a.sin_port = htons(creel_le16(buf));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->out.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	s->out.ready = out_ready;
	if (s->out.fd < 0 ||
	    (connect(s->out.fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS)) {
		refuse(s, "connection refused");
		return;
	}
	source_add(&s->out, EPOLLIN);
}

struct log {
	size_t service;
	uint64_t from;
	uint64_t time; /* of the line that was shown last: the rest of a very long one has none of its own */
};

/* "SECONDS.NANOSECONDS TEXT" as service.c keeps it; @return where the text begins */
static const char *stamp_read(const struct log_line *l, uint64_t *ret_ns)
{
	unsigned long long s = 0, ns = 0;
	int n = 0;

	if (sscanf(l->text, "%12llu.%9llu%n", &s, &ns, &n) < 2 || l->text[n] != ' ')
		return l->text;
	*ret_ns = s * 1000000000 + ns;
	return l->text + n + 1;
}

/* RFC 3339 in UTC: days to a date as the proleptic Gregorian calendar has them, from a March on */
static int time_show(uint64_t ns, char *ret, size_t size)
{
	uint64_t s = ns / 1000000000, days = s / 86400 + 719468, era = days / 146097, doe = days % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);

	return snprintf(ret, size, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ ",
			(unsigned)(yoe + era * 400 + (month <= 2)), month,
			(unsigned)(doy - (153 * mp + 2) / 5 + 1), (unsigned)(s / 3600 % 24),
			(unsigned)(s / 60 % 60), (unsigned)(s % 60), (unsigned)(ns / 1000000 % 1000));
}

/* The earliest of the services' next lines; false when there is none. */
static bool log_next(struct stream *s, struct log_line *ret, struct log **ret_log)
{
	static struct log_line line;
	struct log *best = NULL;

	for (size_t i = 0; i < s->n_log; i++) {
		struct log *l = &s->log[i];
		uint64_t time = l->time;
		while (service_line(l->service, &l->from, !s->log_follow, &line)) {
			(void)stamp_read(&line, &time);
			if (time >= s->log_since)
				break;
			l->from = line.next;
		}
		if (time < s->log_since || !service_line(l->service, &l->from, !s->log_follow, &line))
			continue;
		l->time = time;
		if (!best || time < best->time) {
			best = l;
			*ret = line;
		}
	}
	*ret_log = best;
	return best;
}

static void log_pump(struct stream *s)
{
	static struct log_line line;
	struct creel_err err = {0};
	struct log *l = NULL;
	char stamp[40];

	while (push(s)) {
		if (!log_next(s, &line, &l)) {
			if (!s->log_follow)
				(void)creel_mux_eof(in.mux, s->id, &err);
			return;
		}
		const char *text = stamp_read(&line, &l->time);
		l->from = line.next;
		int n = time_show(l->time, stamp, sizeof(stamp));
		(void)creel_buf_add(&s->pending, stamp, (size_t)n, &err);
		if (s->n_log > 1)
			(void)creel_buf_addf(&s->pending, &err, "%s: ", service_name(l->service));
		(void)creel_buf_add(&s->pending, text, line.len - (size_t)(text - line.text), &err);
		(void)creel_buf_add(&s->pending, "\n", 1, &err);
	}
}

static void logs_open(struct stream *s, const uint8_t *buf, size_t len)
{
	char name[128] = "";
	size_t n = 0;

	if (len < 9 || len - 9 >= sizeof(name)) {
		refuse(s, "malformed log spec");
		return;
	}
	memcpy(name, buf + 9, len - 9);
	int one = name[0] ? service_find(name) : -1;
	while (service_name(n))
		n++;
	if (n == 0 || (name[0] && one < 0)) {
		refuse(s, name[0] ? "no such service" : "the cell has no service");
		return;
	}
	s->log = calloc(n, sizeof(*s->log));
	if (!s->log) {
		refuse(s, "out of memory");
		return;
	}
	s->n_log = one < 0 ? n : 1;
	for (size_t i = 0; i < s->n_log; i++)
		s->log[i].service = one < 0 ? i : (size_t)one;
	s->log_follow = buf[0] & 1;
	s->log_since = creel_le64(buf + 1);
	log_pump(s);
}

void streams_log_grew(void)
{
	for (struct stream *s = streams; s && in.mux; s = s->next)
		if (s->kind == CREEL_MUX_LOGS && s->log_follow)
			log_pump(s);
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
	*s = (struct stream){.in.fd = -1, .out.fd = -1, .err.fd = -1, .id = id, .kind = kind,
			     .next = streams};
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
		refuse(s, "unexpected data");
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
		refuse(s, "closed");
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

	if (!s || !push(s))
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

void streams_reset(void)
{
	while (streams)
		stream_free(streams);
	calls_close();
}

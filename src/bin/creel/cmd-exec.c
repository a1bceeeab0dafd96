#include "base/cleanup.h"
#include "base/log.h"
#include "client.h"
#include "cmds.h"
#include "wire/execio.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>

/*
 * exec and shell: the client's end of wire/execio.h. Standard input is read only while the socket
 * takes what was read, so a command that does not read costs no memory here either.
 */
enum { READ_MAX = 32768, QUEUE_MAX = 4 * READ_MAX };

struct opts {
	bool tty, no_input;
	const char *user, *dir;
	json_t *env;
};

struct session {
	int sock, signals, in; /* in: -1 once its end was sent */
	int out, errfd;
	struct creel_buf to_send, got;
	struct termios before;
	bool raw;
	int status; /* -1 until it is known */
};

static void terminal_back(struct session *s)
{
	if (s->raw)
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &s->before);
	s->raw = false;
}

static int terminal_raw(struct session *s, struct creel_err *err)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &s->before) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read the terminal's mode");
	t = s->before;
	cfmakeraw(&t);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &t) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "change the terminal's mode");
	s->raw = true;
	return 0;
}

static int write_all(int fd, const uint8_t *data, size_t len, struct creel_err *err)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, data + at, len - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};
			(void)poll(&p, 1, -1);
			continue;
		}
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "write");
		at += (size_t)n;
	}
	return 0;
}

static int window_tell(struct session *s, struct creel_err *err)
{
	struct winsize w;
	uint8_t size[4];

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &w) < 0)
		return 0;
	size[0] = (uint8_t)w.ws_row;
	size[1] = (uint8_t)(w.ws_row >> 8);
	size[2] = (uint8_t)w.ws_col;
	size[3] = (uint8_t)(w.ws_col >> 8);
	return creel_execio_put(&s->to_send, CREEL_EXECIO_WINSIZE, size, sizeof(size), err);
}

static int on_signal(struct session *s, struct creel_err *err)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo == SIGWINCH)
		return window_tell(s, err);
	uint8_t number = (uint8_t)info.ssi_signo;
	return creel_execio_put(&s->to_send, CREEL_EXECIO_SIGNAL, &number, 1, err);
}

static int on_input(struct session *s, struct creel_err *err)
{
	uint8_t buf[READ_MAX];
	ssize_t n = read(s->in, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n > 0)
		return creel_execio_put(&s->to_send, CREEL_EXECIO_IN, buf, (size_t)n, err);
	s->in = -1;
	return creel_execio_put(&s->to_send, CREEL_EXECIO_IN_EOF, NULL, 0, err);
}

static int on_record(struct session *s, uint8_t type, const uint8_t *data, size_t len, struct creel_err *err)
{
	switch (type) {
	case CREEL_EXECIO_OUT:
		return write_all(s->out, data, len, err);
	case CREEL_EXECIO_ERR:
		return write_all(s->errfd, data, len, err);
	case CREEL_EXECIO_EXIT:
		s->status = data[0];
		return 0;
	case CREEL_EXECIO_ERROR:
		s->status = data[0];
		terminal_back(s);
		return creel_err_set(err, CREEL_E_CHILD, 0, "%.*s", (int)MIN(len - 1, (size_t)200),
				     (const char *)data + 1);
	default:
		return creel_err_set(err, CREEL_E_PROTO, 0, "the cell sent a record of type %u", type);
	}
}

static int on_socket(struct session *s, struct creel_err *err)
{
	uint8_t buf[65536];
	const uint8_t *data = NULL;
	uint8_t type = 0;
	size_t len = 0;
	ssize_t n = recv(s->sock, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0)
		return creel_err_set(err, CREEL_E_CLOSED, 0,
				     "the connection to the cell ended before the command did");
	int r = creel_buf_add(&s->got, buf, (size_t)n, err);
	size_t at = 0;
	while (r == 0 && s->status < 0 &&
	       (n = creel_execio_get(s->got.data + at, s->got.len - at, &type, &data, &len, err)) > 0) {
		r = on_record(s, type, data, len, err);
		at += (size_t)n;
	}
	creel_buf_drain(&s->got, at);
	return r < 0 ? r : n < 0 && s->status < 0 ? (int)n : 0;
}

static int step(struct session *s, struct creel_err *err)
{
	bool room = s->to_send.len < QUEUE_MAX - 2 * READ_MAX;
	struct pollfd p[] = {
		{.fd = s->sock, .events = (short)(POLLIN | (s->to_send.len > 0 ? POLLOUT : 0))},
		{.fd = s->signals, .events = POLLIN},
		{.fd = room ? s->in : -1, .events = POLLIN},
	};
	int r = 0;

	if (poll(p, ELEMENTSOF(p), -1) < 0)
		return errno == EINTR ? 0 : creel_err_set(err, CREEL_E_OS, errno, "poll");
	if (p[1].revents)
		r = on_signal(s, err);
	if (r == 0 && p[2].revents)
		r = on_input(s, err);
	if (r == 0 && s->to_send.len > 0) {
		ssize_t n = send(s->sock, s->to_send.data, s->to_send.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			creel_buf_drain(&s->to_send, (size_t)n);
	}
	if (r == 0 && p[0].revents & (POLLIN | POLLHUP | POLLERR))
		r = on_socket(s, err);
	return r;
}

static int signals_open(bool tty, struct creel_err *err)
{
	static const int sigs[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ELEMENTSOF(sigs); i++)
		(void)sigaddset(&set, sigs[i]);
	if (!tty)
		(void)sigdelset(&set, SIGWINCH);
	int fd = sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -1 : signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? creel_err_set(err, CREEL_E_OS, errno, "take signals") : fd;
}

static json_t *spec_make(const struct opts *o, int argc, char **argv, const struct winsize *w)
{
	json_t *words = json_array();
	int bad = 0;

	for (int i = 0; i < argc; i++)
		bad |= json_array_append_new(words, json_string(argv[i]));
	if (bad) {
		json_decref(words);
		return NULL;
	}
	return json_pack("{s:o,s:O,s:s,s:s,s:b,s:i,s:i}", "argv", words, "env", o->env, "user", o->user,
			 "dir", o->dir, "tty", (int)o->tty, "rows", (int)w->ws_row, "cols", (int)w->ws_col);
}

static int run(struct creel_cli *cli, const char *cell, const struct opts *o, int argc, char **argv,
	       struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	struct winsize w = {.ws_row = 24, .ws_col = 80};
	struct session s = {.status = -1, .out = STDOUT_FILENO, .errfd = STDERR_FILENO};
	char path[96];

	if (o->tty)
		(void)ioctl(STDIN_FILENO, TIOCGWINSZ, &w);
	json_t *spec = spec_make(o, argc, argv, &w);
	if (!spec)
		return creel_err_set(err, CREEL_E_INVALID, 0, "the command's words must be UTF-8");
	int r = client_open(cli, false, &c, err);
	if (r == 0)
		r = client_path(path, sizeof(path), cell, "/exec", err);
	if (r < 0) {
		json_decref(spec);
		return r;
	}
	autofd int sock = client_upgrade(&c, "POST", path, "creel-exec", json_incref(spec), err);
	if (sock == CREEL_E_NOTFOUND && client_orphans(&c) && !client_alive(&c)) {
		/* creeld went away and the cells live on */
		if ((r = client_need(&c, err)) == 0)
			sock = client_upgrade(&c, "POST", path, "creel-exec", json_incref(spec), err);
	}
	json_decref(spec);
	if (sock < 0)
		return r < 0 ? r : sock;
	autofd int signals = signals_open(o->tty, err);
	if (signals < 0)
		return signals;
	s.sock = sock;
	s.signals = signals;
	s.in = o->no_input ? -1 : STDIN_FILENO;
	creel_buf_init(&s.to_send, QUEUE_MAX);
	creel_buf_init(&s.got, 4 * 65536);
	r = o->tty ? terminal_raw(&s, err) : 0;
	if (r == 0 && o->no_input)
		r = creel_execio_put(&s.to_send, CREEL_EXECIO_IN_EOF, NULL, 0, err);
	while (r == 0 && s.status < 0)
		r = step(&s, err);
	terminal_back(&s);
	creel_buf_fini(&s.to_send);
	creel_buf_fini(&s.got);
	if (r < 0 && s.status >= 125 && s.status <= 127) {
		creel_log_error(err); /* the guest's words */
		*err = (struct creel_err){0};
		return s.status;
	}
	return r < 0 ? r : s.status;
}

static int opts_parse(int argc, char **argv, struct opts *o, struct creel_err *err)
{
	static const struct option options[] = {
		{"interactive", no_argument, NULL, 'i'},
		{"tty", no_argument, NULL, 't'},
		{"no-input", no_argument, NULL, 'n'},
		{"user", required_argument, NULL, 'u'},
		{"env", required_argument, NULL, 'e'},
		{"workdir", required_argument, NULL, 'w'},
		{0},
	};
	int c;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+itnu:e:w:", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			break; /* standard input is always passed on */
		case 't':
			o->tty = true;
			break;
		case 'n':
			o->no_input = true;
			break;
		case 'u':
			o->user = optarg;
			break;
		case 'w':
			o->dir = optarg;
			break;
		case 'e':
			if (!strchr(optarg, '='))
				return creel_err_set(err, CREEL_E_USAGE, 0, "-e takes NAME=VALUE");
			if (json_array_append_new(o->env, json_string(optarg)) < 0)
				return creel_err_set(err, CREEL_E_INVALID, 0, "-e must be UTF-8");
			break;
		default:
			return creel_err_set(err, CREEL_E_USAGE, 0, "see creel %s --help", argv[0]);
		}
	}
	if (o->tty && !isatty(STDIN_FILENO))
		return creel_err_set(err, CREEL_E_USAGE, 0, "-t: standard input is no terminal");
	return 0;
}

int cmd_exec(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct opts o = {.user = "", .dir = "", .env = json_array()};
	int r = opts_parse(argc, argv, &o, err);

	if (r == 0 && (argc - optind < 3 || strcmp(argv[optind + 1], "--") != 0))
		r = creel_err_set(err, CREEL_E_USAGE, 0,
				  "usage: creel exec [-t] [-u USER] [-e K=V] [-w DIR] CELL -- COMMAND...");
	if (r == 0)
		r = run(cli, argv[optind], &o, argc - optind - 2, argv + optind + 2, err);
	json_decref(o.env);
	return r;
}

int cmd_shell(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static char login[] = "";
	char *words[] = {login, NULL}; /* an empty program is the user's login shell */
	struct opts o = {.user = "", .dir = "", .env = json_array()};
	int r = opts_parse(argc, argv, &o, err);
	const char *term = getenv("TERM");
	char env[80];

	if (r == 0 && argc - optind != 1)
		r = creel_err_set(err, CREEL_E_USAGE, 0, "usage: creel shell [-u USER] CELL");
	if (r == 0 && term && (size_t)snprintf(env, sizeof(env), "TERM=%s", term) < sizeof(env))
		json_array_append_new(o.env, json_string(env));
	o.tty = isatty(STDIN_FILENO);
	if (r == 0)
		r = run(cli, argv[optind], &o, 1, words, err);
	json_decref(o.env);
	return r;
}

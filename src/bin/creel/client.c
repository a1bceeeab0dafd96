#include "client.h"
#include "base/buf.h"
#include "linux/fdpass.h"
#include "linux/unixsock.h"
#include "where.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

volatile sig_atomic_t client_interrupted;

enum { HEAD_MAX = 16384, ANSWER_MAX = 16 << 20, START_MS = 15000 };

static int parents_make(char *path)
{
	for (char *p = path + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		int r = mkdir(path, 0755);
		if (r < 0 && errno != EEXIST) {
			*p = '/';
			return -1;
		}
	}
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -1 : 0;
}

int client_open(struct creel_cli *cli, bool make, struct creel_client *ret, struct creel_err *err)
{
	struct creel_client c = {.run_fd = -1};
	char path[PATH_MAX], run[PATH_MAX];
	int r = where_state(cli->state_dir, path, sizeof(path) - 8, err);

	if (r < 0)
		return r;
	if (make && parents_make(path) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make the state folder %s", path);
	if (!realpath(path, c.state)) {
		if (errno != ENOENT)
			return creel_err_set(err, CREEL_E_OS, errno, "the state folder %s", path);
		(void)snprintf(c.state, sizeof(c.state), "%s", path);
	}
	if ((size_t)snprintf(run, sizeof(run), "%s/run", c.state) < sizeof(run))
		c.run_fd = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c.run_fd < 0 && errno != ENOENT)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", run);
	*ret = c;
	return 0;
}

void client_close(struct creel_client *c)
{
	if (c->run_fd >= 0)
		close(c->run_fd);
	c->run_fd = -1;
}

static int api_connect(struct creel_client *c, struct creel_err *err)
{
	if (c->run_fd < 0)
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no creeld runs on %s", c->state);
	int fd = creel_unix_connect(c->run_fd, "creel.sock", SOCK_STREAM, err);
	if (fd == CREEL_E_NOTFOUND)
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no creeld runs on %s", c->state);
	return fd;
}

bool client_alive(struct creel_client *c)
{
	struct creel_err err = {0};

	return client_call(c, "GET", "/v1/status", NULL, NULL, &err) == 0;
}

bool client_orphans(struct creel_client *c)
{
	int fd = c->run_fd < 0 ? -1 : openat(c->run_fd, "cells", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);

	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] != '.')
			return true;
	return false;
}

static pid_t daemon_spawn(const char *program, const char *state, int log)
{
	static char *const no_env[] = {NULL};
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	int null = open("/dev/null", O_RDWR);
	if (setsid() < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
	    chdir("/") < 0)
		_exit(126);
	(void)close_range(3, ~0U, 0);
	execle(program, "creeld", "--state-dir", state, NULL, no_env);
	_exit(127);
}

/* What a creeld that did not come up said last. */
static void last_line(int log, off_t from, char *ret, size_t size)
{
	char text[4096];
	ssize_t n = pread(log, text, sizeof(text) - 1, from);

	ret[0] = '\0';
	if (n <= 0)
		return;
	text[n] = '\0';
	for (char *save = NULL, *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		(void)snprintf(ret, size, "%s", l);
}

/* Is it this process that listens, and not another that was started in the same moment? */
static bool answers(struct creel_client *c, pid_t pid)
{
	struct creel_err none = {0};
	struct ucred who = {0};
	socklen_t n = sizeof(who);
	autofd int fd = api_connect(c, &none);

	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.pid == pid;
}

int client_start(struct creel_client *c, bool *ret_started, struct creel_err *err)
{
	char program[PATH_MAX], path[PATH_MAX + 16], why[160];
	static const struct timespec pause = {.tv_nsec = 5000000};
	struct timespec begin, now;
	struct stat st = {0};
	bool ended = false;

	if (ret_started)
		*ret_started = false;
	if (client_alive(c))
		return 0;
	int r = where_program("creeld", program, sizeof(program), err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/creeld.log", c->state);
	autofd int log = open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (log < 0 || fstat(log, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	pid_t pid = daemon_spawn(program, c->state, log);
	if (pid < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "start creeld");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (;;) {
		(void)nanosleep(&pause, NULL);
		if (c->run_fd < 0) {
			(void)snprintf(path, sizeof(path), "%s/run", c->state);
			c->run_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		}
		if (client_alive(c))
			break;
		clock_gettime(CLOCK_MONOTONIC, &now);
		/* another, started in the same moment, may have the folder's lock */
		if (!ended && waitpid(pid, NULL, WNOHANG) == pid) {
			ended = true;
			begin = now;
		}
		if ((now.tv_sec - begin.tv_sec) * 1000 > (ended ? 1000 : START_MS)) {
			last_line(log, st.st_size, why, sizeof(why));
			return creel_err_set(err, CREEL_E_CHILD, 0, "creeld did not start%s%s",
					     why[0] ? ": " : "", why);
		}
	}
	bool ours = answers(c, pid);
	if (!ours && !ended)
		(void)kill(pid, SIGTERM); /* it waits for the lock, and would begin when the other has gone */
	if (ret_started)
		*ret_started = ours;
	return 0;
}

int client_need(struct creel_client *c, struct creel_err *err)
{
	if (client_alive(c))
		return 0;
	if (!client_orphans(c))
		return creel_err_set(err, CREEL_E_NOTFOUND, 0,
				     "nothing runs on %s; `creel up` starts what creel.yaml declares",
				     c->state);
	return client_start(c, NULL, err);
}

/* The monitor listens before its engine does, and while that starts anew. */
static bool monitor_runs(struct creel_client *c)
{
	struct creel_err none = {0};
	autofd int fd = c->run_fd < 0 ? -1
				      : creel_unix_connect(c->run_fd, "plan.sock", SOCK_SEQPACKET, &none);

	return fd >= 0;
}

int client_look(struct creel_client *c, struct creel_err *err)
{
	static const struct timespec pause = {.tv_nsec = 10000000};

	for (int i = 0; i < START_MS / 10; i++) {
		if (client_alive(c))
			return 0;
		if (!monitor_runs(c))
			break;
		(void)nanosleep(&pause, NULL);
	}
	if (!client_orphans(c))
		return creel_err_set(err, CREEL_E_NOTFOUND, 0,
				     "nothing runs on %s; `creel up` starts what creel.yaml declares",
				     c->state);
	return creel_err_set(
		err, CREEL_E_CLOSED, 0,
		"no creeld runs on %s, and cells run on without it; `creel up`, `exec` and `down` "
		"start one that takes them up",
		c->state);
}

static int send_all(int fd, const void *data, size_t len, struct creel_err *err)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, (const char *)data + at, len - at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "send to creeld");
		at += (size_t)n;
	}
	return 0;
}

static int request_send(int fd, const char *method, const char *path, const char *upgrade, json_t *body,
			struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) out;
	autofree char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	creel_buf_init(&out, ANSWER_MAX);
	if (body && !text)
		return creel_err_set(err, CREEL_E_INVALID, 0, "arguments must be UTF-8");
	int r = creel_buf_addf(&out, err, "%s %s HTTP/1.1\r\nHost: creel\r\nContent-Length: %zu\r\n", method,
			       path, text ? strlen(text) : 0);
	if (r == 0 && upgrade)
		r = creel_buf_addf(&out, err, "Connection: Upgrade\r\nUpgrade: %s\r\n\r\n", upgrade);
	else if (r == 0)
		r = creel_buf_adds(&out, "Connection: close\r\n\r\n", err);
	if (r == 0 && text)
		r = creel_buf_adds(&out, text, err);
	return r < 0 ? r : send_all(fd, out.data, out.len, err);
}

/* The head, octet by octet: what follows it belongs to whoever uses the connection next. */
static int head_read(int fd, int *ret_status, size_t *ret_length, struct creel_err *err)
{
	char head[HEAD_MAX + 1];
	size_t n = 0;

	*ret_length = ANSWER_MAX;
	while (n < HEAD_MAX && !(n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)) {
		ssize_t got = recv(fd, head + n, 1, 0);
		if (got < 0 && errno == EINTR && !client_interrupted)
			continue;
		if (got <= 0)
			return creel_err_set(err, CREEL_E_CLOSED, got < 0 ? errno : 0,
					     "creeld went away before it answered");
		n++;
	}
	head[n] = '\0';
	if (sscanf(head, "HTTP/1.%*[01] %d", ret_status) != 1)
		return creel_err_set(err, CREEL_E_PROTO, 0, "creeld's answer is no HTTP");
	const char *length = strcasestr(head, "\r\nContent-Length:");
	if (length)
		*ret_length = strtoul(length + 17, NULL, 10);
	return 0;
}

static int body_read(int fd, size_t length, json_t **ret, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	uint8_t buf[16384];
	ssize_t n = 1;

	creel_buf_init(&text, ANSWER_MAX);
	while (text.len < length && (n = recv(fd, buf, MIN(sizeof(buf), length - text.len), 0)) != 0) {
		if (n < 0 && errno == EINTR && !client_interrupted)
			continue;
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "read creeld's answer");
		if (creel_buf_add(&text, buf, (size_t)n, err) < 0)
			return err->code;
	}
	*ret = json_loadb((const char *)text.data, text.len, 0, NULL);
	if (!*ret)
		return creel_err_set(err, CREEL_E_PROTO, 0, "creeld's answer is no JSON");
	return 0;
}

/* An answer that says no, in creeld's own words. */
static int refused(int status, json_t *body, struct creel_err *err)
{
	const char *why = json_string_value(json_object_get(body, "error"));

	return creel_err_set(err, status == 404 ? CREEL_E_NOTFOUND : CREEL_E_DENIED, 0, "%s",
			     why ? why : "creeld refused");
}

static int call_on(int fd, const char *method, const char *path, json_t *body, json_t **ret,
		   struct creel_err *err)
{
	size_t length = 0;
	json_t *j = NULL;
	int status = 0;
	int r = request_send(fd, method, path, NULL, body, err);

	if (r == 0)
		r = head_read(fd, &status, &length, err);
	if (r == 0)
		r = body_read(fd, length, &j, err);
	if (r == 0 && status >= 400)
		r = refused(status, j, err);
	if (r == 0 && ret)
		*ret = json_incref(j);
	json_decref(j);
	return r;
}

int client_call(struct creel_client *c, const char *method, const char *path, json_t *body, json_t **ret,
		struct creel_err *err)
{
	autofd int fd = api_connect(c, err);
	int r = fd < 0 ? fd : call_on(fd, method, path, body, ret, err);

	json_decref(body);
	return r;
}

int client_upgrade(struct creel_client *c, const char *method, const char *path, const char *protocol,
		   json_t *body, struct creel_err *err)
{
	size_t length = 0;
	json_t *j = NULL;
	int status = 0;
	autofd int fd = api_connect(c, err);
	int r = fd < 0 ? fd : request_send(fd, method, path, protocol, body, err);

	json_decref(body);
	if (r == 0)
		r = head_read(fd, &status, &length, err);
	if (r == 0 && status != 101) {
		r = body_read(fd, length, &j, err);
		if (r == 0)
			r = refused(status, j, err);
		json_decref(j);
	}
	return r < 0 ? r : steal_fd(&fd);
}

int client_path(char *ret, size_t size, const char *cell, const char *op, struct creel_err *err)
{
	/* a name goes into a path: what no cell can be called is not asked for */
	if (!cell[0] || strlen(cell) > 32 ||
	    strspn(cell, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != strlen(cell))
		return creel_err_set(err, CREEL_E_USAGE, 0, "'%s' cannot be the name of a cell", cell);
	(void)snprintf(ret, size, "/v1/cells/%s%s", cell, op);
	return 0;
}

/* One message to the monitor, one answer: "ok" and what follows it. */
static int plan_ask(struct creel_client *c, const char *data, const int *fds, size_t n_fds,
		    struct creel_buf *answer, struct creel_err *err)
{
	autofd int fd = creel_unix_connect(c->run_fd, "plan.sock", SOCK_SEQPACKET, err);
	if (fd < 0)
		return fd;
	int r = creel_buf_reserve(answer, 65536, err);
	if (r == 0)
		r = creel_fdpass_send(fd, data, strlen(data), fds, n_fds, err);
	if (r < 0)
		return r;
	ssize_t n = recv(fd, answer->data, 65536, 0);
	if (n <= 0)
		return creel_err_set(err, CREEL_E_CLOSED, n < 0 ? errno : 0, "creeld did not take the plan");
	answer->len = (size_t)n;
	answer->data[n] = '\0';
	if (strncmp(creel_buf_str(answer), "ok", 2) != 0)
		return creel_err_set(err, CREEL_E_DENIED, 0, "creeld refused the plan: %s",
				     creel_buf_str(answer));
	creel_buf_drain(answer, 2);
	return 0;
}

int client_built(struct creel_client *c, const char *recipe, const struct creel_image *image,
		 struct creel_err *err)
{
	if (!image->built || !client_alive(c))
		return 0;
	json_t *body = json_pack("{s:s,s:s,s:b,s:I}", "recipe", recipe, "image", image->id, "pinned",
				 image->pinned, "ms", (json_int_t)image->ms);
	return body ? client_call(c, "POST", "/v1/images", body, NULL, err) : creel_err_nomem(err);
}

int client_plan(struct creel_client *c, int plan_fd, int boot_fd, int given_fd, int policy_fd,
		struct creel_err *err)
{
	const int fds[] = {plan_fd, boot_fd, given_fd, policy_fd};
	struct creel_buf autoclean(creel_buf_fini) answer;

	creel_buf_init(&answer, 1 << 17);
	return plan_ask(c, "plan", fds, ELEMENTSOF(fds), &answer, err);
}

int client_addresses(struct creel_client *c, const char *text, struct creel_buf *out, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) ask;

	creel_buf_init(&ask, 16384);
	int r = creel_buf_addf(&ask, err, "addr\n%s", text);
	return r < 0 ? r : plan_ask(c, creel_buf_str(&ask), NULL, 0, out, err);
}

bool client_ends(struct creel_client *c)
{
	static const struct timespec pause = {.tv_nsec = 10000000};

	for (int i = 0; i < 200; i++) {
		json_t *j = NULL;
		struct creel_err err = {0};
		if (client_call(c, "GET", "/v1/status", NULL, &j, &err) < 0)
			return true;
		bool ending = json_is_true(json_object_get(j, "ending"));
		json_decref(j);
		if (!ending)
			return false;
		(void)nanosleep(&pause, NULL);
	}
	return false;
}

int client_end(struct creel_client *c, struct creel_err *err)
{
	static const struct timespec pause = {.tv_nsec = 10000000};
	int r = client_call(c, "POST", "/v1/shutdown", NULL, NULL, err);

	/* its lock goes with the process; the socket goes a moment before */
	autofd int lock = openat(c->run_fd, "lock", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	for (int i = 0; r == 0 && i < 1000; i++) {
		if (faccessat(c->run_fd, "creel.sock", F_OK, 0) < 0 &&
		    (lock < 0 || flock(lock, LOCK_SH | LOCK_NB) == 0))
			return 0;
		(void)nanosleep(&pause, NULL);
	}
	return r < 0 ? r : creel_err_set(err, CREEL_E_TIMEOUT, 0, "creeld does not end");
}

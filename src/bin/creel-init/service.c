#include "init.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

enum { RING = 128 * 1024 };

struct service {
	struct source out; /* first: the read end of its standard output and error */
	const struct creel_boot_service *cfg;
	enum creel_ctl_service state;
	pid_t pid, probe;
	uint64_t started_ms, retry_ms, kill_ms, probe_ms;
	unsigned fails;
	bool line_start;
	bool again;       /* it was told to stop in order to begin anew */
	uint64_t log_end; /* octets ever written to the ring */
	uint8_t *ring;
};

static struct service services[CREEL_BOOT_ITEMS];
static size_t n_services;

static void tell(struct service *s, enum creel_ctl_service state, uint32_t status)
{
	s->state = state;
	chan_control(CREEL_CTL_SERVICE, state, status, s->cfg->name);
}

int service_find(const char *name)
{
	for (size_t i = 0; i < n_services; i++)
		if (strcmp(services[i].cfg->name, name) == 0)
			return (int)i;
	return -1;
}

const char *service_name(size_t i)
{
	return i < n_services ? services[i].cfg->name : NULL;
}

static void ring_put(struct service *s, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		s->ring[s->log_end++ % RING] = (uint8_t)data[i];
}

bool service_line(size_t i, uint64_t *from, bool partial, struct log_line *ret)
{
	struct service *s = &services[i];
	size_t n = 0;

	if (s->log_end > RING && *from < s->log_end - RING) {
		/* what was overwritten is gone; start at a line */
		*from = s->log_end - RING;
		while (*from < s->log_end && s->ring[*from % RING] != '\n')
			(*from)++;
		if (*from < s->log_end)
			(*from)++;
	}
	uint64_t at = *from;
	while (at < s->log_end && n < sizeof(ret->text) - 1 && s->ring[at % RING] != '\n')
		ret->text[n++] = (char)s->ring[at++ % RING];
	bool ended = at < s->log_end && s->ring[at % RING] == '\n';
	if (at == *from && !ended)
		return false;
	if (!ended && n < sizeof(ret->text) - 1 && !partial)
		return false;
	ret->text[n] = '\0';
	ret->len = n;
	ret->next = at + ended;
	return true;
}

/* Each line begins with its time, so that `creel logs --since` can choose. */
static void log_put(struct service *s, const char *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		const char *nl = memchr(data + at, '\n', len - at);
		size_t n = nl ? (size_t)(nl - data) + 1 - at : len - at;
		if (s->line_start) {
			char stamp[32];
			struct timespec ts;
			clock_gettime(CLOCK_REALTIME, &ts);
			int k = snprintf(stamp, sizeof(stamp), "%lld.%09ld ", (long long)ts.tv_sec,
					 ts.tv_nsec);
			ring_put(s, stamp, (size_t)k);
		}
		ring_put(s, data + at, n);
		s->line_start = nl != NULL;
		at += n;
	}
	streams_log_grew();
}

static void output_ready(struct source *src, uint32_t events)
{
	struct service *s = (struct service *)src;
	char buf[8192];
	ssize_t n = read(s->out.fd, buf, sizeof(buf));

	if (n > 0)
		log_put(s, buf, (size_t)n);
	else if (n == 0 || errno != EAGAIN)
		source_close(&s->out);
}

static void child_reset(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int i = 1; i < 32; i++)
		signal(i, SIG_DFL);
}

/* KEY=VALUE lines; blanks and # lines are passed over. Only what the service is given. */
static void env_file_read(const char *path, const char **env, size_t *n, size_t max)
{
	autofile FILE *f = path[0] ? fopen(path, "re") : NULL;
	char *line = NULL;
	size_t cap = 0;

	while (f && *n < max && getline(&line, &cap, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] && line[0] != '#' && strchr(line, '='))
			env[(*n)++] = strdup(line);
	}
	free(line);
}

static void service_exec(const struct creel_boot_service *c)
{
	const char *env[2 * CREEL_BOOT_WORDS + 8];
	char home[300];
	size_t n = 0;

	(void)snprintf(home, sizeof(home), "HOME=%s", c->home);
	env[n++] = home;
	env[n++] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	env[n++] = "LANG=C.UTF-8";
	if (trust_env())
		env[n++] = trust_env();
	for (size_t i = 0; c->env[i]; i++)
		env[n++] = c->env[i];
	env_file_read(c->env_file, env, &n, ELEMENTSOF(env) - 1);
	env[n] = NULL;
	if (setgroups(0, NULL) < 0 || setgid(c->gid) < 0 || setuid(c->uid) < 0) {
		dprintf(2, "creel-init: cannot become uid %u: %s\n", c->uid, strerror(errno));
		_exit(126);
	}
	if (chdir(c->home) < 0 && chdir("/") < 0)
		_exit(126);
	execvpe(c->argv[0], (char **)c->argv, (char **)env);
	dprintf(2, "creel-init: %s: %s\n", c->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void service_start(struct service *s)
{
	int p[2];

	if (s->out.fd >= 0)
		source_close(&s->out);
	if (pipe2(p, O_CLOEXEC) < 0)
		return;
	boot_home(s->cfg->home, s->cfg->uid, s->cfg->gid); /* each time: the agent may have removed it */
	pid_t pid = fork();
	if (pid == 0) {
		child_reset();
		setsid();
		int null = open("/dev/null", O_RDONLY);
		dup2(null, 0);
		dup2(p[1], 1);
		dup2(p[1], 2);
		close_range(3, ~0U, 0);
		service_exec(s->cfg);
	}
	close(p[1]);
	if (pid < 0) {
		close(p[0]);
		return;
	}
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	s->out.fd = p[0];
	s->out.ready = output_ready;
	source_add(&s->out, EPOLLIN);
	s->pid = pid;
	s->started_ms = now_ms();
	s->retry_ms = 0;
	tell(s, CREEL_SVC_STARTED, 0);
	if (s->cfg->probe == CREEL_PROBE_NONE)
		tell(s, CREEL_SVC_READY, 0);
}

static int connected(int family, const void *addr, socklen_t len)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && connect(fd, addr, len) == 0 ? fd : -1;
}

/* PORT/path, or unix:SOCKET:/path; -1 when nobody listens there */
static int probe_connect(const char *arg, const char **ret_path)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	const char *path = strchr(arg, '/');
	const char *port = strrchr(arg, ':');

	if (sscanf(arg, "unix:%107[^:]", un.sun_path) == 1) {
		*ret_path = port + 1;
		return connected(AF_UNIX, &un, sizeof(un));
	}
	if (port && path && port > path)
		port = NULL;
	in4.sin_port = htons((uint16_t)atoi(port ? port + 1 : arg));
	*ret_path = path ? path : "/";
	return connected(AF_INET, &in4, sizeof(in4));
}

static int probe_stream(const char *arg, bool http)
{
	const char *path;
	char buf[512];

	int fd = probe_connect(arg, &path);
	if (fd < 0)
		return 1;
	if (!http)
		return 0;
	int n = snprintf(buf, sizeof(buf), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
			 path);
	if (write(fd, buf, (size_t)n) != n)
		return 1;
	ssize_t got = read(fd, buf, sizeof(buf) - 1);
	return got > 12 && memcmp(buf, "HTTP/1.", 7) == 0 && (buf[9] == '2' || buf[9] == '3') ? 0 : 1;
}

static void probe_start(struct service *s)
{
	pid_t pid = fork();

	if (pid == 0) {
		child_reset();
		alarm(30);
		close_range(3, ~0U, 0);
		if (s->cfg->probe != CREEL_PROBE_COMMAND)
			_exit(probe_stream(s->cfg->probe_arg, s->cfg->probe == CREEL_PROBE_HTTP));
		static const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};
		int null = open("/dev/null", O_RDWR);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		if (setgroups(0, NULL) < 0 || setgid(s->cfg->gid) < 0 || setuid(s->cfg->uid) < 0)
			_exit(126);
		execle("/bin/sh", "sh", "-c", s->cfg->probe_arg, (char *)NULL, (char **)env);
		_exit(127);
	}
	s->probe = pid > 0 ? pid : 0;
	s->probe_ms = now_ms();
}

void services_start(const struct creel_boot *boot)
{
	n_services = boot->n_services;
	for (size_t i = 0; i < n_services; i++) {
		services[i] = (struct service){.out.fd = -1, .cfg = &boot->services[i]};
		services[i].line_start = true;
		services[i].ring = calloc(1, RING);
		if (!services[i].ring)
			abort();
	}
	services_tick();
}

static bool may_start(const struct service *s)
{
	int i = s->cfg->after[0] ? service_find(s->cfg->after) : -1;
	return i < 0 || services[i].state == CREEL_SVC_READY;
}

void services_tick(void)
{
	uint64_t now = now_ms();
	bool all = true;

	for (size_t i = 0; i < n_services; i++) {
		struct service *s = &services[i];
		if (in.stopping) {
			if (s->pid > 0 && s->kill_ms && now >= s->kill_ms)
				kill(-s->pid, SIGKILL);
			continue;
		}
		if (s->again && s->pid > 0 && now >= s->kill_ms)
			kill(-s->pid, SIGKILL);
		if (s->pid == 0 && s->state == CREEL_SVC_WAITING && may_start(s))
			service_start(s);
		else if (s->pid == 0 && s->retry_ms && now >= s->retry_ms)
			service_start(s);
		if (s->pid > 0 && s->state == CREEL_SVC_STARTED && s->probe == 0 && now >= s->probe_ms + 500)
			probe_start(s);
		if (s->state == CREEL_SVC_STARTED && s->cfg->probe_timeout_ms &&
		    now > s->started_ms + s->cfg->probe_timeout_ms && s->pid > 0) {
			chan_control(CREEL_CTL_NOTE, 0, 0, "a service was not ready in time");
			kill(-s->pid, SIGKILL);
			s->started_ms = now;
		}
		all = all && s->state == CREEL_SVC_READY;
	}
	if (all && !in.ready_sent && !in.stopping) {
		in.ready_sent = true;
		chan_control(CREEL_CTL_READY, 0, memory_used_kb(), "");
	}
}

bool services_reaped(pid_t pid, int ws)
{
	uint32_t status = WIFEXITED(ws) ? (uint32_t)WEXITSTATUS(ws) : 128 + (uint32_t)WTERMSIG(ws);

	for (size_t i = 0; i < n_services; i++) {
		struct service *s = &services[i];
		if (s->probe == pid) {
			s->probe = 0;
			if (status == 0 && s->state == CREEL_SVC_STARTED && s->pid > 0) {
				tell(s, CREEL_SVC_READY, 0);
				services_tick();
			}
			return true;
		}
		if (s->pid != pid)
			continue;
		kill(-pid, SIGKILL); /* what it left behind in its session */
		s->pid = 0;
		tell(s, CREEL_SVC_EXITED, status);
		if (s->again && !in.stopping) {
			s->again = false;
			s->kill_ms = 0;
			s->retry_ms = now_ms(); /* for one that cannot be started now */
			service_start(s);
			return true;
		}
		bool again = s->cfg->restart == CREEL_RESTART_ALWAYS ||
			     (s->cfg->restart == CREEL_RESTART_ON_FAILURE && status != 0);
		if (again && !in.stopping) {
			/* 1, 2, 4 … 60 s; a minute of life forgives */
			if (now_ms() - s->started_ms > 60000)
				s->fails = 0;
			unsigned wait = s->fails < 6 ? 1U << s->fails : 60;
			s->fails++;
			s->retry_ms = now_ms() + wait * 1000;
		} else if (!in.stopping && status != 0) {
			tell(s, CREEL_SVC_GAVE_UP, status);
		} else if (!in.stopping) {
			s->state = CREEL_SVC_READY; /* it did what it was to do, once */
		}
		return true;
	}
	return false;
}

static void service_end(struct service *s)
{
	s->kill_ms = now_ms() + (s->cfg->stop_grace_ms ? s->cfg->stop_grace_ms : 10000);
	kill(-s->pid, SIGTERM);
}

void services_stop(void)
{
	for (size_t i = 0; i < n_services; i++)
		if (services[i].pid > 0)
			service_end(&services[i]);
}

void services_secrets(void)
{
	for (size_t i = 0; i < n_services; i++) {
		struct service *s = &services[i];
		if (s->pid <= 0) /* it reads the new value when it starts */
			continue;
		if (s->cfg->on_secret == CREEL_ON_SECRET_RESTART) {
			s->again = true;
			service_end(s);
		} else if (s->cfg->on_secret) {
			kill(s->pid, (int)s->cfg->on_secret);
		}
	}
}

bool services_gone(void)
{
	for (size_t i = 0; i < n_services; i++)
		if (services[i].pid > 0)
			return false;
	return true;
}

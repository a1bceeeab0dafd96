#include "init.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

struct init in = {.chan.fd = -1};
static int epoll = -1;

void say(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	autofd int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	(void)dprintf(fd >= 0 ? fd : 2, "<3>creel-init: %s\n", line);
}

int source_add(struct source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	s->events = events;
	return epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &ev);
}

void source_arm(struct source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	if (s->fd < 0 || s->events == events)
		return;
	s->events = events;
	(void)epoll_ctl(epoll, EPOLL_CTL_MOD, s->fd, &ev);
}

/* events of this round that name a source closed in it must not be delivered */
static struct epoll_event round_ev[64];
static int round_n;

void source_close(struct source *s)
{
	for (int i = 0; i < round_n; i++)
		if (round_ev[i].data.ptr == s)
			round_ev[i].data.ptr = NULL;
	close(s->fd);
	s->fd = -1;
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint32_t memory_used_kb(void)
{
	autofile FILE *f = fopen("/proc/meminfo", "re");
	unsigned total = 0, avail = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f)) {
		(void)sscanf(line, "MemTotal: %u", &total);
		(void)sscanf(line, "MemAvailable: %u", &avail);
	}
	return total - avail;
}

static void chan_lost(const char *why)
{
	if (in.chan.fd < 0)
		return;
	say("control channel: %s", why);
	streams_reset();
	source_close(&in.chan);
	creel_mux_free(in.mux);
	in.mux = NULL;
}

void chan_flush(void)
{
	while (in.mux && in.chan.fd >= 0) {
		const struct creel_buf *out = creel_mux_out(in.mux);
		if (out->len == 0) {
			source_arm(&in.chan, EPOLLIN);
			return;
		}
		ssize_t n = write(in.chan.fd, out->data, MIN(out->len, (size_t)65536));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			source_arm(&in.chan, EPOLLIN | EPOLLOUT);
			return;
		}
		if (n <= 0) {
			chan_lost(strerror(errno));
			return;
		}
		creel_mux_sent(in.mux, (size_t)n);
	}
}

void chan_control(uint8_t type, uint8_t state, uint32_t a, const char *name)
{
	struct creel_ctl c = {.type = type, .state = state, .a = a};
	uint8_t buf[CREEL_CTL_MAX];
	struct creel_err err = {0};

	(void)snprintf(c.name, sizeof(c.name), "%s", name);
	if (in.mux && creel_mux_control(in.mux, buf, creel_ctl_encode(&c, buf), &err) < 0)
		say("%s", err.msg);
}

static void chan_ready(struct source *src, uint32_t events)
{
	static uint8_t buf[65536];
	struct creel_err err = {0};

	if (events & (EPOLLIN | EPOLLHUP)) {
		ssize_t n = read(in.chan.fd, buf, sizeof(buf));
		if (n > 0 && creel_mux_feed(in.mux, buf, (size_t)n, &err) < 0) {
			chan_lost(err.msg);
			return;
		}
		/* virtio-serial says 0 or HUP while the host has not connected */
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	}
}

/* The virtio-serial port named creel.control. */
static int chan_open(void)
{
	for (int tries = 0; tries < 300; tries++) {
		autodir DIR *d = opendir("/sys/class/virtio-ports");
		for (struct dirent *e; d && (e = readdir(d));) {
			char path[300], name[64] = "";
			(void)snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", e->d_name);
			autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd < 0 || read(fd, name, sizeof(name) - 1) <= 0 ||
			    strcmp(name, "creel.control\n") != 0)
				continue;
			(void)snprintf(path, sizeof(path), "/dev/%s", e->d_name);
			int port = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
			if (port >= 0)
				return port;
		}
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	}
	return -1;
}

static struct creel_boot *boot_read(struct creel_err *err)
{
	static struct creel_boot boot;
	autofd int fd = open("/creel/boot.cfg", O_RDONLY | O_CLOEXEC);
	uint8_t *buf = malloc(CREEL_BOOT_MAX + 1);
	size_t len = 0;
	ssize_t n;

	if (fd < 0 || !buf) {
		creel_err_set(err, CREEL_E_OS, errno, "open /creel/boot.cfg");
		return NULL;
	}
	while (len <= CREEL_BOOT_MAX && (n = read(fd, buf + len, CREEL_BOOT_MAX + 1 - len)) > 0)
		len += (size_t)n;
	/* the decoded strings point into buf, which lives as long as init */
	return creel_boot_decode(buf, len, &boot, err) < 0 ? NULL : &boot;
}

static void clock_set(uint64_t time_ns)
{
	struct timespec ts,
		want = {.tv_sec = (time_t)(time_ns / 1000000000), .tv_nsec = (long)(time_ns % 1000000000)};

	clock_gettime(CLOCK_REALTIME, &ts);
	if (time_ns && (ts.tv_sec < want.tv_sec - 5 || ts.tv_sec > want.tv_sec + 300))
		(void)clock_settime(CLOCK_REALTIME, &want);
}

static void reap(struct source *src, uint32_t events)
{
	struct signalfd_siginfo si;
	int ws;

	while (read(src->fd, &si, sizeof(si)) == sizeof(si))
		if ((si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT || si.ssi_signo == SIGPWR) &&
		    !in.stopping) {
			in.stopping = true;
			services_stop();
		}
	for (pid_t pid; (pid = waitpid(-1, &ws, WNOHANG)) > 0;)
		if (!services_reaped(pid, ws))
			(void)streams_reaped(pid, ws);
}

static void tick(struct source *src, uint32_t events)
{
	uint64_t n;

	(void)!read(src->fd, &n, sizeof(n));
	services_tick();
}

static void power_off(void)
{
	kill(-1, SIGTERM);
	nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	boot_unmount(in.boot);
	chan_control(CREEL_CTL_BYE, 0, 0, "");
	chan_flush();
	nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	reboot(RB_AUTOBOOT); /* the VMM does not start it again: that is its power-off */
}

_Noreturn static void fatal(const struct creel_err *err)
{
	say("fatal: %s", err->msg);
	chan_control(CREEL_CTL_NOTE, 0, 1, err->msg);
	chan_flush();
	sync();
	nanosleep(&(struct timespec){.tv_nsec = 200 * 1000 * 1000}, NULL);
	reboot(RB_AUTOBOOT);
	_exit(1);
}

int main(void)
{
	static struct source sig, timer;
	struct creel_err err = {0};
	sigset_t mask;

	if (getpid() != 1) {
		fputs("creel-init is PID 1 of a cell; it is not run by hand\n", stderr);
		return 2;
	}
	(void)umask(022);
	/* execvpe() searches the caller's PATH, not the one that it passes on */
	(void)setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGPWR);
	epoll = epoll_create1(EPOLL_CLOEXEC);

	struct creel_boot *boot = boot_read(&err);
	if (!boot)
		fatal(&err);
	trust_read();
	if (boot_root(&err) < 0)
		fatal(&err);
	trust_write();
	in.boot = boot;
	(void)!sethostname(boot->cell, strlen(boot->cell));
	clock_set(boot->time_ns);
	link_up(boot);
	in.mux = creel_mux_new(false, &stream_ops, NULL);
	in.chan.fd = chan_open();
	in.chan.ready = chan_ready;
	if (!in.mux || in.chan.fd < 0) {
		creel_err_set(&err, CREEL_E_NOTFOUND, 0, "no control channel");
		fatal(&err);
	}
	source_add(&in.chan, EPOLLIN);
	chan_flush();
	if (boot_volumes(boot, &err) < 0)
		fatal(&err);
	if (secrets_mount(boot, &err) < 0)
		fatal(&err);
	(void)secrets_take(boot, &err);
	if (err.code)
		fatal(&err);
	if (boot_files(boot, &err) < 0)
		chan_control(CREEL_CTL_NOTE, 0, 1, err.msg);

	sigprocmask(SIG_BLOCK, &mask, NULL);
	sig.fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	sig.ready = reap;
	source_add(&sig, EPOLLIN);
	timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	timer.ready = tick;
	timerfd_settime(timer.fd, 0,
			&(struct itimerspec){.it_interval.tv_nsec = 250 * 1000 * 1000,
					     .it_value.tv_nsec = 250 * 1000 * 1000},
			NULL);
	source_add(&timer, EPOLLIN);
	calls_listen();
	services_start(boot);
	for (;;) {
		chan_flush();
		if (in.stopping && services_gone())
			power_off();
		round_n = epoll_wait(epoll, round_ev, (int)ELEMENTSOF(round_ev), -1);
		for (int i = 0; i < round_n; i++) {
			struct source *s = round_ev[i].data.ptr;
			if (s)
				s->ready(s, round_ev[i].events);
		}
		round_n = 0;
	}
}

#include "linux/proc.h"
#include "monitor.h"
#include "net/link.h"
#include "words.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* What a cell's resolver and its checker of names have in common: processes in the cells' namespace. */
struct creel_link net_link(const struct mon_cell *c)
{
	struct in_addr addr = {0}, gateway = {0};
	struct creel_link link;

	(void)inet_pton(AF_INET, c->ran.net.address, &addr);
	(void)inet_pton(AF_INET, c->ran.net.gateway, &gateway);
	creel_link_init(&link, addr, gateway);
	if (c->ran.net.ipv6) {
		uint8_t ula[CREEL_ULA];
		net_ula(ula);
		creel_link_six(&link, ula);
	}
	return link;
}

void net_ula(uint8_t ret[CREEL_ULA])
{
	uint8_t hash[16];

	/* as random as RFC 4193, 3.2 asks for, and the same again for the same folder */
	crypto_generichash(hash, sizeof(hash), (const uint8_t *)mon.state, strlen(mon.state),
			   (const uint8_t *)"ula", 3);
	ret[0] = 0xfd;
	memcpy(ret + 1, hash, CREEL_ULA - 1);
}

struct in6_addr net_six(const uint8_t four[4])
{
	struct creel_link link = {0};
	uint8_t ula[CREEL_ULA];

	net_ula(ula);
	memcpy(&link.addr, four, 4);
	creel_link_six(&link, ula);
	return link.addr6;
}

/* On the cell's link alone. */
static int listen_at(const struct creel_link *link, int type, const struct sockaddr *at, socklen_t len,
		     struct creel_err *err)
{
	static const int on = 1;
	bool six = at->sa_family == AF_INET6;
	autofd int fd = socket(at->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, link->name, (socklen_t)strlen(link->name)) < 0 ||
	    bind(fd, at, len) < 0 || (type == SOCK_STREAM && listen(fd, 256) < 0))
		return creel_err_set(err, CREEL_E_OS, errno, "open a port of %s%s", link->name,
				     six ? " by IPv6" : "");
	return steal_fd(&fd);
}

int netproc_listen(const struct mon_cell *c, int type, uint16_t port, struct creel_err *err)
{
	const struct creel_link link = net_link(c);
	const struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = link.gateway};
	int fd = listen_at(&link, type, (const struct sockaddr *)&at, sizeof(at), err);

	return fd < 0 ? creel_err_add(err, "port %u", port) : fd;
}

int netproc_listen6(const struct mon_cell *c, int type, uint16_t port, struct creel_err *err)
{
	const struct creel_link link = net_link(c);
	const struct sockaddr_in6 at = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = link.gateway6};
	int fd = listen_at(&link, type, (const struct sockaddr *)&at, sizeof(at), err);

	return fd < 0 ? creel_err_add(err, "port %u", port) : fd;
}

int netproc_log(const struct mon_cell *c)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "log/%s", c->name);
	return openat(mon.state_fd, path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
}

int netproc_spawn(struct mon_cell *c, enum mon_role role, const char *program, const char *name,
		  const int *fds, size_t n_fds, unsigned files, struct creel_err *err)
{
	struct mon_proc *p = &c->procs[role];
	struct words w = {.n = 0};
	autofd int log = netproc_log(c);

	jail_words(&w, launch_uid(c, role), 2 + (int)n_fds, true);
	word(&w, "--network");
	word(&w, "--files");
	wordf(&w, "%u", files);
	word(&w, "--bind-exec");
	wordf(&w, "%s:%s", program, name);
	word(&w, "--");
	word(&w, name);
	wordf(&w, "%zu", 2 + n_fds); /* the last descriptor is its configuration */
	int r = words_ok(&w, err);
	pid_t pid = r < 0 ? r : creel_proc_spawn(w.v, log, fds, n_fds, CREEL_PROC_PIDNS, &p->pidfd, err);
	if (pid < 0)
		return (int)pid;
	p->pid = pid;
	return creel_proc_start(pid, &p->start, err);
}

void netproc_stop(struct mon_proc *p)
{
	struct creel_err err = {0};
	siginfo_t info;

	if (p->gone)
		event_free(p->gone);
	if (p->pidfd >= 0) {
		(void)creel_proc_kill(p->pidfd, SIGKILL, &err);
		(void)waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED);
		close(p->pidfd);
	}
	*p = (struct mon_proc){.pidfd = -1};
}

struct timeval netproc_pause(unsigned starts)
{
	/* five at once, then one a second: what it dies of may be what a guest sends */
	return (struct timeval){.tv_sec = starts >= 5, .tv_usec = 50000};
}

int netproc_note(const struct mon_cell *c, struct creel_err *err)
{
	autofd int dirfd = openat(mon.cells_fd, c->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dirfd < 0 ? creel_err_set(err, CREEL_E_OS, errno, "open the cell's run folder")
			 : adopt_save(c, dirfd, err);
}

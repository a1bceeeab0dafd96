#include "monitor.h"
#include "words.h"
#include "linux/proc.h"
#include "net/link.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* What a cell's resolver and its checker of names have in common: processes in the cells' namespace. */
static struct creel_link link_of(const struct mon_cell *c)
{
	struct in_addr addr = {0}, gateway = {0};
	struct creel_link link;

	(void)inet_pton(AF_INET, c->ran.net.address, &addr);
	(void)inet_pton(AF_INET, c->ran.net.gateway, &gateway);
	creel_link_init(&link, addr, gateway);
	return link;
}

int netproc_listen(const struct mon_cell *c, int type, uint16_t port, struct creel_err *err)
{
	static const int on = 1;
	const struct creel_link link = link_of(c);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = link.gateway};
	autofd int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, link.name, (socklen_t)strlen(link.name)) < 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || (type == SOCK_STREAM && listen(fd, 256) < 0))
		return creel_err_set(err, CREEL_E_OS, errno, "open port %u of %s", port, link.name);
	return steal_fd(&fd);
}

int netproc_spawn(struct mon_cell *c, enum mon_role role, const char *program, const char *name, const int *fds,
		  size_t n_fds, unsigned files, struct creel_err *err)
{
	struct mon_proc *p = &c->procs[role];
	struct words w = {.n = 0};
	char path[64];

	(void)snprintf(path, sizeof(path), "log/%s", c->name);
	autofd int log = openat(mon.state_fd, path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
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

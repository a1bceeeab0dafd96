#include "base/log.h"
#include "engine/engine.h"
#include "wire/auditmsg.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Who read or wrote a secret on this host, as creel-audit tells it: secret.read and secret.write. What a
 * guest did by its share counts against its cell's budget; what others did is already bounded where it
 * is read.
 */
static struct {
	int fd;
	struct event *read;
} in = {.fd = -1};

static void lost(const struct creel_auditmsg *m)
{
	struct creel_event e = {.kind = CREEL_EV_RECORD_OVERRUN, .cell = ""};

	creel_event_str(&e, "of", "audit");
	creel_event_num(&e, "count", m->count);
	journal_note(&e);
}

static void accessed(const struct creel_auditmsg *m)
{
	struct eng_cell *c = m->cell[0] ? cells_find(m->cell) : NULL;
	struct creel_event e = {.kind = m->write ? CREEL_EV_SECRET_WRITE : CREEL_EV_SECRET_READ,
				.cell = m->cell};

	if (m->secret[0])
		creel_event_str(&e, "secret", m->secret);
	creel_event_str(&e, "path", m->path);
	creel_event_str(&e, "folder", m->store ? "store" : "staged");
	creel_event_str(&e, "exe", m->exe);
	creel_event_num(&e, "pid", m->pid);
	if (m->known) {
		creel_event_num(&e, "uid", m->uid);
		creel_event_num(&e, "auid", m->auid);
	}
	creel_event_str(&e, "result", m->success ? "yes" : "no");
	if (m->guest)
		creel_event_str(&e, "guest", "yes");
	if (m->count > 1)
		creel_event_num(&e, "count", m->count);
	if (m->guest && c)
		budget_note(c, &e);
	else
		journal_note(&e);
}

static void close_it(void)
{
	if (in.read)
		event_free(in.read);
	in.read = NULL;
	if (in.fd >= 0)
		close(in.fd);
	in.fd = -1;
}

static void readable(evutil_socket_t fd, short what, void *ctx)
{
	static struct creel_auditmsg m;
	struct creel_err err = {0};
	uint8_t buf[CREEL_AUDITMSG + 1];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0 && creel_auditmsg_decode(buf, (size_t)n, &m, &err) == 0) {
		if (m.type == CREEL_AUDITMSG_LOST)
			lost(&m);
		else
			accessed(&m);
		return;
	}
	if (n > 0)
		creel_log_warn("creel-audit sent what is not its to send");
	close_it();
}

void accesses_open(int fd)
{
	close_it();
	in.fd = dup(fd);
	in.read = in.fd < 0 ? NULL : event_new(eng.base, in.fd, EV_READ | EV_PERSIST, readable, NULL);
	if (!in.read || event_add(in.read, NULL) < 0) {
		creel_log_warn("no memory for what audit tells");
		close_it();
	}
}

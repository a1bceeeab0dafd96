#include "base/log.h"
#include "engine/engine.h"
#include "wire/brokermsg.h"
#include <errno.h>
#include <sys/socket.h>

/*
 * What a cell's brokers tell: broker.allow before a request goes out, broker.deny, broker.end. The socket
 * serves one cell and speaks for that cell alone.
 */
static void told(struct eng_cell *c, const struct creel_brokerev *m)
{
	struct creel_event e = {.kind = m->told == CREEL_BROKER_ALLOWED  ? CREEL_EV_BROKER_ALLOW
					: m->told == CREEL_BROKER_DENIED ? CREEL_EV_BROKER_DENY
									 : CREEL_EV_BROKER_END,
				.cell = c->name};

	if (m->broker[0])
		creel_event_str(&e, "broker", m->broker);
	creel_event_str(&e, "host", m->host);
	creel_event_str(&e, "method", m->method);
	creel_event_str(&e, "path", m->path);
	if (m->reason != CREEL_BROKER_OK)
		creel_event_str(&e, "reason", creel_broker_reason_name(m->reason));
	if (m->line)
		creel_event_num(&e, "line", m->line);
	if (m->status)
		creel_event_num(&e, "status", m->status);
	if (m->told == CREEL_BROKER_ENDED) {
		creel_event_num(&e, "sent", (int64_t)m->sent);
		creel_event_num(&e, "received", (int64_t)m->received);
		creel_event_num(&e, "ms", m->ms);
	}
	if (m->id)
		creel_event_num(&e, "request", m->id);
	budget_note(c, &e);
}

static void readable(evutil_socket_t fd, short what, void *ctx)
{
	static struct creel_brokerev m;
	struct eng_cell *c = ctx;
	uint8_t buf[CREEL_BROKER_EVENT_MAX + 1];
	struct creel_err err = {0};
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0 && creel_brokerev_decode(buf, (size_t)n, &m, &err) == 0) {
		told(c, &m);
		return;
	}
	if (n > 0)
		creel_log_warn("a broker of cell %s sent what is not its to send", c->name);
	brokers_close(c);
}

void brokers_close(struct eng_cell *c)
{
	if (c->broker_read)
		event_free(c->broker_read);
	c->broker_read = NULL;
	if (c->broker_fd >= 0)
		close(c->broker_fd);
	c->broker_fd = -1;
}

void brokers_open(struct eng_cell *c, int fd)
{
	brokers_close(c);
	c->broker_fd = dup(fd);
	c->broker_read = c->broker_fd < 0
				 ? NULL
				 : event_new(eng.base, c->broker_fd, EV_READ | EV_PERSIST, readable, c);
	if (!c->broker_read || event_add(c->broker_read, NULL) < 0) {
		creel_log_warn("cell %s: no memory for what its brokers tell", c->name);
		brokers_close(c);
	}
}

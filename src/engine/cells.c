#include "base/log.h"
#include "engine/approve.h"
#include "engine/engine.h"
#include "linux/fdpass.h"
#include "linux/memfd.h"
#include "wire/ctl.h"
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { STUCK_MS = 5000 };

struct eng_cell *cells_find(const char *name)
{
	for (size_t i = 0; i < ENGINE_CELLS; i++)
		if (name[0] && strcmp(eng.cells[i].name, name) == 0)
			return &eng.cells[i];
	return NULL;
}

bool cells_any_running(void)
{
	for (size_t i = 0; i < ENGINE_CELLS; i++)
		if (eng.cells[i].name[0] && eng.cells[i].state != ENG_STOPPED)
			return true;
	return false;
}

void cells_changed(struct eng_cell *c)
{
	c->serial++;
	api_waiters_answer(c);
}

static struct creel_event event_of(enum creel_event_kind kind, const struct eng_cell *c)
{
	return (struct creel_event){.kind = kind, .cell = c->name};
}

static void channel_close(struct eng_cell *c)
{
	if (c->read)
		event_free(c->read);
	c->read = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void kill_now(struct eng_cell *c, const char *why)
{
	struct creel_event e = event_of(CREEL_EV_CELL_KILL, c);

	creel_event_str(&e, "why", why);
	journal_note(&e);
	c->killed = true;
	(void)engine_ask(CREEL_MON_KILL, c->name, 0);
}

int cells_send(struct eng_cell *c, const struct creel_cellmsg *m, const void *spec, size_t len, int fd,
	       struct creel_err *err)
{
	static uint8_t buf[CREEL_CELLMSG_MAX];

	if (c->fd < 0)
		return creel_err_set(err, CREEL_E_CLOSED, 0, "cell '%s' is %s", c->name,
				     c->state == ENG_STOPPED ? "not running" : "starting");
	if (len > sizeof(buf) - CREEL_CELLMSG)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the request is too long");
	creel_cellmsg_encode(m, buf);
	if (len > 0)
		memcpy(buf + CREEL_CELLMSG, spec, len);
	/* one that takes nothing is stuck, or was captured by its guest: no other cell waits for it long */
	struct pollfd p = {.fd = c->fd, .events = POLLOUT};
	if (poll(&p, 1, STUCK_MS) == 0) {
		kill_now(c, "its control process takes no more messages");
		return creel_err_set(err, CREEL_E_CLOSED, 0, "cell '%s' does not take the request", c->name);
	}
	return creel_fdpass_send(c->fd, buf, CREEL_CELLMSG + len, &fd, fd >= 0 ? 1 : 0, err);
}

static void service_said(struct eng_cell *c, const struct creel_cellmsg *m)
{
	static const enum creel_event_kind kinds[] = {
		[CREEL_SVC_STARTED] = CREEL_EV_SERVICE_START,
		[CREEL_SVC_READY] = CREEL_EV_SERVICE_READY,
		[CREEL_SVC_EXITED] = CREEL_EV_SERVICE_EXIT,
		[CREEL_SVC_GAVE_UP] = CREEL_EV_SERVICE_EXIT,
	};
	size_t i = 0;

	while (i < c->n_services && strcmp(c->services[i].name, m->name) != 0)
		i++;
	if (i == ENGINE_SERVICES)
		return;
	struct eng_service *s = &c->services[i];
	bool told = i < c->n_services && s->state == m->state && s->a == m->a && eng.synced;
	(void)snprintf(s->name, sizeof(s->name), "%.64s", m->name);
	s->state = m->state;
	s->a = m->a;
	if (i == c->n_services)
		c->n_services++;
	/* a creel-cell that was found again tells all once more: that is no event */
	if (!told && c->state != ENG_STOPPED && m->id == 0 && m->state != CREEL_SVC_WAITING &&
	    m->state < ELEMENTSOF(kinds)) {
		struct creel_event e = event_of(kinds[m->state], c);
		e.by_guest = true;
		creel_event_str(&e, "service", s->name);
		if (m->state >= CREEL_SVC_EXITED)
			creel_event_num(&e, "status", m->a);
		if (m->state == CREEL_SVC_GAVE_UP)
			creel_event_str(&e, "restart", "given up");
		budget_note(c, &e);
	}
	cells_changed(c);
}

static void ready_said(struct eng_cell *c, const struct creel_cellmsg *m)
{
	c->memory_kb = m->a;
	if (c->state == ENG_STARTING) {
		c->state = ENG_READY;
		c->why[0] = '\0';
	}
	if (!c->ready_once) {
		struct creel_event e = event_of(CREEL_EV_CELL_READY, c);
		e.by_guest = true;
		creel_event_num(&e, "memory_kb", m->a);
		budget_note(c, &e);
		c->ready_once = true;
	}
	cells_changed(c);
}

/* The guest looks for itself what of its share is new. */
static void secrets_tell(struct eng_cell *c)
{
	struct creel_cellmsg m = {.type = CREEL_CELL_SECRETS};
	struct creel_err err = {0};

	if (c->tells_secrets && creel_plan_shares(&c->ran) && cells_send(c, &m, NULL, 0, -1, &err) < 0)
		creel_log_warn("cell %s: its secrets: %s", c->name, err.msg);
}

static void on_message(struct eng_cell *c, const struct creel_cellmsg *m, const uint8_t *more, size_t len)
{
	switch (m->type) {
	case CREEL_CELL_CALL:
		calls_take(c, m, more, len);
		return;
	case CREEL_CELL_HELLO:
		/* the engine before may have ended between a new value and its word to the guest */
		c->tells_secrets = m->a >= 2;
		secrets_tell(c);
		return;
	case CREEL_CELL_READY:
		ready_said(c, m);
		return;
	case CREEL_CELL_SERVICE:
		service_said(c, m);
		return;
	case CREEL_CELL_MEMORY:
		c->memory_kb = m->a;
		cells_changed(c);
		return;
	case CREEL_CELL_NOTE: {
		struct creel_event e = event_of(CREEL_EV_CELL_NOTE, c);
		e.by_guest = true;
		creel_event_str(&e, "text", m->name);
		budget_note(c, &e);
		(void)snprintf(c->why, sizeof(c->why), "%.190s", m->name);
		cells_changed(c);
		return;
	}
	case CREEL_CELL_STREAM_END:
		streams_end(c, m->id, m->state != 0, m->name);
		return;
	case CREEL_CELL_BYE:
		c->bye = true;
		return;
	case CREEL_CELL_BROKEN:
		c->broken = true;
		/* one that we kill, or that said goodbye, ends its channel too: that is no reason */
		if (!c->killed && !c->bye)
			(void)snprintf(c->why, sizeof(c->why), "control channel: %.150s", m->name);
		cells_changed(c);
		return;
	case CREEL_CELL_GONE:
		/* the monitor sees the machine itself end; that its channel closed then is no reason */
		if (strcmp(c->why, "control channel: the channel closed") == 0)
			c->why[0] = '\0';
		return;
	default:
		creel_log_warn("cell %s: message %u is not its to send", c->name, m->type);
	}
}

/* @return false when there is nothing more to read for now, or ever */
static bool channel_take(struct eng_cell *c)
{
	struct creel_err err = {0};
	struct creel_cellmsg m;
	static uint8_t buf[CREEL_CELLMSG_MAX + 1];
	size_t n_fds = 0;
	ssize_t n = creel_fdpass_recv(c->fd, buf, sizeof(buf), NULL, 0, &n_fds, &err);

	if (n == CREEL_E_BUSY)
		return false;
	if (n < 0 || creel_cellmsg_decode(buf, (size_t)n, &m, &err) < 0) {
		calls_end_cell(c);
		channel_close(c); /* the monitor follows with EXITED when the process is gone */
		streams_end_cell(c, "the cell's control process went away");
		return false;
	}
	on_message(c, &m, buf + CREEL_CELLMSG, (size_t)n - CREEL_CELLMSG);
	return true;
}

static void channel_readable(evutil_socket_t fd, short what, void *ctx)
{
	(void)channel_take(ctx);
}

static int fail(struct eng_cell *c, const char *why)
{
	c->state = ENG_STOPPED;
	c->asked = false;
	(void)snprintf(c->why, sizeof(c->why), "%.199s", why);
	cells_changed(c);
	return -1;
}

int cells_start(struct eng_cell *c, uid_t by, struct creel_err *err)
{
	if (c->state != ENG_STOPPED) {
		if (memcmp(c->plan_hash, c->ran_hash, sizeof(c->plan_hash)) == 0 && c->state != ENG_STOPPING)
			return 0;
		if (c->state == ENG_READY && !c->applying && creel_plan_same_machine(&c->plan, &c->ran))
			return policies_apply(c, by, err);
		/* what it runs is not what was asked for: down, then up */
		c->again = true;
		return c->state == ENG_STOPPING ? 0 : cells_stop(c, false, err);
	}
	int r = journal_ok(err);
	if (r < 0)
		return r;
	struct creel_event e = event_of(CREEL_EV_CELL_START, c);
	creel_event_str(&e, "recipe", c->plan.recipe);
	creel_event_str(&e, "image", c->plan.image);
	creel_event_num(&e, "cpus", c->plan.cpus);
	creel_event_num(&e, "memory_mib", c->plan.memory_mib);
	creel_event_num(&e, "uid", by);
	if ((r = journal_add(&e, err)) < 0)
		return r;
	for (size_t i = 0; i < c->plan.n_secrets; i++) {
		struct creel_event s = event_of(CREEL_EV_SECRET_STAGE, c);
		creel_event_str(&s, "secret", c->plan.secrets[i].name);
		if ((r = journal_add(&s, err)) < 0)
			return r;
	}
	approve_session_over(c->name);
	c->ready_once = c->bye = c->broken = c->killed = c->again = false;
	c->n_services = 0;
	c->memory_kb = 0;
	c->why[0] = '\0';
	policies_ran(c);
	if (engine_ask(CREEL_MON_START, c->name, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, 0, "the monitor cannot be asked");
	c->state = ENG_STARTING;
	c->asked = true;
	cells_changed(c);
	return 0;
}

static void grace_over(evutil_socket_t fd, short what, void *ctx)
{
	struct eng_cell *c = ctx;

	if (c->state == ENG_STOPPING)
		kill_now(c, "it did not stop within its grace time");
}

int cells_stop(struct eng_cell *c, bool now, struct creel_err *err)
{
	const struct timeval grace = {.tv_sec = c->plan.stop_grace_ms / 1000,
				      .tv_usec = c->plan.stop_grace_ms % 1000 * 1000};
	struct creel_cellmsg m = {.type = CREEL_CELL_SHUTDOWN};
	struct creel_err why = {0};

	if (c->state == ENG_STOPPED)
		return 0;
	c->state = ENG_STOPPING;
	cells_changed(c);
	if (now || c->broken || cells_send(c, &m, NULL, 0, -1, &why) < 0) {
		kill_now(c, now ? "asked for" : c->broken ? "its channel is broken" : why.msg);
		return 0;
	}
	if (!c->grace)
		c->grace = event_new(eng.base, -1, 0, grace_over, c);
	if (!c->grace || event_add(c->grace, &grace) < 0)
		return creel_err_nomem(err);
	return 0;
}

static void on_plan(const struct creel_monmsg *m, int fd)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	struct eng_cell *c = cells_find(m->cell);
	struct creel_err err = {0};

	creel_buf_init(&text, CREEL_PLAN_MAX);
	for (size_t i = 0; !c && i < ENGINE_CELLS; i++)
		if (!eng.cells[i].name[0]) {
			c = &eng.cells[i];
			*c = (struct eng_cell){.fd = -1, .dns_fd = -1, .flow_fd = -1, .broker_fd = -1};
			for (size_t p = 0; p < CREEL_PLAN_PORTS; p++)
				c->ports[p].fd = -1;
		}
	if (!c || creel_memfd_read_sealed(fd, &text, &err) < 0 ||
	    creel_plan_decode(text.data, text.len, &c->plan, &err) < 0) {
		creel_log_error(&err);
		return;
	}
	(void)snprintf(c->name, sizeof(c->name), "%s", c->plan.cell);
	crypto_generichash(c->plan_hash, sizeof(c->plan_hash), text.data, text.len, NULL, 0);
	cells_changed(c);
}

static void on_started(struct eng_cell *c, const struct creel_monmsg *m, int fd)
{
	calls_end_cell(c);
	channel_close(c);
	c->fd = dup(fd);
	if (c->fd >= 0)
		(void)evutil_make_socket_nonblocking(c->fd);
	c->pid = (pid_t)m->a;
	c->started_ns = m->b;
	c->asked = false;
	(void)snprintf(c->accel, sizeof(c->accel), "%.7s", m->text);
	c->reduced = m->state & 2;
	if (m->state & 1) {
		/* found running: what was recorded of its start stands in the record already */
		c->state = ENG_STARTING;
		c->ready_once = true;
		policies_ran(c);
	} else {
		tally_begin(c->name);
	}
	c->read = c->fd < 0 ? NULL : event_new(eng.base, c->fd, EV_READ | EV_PERSIST, channel_readable, c);
	if (!c->read || event_add(c->read, NULL) < 0) {
		kill_now(c, "out of memory");
		return;
	}
	ports_ask(c);
	cells_changed(c);
}

static void on_exited(struct eng_cell *c, const struct creel_monmsg *m)
{
	struct creel_event e = event_of(CREEL_EV_CELL_EXIT, c);
	int status = (int)(int64_t)m->a;
	struct creel_err err = {0};

	/* what it said last may still be on its way; a socket holds no more than this */
	for (int i = 0; i < 4096 && c->fd >= 0 && channel_take(c); i++)
		;
	calls_end_cell(c);
	channel_close(c);
	dns_close(c);
	flows_close(c);
	brokers_close(c);
	ports_close(c);
	if (c->grace)
		event_free(c->grace);
	c->grace = NULL;
	streams_end_cell(c, "the cell has ended");
	budget_tell(c);
	if (c->fold)
		event_free(c->fold);
	c->fold = NULL;
	bool clean = c->bye || c->state == ENG_STOPPING;
	creel_event_str(&e, "how", c->killed ? "killed" : c->bye ? "clean" : "lost");
	if (status == -1)
		creel_event_str(&e, "vmm", "unknown");
	else if (WIFEXITED(status))
		creel_event_num(&e, "vmm_status", WEXITSTATUS(status));
	else
		creel_event_num(&e, "vmm_signal", WTERMSIG(status));
	if (m->text[0])
		(void)snprintf(c->why, sizeof(c->why), "%.199s", m->text);
	if (c->why[0])
		creel_event_str(&e, "last", c->why);
	journal_note(&e);
	c->state = ENG_STOPPED;
	c->pid = 0;
	if (clean)
		c->why[0] = '\0';
	else if (!c->why[0])
		(void)snprintf(c->why, sizeof(c->why),
			       "the machine or its share ended by itself; see log/%s below the "
			       "state folder",
			       c->name);
	if (!c->again) {
		cells_changed(c);
		return;
	}
	/* whoever waits sees it go from stopping to starting: `stopped` would be its end */
	c->again = false;
	if (cells_start(c, 0, &err) < 0)
		(void)fail(c, err.msg);
}

void cells_on_monitor(const struct creel_monmsg *m, int fd)
{
	struct eng_cell *c = cells_find(m->cell);

	if (m->type == CREEL_MON_FLOW && !m->cell[0]) {
		flows_open_all(fd);
		return;
	}
	if (m->type == CREEL_MON_AUDIT) {
		accesses_open(fd);
		return;
	}
	if (m->type == CREEL_MON_PLAN) {
		on_plan(m, fd);
		return;
	}
	if (!c)
		return;
	if (m->type == CREEL_MON_POLICY || m->type == CREEL_MON_APPLIED ||
	    (m->type == CREEL_MON_FAILED && m->state == CREEL_MON_APPLY))
		policies_on_monitor(c, m, fd);
	else if (m->type == CREEL_MON_SWITCHED) {
		c->killed_now = m->a != 0;
		cells_changed(c);
	} else if (m->type == CREEL_MON_FAILED && m->state == CREEL_MON_SWITCH) {
		(void)snprintf(c->why, sizeof(c->why), "%.199s", m->text);
		cells_changed(c);
	} else if (m->type == CREEL_MON_COUNTED)
		flows_counted(c, m->a);
	else if (m->type == CREEL_MON_FLOW)
		flows_open(c, fd);
	else if (m->type == CREEL_MON_BROKER)
		brokers_open(c, fd);
	else if (m->type == CREEL_MON_DNS)
		dns_open(c, fd);
	else if (m->type == CREEL_MON_STARTED)
		on_started(c, m, fd);
	else if (m->type == CREEL_MON_PORT_OPEN && m->a < c->plan.n_ports)
		ports_open(c, (size_t)m->a, fd);
	else if (m->type == CREEL_MON_EXITED)
		on_exited(c, m);
	else if (m->type == CREEL_MON_FAILED && m->state == CREEL_MON_START)
		(void)fail(c, m->text);
	else if (m->type == CREEL_MON_STAGED) {
		struct creel_event e = event_of(CREEL_EV_SECRET_STAGE, c);
		creel_event_str(&e, "secret", m->text);
		journal_note(&e);
		secrets_tell(c);
	} else if (m->type == CREEL_MON_FAILED && m->state == CREEL_MON_STAGE) {
		creel_log_warn("cell %s: a secret that was set is not before it: %s", c->name, m->text);
	} else if (m->type == CREEL_MON_FAILED && m->state == CREEL_MON_PORT) {
		(void)snprintf(c->why, sizeof(c->why), "%.199s", m->text);
		c->killed = true;
		(void)engine_ask(CREEL_MON_KILL, c->name,
				 0); /* a cell without its port is not what was asked */
	}
}

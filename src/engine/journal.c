#include "engine/engine.h"
#include "base/log.h"
#include <string.h>

/*
 * Group commit: an event is on disk within 100 ms, or before journal_add() returns where its kind says
 * so. The head is signed by the monitor once a minute while events flow, and at the end.
 */
static const struct timeval group = {.tv_usec = 100000}, minute = {.tv_sec = 60};
static struct creel_err broken; /* why the last commit failed; code 0 while all is well */

int journal_commit(void)
{
	struct creel_err err = {0};
	int r = creel_record_commit(&eng.record, &err);

	if (r < 0 && broken.code == 0)
		creel_log_error(&err);
	broken = r < 0 ? err : (struct creel_err){0};
	return r;
}

static void on_commit(evutil_socket_t fd, short what, void *ctx)
{
	/* a full disk may have room again: what was refused meanwhile was never acknowledged */
	(void)journal_commit();
}

bool journal_sign(void)
{
	struct creel_monmsg m = {.type = CREEL_MON_SIGN, .a = eng.record.committed.seq};

	if (m.a == 0 || m.a == eng.asked_seq)
		return false;
	memcpy(m.hash, eng.record.committed.hash, sizeof(m.hash));
	uint8_t buf[CREEL_MONMSG];
	creel_monmsg_encode(&m, buf);
	if (write(eng.monitor, buf, sizeof(buf)) != (ssize_t)sizeof(buf))
		return false;
	eng.asked_seq = m.a;
	return true;
}

static void on_minute(evutil_socket_t fd, short what, void *ctx)
{
	(void)journal_commit();
	(void)journal_sign();
}

int journal_open(int dirfd, struct creel_err *err)
{
	int r = creel_record_open(dirfd, 0, &eng.record, err);

	if (r < 0)
		return r;
	eng.commit_timer = event_new(eng.base, -1, 0, on_commit, NULL);
	eng.sign_timer = event_new(eng.base, -1, EV_PERSIST, on_minute, NULL);
	if (!eng.commit_timer || !eng.sign_timer || event_add(eng.sign_timer, &minute) < 0)
		return creel_err_nomem(err);
	return 0;
}

void journal_close(void)
{
	creel_record_close(&eng.record);
}

int journal_ok(struct creel_err *err)
{
	/* try again: the reason may be gone */
	if (broken.code == 0 || journal_commit() == 0)
		return 0;
	*err = broken;
	return creel_err_add(err, "nothing new is begun while the record cannot be written");
}

int journal_add(const struct creel_event *e, struct creel_err *err)
{
	int r = creel_record_append(&eng.record, e, err);

	if (r == CREEL_E_TOOBIG && (r = journal_commit()) == 0)
		r = creel_record_append(&eng.record, e, err);
	if (r < 0)
		return r;
	if (creel_event_kinds[e->kind].durable) {
		if ((r = journal_commit()) < 0)
			*err = broken;
		return r;
	}
	if (!evtimer_pending(eng.commit_timer, NULL))
		(void)event_add(eng.commit_timer, &group);
	return 0;
}

void journal_note(const struct creel_event *e)
{
	struct creel_err err = {0};

	if (journal_add(e, &err) < 0)
		creel_log_error(&err);
}

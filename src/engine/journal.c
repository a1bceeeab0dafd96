#include "base/log.h"
#include "engine/engine.h"
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

/*
 * Group commit: an event is on disk within 100 ms, or before journal_add() returns where its kind says
 * so. The head is signed by the monitor once a minute while events flow, and at the end.
 */
enum { ROOM = 256 << 10 }; /* with less than this free a disk is full */
static const struct timeval group = {.tv_usec = 100000}, second = {.tv_sec = 1}, minute = {.tv_sec = 60};
static struct creel_err broken; /* why the last commit failed; code 0 while all is well */
static struct event *room_timer;

static uint64_t lost; /* events of what had happened, and that no line tells */

static bool room(void)
{
	struct statvfs fs;

	return fstatvfs(eng.record.fd, &fs) < 0 || (uint64_t)fs.f_bavail * fs.f_frsize >= ROOM;
}

const char *journal_state(void)
{
	return broken.code ? "broken" : eng.record.reserved && room() ? "ok" : "low";
}

int journal_commit(void)
{
	struct creel_err err = {0};
	uint64_t n = eng.record.at.seq - eng.record.committed.seq;
	int r = creel_record_commit(&eng.record, &err);

	tally_committed(r == 0);
	if (r < 0) {
		lost += n;
		if (broken.code == 0)
			creel_log_error(&err);
	}
	broken = r < 0 ? err : (struct creel_err){0};
	if (strcmp(journal_state(), "ok") != 0 && !evtimer_pending(room_timer, NULL))
		(void)event_add(room_timer, &second);
	return r;
}

/* Is there room again? Then the reserve is taken first, and what was lost is told, in one number. */
static bool room_find(struct creel_err *err)
{
	struct creel_event e = {.kind = CREEL_EV_RECORD_OVERRUN, .cell = ""};

	if (creel_record_hold(&eng.record, err) < 0)
		return false;
	uint64_t n = lost;
	creel_event_num(&e, "count", (int64_t)n);
	/* one that could not be written is tried by writing to it, also when nothing was lost */
	if ((n > 0 || broken.code) &&
	    (creel_record_append(&eng.record, &e, err) < 0 || journal_commit() < 0)) {
		lost = n;
		*err = broken;
		return false;
	}
	lost = 0;
	broken = (struct creel_err){0};
	if (!room()) {
		creel_err_set(err, CREEL_E_OS, ENOSPC, "%s", strerror(ENOSPC));
		return false;
	}
	return eng.record.reserved;
}

static void on_room(evutil_socket_t fd, short what, void *ctx)
{
	struct creel_err err = {0};

	if (!room_find(&err))
		(void)event_add(room_timer, &second);
	else
		creel_log_info("the record's disk has room again");
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

void journal_unsigned(void)
{
	eng.asked_seq = 0;
}

static void on_minute(evutil_socket_t fd, short what, void *ctx)
{
	(void)journal_commit();
	(void)journal_sign();
}

int journal_open(int dirfd, struct creel_err *err)
{
	struct creel_err full = {0};
	int r = creel_record_open(dirfd, 0, &eng.record, err);

	if (r < 0)
		return r;
	eng.commit_timer = event_new(eng.base, -1, 0, on_commit, NULL);
	eng.sign_timer = event_new(eng.base, -1, EV_PERSIST, on_minute, NULL);
	room_timer = event_new(eng.base, -1, 0, on_room, NULL);
	if (!eng.commit_timer || !eng.sign_timer || !room_timer || event_add(eng.sign_timer, &minute) < 0)
		return creel_err_nomem(err);
	if (creel_record_hold(&eng.record, &full) < 0) {
		creel_log_error(&full);
		(void)event_add(room_timer, &second);
	}
	return tally_open(dirfd, err);
}

void journal_close(void)
{
	creel_record_close(&eng.record);
	tally_close();
}

int journal_ok(struct creel_err *err)
{
	/* try again: the reason may be gone */
	if (strcmp(journal_state(), "ok") == 0 || room_find(err))
		return 0;
	return creel_err_add(err, "the record's disk is full: nothing new is begun until there is room");
}

int journal_add(const struct creel_event *e, struct creel_err *err)
{
	int r = creel_record_append(&eng.record, e, err);

	if (r == CREEL_E_TOOBIG && (r = journal_commit()) == 0)
		r = creel_record_append(&eng.record, e, err);
	if (r < 0)
		return r;
	if (creel_event_kinds[e->kind].durable) {
		if ((r = journal_commit()) < 0) {
			lost--; /* this one: the caller is told */
			*err = broken;
		}
		return r;
	}
	if (!evtimer_pending(eng.commit_timer, NULL))
		(void)event_add(eng.commit_timer, &group);
	return 0;
}

bool journal_note(const struct creel_event *e)
{
	struct creel_err err = {0};

	if (journal_add(e, &err) == 0)
		return true;
	lost++;
	creel_log_error(&err);
	return false;
}

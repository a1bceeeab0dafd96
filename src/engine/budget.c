#include "base/clock.h"
#include "base/log.h"
#include "engine/engine.h"
#include <string.h>
#include <time.h>

/*
 * A guest chooses when it says something, and each word of it may become a line of the record. A
 * bucket a cell: BURST events at once and RATE a second after that are written as they are; what comes
 * beyond is counted, and the count is written when the guest is within its budget again, every ten
 * seconds, and when the cell ends. So lines and counts together are exactly what was said. A line about flows
 * may stand for many packets: those are counted beside the lines.
 */
enum { BURST = 200, RATE = 10, TELL_S = 10 };

void budget_tell(struct eng_cell *c)
{
	struct creel_event e = {.kind = CREEL_EV_RECORD_FOLD, .cell = c->name};

	if (c->fold)
		(void)event_del(c->fold);
	if (c->folded == 0)
		return;
	creel_event_num(&e, "count", (int64_t)c->folded);
	if (c->folded_flows)
		creel_event_num(&e, "flows", (int64_t)c->folded_flows);
	if (journal_note(&e))
		tally_add(c->name, c->folded_told);
	c->folded = c->folded_flows = c->folded_told = 0;
}

static void on_tell(evutil_socket_t fd, short what, void *ctx)
{
	budget_tell(ctx);
}

bool budget_spend(struct eng_cell *c)
{
	uint64_t now = (uint64_t)creel_clock_ms(), back = (now - c->spent_ms) * RATE / 1000;

	if (back > 0) {
		c->spent = back >= c->spent ? 0 : c->spent - (unsigned)back;
		c->spent_ms = now;
	}
	/* the last of a disk is not for what a guest says */
	if (c->spent >= BURST || strcmp(journal_state(), "ok") != 0)
		return false;
	budget_tell(c);
	c->spent++;
	return true;
}

void budget_note(struct eng_cell *c, const struct creel_event *e)
{
	budget_note_flows(c, e, 0, 0);
}

void budget_note_flows(struct eng_cell *c, const struct creel_event *e, uint64_t flows, uint64_t told)
{
	static const struct timeval later = {.tv_sec = TELL_S};

	if (budget_spend(c)) {
		if (journal_note(e))
			tally_add(c->name, told);
		return;
	}
	c->folded++;
	c->folded_flows += flows;
	c->folded_told += told;
	if (!c->fold)
		c->fold = event_new(eng.base, -1, 0, on_tell, c);
	if (c->fold && !evtimer_pending(c->fold, NULL))
		(void)event_add(c->fold, &later);
}

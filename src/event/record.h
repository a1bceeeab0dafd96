#pragma once
#include "event/chain.h"

/*
 * The record's one writer. Lines are appended to `events.jsonl`; at ROTATE octets it becomes
 * events-NNNNNN.jsonl and a new one goes on with the chain. Nothing is acknowledged before
 * creel_record_commit() has returned 0: the octets are then written and synced.
 *
 * Beside it lies `reserve`, a piece of disk that is taken beforehand. When the disk is full it is given
 * back, so that there is room for the last events of what runs.
 */
enum { CREEL_RECORD_RESERVE = 1 << 20 };

struct creel_record {
	int dirfd, fd, reserve; /* reserve: its descriptor, -1 before it was first taken */
	bool reserved;          /* it holds its piece of disk */
	uint64_t size, rotate;
	unsigned rotated;                  /* the highest NNNNNN */
	struct creel_link_state at;        /* the last line appended */
	struct creel_link_state committed; /* the last line on disk */
	struct creel_buf pending;
};

/**
 * Open the record in a folder, or begin one. A torn last line (no newline: a crash in the middle of a
 * write, so never acknowledged) is cut off and `record.repair` is appended and committed. A record
 * whose last whole line cannot be read is not continued: CREEL_E_BROKEN.
 *
 * @param dirfd   borrowed; must stay open
 * @param rotate  octets, 0 for 64 MiB
 */
int creel_record_open(int dirfd, uint64_t rotate, struct creel_record *ret, struct creel_err *err);
/** Drops what was not committed. */
void creel_record_close(struct creel_record *r);

/**
 * Take the reserve; nothing to do when it is held. Without it the disk is full, or was a moment ago:
 * new work should wait until this succeeds again.
 * @return 0, CREEL_E_OS
 */
int creel_record_hold(struct creel_record *r, struct creel_err *err);

/** Append an event, timed now. Not on disk yet. @return 0, CREEL_E_TOOBIG (commit first), _NOMEM */
int creel_record_append(struct creel_record *r, const struct creel_event *e, struct creel_err *err);
/** Write and sync everything that was appended, giving up the reserve for it when the disk is full. On
 *  failure nothing of it counts as written, and the file is cut back to where it was. */
int creel_record_commit(struct creel_record *r, struct creel_err *err);

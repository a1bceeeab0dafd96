#pragma once
#include "base/err.h"
#include "wire/call.h"
#include <stddef.h>
#include <stdint.h>

/*
 * The engine and a cell's creel-cell, over a SOCK_SEQPACKET socket: messages of one size, of which
 * OPEN alone is followed by a stream's spec and comes with one descriptor (the client's side, whose
 * octets creel-cell passes to the stream and back; the engine never sees them). CALL and ANSWER are
 * followed by a payload of wire/call.h. creel-cell has parsed what the guest said; its strings are
 * foreign text all the same.
 */
enum {
	CREEL_CELL_VERSION = 2, /* 1 had no SECRETS */
	CREEL_CELLMSG = 216,
	CREEL_CELLMSG_SPEC = 32768,
	CREEL_CELLMSG_MAX = CREEL_CELLMSG + CREEL_CALL_MAX,
};

enum creel_cell_type {
	/* engine to cell */
	CREEL_CELL_OPEN = 1,    /* id (the engine's, not 0), state: enum creel_mux_kind; spec; one fd */
	CREEL_CELL_SHUTDOWN,    /* ask the guest to stop cleanly */
	CREEL_CELL_KILL,        /* end the machine now */
	CREEL_CELL_PING,        /* ask for MEMORY */
	CREEL_CELL_ANSWER,      /* id of a CALL, state: enum creel_call_type; payload */
	CREEL_CELL_SECRETS,     /* something of the secrets' share may be new: the guest is told */
	CREEL_CELL_REQUEST_END, /* one more than the last */
	/* cell to engine */
	CREEL_CELL_HELLO = 32, /* a: version; then the state so far is told again */
	CREEL_CELL_READY,      /* a: memory used in the guest, kB */
	CREEL_CELL_SERVICE,    /* name, state: enum creel_ctl_service, a: exit status */
	CREEL_CELL_MEMORY,     /* a: kB */
	CREEL_CELL_NOTE,       /* name: a guest's warning */
	CREEL_CELL_STREAM_END, /* id; state: 0 ended, 1 refused or cut; name: why */
	CREEL_CELL_BYE,        /* the guest has unmounted its volumes */
	CREEL_CELL_BROKEN,     /* the guest broke the channel's protocol; name: how */
	CREEL_CELL_GONE,       /* the machine has ended */
	CREEL_CELL_CALL, /* id, a: uid in the guest, state: enum creel_call_type (a question, or CANCEL); payload */
	CREEL_CELL_END, /* one more than the last */
};

struct creel_cellmsg {
	uint8_t type, state;
	uint32_t id, a;
	char name[200];
};

void creel_cellmsg_encode(const struct creel_cellmsg *m, uint8_t buf[CREEL_CELLMSG]);
/** @param len  octets in @p buf; what follows the first CREEL_CELLMSG is the spec or the payload
 *  @return 0, CREEL_E_PROTO */
int creel_cellmsg_decode(const uint8_t *buf, size_t len, struct creel_cellmsg *ret, struct creel_err *err);

#pragma once
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

/*
 * The engine and the monitor of creeld, over a SOCK_SEQPACKET pair: messages of one size, some with
 * one descriptor. The monitor acts only within the plans that it was given by the user, so a captured
 * engine can start, stop and end declared cells, have the record's head signed, and nothing else.
 */
enum { CREEL_MONMSG = 328 };

enum creel_mon_type {
	/* engine to monitor */
	CREEL_MON_START = 1, /* cell: as planned; answered by STARTED or FAILED */
	CREEL_MON_KILL,      /* cell: end its machine now; EXITED follows */
	CREEL_MON_PORT,      /* cell, a: index of `publish`; answered by PORT_OPEN or FAILED */
	CREEL_MON_SIGN,      /* a: seq, hash: the record's head */
	CREEL_MON_DROP,      /* cell: forget its plan, once it does not run */
	CREEL_MON_QUIT,      /* all is down and signed: end creeld */
	CREEL_MON_STAGE,     /* cell, text: the name of a stored secret to put before it anew; answered by
				STAGED or FAILED */
	CREEL_MON_APPLY,     /* cell: its running machine takes on the planned policy; APPLIED or FAILED */
	CREEL_MON_UNPIN,  /* cell, text: a name that a human allowed and took back: its pins and flows end */
	CREEL_MON_SWITCH, /* cell, a: 1 on, 0 off: its kill switch; SWITCHED or FAILED */
	CREEL_MON_REQUEST_END, /* one more than the last */
	/* monitor to engine */
	CREEL_MON_PLAN = 32, /* one fd: a cell's sealed plan, new or changed */
	CREEL_MON_STARTED, /* cell, a: pid of the machine, b: start, ns since the epoch; state: 1 adopted, 2 without limits,
				text: accelerator; one fd, connected to its creel-cell */
	CREEL_MON_FAILED,    /* cell, state: what failed (a request's type), text: why */
	CREEL_MON_PORT_OPEN, /* cell, a: index; one fd, listening */
	CREEL_MON_EXITED,    /* cell, a: the machine's wait status, text: why, where the monitor knows */
	CREEL_MON_SIGNED,    /* a: seq */
	CREEL_MON_STAGED,    /* cell, text: the secret */
	CREEL_MON_POLICY,    /* one fd: a cell's sealed policy, new or changed; follows its PLAN */
	CREEL_MON_APPLIED,   /* cell, a: flows that were cut */
	CREEL_MON_SWITCHED,  /* cell, a: its kill switch is on, b: flows that were cut; follows a PLAN too */
	CREEL_MON_FLOW,      /* cell, one fd: its creel-flow tells here what flowed (wire/flowmsg.h);
				no cell: creel-flowlog does, of all */
	CREEL_MON_DNS,       /* cell, one fd: its creel-dns tells here what was asked (wire/dnsmsg.h) */
	CREEL_MON_AUDIT,     /* one fd: who reads and writes secrets on the host is told here
				(wire/auditmsg.h) */
	CREEL_MON_BROKER,    /* cell, one fd: its brokers tell here what was asked (wire/brokermsg.h) */
	CREEL_MON_COUNTED,   /* cell, found running; a: what the filter told of it, in packets, up to now; all
				that comes by CREEL_MON_FLOW is of later ones */
	CREEL_MON_SYNCED,    /* all plans and running cells were told: the engine may serve */
};

struct creel_monmsg {
	uint8_t type, state;
	uint64_t a, b;
	uint8_t hash[32];
	char cell[40];
	char text[224];
};

void creel_monmsg_encode(const struct creel_monmsg *m, uint8_t buf[CREEL_MONMSG]);
/** @return 0, CREEL_E_PROTO (length, type, or a string without its end) */
int creel_monmsg_decode(const uint8_t *buf, size_t len, struct creel_monmsg *ret, struct creel_err *err);

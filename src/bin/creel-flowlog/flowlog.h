#pragma once
#include "linux/flowsend.h"
#include "policy/pins.h"
#include "wire/flowmsg.h"
#include "wire/nfnet.h"
#include <event2/event.h>
#include <event2/event_struct.h>

/*
 * creel-flowlog: what the packet filter let pass and dropped, and what ended, told to the engine with
 * names. One for all cells; each cell has its own NFLOG group, its own socket and its own share of the
 * queue, so a flood costs the records of the cell that makes it. Nothing is lost without being counted:
 * NFLOG's messages are numbered, and where the kernel had no room, a packet of our own (a tick, which
 * the filter tells of and drops) closes the count. What it took and told is written where it outlives a
 * kill (linux/flowsum.h): the next one tells as lost what was not told.
 *
 * Parts: cell.c (packets and flows to messages), main.c (peers).
 */
enum {
	LOG_CELLS_MAX = 256,
	LOG_QUEUE = 1 << 20, /* octets a cell may have waiting */
	LOG_DENIES = 512,    /* refused destinations that are summed up, for a second */
	LOG_READS = 32,      /* datagrams of one cell before others have their turn */
};

/* Packets refused to one destination, told as one. */
struct log_deny {
	uint8_t dst[16];
	uint16_t dport, sport;
	uint8_t proto, family;
	uint64_t count; /* 0: free */
};

struct log_cell {
	struct flowlog *log;
	char name[33];
	uint8_t addr[16], gateway[16];
	uint8_t addr6[16], gateway6[16]; /* ::, if it has no IPv6 */
	int fd;                          /* NFLOG */
	uint16_t group;
	struct event read;
	struct creel_flowsum *sum;
	uint64_t taken; /* sum->taken, with what this turn of the loop adds */
	bool overrun;   /* the socket had no room: a tick is owed */
	struct creel_pins pins;
	struct creel_flowsend out;
	uint64_t lost, lost_ends; /* to be told */
	struct log_deny denies[LOG_DENIES];
};

struct flowlog {
	struct event_base *base;
	struct creel_flowsum *sums;
	int monitor, events, flows, tick;
	struct event ev_monitor, ev_events, ev_events_write, ev_flows, ev_second;
	bool writing;
	struct log_cell *cells[LOG_CELLS_MAX];
	size_t n_cells, turn;
	uint8_t buf[131072];
};

int64_t log_now(void);
/** main.c: send what waits, each cell in its turn. */
void log_flush(struct flowlog *l);

/** cell.c */
/** @p fd is taken over. @return 0, CREEL_E_EXISTS, CREEL_E_TOOBIG, CREEL_E_NOMEM */
int log_cell_add(struct flowlog *l, const struct creel_flowmsg *m, int *fd, struct creel_err *err);
void log_cell_free(struct log_cell *c);
struct log_cell *log_cell_named(const struct flowlog *l, const char *name);
void log_pin(struct log_cell *c, const struct creel_flowmsg *m);
/** A flow has ended, as conntrack says. */
void log_flow(struct flowlog *l, const struct creel_nfnet *m);
/** Tell what was summed up, and what was lost. */
void log_cell_second(struct log_cell *c);

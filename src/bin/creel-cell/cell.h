#pragma once
#include "vmm/vmm.h"
#include "wire/cellmsg.h"
#include "wire/mux.h"
#include <event2/event.h>

/*
 * creel-cell stands between one guest and the engine. It alone parses what this guest writes, so it
 * is jailed and holds nothing but the guest's channel, the machine's QMP socket and the engine's
 * socket. engine.c speaks with the engine, relay.c moves a stream's octets, power.c asks the machine,
 * console.c listens to what its kernel prints, hostlog.c to what the machine's programs say.
 */
enum { CELL_SERVICES = 64, CHAN_READ = 65536 /* octets of the guest's at once */ };

struct cell {
	const struct creel_vmm_ops *vmm;
	struct event_base *base;
	struct creel_mux *mux; /* NULL once the guest broke the protocol */
	int chan, qmp, listener, console, hostlog, engine;
	struct event *chan_read, *chan_write, *qmp_read, *accept, *engine_read, *engine_write;
	bool hello, ready, bye, broken, gone;
	uint32_t memory_kb;
	size_t n_services;
	struct creel_cellmsg services[CELL_SERVICES]; /* the last that was said of each */
	char broken_why[200];
};
extern struct cell cell;

/* main.c */
void chan_kick(void); /* something may stand in the mux's queue */
void chan_break(const char *why);
/** Stop reading the guest, or go on: it has said more than the engine takes. */
void chan_hold(bool hold);

/* engine.c */
int engine_listen(struct creel_err *err);
void engine_tell(uint8_t type, uint8_t state, uint32_t id, uint32_t a, const char *name);
/** Send one message, whole, behind what stands in the queue. @return false: not now; calls_pump() follows */
bool engine_pass(const uint8_t *msg, size_t len);
/** Before the end: wait a moment until the engine has taken what stands in the queue. */
void engine_finish(void);

/* relay.c */
extern const struct creel_mux_ops relay_ops;
/** Takes the descriptor. */
void relay_open(uint32_t id, uint8_t kind, const uint8_t *spec, size_t len, int fd);
void relay_end_all(const char *why);

/* console.c: the guest's serial console */
int console_start(struct creel_err *err);
/** Tell the engine the last lines: what a machine that ended without a word had to say. */
void console_tell(void);

/* hostlog.c: what the machine and the share's server print on the host */
int hostlog_start(struct creel_err *err);
void hostlog_finish(void);

/* calls.c: what the guest's programs ask */
void calls_start(void);
bool calls_is(uint16_t stream);
void calls_data(const uint8_t *data, size_t len);
/** The stream takes more. */
void calls_writable(void);
/** The engine takes more. */
void calls_pump(void);
void calls_answer(uint32_t id, uint8_t type, const uint8_t *text, size_t len);
void calls_engine_lost(void);
/** The stream, or the channel, is gone. */
void calls_end(void);

/* power.c */
int power_start(struct creel_err *err);
void power_quit(void);

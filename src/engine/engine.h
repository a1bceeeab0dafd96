#pragma once
#include "base/buf.h"
#include "engine/plan.h"
#include "event/record.h"
#include "wire/cellmsg.h"
#include "wire/monmsg.h"
#include <event2/event.h>
#include <event2/http.h>
#include <jansson.h>
#include <sys/types.h>

/*
 * The engine: the half of creeld that decides, without a privilege. It serves the API, keeps what each
 * cell's creel-cell says, and is the record's one writer. It gets three descriptors: the monitor's
 * socket, the API's listener, and the record's folder.
 */
enum { ENGINE_CELLS = 64, ENGINE_SERVICES = 64, ENGINE_STREAMS = 4096 };

enum eng_state { ENG_STOPPED, ENG_STARTING, ENG_READY, ENG_STOPPING };

struct eng_cell;
struct eng_waiter {
	struct evhttp_request *req;
	struct eng_cell *cell;
	struct event *timer;
	struct eng_waiter *next;
};

struct eng_port {
	struct eng_cell *cell;
	uint16_t guest;
	int fd;
	struct event *accept;
};

struct eng_cell {
	char name[CREEL_PLAN_NAME]; /* "": a free slot */
	enum eng_state state;
	bool ready_once, bye, broken, killed;
	bool again;         /* start it again once it has stopped */
	bool asked;         /* START is on its way */
	bool reduced;       /* without a control group */
	bool tells_secrets; /* its creel-cell knows CREEL_CELL_SECRETS */
	struct creel_plan plan;
	struct creel_plan ran; /* as it was started, or took on */
	uint8_t plan_hash[32], ran_hash[32];
	struct creel_buf policy, ran_policy; /* texts (policy/policytext.h) */
	bool killed_now;                     /* its kill switch is on; told by the monitor */
	bool applying;                       /* a changed policy is on its way to the running cell */
	uint64_t serial;                     /* grows with each change */
	uint64_t started_ns;
	pid_t pid;
	uint32_t memory_kb;
	char accel[8];
	char why[200]; /* why it does not run, or what is wrong with it */
	int fd;        /* to its creel-cell, -1 */
	struct event *read;
	struct event *grace; /* SHUTDOWN to KILL */
	int dns_fd;          /* to its creel-dns, -1 */
	struct event *dns_read;
	int broker_fd; /* to its brokers, -1 */
	struct event *broker_read;
	int flow_fd; /* to its creel-flow, -1 */
	struct event *flow_read;
	/* what this guest may have written on the record: budget.c */
	unsigned spent;
	uint64_t spent_ms;     /* when `spent` was right */
	uint64_t folded;       /* events over it that no record.fold tells yet */
	uint64_t folded_flows; /* and the packets that those of flows stand for, */
	uint64_t folded_told;  /* and of these what the filter told */
	struct event *fold;
	int64_t flood_ms; /* when it asked a human too much at last: approve.c */
	size_t n_services;
	struct eng_service {
		char name[65];
		uint8_t state; /* enum creel_ctl_service */
		uint32_t a;
	} services[ENGINE_SERVICES];
	struct eng_port ports[CREEL_PLAN_PORTS];
	struct eng_waiter *waiters;
};

struct engine {
	struct event_base *base;
	struct evhttp *http;
	int monitor;
	struct event *monitor_read, *commit_timer, *sign_timer;
	struct creel_record record;
	uint64_t signed_seq, asked_seq;
	bool synced, quitting, ended;
	bool rootless;
	uid_t owner; /* rootless: who started creeld, as the host names that user */
	struct eng_cell cells[ENGINE_CELLS];
};
extern struct engine eng;

/** Run until the monitor goes away or says so. Descriptors 3, 4, 5 as said above. */
/** @param audit  how accesses to secrets are seen, and @p why it is not the kernel's audit ("": it is)
 *  @param owner  rootless: the uid of who started creeld; else NULL */
int creel_engine_run(const char *audit, const char *why, const char *owner, struct creel_err *err);

/* engine.c */
int engine_ask(uint8_t type, const char *cell, uint64_t a);
/** The same with a text. */
int engine_ask_text(uint8_t type, const char *cell, const char *text);
/** End creeld as soon as no cell runs. */
void engine_quit(void);

/* journal.c: the record */
int journal_open(int dirfd, struct creel_err *err);
void journal_close(void);
/** Append; kinds that must be on disk before their effect are committed here. */
int journal_add(const struct creel_event *e, struct creel_err *err);
/** For what has happened already: a failure is logged, and refuses new work. @return whether it is in */
bool journal_note(const struct creel_event *e);
/** 0, or why nothing new may be begun: the record cannot be written, or its disk is full. */
int journal_ok(struct creel_err *err);
/** "ok"; "low": it is written with the last of the disk, nothing new begins; "broken": it is not written. */
const char *journal_state(void);
int journal_commit(void);
/** Ask the monitor to sign the head. @return false: there is nothing new, or it could not be asked */
bool journal_sign(void);
/** The monitor could not sign: ask again. */
void journal_unsigned(void);

/* budget.c: what a guest's words may take of the record */
/** Write the event, or count it when the guest is over its budget. */
void budget_note(struct eng_cell *c, const struct creel_event *e);
/** The same for one that stands for @p flows packets: first ones of flows, or dropped ones; @p told: of these
 *  what the filter told. */
void budget_note_flows(struct eng_cell *c, const struct creel_event *e, uint64_t flows, uint64_t told);
/** Is there room for one more event of this cell, written by the caller? */
bool budget_spend(struct eng_cell *c);
/** Write what is counted so far, if anything. */
void budget_tell(struct eng_cell *c);

/* tally.c: how much of what the filter told of a cell is on the record */
int tally_open(int dirfd, struct creel_err *err);
void tally_close(void);
/** A cell's filter counts from nought. */
void tally_begin(const char *cell);
/** @p n packets are in what was appended. */
void tally_add(const char *cell, uint64_t n);
/** What was appended is on disk, or is gone. */
void tally_committed(bool written);
/** On the record, or appended. */
uint64_t tally_told(const char *cell);

/* cells.c */
struct eng_cell *cells_find(const char *name);
void cells_on_monitor(const struct creel_monmsg *m, int fd);
int cells_start(struct eng_cell *c, uid_t by, struct creel_err *err);
int cells_stop(struct eng_cell *c, bool now, struct creel_err *err);
/** Something about the cell changed: whoever waits is told. */
void cells_changed(struct eng_cell *c);
bool cells_any_running(void);
/** Send one message to a cell's creel-cell. */
int cells_send(struct eng_cell *c, const struct creel_cellmsg *m, const void *spec, size_t len, int fd,
	       struct creel_err *err);

/* policies.c: a changed policy for a cell that runs */
void policies_ran(struct eng_cell *c);
int policies_apply(struct eng_cell *c, uid_t by, struct creel_err *err);
void policies_on_monitor(struct eng_cell *c, const struct creel_monmsg *m, int fd);

/* streams.c */
/** The number that the next stream will have; 0 when there is no room. */
uint32_t streams_next(void);
int streams_open(struct eng_cell *c, uint8_t kind, const void *spec, size_t len, int fd, bool recorded,
		 uint32_t *ret_id, struct creel_err *err);
void streams_end(struct eng_cell *c, uint32_t id, bool cut, const char *why);
void streams_end_cell(struct eng_cell *c, const char *why);

/* calls.c: what programs in it ask */
void calls_take(struct eng_cell *c, const struct creel_cellmsg *m, const uint8_t *payload, size_t len);
void calls_end_cell(struct eng_cell *c);
/** Does a gate wait for this approval? */
bool calls_wait(uint32_t approval);

/* flows.c: what its creel-flow tells */
/** brokers.c: what a cell asked of its brokers. */
void brokers_open(struct eng_cell *c, int fd);
void brokers_close(struct eng_cell *c);

void flows_open(struct eng_cell *c, int fd);
void flows_close(struct eng_cell *c);
/** What creel-flowlog tells, of every cell. */
void flows_open_all(int fd);
/** The filter of a cell that ran on without creeld has told of so many packets: what is not on the record is
 *  counted there. */
void flows_counted(struct eng_cell *c, uint64_t counted);

/* accesses.c: who reads and writes secrets on the host */
void accesses_open(int fd);

/* dns.c: what its resolver tells */
void dns_open(struct eng_cell *c, int fd);
void dns_close(struct eng_cell *c);

/* ports.c */
void ports_ask(struct eng_cell *c);
void ports_open(struct eng_cell *c, size_t i, int fd);
void ports_close(struct eng_cell *c);

/* api.c */
int api_open(int listener, struct creel_err *err);
/** @param body  stolen; NULL: out of memory */
void api_answer(struct evhttp_request *req, int status, json_t *body);
/** The request's JSON; {} without one. @return NULL: @p err says why */
json_t *api_body(struct evhttp_request *req, struct creel_err *err);
void api_waiters_answer(struct eng_cell *c);
/** Who asks, by SO_PEERCRED. */
struct ucred api_peer(struct evhttp_request *req);

/* apistream.c: operations that answer 101, and whose connection becomes a stream of the cell's channel */
int api_exec(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err);
int api_logs(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err);
int api_forward(struct evhttp_request *req, struct eng_cell *c, struct creel_err *err);

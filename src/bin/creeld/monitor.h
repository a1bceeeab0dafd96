#pragma once
#include "engine/plan.h"
#include "event/head.h"
#include "wire/bootcfg.h"
#include "wire/monmsg.h"
#include "vmm/vmm.h"
#include <event2/event.h>
#include <limits.h>
#include <sys/types.h>

/*
 * The monitor: the privileged half of creeld. It reads plans from the user and typed requests from
 * the engine, starts jailed processes, holds the key that signs the record's head, and reads no octet
 * that a guest wrote.
 */
enum {
	MON_CELLS = 64,
	/* a range that systemd's "Users, Groups, UIDs and GIDs" leaves to the host and unused */
	MON_UID_BASE = 1879100000,
	MON_UID_ENGINE = MON_UID_BASE,
	MON_UID_PROBE = MON_UID_BASE + 1,
	MON_UID_CELLS = MON_UID_BASE + 16,
	MON_UID_STEP = 8, /* per cell: one for each role */
};
enum mon_role { ROLE_VMM, ROLE_CELL, ROLE_SHARE, ROLE_COUNT };

struct mon_proc {
	pid_t pid;
	int pidfd; /* -1: none */
	uint64_t start;
	struct event *gone;
};

struct mon_cell {
	char name[CREEL_PLAN_NAME]; /* "": a free slot */
	bool running, adopted, planned;
	bool grouped; /* its processes are in a control group with limits */
	bool lost; /* it ended while no monitor watched */
	struct creel_plan plan;	    /* as the user last gave it */
	struct creel_buf plan_text; /* its octets */
	struct creel_buf boot;
	struct creel_buf given; /* values of CREEL_SOURCE_GIVEN; wiped when replaced */
	struct creel_plan ran;  /* as it was started: ports are published from this */
	struct mon_proc procs[ROLE_COUNT];
	uint64_t started_ns;
	int32_t status; /* wait status of the machine, -1 unknown */
};

struct monitor {
	struct event_base *base;
	const char *state; /* absolute */
	int state_fd, run_fd, cells_fd, record_fd, seal_fd;
	int api_listener, plan_listener, engine; /* engine: our end of its socket */
	struct event *plan_event, *engine_event, *sigs[3];
	struct mon_proc engine_proc;
	unsigned engine_starts;
	time_t engine_first;
	struct creel_head_key key;
	struct mon_cell cells[MON_CELLS];
	const struct creel_vmm_ops *vmm;
	char engine_path[512], jail_path[512], cell_path[512], vmm_path[PATH_MAX];
	bool quitting;
};
extern struct monitor mon;

/* monitor.c */
int monitor_run(const char *state, struct creel_err *err);
void monitor_tell(struct creel_monmsg *m, int fd);
struct mon_cell *monitor_cell(const char *name);
/** The machine of this cell, or what stood by it, has ended; everything of it is removed. */
void monitor_cell_gone(struct mon_cell *c);

/* intake.c: plans from the user */
int intake_open(struct creel_err *err);

/* launch.c: a planned cell becomes processes */
int launch_cell(struct mon_cell *c, int *ret_engine_fd, struct creel_err *err);
int launch_engine(struct creel_err *err);
int launch_port(const struct creel_plan *plan, size_t i, struct creel_err *err);
int launch_watch(struct mon_cell *c, enum mon_role role, struct creel_err *err);
void launch_kill(struct mon_cell *c);
/** Remove a cell's run folder. Tolerates what is not there. */
void launch_clean(const char *name);

/* probe.c: does this host run a guest so? One line on standard output. */
int probe_run(bool kvm, const char *kernel, const char *initrd, struct creel_err *err);

/* stage.c: secrets */
int stage_secrets(const struct mon_cell *c, struct creel_err *err);
/** A stored secret that was set while its cell runs: the new value takes the old one's place in one
 *  rename, and gateway-env with it. @return 0, CREEL_E_DENIED (not of this cell's plan) */
int stage_again(const struct mon_cell *c, const char *secret, struct creel_err *err);
void stage_drop(const char *name);

/* adopt.c: what a monitor before this one left */
int adopt_save(const struct mon_cell *c, int dirfd, struct creel_err *err);
int adopt_all(struct creel_err *err);

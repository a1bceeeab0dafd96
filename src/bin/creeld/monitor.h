#pragma once
#include "engine/plan.h"
#include "event/head.h"
#include "net/link.h"
#include "policy/pins.h"
#include "policy/policytext.h"
#include "vmm/vmm.h"
#include "wire/bootcfg.h"
#include "wire/dnsmsg.h"
#include "wire/monmsg.h"
#include <event2/event.h>
#include <jansson.h>
#include <limits.h>
#include <netinet/in.h>
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
	/* monitor_uid() of these */
	MON_UID_ENGINE = 0,
	MON_UID_PROBE = 1,
	MON_UID_FLOWLOG = 2,
	MON_UID_AUDIT = 3,
	MON_UID_CELLS = 16,
	MON_UID_STEP = 8, /* per cell: one for each role */
	MON_UID_COUNT = MON_UID_CELLS + MON_CELLS * MON_UID_STEP,
	MON_FLOW_PORT = 8443, /* of creel-flow on each link, which the filter alone leads to */
};
enum mon_role {
	ROLE_VMM,
	ROLE_CELL,
	ROLE_SHARE,
	ROLE_DNS,
	ROLE_FLOW,
	ROLE_FLOW_OLD,
	ROLE_BROKER,
	ROLE_FRONT,
	ROLE_COUNT
};

struct mon_proc {
	pid_t pid;
	int pidfd; /* -1: none */
	uint64_t start;
	struct event *gone;
};

struct mon_cell {
	char name[CREEL_PLAN_NAME]; /* "": a free slot */
	bool running, adopted, planned;
	bool grouped;               /* its processes are in a control group with limits */
	bool lost;                  /* it ended while no monitor watched */
	bool oom;                   /* the kernel ended one of its processes at the limit of their memory */
	struct creel_plan plan;     /* as the user last gave it */
	struct creel_buf plan_text; /* its octets */
	struct creel_buf boot;
	struct creel_buf given;        /* values of CREEL_SOURCE_GIVEN; wiped when replaced */
	struct creel_buf policy;       /* as the user last gave it (policy/policytext.h) */
	struct creel_plan ran;         /* as it was started: ports are published from this */
	struct creel_policytext *live; /* the policy that its link has; NULL: it has no link */
	struct creel_pins pins;        /* what its names resolved to */
	struct mon_dns {
		int pins; /* our end, -1 */
		struct event *read, *again;
		unsigned starts;
	} dns;
	struct mon_flow {
		int pins; /* our end, -1 */
		struct event *again;
		unsigned starts;
	} flow;
	struct mon_broker {
		int keeper, front; /* our ends, -1 */
		struct event *again;
		unsigned starts;
	} broker;
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
	char engine_path[512], jail_path[512], cell_path[512], dns_path[512], flow_path[512],
		flowlog_path[512], audit_path[512], broker_path[512], front_path[512], vmm_path[PATH_MAX];
	bool quitting;
	bool rootless;  /* root in a user namespace alone (rootless.c) */
	uid_t uid_base; /* of the jailed processes, as the monitor names them */
	uid_t owner;    /* rootless: who started it, as the host names that user */
};
extern struct monitor mon;

/* monitor.c */
/**
 * One creeld a state folder; the lock goes with the process, however it ends.
 * @return 0, CREEL_E_BUSY (another runs, and has gone on for some seconds), CREEL_E_OS
 */
int monitor_lock(const char *state, struct creel_err *err);
/** To be called with the lock held, and where rootless_enter() leads. */
int monitor_run(const char *state, struct creel_err *err);
void monitor_tell(struct creel_monmsg *m, int fd);
struct mon_cell *monitor_cell(const char *name);
/** The machine of this cell, or what stood by it, has ended; everything of it is removed. */
void monitor_cell_gone(struct mon_cell *c);
void monitor_tell_plan(const struct mon_cell *c);

/** @param which  MON_UID_* */
uid_t monitor_uid(unsigned which);

/* rootless.c: creeld of another user than root; as root these do nothing */
/** Be root in a user namespace: a new one, or the one of the cells that run on this state folder.
 *  @param state  its lock is held, so that whoever keeps the namespaces is nobody's to end; NULL: a new one
 *  @return 0, CREEL_E_DENIED (what is missing, and what to do), CREEL_E_OS, CREEL_E_CHILD */
int rootless_enter(const char *state, struct creel_err *err);
/** The namespaces are to outlive this process. */
int rootless_keep(struct creel_err *err);
/** No cell runs, as far as this process has looked: they are needed no more. One that ends before it could
 *  look leaves those that it found. */
void rootless_end(void);

/* intake.c: plans from the user */
int intake_open(struct creel_err *err);

/* addresses.c: who has which address */
int addresses_open(struct creel_err *err);
/** @p text is a network and cells' names, a line each; `NAME ADDRESS` lines are appended. */
int addresses_give(char *text, struct creel_buf *out, struct creel_err *err);
bool addresses_right(const char *name, const char *addr);
/** The cells' network and its gateway. */
const char *addresses_subnet(char ret_gateway[16]);

/* net.c: the cells' namespace, a cell's link and filter */
/** Find what another monitor left; nothing is made. */
int net_adopt(struct creel_err *err);
/** Rules, then the tap. @param ret_tap  the VMM's, with @p ret_mac */
int net_cell_up(struct mon_cell *c, int *ret_tap, uint8_t ret_mac[6], struct creel_err *err);
/** For a cell that was found running: its policy, and the pins as they stand. */
int net_cell_adopt(struct mon_cell *c, struct creel_err *err);
/** What its filter has told so far, in packets. @return as creel_nft_told() */
int net_told(const struct mon_cell *c, uint64_t *ret, struct creel_err *err);
/** Tolerates what is not there. */
void net_cell_down(struct mon_cell *c);
/** Take on the planned policy: one batch; flows that it does not allow are cut. Nothing is changed on error. */
int net_cell_change(struct mon_cell *c, uint64_t *ret_cut, struct creel_err *err);
/**
 * Write what each of @p m asks for into the cell's set, if the cell's policy has it: in as few batches as
 * hold them.
 * @param result  of each: 0, when its addresses are in the set, or a negative enum creel_code; what went
 *                wrong is logged
 * @param n       at most CREEL_PINNING_MAX
 */
void net_pins(struct mon_cell *c, const struct creel_dnsmsg *m, int *result, size_t n);
/** The kill switch was thrown or taken back: the same with the policy of now. */
int net_cell_switch(struct mon_cell *c, uint64_t *ret_cut, struct creel_err *err);

/* killswitch.c */
bool killswitch_on(const char *cell);
/** On disk when it returns. */
int killswitch_set(const char *cell, bool on, struct creel_err *err);
/** What a cell may do now: its policy, or nothing. Good until the next call. */
const struct creel_buf *killswitch_policy(const struct mon_cell *c);
/** A name that was granted (mode ask) is no more: its pins go, its flows are cut. Others are not touched. */
int net_unpin(struct mon_cell *c, const char *name, struct creel_err *err);
/** Remove all of it: namespace, table, uplink. */
void net_down(void);
/** Be in the cells' namespace until net_leave(). */
int net_enter(int *ret_back, struct creel_err *err);

/* uplink.c: the way out of the cells' namespace */
/** Make what is missing of it, and keep it right while this host's forwarding and routes change. */
int uplink_up(int ns_fd, struct creel_err *err);
/** Tolerates what is not there. */
void uplink_down(void);
/** IPv6 on it, once; rootless there is none. net_leads6() says whether it leads anywhere. */
int uplink_six(int ns_fd, const uint8_t ula[6], struct creel_err *err);
bool uplink_leads6(void);

/* slirp.c: it without root */
/** @param ns_fd  borrowed until slirp_down(). @return 0, CREEL_E_NOTFOUND (the package is named), CREEL_E_CHILD */
int slirp_up(int ns_fd, struct creel_err *err);
void slirp_down(void);
/** This host's addresses changed: none of them is reached by the uplink. Nothing is done without one. */
int slirp_wall(struct creel_err *err);

/* outside.c: rootless, the monitor leaves the host's network namespace, and one thread stays in it */
/** To be called once, before anything opens a socket. As root nothing is done. */
int outside_begin(struct creel_err *err);
/** Have this done in the host's network namespace. @return what it returns */
int outside_do(int (*what)(void *ctx, struct creel_err *err), void *ctx, struct creel_err *err);

/* netproc.c: processes in the cells' namespace */
/** A cell's link, as it runs. */
struct creel_link net_link(const struct mon_cell *c);
/** The network of all cells that have IPv6. */
void net_ula(uint8_t ret[CREEL_ULA]);
/** The address in it of a cell with this IPv4 one. */
struct in6_addr net_six(const uint8_t four[4]);
/** Is a cell's IPv6 taken further than the filter? Then its resolver answers with such addresses. */
bool net_leads6(const struct mon_cell *c);
/** The cell's log, to be gone on with. @return -1: there is none, and what is said is lost */
int netproc_log(const struct mon_cell *c);
/** A socket on a port of the cell's gateway, bound to its link. To be called between net_enter() and leave. */
int netproc_listen(const struct mon_cell *c, int type, uint16_t port, struct creel_err *err);
/** The same by TCP and IPv6, for a cell that has it. */
int netproc_listen6(const struct mon_cell *c, int type, uint16_t port, struct creel_err *err);
/** So is this. @param fds  the last one is the configuration, whose number is the program's argument */
int netproc_spawn(struct mon_cell *c, enum mon_role role, const char *program, const char *name,
		  const int *fds, size_t n_fds, unsigned files, struct creel_err *err);
void netproc_stop(struct mon_proc *p);
/** How long to wait before the next of so many starts. */
struct timeval netproc_pause(unsigned starts);
/** Write down what runs, for whoever adopts it. */
int netproc_note(const struct mon_cell *c, struct creel_err *err);

/* flow.c: each cell's checker of TLS and HTTP names */
void flow_start(struct mon_cell *c);
void flow_stop(struct mon_cell *c);
/** One that another monitor started takes nothing more: keep it beside until its flows have ended. */
void flow_adopt(struct mon_cell *c);
/** A new engine is there: it is to have the events. */
void flow_engine(struct mon_cell *c);
/** @return 0, or negative: it does not know, so the name must not be answered */
int flow_pin(struct mon_cell *c, const struct creel_dnsmsg *pin, bool granted, struct creel_err *err);
void flow_unpin(struct mon_cell *c, const char *name);
void flow_policy(struct mon_cell *c);

/* flowlog.c: what the filter tells, for all cells */
void flowlog_start(void);
/** With what a next one would have gone on with. */
void flowlog_down(void);
void flowlog_cell(struct mon_cell *c);
void flowlog_cell_gone(const struct mon_cell *c);
void flowlog_pin(const struct mon_cell *c, const struct creel_dnsmsg *pin, bool granted);
void flowlog_engine(void);
/** A cell's NFLOG group. */
uint16_t flowlog_group(const struct mon_cell *c);

/* audit.c: who reads and writes secrets on this host */
enum audit_way { WAY_ANY, WAY_KERNEL, WAY_FANOTIFY, WAY_NONE };
/** Before audit_begin(): try this way alone. */
void audit_want(enum audit_way way);
/** Find a way, and watch what is there already. That there is none is said, and no error. */
void audit_begin(void);
/** "kernel", "fanotify", "none"; and why it is not the kernel's audit, "" when it is. */
const char *audit_way_name(void);
const char *audit_why(void);
/** A new engine is there, to be told. */
void audit_engine(void);
/** Its secrets are staged. */
void audit_cell(const struct mon_cell *c);
/** To be called before its staging folder goes. */
void audit_cell_gone(const struct mon_cell *c);
/** @param all  no cell runs: leave no rule behind */
void audit_end(bool all);

/* auditfan.c: the same by fanotify, for audit.c */
int auditfan_open(struct creel_err *err);
int auditfan_store(const char *path, struct creel_err *err);
int auditfan_cell(const char *name, const char *path, struct creel_err *err);
void auditfan_gone(const char *name);
/** @param fd  taken over: to the engine */
void auditfan_tell(int fd);

/* broker.c: what holds a cell's credentials, and what the guest speaks to */
/** Put the credentials where broker_start() finds them; the guest is shown none. Nothing without brokers. */
int broker_stage(const struct mon_cell *c, struct creel_err *err);
/** What its guest is to trust (PEM behind a line, as creel-broker --ca writes it); nothing is appended where
 *  nothing is intercepted. */
int broker_ca(const char *name, struct creel_buf *out, struct creel_err *err);
/** A stored credential that was set while its cell runs. @return 0, CREEL_E_DENIED (no broker has it) */
int broker_stage_again(struct mon_cell *c, const char *secret, struct creel_err *err);
void broker_drop(const char *name);
void broker_start(struct mon_cell *c);
void broker_stop(struct mon_cell *c);
/** A new engine is there: it is to have the events. */
void broker_engine(struct mon_cell *c);

/* dns.c: each cell's resolver */
struct dns_upstream {
	char addr[INET6_ADDRSTRLEN];
	uint16_t port;
};
/** Whom a cell's resolver asks: as planned, or the host's resolvers. @return 0: it asks the roots */
size_t dns_upstreams(const struct creel_plan *p, struct dns_upstream ret[CREEL_PLAN_UPSTREAMS]);
/**
 * dnsanchor.c: the root's DNSSEC key, as lines of creel-dns's configuration. Without one in the state folder, who
 * is not recursive has none.
 * @return 0, CREEL_E_SYNTAX, CREEL_E_TOOBIG, CREEL_E_OS, CREEL_E_NOMEM
 */
int dns_anchor(bool recursive, struct creel_buf *out, struct creel_err *err);
/** Start a cell's creel-dns, or another after one that ended. */
void dns_start(struct mon_cell *c);
void dns_stop(struct mon_cell *c);
/** An answer may not lead to this host: its addresses are followed from now on. */
int dns_hosts_follow(struct creel_err *err);
/** Tell it the policy that the cell has now. */
void dns_policy(struct mon_cell *c);

/* launch.c: a planned cell becomes processes */
int launch_cell(struct mon_cell *c, int *ret_engine_fd, struct creel_err *err);
uid_t launch_uid(const struct mon_cell *c, enum mon_role role);
int launch_engine(struct creel_err *err);
int launch_port(const struct creel_plan *plan, size_t i, struct creel_err *err);
int launch_watch(struct mon_cell *c, enum mon_role role, struct creel_err *err);
void launch_kill(struct mon_cell *c);
/** Did the limit of its control group end one of its processes? To be asked before launch_clean(). */
bool launch_oom(const struct mon_cell *c);
/** Remove a cell's run folder. Tolerates what is not there. */
void launch_clean(const char *name);

/* probe.c: does this host run a guest so? One line on standard output. */
int probe_run(bool kvm, const char *kernel, const char *initrd, struct creel_err *err);

/* stage.c: secrets */
int stage_secrets(const struct mon_cell *c, struct creel_err *err);
/** The i-th secret's value. @return 0, CREEL_E_NOTFOUND (it has none) */
int stage_value(const struct mon_cell *c, size_t i, json_t *given, struct creel_buf *out,
		struct creel_err *err);
/** Whole, or not there. */
int stage_put(int dirfd, const char *name, const void *data, size_t len, struct creel_err *err);
/** A stored secret that was set while its cell runs: the new value takes the old one's place in one
 *  rename, and gateway-env with it. @return 0, CREEL_E_DENIED (not of this cell's plan) */
int stage_again(struct mon_cell *c, const char *secret, struct creel_err *err);
void stage_drop(const char *name);

/* adopt.c: what a monitor before this one left */
int adopt_save(const struct mon_cell *c, int dirfd, struct creel_err *err);
int adopt_all(struct creel_err *err);

#pragma once
#include "base/buf.h"
#include "linux/flowsend.h"
#include "policy/pins.h"
#include "policy/policytext.h"
#include "wire/flowmsg.h"
#include "wire/httpbody.h"
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>
#include <sys/socket.h>

/*
 * creel-flow: the checker of one cell's TLS and HTTP names. The packet filter redirects the cell's
 * inspected connections to its port; it reads the hello or the request head, asks the policy and the
 * pins, and only then connects to where the guest wanted to, as its own user, which the filter holds to
 * the cell's pins. It has sockets that others opened and no privilege; before the decision no octet
 * goes either way.
 *
 * Parts: conf.c (what it is started with), peers.c (monitor and engine), conn.c (connections: octets,
 * back-pressure, ends), pass.c (octets that nobody looks at any more), judge.c (which of the guest's octets
 * may pass), main.c.
 */
enum {
	FLOW_CONNS_MAX = 2048,
#ifdef CREEL_FLOW_UNBOUNDED /* tests/attack: the twin that holds whatever a flood brings */
	FLOW_WAITING_MAX = 1 << 20,
	FLOW_WAITING_OCTETS = 1 << 30,
	FLOW_HELLO_S = 3600,
#else
	FLOW_WAITING_MAX = 256,        /* undecided at once; one more ends the oldest */
	FLOW_WAITING_OCTETS = 4 << 20, /* in their buffers, all together */
	FLOW_HELLO_S = 60,             /* for a whole hello or the first request head: a guest without KVM is slow */
#endif
	FLOW_BUF = 65536,                /* octets read at once; waiting for a slow side: twice this */
	FLOW_IN_MAX = 5 * 16384 + 65536, /* a hello of CREEL_HELLO_MAX in its records and what follows it */
	FLOW_CONNECT_S = 30,
	FLOW_IDLE_S = 7200,
	FLOW_HALF_S = 300,           /* one side has ended and nothing comes from the other */
	FLOW_EVENTS_MAX = 2 << 20,   /* octets that wait for the engine */
	FLOW_EVENTS_PAUSE = 1 << 20, /* from here on nothing is accepted: no flow without its event */
};

struct flow_conf {
	int listen[2]; /* IPv4, IPv6; -1: none */
	int pins, events;
	struct creel_policytext *pt; /* owned */
};
int flow_conf_read(int fd, struct flow_conf *ret, struct creel_err *err);
/** NULL is allowed. */
void flow_policy_free(struct creel_policytext *pt);

/* What is expected of the guest's next octets. */
enum watch {
	WATCH_HELLO,
	WATCH_ANSWER, /* held until the server's first record says whether another hello follows */
	WATCH_SECOND, /* that hello */
	WATCH_HEAD,
	WATCH_BODY,
	WATCH_UPGRADE, /* held until the server says whether HTTP ends here */
	WATCH_NOTHING, /* decided: whatever comes passes */
};

struct side {
	int fd;
	struct event read, write;
	bool reading, writing; /* is the event in the loop? */
	struct creel_buf out;  /* octets for this side that it did not take yet */
	bool ended;            /* it has sent its end */
	bool shut;             /* and we have told it the other's */
};

struct conn {
	TAILQ_ENTRY(conn) entry;
	struct flow *flow;
	enum { CONN_WAITING, CONN_CONNECTING, CONN_OPEN } state;
	enum watch watch;
	struct side guest, server;
	struct creel_buf in; /* the guest's octets that were not decided upon */
	bool stalled;        /* the server takes first what it has */
	size_t need;         /* octets that in must have before it is worth a look */
	struct creel_httpbody body;
	uint32_t requests;
	uint8_t first[48]; /* the server's first octets */
	size_t n_first;
	struct sockaddr_storage to;
	socklen_t to_len;
	int64_t accepted, active; /* monotonic, s */
	struct timespec start;
	uint64_t bytes_out, bytes_in;
	bool allowed;              /* the engine was told so */
	bool cut;                  /* its name was taken back */
	struct creel_flowmsg told; /* addresses, ports, name: what its events have in common */
};

struct flow {
	struct event_base *base;
	struct flow_conf conf;
	struct creel_pins pins;
	struct creel_flowsend out;
	struct event ev_listen[2], ev_pins, ev_events, ev_events_write, ev_second, ev_recheck;
	bool draining; /* the monitor is gone: nothing is accepted any more, what flows goes on */
	bool paused, writing;
	uint64_t lost;
	TAILQ_HEAD(conns, conn) waiting, conns; /* waiting: the oldest first */
	size_t max_conns, n_conns, n_waiting, waiting_octets;
	int pipe[2]; /* pass.c; -1: none */
	uint8_t scratch[FLOW_BUF];
};

int64_t flow_now(void);

/** peers.c */
int flow_peers_start(struct flow *f, struct creel_err *err);
/** Take what the monitor has sent: a name's pin stands there before the guest knows the address. */
void flow_pins_take(struct flow *f);
void flow_tell(struct flow *f, const struct creel_flowmsg *m);
void flow_events_flush(struct flow *f);

/** conn.c */
void flow_accept_ready(evutil_socket_t fd, short what, void *arg);
void flow_accept_pause(struct flow *f);
void conn_sweep(struct flow *f);
/** After a change of policy: end what is not permitted any more. */
void conn_recheck(struct flow *f);
/** What flows by this name ends with the next conn_recheck(). */
void conn_cut(struct flow *f, const char *name);
void conn_end_all(struct flow *f);

/** pass.c: the pipe; without one nothing is passed. */
void pass_open(struct flow *f);
void pass_close(struct flow *f);
/** May what comes next for @p to go by uninspected, and before nothing else? */
bool pass_may(const struct conn *c, const struct side *to);
/** recv(2) and send(2) in one, what @p to does not take waiting in its buffer. @return as recv(2) */
ssize_t pass_on(struct flow *f, int from, struct side *to);

/** judge.c */
/** Is the connection's address and port allowed whatever the name, by an entry that inspects nothing? */
bool judge_open(struct conn *c);
/** May it still flow? */
bool judge_still(struct conn *c);
/**
 * Look at conn->in and move what may pass to conn->server.out.
 * @return 0, or why the connection ends
 */
enum creel_flow_reason judge_guest(struct conn *c);
/** The server's next octets pass by: they may decide what is expected of the guest. */
void judge_server(struct conn *c, const uint8_t *data, size_t len);

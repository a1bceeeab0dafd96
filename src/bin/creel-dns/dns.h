#pragma once
#include "base/buf.h"
#include "policy/policytext.h"
#include "wire/dns.h"
#include "wire/dnsmsg.h"
#include <event2/event.h>
#include <sys/queue.h>
#include <sys/socket.h>

/*
 * creel-dns: the resolver of one cell, on its link alone. It has sockets that others opened, a
 * policy, and no privilege: names are decided here, addresses reach the packet filter only through
 * the monitor, and no answer leaves before the monitor has said that its addresses are in the set.
 *
 * Four parts: serve.c (messages in and out, UDP and TCP), query.c (one query from decision to
 * answer), pinned.c (what the set
 * has already), conf.c (what it is started with).
 */
enum {
	DNS_JOBS_MAX = 512,	/* queries under way; more are answered SERVFAIL at once */
	DNS_CONNS_MAX = 64,	/* TCP connections */
	DNS_RATE = 400,		/* queries a second, on average */
	DNS_BURST = 1200,	/* and at once */
	DNS_LABEL_MAX = 50,	/* a longer label is a tunnel's: refused */
	DNS_TTL_MAX = 3600,	/* told to the guest */
	DNS_PIN_FLOOR = 120,	/* seconds a pin lives at least */
	DNS_PIN_WAIT_MS = 2000, /* for the monitor */
	DNS_ASK_WAIT_MS = 500,	/* for the approval's number */
	DNS_GRANTS_MAX = 1024,
};

/** A file or memfd of lines; see conf.c for the words. All strings live in pt. */
struct dns_conf {
	int udp, tcp, pins, events; /* descriptors; tcp and events may be -1 */
	bool ipv6, recursive;
	long rate; /* queries a second; 0: no bound, for bench/dns */
	const char *anchor;
	const char *upstream[8];
	size_t n_upstream;
	struct creel_net host[64]; /* this host's own addresses */
	size_t n_host;
	struct creel_policytext *pt;
	struct creel_policytext *first; /* whose text holds the strings above */
};
int dns_conf_read(int fd, struct dns_conf *ret, struct creel_err *err);
/** Another policy, from a sealed memfd; queries under way end by what they were begun with. */
int dns_conf_policy(struct dns_conf *c, int fd, struct creel_err *err);
/** The host's addresses, the same way. */
int dns_conf_hosts(struct dns_conf *c, int fd, struct creel_err *err);
void dns_conf_fini(struct dns_conf *c);

struct dns_grant {
	char name[256];
	time_t until; /* monotonic seconds */
};

struct dns {
	struct event_base *base;
	struct ub_ctx *ub;
	struct dns_conf conf;
	LIST_HEAD(, job) jobs;
	LIST_HEAD(, conn) conns;
	size_t n_jobs, n_conns;
	uint32_t next_id, lost;
	double tokens;
	struct timespec refilled;
	struct dns_tunnels *tunnels;
	struct dns_grant *grants;
	size_t n_grants;
	struct dns_pinned **pinned; /* pinned.c */
	struct event *ev_udp, *ev_pins, *ev_events;
	struct evconnlistener *listener;
};

struct conn;
/** One query under way. Freed by job_send() alone. */
struct job {
	LIST_ENTRY(job) entry;
	struct dns *dns;
	struct creel_dns_query q;
	struct conn *conn; /* TCP; NULL for UDP or when it went away */
	bool tcp;
	struct sockaddr_storage peer;
	socklen_t peer_len;
	uint32_t id; /* of PIN or ASK */
	enum { JOB_RESOLVING, JOB_PINNING, JOB_ASKING } state;
	struct timespec start;
	struct event *timer;
	struct creel_buf answer;
	struct creel_dnsmsg report;
};

/** serve.c: take the sockets of dns->conf into the loop. */
int dns_serve(struct dns *d, struct creel_err *err);
void dns_serve_end(struct dns *d);
/** Send job->answer, cut to size, to who asked; the job is gone then. */
void job_send(struct job *j);
/** To the engine: never blocks; what does not fit is counted, and the count is sent later. */
void dns_report(struct dns *d, const struct creel_dnsmsg *m);

/**
 * tunnel.c: count a name that may be resolved.
 * @param refuse  over the cap it is not resolved; else it is only told
 * @return false: it is not to be resolved
 */
bool dns_tunnel_ok(struct dns *d, const char *name, bool refuse);

/** query.c: a message came; @p j owns where the answer goes. */
void job_start(struct job *j, const uint8_t *msg, size_t len);
void job_pinned(struct dns *d, const struct creel_dnsmsg *m);
void job_approval(struct dns *d, const struct creel_dnsmsg *m);
void dns_grant(struct dns *d, const struct creel_dnsmsg *m);

/** pinned.c: does the set have this name's addresses for a while yet? */
bool dns_pinned_has(const struct dns *d, const struct creel_dnsmsg *m);
void dns_pinned_put(struct dns *d, const struct creel_dnsmsg *m);
void dns_pinned_clear(struct dns *d);

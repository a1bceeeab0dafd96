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
 * Seven parts: serve.c (messages in, UDP and TCP), turn.c (what goes out), query.c (one query from decision
 * to answer), tunnel.c (names below one domain, counted), pinned.c (what the set has already), kept.c (what
 * was just answered), conf.c (what it is started with).
 */
enum {
	DNS_JOBS_MAX = 512,     /* queries under way; more are answered SERVFAIL at once */
	DNS_CONNS_MAX = 64,     /* TCP connections */
	DNS_RATE = 400,         /* queries a second, on average */
	DNS_BURST = 1200,       /* and at once */
	DNS_LABEL_MAX = 50,     /* a longer label is a tunnel's: refused */
	DNS_TTL_MAX = 3600,     /* told to the guest */
	DNS_PIN_FLOOR = 120,    /* seconds a pin lives at least */
	DNS_PIN_WAIT_MS = 2000, /* for the monitor */
	DNS_ASK_WAIT_MS = 500,  /* for the approval's number */
	DNS_GRANTS_MAX = 1024,
	DNS_AT_ONCE = 32, /* datagrams in one call */
};

/** A file or memfd of lines; see conf.c for the words. All strings live in pt. */
struct dns_conf {
	/* descriptors; of two of a kind the one is IPv6's; what is not there is -1, udp[0] and pins are */
	int udp[2], tcp[2], pins, events;
	bool ipv6, recursive;
	struct creel_net
		ula; /* the cell and those that it reaches have IPv6 in there; family 0: it has none */
	long rate;   /* queries a second; 0: no bound, for bench/dns */
	const char *anchor[16];
	size_t n_anchor;
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
	struct creel_dnsmsg_packet events, pins; /* turn.c: what leaves at the end of this turn of the loop */
	struct job *out[DNS_AT_ONCE];
	size_t n_out;
	bool turning; /* the end of this turn has something to do */
	double tokens;
	struct timespec refilled;
	struct dns_tunnels *tunnels;
	struct dns_grant *grants;
	size_t n_grants;
	struct dns_pinned **pinned; /* pinned.c */
	struct dns_kept **kept;     /* kept.c */
	struct event *ev_udp[2], *ev_pins, *ev_events, *ev_turn;
	struct evconnlistener *listener[2];
};

struct conn;
/** One query under way. It is job_send()'s in the end. */
struct job {
	LIST_ENTRY(job) entry;
	struct dns *dns;
	struct creel_dns_query q;
	struct conn *conn; /* TCP; NULL for UDP or when it went away */
	bool tcp;
	int udp; /* the socket that it came by */
	struct sockaddr_storage peer;
	socklen_t peer_len;
	uint32_t id; /* of PIN or ASK */
	enum { JOB_RESOLVING, JOB_PIN_WANTED, JOB_PINNING, JOB_ASKING, JOB_DONE } state;
	struct timespec start;
	struct event *timer;
	struct creel_buf answer;
	struct creel_dnsmsg report;
};

/** serve.c: take the sockets of dns->conf into the loop. */
int dns_serve(struct dns *d, struct creel_err *err);
void dns_serve_end(struct dns *d);
/** Send job->answer, cut to size, to who asked; the job is not the caller's any more. */
void job_send(struct job *j);
void job_free(struct job *j);

/** turn.c: to the engine: never blocks; what does not fit is counted, and the count is sent later. */
void dns_report(struct dns *d, const struct creel_dnsmsg *m);
/** To the monitor; the job is in JOB_PIN_WANTED then, until jobs_pinning(). */
void dns_pin(struct dns *d, const struct creel_dnsmsg *m);
/** By UDP, to job->peer; the job is gone then. */
void dns_answer(struct job *j);
/** The callback of ev_turn. */
void dns_turn_end(evutil_socket_t fd, short what, void *arg);

/**
 * tunnel.c: count a name that may be resolved.
 * @param refuse  over the cap it is not resolved; else it is only told
 * @return false: it is not to be resolved
 */
bool dns_tunnel_ok(struct dns *d, const char *name, bool refuse);

/** query.c: a message came; @p j owns where the answer goes. */
void job_start(struct job *j, const uint8_t *msg, size_t len);
/** All that want a pin: their messages were sent, or could not be. */
void jobs_pinning(struct dns *d, bool sent);
void job_pinned(struct dns *d, const struct creel_dnsmsg *m);
void job_approval(struct dns *d, const struct creel_dnsmsg *m);
void dns_grant(struct dns *d, const struct creel_dnsmsg *m);

/** pinned.c: does the set have this name's addresses for a while yet? */
bool dns_pinned_has(const struct dns *d, const struct creel_dnsmsg *m);
void dns_pinned_put(struct dns *d, const struct creel_dnsmsg *m);
/** What kept.c has goes, too. */
void dns_pinned_clear(struct dns *d);

/**
 * kept.c: the answer that this question had in this second, addresses in the set, into job->answer and
 * job->report.
 * @return false: there is none
 */
bool dns_kept_answer(struct job *j);
/** An answer with addresses, which are in the set. */
void dns_kept_put(const struct job *j);
void dns_kept_clear(struct dns *d);

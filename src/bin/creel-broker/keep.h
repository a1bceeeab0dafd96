#pragma once
#include "shared.h"
#include "wire/chunked.h"
#include "wire/httpresp.h"
#include "wire/wsframe.h"
#include <event2/event.h>
#include <openssl/ssl.h>
#include <sys/queue.h>

/*
 * creel-broker: it holds a cell's credentials and speaks to their hosts, by TLS with verification. What
 * to ask comes from creel-broker-front, in one spelling and by frames; all of it is checked again by the
 * same rules, since that process reads what the guest sends. It never reads a guest's octet but as a
 * value in a frame or as a body's piece, and gives back no octet of a credential.
 *
 * Parts: conf.c (what it is started with), chan.c (requests), ws.c (websockets), up.c (connections to hosts),
 * mask.c (what a response may not hold), ca.c (what intercepting needs), main.c.
 */
enum {
	KEEP_CHANS_MAX = 128,
	KEEP_IDLE_MAX = 8, /* connections that wait for a next request, for each broker */
	KEEP_IDLE_S = 15,
	KEEP_CONNECT_S = 20,
	KEEP_ANSWER_S = 600, /* a model may think for so long */
	KEEP_SECRET_MAX = 65536,
	KEEP_NEEDLES = 3,
	KEEP_NEEDLE_MIN = 8, /* a shorter credential would be found everywhere */
};

/** What a response may not hold: the credential, and what it looks like on the way. */
struct needles {
	struct {
		char *p; /* in locked memory */
		size_t n;
	} v[KEEP_NEEDLES];
	size_t n;
	size_t longest;
};

/** A stream of pieces, in which needles are blanked; holds back what may be one's beginning. */
struct mask {
	const struct needles *of;
	char *held;
	size_t n_held;
	unsigned found;
};
/** @param of  may change as the stream goes on: a credential that is set anew is looked for from there */
void mask_init(struct mask *m, const struct needles *of);
void mask_fini(struct mask *m);
/**
 * @param last  no more follows: nothing is held back
 * @param out   gets as many octets as went in, sooner or later
 * @return 0, CREEL_E_NOMEM
 */
int mask_feed(struct mask *m, const char *p, size_t n, bool last, struct evbuffer *out,
	      struct creel_err *err);
/** A header's value: blanked in place of a copy. @return how many were found */
unsigned mask_text(const struct needles *of, char *p, size_t n);

struct keeper;
struct host {
	const struct creel_broker *b;
	char *value; /* what is put in: the whole header's value, or the parameter's; locked; NULL: none */
	size_t n_value, cap_value;
	struct needles needles;
	SSL_CTX *tls;
	double tokens;
	int64_t filled_ms;
	size_t n_idle;
};

struct chan;
struct up {
	TAILQ_ENTRY(up) entry;
	struct keeper *k;
	struct host *h;
	struct chan *chan; /* whose request it carries; NULL: idle */
	struct bufferevent *bev;
	bool connected, reused;
	bool *gone; /* whose turn it is learns that it was freed; NULL: nobody's */
	int64_t idle_ms;
};

/** One of the guest's connections, by way of the front. */
struct chan {
	TAILQ_ENTRY(chan) entry;
	struct keeper *k;
	struct bufferevent *bev;
	struct host *h; /* of the request under way; NULL: none */
	struct up *up;
	struct {
		enum creel_http_body kind;
		uint64_t left, sent;
		bool whole;
	} body;
	struct {
		bool begun, head_only, until_end, close;
		enum creel_http_body kind;
		uint64_t left, received;
		struct creel_chunked chunked;
		struct mask mask;
		uint16_t status;
	} answer;
	struct {
		bool open;
		char accept[29];                  /* what the host has to say; "" where nobody asked */
		struct creel_wsframe guest, host; /* of what each says */
	} ws;
	struct creel_brokerev told;
	int64_t began_ms, active_ms;
	bool intercepted;
	size_t next_addr, n_addrs;
	uint8_t addr[CREEL_BROKER_ADDRS][16];
};

struct keeper {
	struct event_base *base;
	struct creel_policytext *pt;
	struct host hosts[CREEL_BROKERS];
	size_t n_hosts, n_chans;
	int front, monitor, events, roots; /* roots: the system's CAs, PEM; -1: none */
	TAILQ_HEAD(, chan) chans;
	TAILQ_HEAD(, up) ups;
	struct event *ev_front, *ev_monitor, *ev_second;
	uint32_t next_id;
};

/** conf.c */
int keep_conf(struct keeper *k, int fd, struct creel_err *err);
/** Another value of a credential. @p fd is read and stays the caller's. */
int keep_secret(struct keeper *k, const char *name, int fd, struct creel_err *err);
void keep_conf_fini(struct keeper *k);

/** ca.c: a CA for what is intercepted, and a key with its certificate, PEM. @return 0, CREEL_E_INVALID, _UNSUPP, _OS */
int ca_make(const struct creel_brokers *b, int ca_fd, int identity_fd, struct creel_err *err);

/** chan.c */
void chan_new(struct keeper *k, int fd);
void chan_free(struct chan *c);
void chan_sweep(struct keeper *k);
/** Refuse what is under way, or cut it when its answer has begun. */
void chan_refuse(struct chan *c, enum creel_broker_reason why);
/** Take what the front has sent. */
void chan_take(struct chan *c);
/** Take what the host has sent. */
void chan_answer(struct chan *c);
/** The host's connection has ended. */
void chan_host_gone(struct chan *c, enum creel_broker_reason why);

/** ws.c: a request asks for a websocket. @return CREEL_BROKER_OK, or why it may not */
enum creel_broker_reason ws_ask(struct chan *c, const struct creel_brokerreq *q);
/** Does a host's 101 agree to what was asked, and to nothing else? */
bool ws_agreed(const struct chan *c, const char *text, const struct creel_httpresp *h);
void ws_open(struct chan *c);
/** Are these octets of the guest's frames? */
bool ws_guest(struct chan *c, const char *p, size_t n);
/** What the host says: appended to @p out, blanked. @return 0, negative: no frames, or no memory */
int ws_host(struct chan *c, struct evbuffer *in, struct evbuffer *out, struct creel_err *err);

/** up.c */
/** A connection for the chan's request: one that is idle, or a new one to the next of its addresses. */
enum creel_broker_reason up_get(struct chan *c);
void up_free(struct up *u);
void up_idle(struct up *u);
void up_sweep(struct keeper *k);

#pragma once
#include "../creel-broker/shared.h"
#include "wire/chunked.h"
#include "wire/httppath.h"
#include "wire/wsframe.h"
#include <event2/event.h>
#include <openssl/ssl.h>
#include <sys/queue.h>

/*
 * creel-broker-front: it parses what a cell's guest sends to http://NAME.broker.creel, decides by the
 * cell's rules, and hands a request in one spelling to creel-broker. It holds no credential; the filter
 * lets it ask the cell's resolvers and nothing else.
 *
 * Parts: conn.c (the guest's connections), tls.c (to names that are intercepted), ws.c (websockets), judge.c
 * (may this request pass?), names.c (addresses of the hosts), main.c.
 */
enum {
	FRONT_CONNS_MAX = 64,
	FRONT_HEAD_S = 10,   /* nothing more of a head that has begun */
	FRONT_IDLE_S = 60,   /* between requests */
	FRONT_QUIET_S = 660, /* nothing either way while a request is under way */
	FRONT_IN_MAX = CREEL_HTTPHEAD_MAX + 65536,
	FRONT_TTL_MIN_S = 30,
	FRONT_TTL_MAX_S = 300,
};
#define FRONT_PLACEHOLDER CREEL_BROKER_PLACEHOLDER_WORD

struct front_host {
	uint8_t addr[CREEL_BROKER_ADDRS][16];
	size_t n;
	int64_t until_ms;
	bool asking;
};

struct conn {
	TAILQ_ENTRY(conn) entry;
	struct front *f;
	struct bufferevent *guest, *chan; /* chan: to creel-broker, from the first request on */
	enum { CONN_HEAD, CONN_NAME, CONN_BODY, CONN_SENT, CONN_WEBSOCKET, CONN_ENDING } state;
	bool tls;                      /* to a name that is intercepted */
	const struct creel_broker *by; /* whose name it is; NULL: not said yet */
	size_t broker;                 /* of the request under way */
	struct {
		enum creel_http_body kind;
		uint64_t left, total;
		struct creel_chunked chunked;
		size_t matched; /* octets of the placeholder's word that the body ended with */
	} body;
	bool begun, chunked;        /* the answer */
	bool upgrade;               /* it asked for a websocket */
	struct creel_wsframe frame; /* of what the guest says in one */
	bool close;                 /* the connection ends with the answer */
	int64_t active_ms;
	struct creel_brokerev told;
};

struct front {
	struct event_base *base;
	struct creel_policytext *pt;
	int listener, tls_listener, identity, keeper, monitor, events;
	SSL_CTX *tls; /* NULL: nothing is intercepted */
	const char *upstream[8];
	size_t n_upstream, n_conns;
	bool recursive;
	struct ub_ctx *ub;
	struct front_host hosts[CREEL_BROKERS];
	TAILQ_HEAD(, conn) conns;
	struct event *ev_listen, *ev_tls, *ev_monitor, *ev_second;
};

/** conn.c: what has begun ends here, and the record is told why. @p c is gone. */
void conn_cut(struct conn *c, enum creel_broker_reason why);
void conn_new(struct front *f, int fd, bool tls);
void conn_free(struct conn *c);
void conn_sweep(struct front *f);
/** The host of these requests has addresses now, or none. */
void conn_named(struct front *f, size_t broker);

/** tls.c */
int tls_start(struct front *f, struct creel_err *err);
/** @return NULL: no memory; @p fd stays the caller's */
struct bufferevent *tls_conn(struct conn *c, int fd);
/** All is said: the guest is told that nothing is missing. */
void tls_end(struct conn *c);
/** What went wrong in one connection is not to be found by another. */
void tls_forget(void);

/** ws.c: what the guest says in a websocket. @return false: nothing more is to be done now */
bool ws_take(struct conn *c, struct evbuffer *in);
/** Does the request ask for a websocket, and for that alone? */
bool ws_asked(const char *text, const struct creel_httphead *h);

/**
 * judge.c: may it pass, and as what?
 * @param by   whose name the guest's TLS was to; NULL: it came without
 * @param ret  points into @p text and @p path
 * @return CREEL_BROKER_OK, or why not
 */
enum creel_broker_reason judge(const struct front *f, const struct creel_broker *by, const char *text,
			       const struct creel_httphead *h, struct creel_brokerreq *ret,
			       struct creel_httppath *path, size_t *ret_broker);
/** Does the body's next piece have the placeholder's word? @param at  how far it is known already; kept */
bool judge_piece(size_t *at, const char *p, size_t n);

/** names.c */
int names_start(struct front *f, struct creel_err *err);
void names_ask(struct front *f, size_t broker);

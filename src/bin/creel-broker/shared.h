#pragma once
#include "policy/broker.h"
#include "policy/policytext.h"
#include <event2/bufferevent.h>
#include <time.h>

/* What creel-broker and creel-broker-front have in common. */
enum {
	BROKER_QUEUE = 256 << 10, /* octets that wait for a slow side before the other is not read */
	BROKER_PIECE = 64 << 10,  /* of a body, in one frame */
	BROKER_FILL = 128 << 10,  /* octets read in one turn */
};

/** Pieces of a stream are allocated and freed all the time: their memory is kept, not given back each time. */
void broker_memory(void);
/** Monotonic, in milliseconds. */
int64_t broker_now(void);

/** To the engine, without waiting. @return false: it was not taken */
bool broker_tell(int fd, const struct creel_brokerev *e);

/** What the monitor sends: 'E' and a socket, the engine's new end; 'C', a secret's name and its file. */
struct broker_order {
	char what, name[65];
	int fd; /* the caller's */
};
/** @return 1 an order, 0 none yet, negative: the monitor is gone, or said what is not its to say */
int broker_order_take(int sock, struct broker_order *ret, struct creel_err *err);

/** The whole configuration, up to CREEL_POLICYTEXT_MAX. */
int broker_conf_read(int fd, int (*other)(void *ctx, const char *word, char *rest, struct creel_err *err),
		     void *ctx, struct creel_policytext **ret, struct creel_err *err);
/**
 * Take what a socket has beside what its bufferevent read: libevent 2.1 reads 4096 octets a turn. Up to
 * BROKER_FILL; an end or an error is left for the bufferevent to find.
 */
void broker_fill(struct bufferevent *bev);
/** Queue a frame. @return false: out of memory */
bool broker_frame_put(struct bufferevent *to, enum creel_broker_frame type, const void *data, size_t len);
/** Is a whole frame at the front of a buffer? @return 1 yes, 0 not yet, CREEL_E_PROTO */
int broker_frame_whole(struct evbuffer *in, enum creel_broker_frame *ret_type, size_t *ret_len,
		       struct creel_err *err);
/**
 * A whole frame at the front of a buffer, in one piece: @p ret_data is valid until the next change of it; drop it with
 * broker_frame_drop().
 * @return 1 a frame, 0 none yet, CREEL_E_PROTO
 */
int broker_frame_peek(struct evbuffer *in, enum creel_broker_frame *ret_type, const uint8_t **ret_data,
		      size_t *ret_len, struct creel_err *err);
void broker_frame_drop(struct evbuffer *in, size_t len);

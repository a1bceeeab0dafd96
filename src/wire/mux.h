#pragma once
#include "base/buf.h"

/*
 * The control channel of a cell: many streams over one octet pipe (virtio-serial or vsock). The
 * same state machine stands at both ends; it does no I/O: octets go in by creel_mux_feed(), octets
 * to send stand in `out`, and callbacks say what happened.
 *
 * A frame: type (u8), zero (u8), stream (u16 LE), payload length (u32 LE, at most
 * CREEL_MUX_PAYLOAD), payload. Streams are opened by the host alone. Each direction of a stream
 * has a window: at most CREEL_MUX_WINDOW octets are under way that the receiver's owner has not
 * consumed, so a reader that stops blocks its own stream and memory stays bounded at both ends.
 * Anything else than a well-formed frame that is allowed now is CREEL_E_PROTO and ends the channel.
 */
enum {
	CREEL_MUX_VERSION = 1,
	CREEL_MUX_HEAD = 8,
	CREEL_MUX_PAYLOAD = 32768,
	CREEL_MUX_WINDOW = 262144,
	CREEL_MUX_CONTROL = 4096,     /* largest control message */
	CREEL_MUX_STREAMS = 1024,     /* at once; ids are 1..65535 and differ modulo this */
	CREEL_MUX_OUT_SOFT = 1 << 20, /* no DATA is queued over this; control frames still are */
};

enum creel_mux_type {
	CREEL_MUX_T_HELLO = 1, /* stream 0: version u16 LE; first frame of each side */
	CREEL_MUX_T_CONTROL,   /* stream 0: one message */
	CREEL_MUX_T_OPEN,      /* host to guest: kind u8, spec */
	CREEL_MUX_T_DATA,
	CREEL_MUX_T_WINDOW, /* u32 LE: octets that may be sent beyond what was granted before */
	CREEL_MUX_T_EOF,    /* the sender writes no more; the other direction goes on */
	CREEL_MUX_T_RESET,  /* the stream is gone in both directions; payload: reason text */
};

enum creel_mux_kind {
	CREEL_MUX_EXEC = 1, /* spec: struct creel_execspec; payload: wire/execio.h */
	CREEL_MUX_TCP,      /* spec: port u16 LE on the guest's loopback */
	CREEL_MUX_LOGS,     /* spec: flags u8 (1: follow), since u64 LE (ns, 0: all), service name */
	CREEL_MUX_CALLS,    /* no spec; opened once: wire/call.h, from the guest's programs and back */
	CREEL_MUX_KINDS,
};

struct creel_mux;
struct creel_mux_ops {
	void (*hello)(void *ctx, uint16_t version);
	void (*control)(void *ctx, const uint8_t *msg, size_t len);
	/** Guest only. Answer with creel_mux_reset() to refuse. */
	void (*open)(void *ctx, uint16_t id, uint8_t kind, const uint8_t *spec, size_t len);
	/** Own the octets (at most the window in all) until creel_mux_consumed(). */
	void (*data)(void *ctx, uint16_t id, const uint8_t *data, size_t len);
	void (*eof)(void *ctx, uint16_t id);
	/** The stream is gone; its id may be used again. */
	void (*reset)(void *ctx, uint16_t id, const uint8_t *why, size_t len);
	/** More can be written to the stream. */
	void (*writable)(void *ctx, uint16_t id);
};

/** @return NULL when out of memory. Queues HELLO. */
struct creel_mux *creel_mux_new(bool host, const struct creel_mux_ops *ops, void *ctx);
/** NULL is allowed. No callback is made. */
void creel_mux_free(struct creel_mux *m);

/** What is to be sent; the owner sends from the front and drains by creel_mux_sent(). */
const struct creel_buf *creel_mux_out(const struct creel_mux *m);
/** @p n octets of the front were sent. May call writable(). */
void creel_mux_sent(struct creel_mux *m, size_t n);

/**
 * Octets from the peer, cut anywhere. @return 0, CREEL_E_PROTO or CREEL_E_NOMEM; after an error the
 * channel is dead and only creel_mux_free() may follow.
 */
int creel_mux_feed(struct creel_mux *m, const uint8_t *data, size_t len, struct creel_err *err);

/** Send one control message. @return 0, CREEL_E_TOOBIG (message, or 256 KiB unsent), _NOMEM */
int creel_mux_control(struct creel_mux *m, const void *msg, size_t len, struct creel_err *err);
/** Host only. @return the stream's id, CREEL_E_BUSY (all ids in use), CREEL_E_TOOBIG, _NOMEM */
int creel_mux_open(struct creel_mux *m, uint8_t kind, const void *spec, size_t len, struct creel_err *err);
/** @return octets taken, 0 (window or queue full: wait for writable()), or CREEL_E_CLOSED, _NOMEM */
ssize_t creel_mux_write(struct creel_mux *m, uint16_t id, const void *data, size_t len,
			struct creel_err *err);
/** No more will be written. When both sides have said so, the stream is gone without a reset(). */
int creel_mux_eof(struct creel_mux *m, uint16_t id, struct creel_err *err);
/** End the stream in both directions. No reset() callback at this end. After an error it is alive. */
int creel_mux_reset(struct creel_mux *m, uint16_t id, const char *why, struct creel_err *err);
/** @p n octets that data() gave were passed on: the peer may send as many more. */
int creel_mux_consumed(struct creel_mux *m, uint16_t id, size_t n, struct creel_err *err);
/** True while the id is in use. */
bool creel_mux_alive(const struct creel_mux *m, uint16_t id);

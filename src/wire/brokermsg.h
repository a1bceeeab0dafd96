#pragma once
#include "base/buf.h"
#include "wire/httphead.h"

/*
 * Between creel-broker-front, which parses what a guest sends, and creel-broker, which holds the
 * credential: a stream socket for each of the guest's connections, on which go frames: a type, three
 * octets of length (little endian), the content. A request is followed by its body's pieces and END; so
 * is a response. And what both tell the engine.
 */
enum {
	CREEL_BROKER_FRAME_HEAD = 4,
	CREEL_BROKER_FRAME_MAX = 131072,
	CREEL_BROKER_FIELDS = 100,
	CREEL_BROKER_ADDRS = 8,
	CREEL_BROKER_EVENT_MAX = 1500,
	CREEL_BROKER_EVENT_PATH = 1024,
};

enum creel_broker_frame {
	CREEL_FRAME_REQUEST = 1, /* to the broker */
	CREEL_FRAME_DATA,
	CREEL_FRAME_END,
	CREEL_FRAME_RESPONSE, /* to the front */
	CREEL_FRAME_REFUSE,   /* reason, status (2 octets): instead of a response */
	CREEL_FRAME_CUT,      /* what began cannot be whole */
};

/** Append a frame's head. @p len is at most CREEL_BROKER_FRAME_MAX. */
void creel_brokerframe_head(uint8_t buf[CREEL_BROKER_FRAME_HEAD], enum creel_broker_frame type, size_t len);
/** @return 0, CREEL_E_PROTO (type, length) */
int creel_brokerframe_read(const uint8_t buf[CREEL_BROKER_FRAME_HEAD], enum creel_broker_frame *ret_type,
			   size_t *ret_len, struct creel_err *err);

/** Why a request was refused, or what ended it. */
enum creel_broker_reason {
	CREEL_BROKER_OK,
	CREEL_BROKER_METHOD,      /* not declared */
	CREEL_BROKER_PATH,        /* not declared */
	CREEL_BROKER_BADPATH,     /* one that servers read in two ways */
	CREEL_BROKER_HOST,        /* Host names no broker of this cell */
	CREEL_BROKER_REQUEST,     /* not a well-formed request */
	CREEL_BROKER_OVERRIDE,    /* a field that would change method, path or host */
	CREEL_BROKER_PLACEHOLDER, /* a placeholder where the credential does not belong */
	CREEL_BROKER_CREDENTIAL,  /* a credential of its own where the declared one goes */
	CREEL_BROKER_SIZE,        /* the body is over its bound */
	CREEL_BROKER_RATE,        /* too many requests */
	CREEL_BROKER_BUSY,        /* too many at once, or nobody takes events */
	CREEL_BROKER_UPGRADE,     /* leaving HTTP is not declared, or not to a websocket */
	CREEL_BROKER_NAME_FAILED, /* the host's name did not resolve to a public address */
	CREEL_BROKER_CONNECT,     /* the host could not be reached */
	CREEL_BROKER_TLS,         /* it did not prove that it is the host */
	CREEL_BROKER_RESPONSE,    /* its response is not well-formed */
	CREEL_BROKER_ENCODED,     /* its body is compressed, though that was not asked for */
	CREEL_BROKER_ECHO,        /* its response held the credential: it was blanked */
	CREEL_BROKER_NO_SECRET,   /* there is no credential: the secret is not set */
	CREEL_BROKER_TIMEOUT,
	CREEL_BROKER_CLOSED, /* one side went away */
	CREEL_BROKER_REASONS,
};
/** A word for the record, such as "path". */
const char *creel_broker_reason_name(unsigned reason);

struct creel_broker_kv {
	struct creel_span name, value;
};

/** A request in one spelling. Spans point into the frame. */
struct creel_brokerreq {
	struct creel_span broker, method, path, query;
	bool has_query;
	bool websocket;   /* it asks to leave HTTP for one */
	bool intercepted; /* it came by TLS, to the host's own name */
	uint8_t body;     /* enum creel_http_body */
	uint64_t length;
	size_t n_addrs, n_fields;
	uint8_t addr[CREEL_BROKER_ADDRS][16]; /* of the host; IPv4 as ::ffff:a.b.c.d */
	struct creel_broker_kv fields[CREEL_BROKER_FIELDS];
};
/** Append the frame's content. @return 0, CREEL_E_TOOBIG, CREEL_E_NOMEM */
int creel_brokerreq_encode(const struct creel_brokerreq *r, struct creel_buf *out, struct creel_err *err);
/**
 * Each part is checked as if nobody had: a method and names of tokens, a canonical path, values
 * without control octets.
 * @return 0, CREEL_E_PROTO
 */
int creel_brokerreq_decode(const uint8_t *buf, size_t len, struct creel_brokerreq *ret,
			   struct creel_err *err);

struct creel_brokerresp {
	uint16_t status;
	uint8_t body;
	uint64_t length;
	size_t n_fields;
	struct creel_broker_kv fields[CREEL_BROKER_FIELDS];
};
int creel_brokerresp_encode(const struct creel_brokerresp *r, struct creel_buf *out, struct creel_err *err);
int creel_brokerresp_decode(const uint8_t *buf, size_t len, struct creel_brokerresp *ret,
			    struct creel_err *err);

enum creel_broker_told { CREEL_BROKER_ALLOWED = 1, CREEL_BROKER_DENIED, CREEL_BROKER_ENDED };

/** To the engine, over a SOCK_SEQPACKET socket that speaks for one cell. */
struct creel_brokerev {
	uint8_t told, reason;
	uint16_t status; /* of ENDED: the host's answer; of DENIED: what the guest was told; 0: none */
	uint32_t id, line, ms;
	uint64_t sent, received; /* octets of the bodies */
	char broker[33], method[20], host[254], path[CREEL_BROKER_EVENT_PATH];
};
/** @return the octets written, at most CREEL_BROKER_EVENT_MAX */
size_t creel_brokerev_encode(const struct creel_brokerev *e, uint8_t *buf);
/** @return 0, CREEL_E_PROTO */
int creel_brokerev_decode(const uint8_t *buf, size_t len, struct creel_brokerev *ret, struct creel_err *err);

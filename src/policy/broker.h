#pragma once
#include "base/cleanup.h"
#include "wire/brokermsg.h"

/*
 * What a cell may ask of a host through its broker, and how the credential is put in. Read from the
 * policy's text by both broker processes (and by the monitor), so that the one that holds the credential
 * decides again what the one that faces the guest decided.
 */
enum {
	CREEL_BROKERS = 8,
	CREEL_BROKER_METHODS = 8,
	CREEL_BROKER_PATHS = 64,
	CREEL_BROKER_NAME = 33,
};

enum creel_broker_auth {
	CREEL_BROKER_HEADER, /* carrier: the header; prefix: before the credential */
	CREEL_BROKER_BASIC,  /* prefix: the user */
	CREEL_BROKER_QUERY,  /* carrier: the parameter */
};

struct creel_broker {
	const char *name;    /* the cell's word for it: NAME.broker.creel */
	const char *host;    /* lower case */
	const char *secret;  /* the credential's name */
	const char *carrier; /* "Authorization" */
	const char *prefix;  /* "Bearer "; "" none */
	const char *ca; /* Base64 of a certificate (DER) that alone signs the host's; NULL: the system's */
	const char *methods[CREEL_BROKER_METHODS];
	const char *paths[CREEL_BROKER_PATHS];
	size_t n_methods, n_paths;
	uint64_t body_max; /* octets of a request's body */
	uint32_t rate;     /* requests a minute */
	uint32_t line;
	uint16_t port;
	bool websocket; /* a GET may become one */
	bool intercept; /* the host's own name, on port 443, leads to the broker too */
	enum creel_broker_auth auth;
};

struct creel_brokers {
	struct creel_broker v[CREEL_BROKERS];
	size_t n;
};

/** Append a policy's lines (`broker NAME LINE ...` and more). @return 0, CREEL_E_INVALID, CREEL_E_TOOBIG */
int creel_broker_write(const struct creel_broker *b, struct creel_buf *out, struct creel_err *err);
/**
 * A line of a policy. @p rest is writable and must outlive @p b.
 * @return 1 it was one of these, 0 of another word, CREEL_E_SYNTAX, CREEL_E_TOOBIG
 */
int creel_broker_line(struct creel_brokers *b, const char *word, char *rest, struct creel_err *err);

/** Can this be one of `paths`? `*` is any octets of a segment, a last segment `**` all that is below. */
bool creel_broker_pattern_ok(const char *pattern);
/** @param path  canonical (wire/httppath.h) */
bool creel_broker_pattern_match(const char *pattern, const char *path);

/** May a request have these? @return CREEL_BROKER_OK, _METHOD, _PATH */
enum creel_broker_reason creel_broker_decide(const struct creel_broker *b, struct creel_span method,
					     const char *path);

enum creel_broker_field {
	CREEL_FIELD_PASS,
	CREEL_FIELD_DROP,    /* of the connection, of another credential, or the broker's own to say */
	CREEL_FIELD_CARRIER, /* the credential's header: the broker puts it in */
	CREEL_FIELD_DENY,    /* it would have the server read another method, path or host */
};
/** What is to become of a request's field. `_` and `-` are one here: some servers take them so. */
enum creel_broker_field creel_broker_request_field(const struct creel_broker *b, struct creel_span name);
/** The broker that has a host's own name, or NULL. @param host  lower case */
const struct creel_broker *creel_broker_intercepts(const struct creel_brokers *all, const char *host);

/** Is this the host's own name? A request says it where its TLS did: fronting would be another. */
bool creel_broker_host_is(const struct creel_broker *b, const char *host);

/** What stands for a credential where a program has to be given one: with the secret's name behind it. */
#define CREEL_BROKER_PLACEHOLDER_WORD "creel-secret-"
/** Is each placeholder in this value the broker's own? */
bool creel_broker_placeholder_own(const struct creel_broker *b, struct creel_span value);
/**
 * Take the credential's parameter out of a query where its value is the broker's own placeholder.
 * @param buf  gets at most @p query's octets
 */
struct creel_span creel_broker_query_strip(const struct creel_broker *b, struct creel_span query, char *buf);

/** Is it a websocket's opening (RFC 6455, 4.1): GET, no body, one key of 16 octets, version 13 alone? */
bool creel_broker_websocket_ok(const struct creel_brokerreq *q);
/** May a response's field reach the guest? */
bool creel_broker_response_field(struct creel_span name);
/** Does the query have the credential's parameter, however encoded? */
bool creel_broker_query_has(const struct creel_broker *b, struct creel_span query);

#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * The head of an HTTP/1 request (RFC 9112), read so strictly that no server can understand it
 * otherwise: CRLF alone ends a line, no folding, no blank before a colon, one Host that agrees with
 * an absolute target, one way to tell where the body ends.
 */
#define CREEL_HTTPHEAD_MAX 65536

/** Octets of the caller's buffer. */
struct creel_span {
	const char *p;
	size_t n;
};

static inline struct creel_span creel_span_of(const char *text)
{
	return (struct creel_span){text, strlen(text)};
}

enum creel_http_body {
	CREEL_HTTP_BODY_NONE,
	CREEL_HTTP_BODY_LENGTH,
	CREEL_HTTP_BODY_CHUNKED,
};

struct creel_httphead {
	struct creel_span method;
	struct creel_span target; /* origin-form, absolute-form or "*" */
	struct creel_span path;   /* of target, from its first '/'; "/" when it has none; or "*" */
	char host[256];           /* lower case, without port; an IPv6 literal without brackets */
	uint16_t port;            /* of Host; 0: none written */
	uint8_t minor;            /* 0 or 1 */
	enum creel_http_body body;
	uint64_t length;
	bool upgrade;     /* it asks to leave HTTP (Upgrade) */
	bool close;       /* the connection ends with the answer: it says so, or is HTTP/1.0 */
	bool expect;      /* 100-continue: the body waits for an answer */
	size_t used;      /* octets of the head, the empty line included */
	size_t fields_at; /* where the header fields begin */
};

/**
 * @param buf  untrusted, borrowed by the result
 * @return 0; CREEL_E_TRUNC (right so far), CREEL_E_SYNTAX, CREEL_E_TOOBIG (over CREEL_HTTPHEAD_MAX
 * octets or 200 fields), CREEL_E_UNSUPP (CONNECT, HTTP/2)
 */
int creel_httphead_parse(const char *buf, size_t len, struct creel_httphead *ret_head, struct creel_err *err);

/**
 * The next field of a parsed head; start with @p *at = head->fields_at.
 * @return 1 a field, 0 the end
 */
int creel_httphead_field(const char *buf, const struct creel_httphead *head, size_t *at,
			 struct creel_span *ret_name, struct creel_span *ret_value);

/** The next line of a head, without its CRLF. @return 1 a line, 0 none yet, CREEL_E_SYNTAX (a CR or LF alone,
 *  an octet that no head has) */
int creel_httpline_next(const char *buf, size_t len, size_t *at, struct creel_span *ret,
			struct creel_err *err);
/** "NAME: VALUE". @return 0, -1 */
int creel_httpfield_split(struct creel_span line, struct creel_span *ret_name, struct creel_span *ret_value);
/** A Content-Length: 1 to 18 digits. @return 0, -1 */
int creel_httpfield_length(struct creel_span value, uint64_t *ret);
/** Is a field's name, or its value, this word, in any case? */
bool creel_httpfield_is(struct creel_span s, const char *word);
/** Does a list such as Connection's hold @p token, in any case? */
bool creel_httpfield_has(struct creel_span value, struct creel_span token);

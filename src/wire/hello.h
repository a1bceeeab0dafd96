#pragma once
#include "base/buf.h"

/*
 * The TLS ClientHello at the head of a connection (RFC 8446, 4.1.2; 6066, 3), to know which name it
 * asks for before a byte goes on. Split over records or segments, and with large key shares, up to
 * CREEL_HELLO_MAX.
 */
#define CREEL_HELLO_MAX 65536

struct creel_hello {
	char name[254];   /* server_name, lower case; "" when it names none */
	bool ech;         /* encrypted_client_hello (or its draft, ESNI) is in it: the name is not its own */
	uint16_t version; /* highest of supported_versions, else legacy_version: 0x0304 is TLS 1.3 */
	size_t used;      /* octets of the stream that it takes: whole records */
};

/**
 * @param buf  the stream from its first octet, untrusted
 * @return 0; CREEL_E_TRUNC (whole so far: more is needed), CREEL_E_SYNTAX (no hello, or one that is
 * not well-formed: an extension or name twice, lengths that do not fit, a name that is no host
 * name), CREEL_E_TOOBIG, CREEL_E_NOMEM
 */
int creel_hello_parse(const uint8_t *buf, size_t len, struct creel_hello *ret_hello, struct creel_err *err);

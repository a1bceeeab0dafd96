#pragma once
#include "wire/httphead.h"

/*
 * The head of an HTTP/1.1 response (RFC 9112), as strictly read as a request's: CRLF alone ends a line,
 * no folding, one way to tell where the body ends.
 */
struct creel_httpresp {
	uint16_t status; /* 100 to 599 */
	uint8_t minor;   /* 0 or 1 */
	bool close;      /* the connection ends with it */
	bool until_end;  /* its body, if it has one, ends with the connection */
	enum creel_http_body body;
	uint64_t length;
	bool encoded; /* Content-Encoding is not identity */
	size_t used, fields_at;
};

/** @return as creel_httphead_parse() */
int creel_httpresp_parse(const char *buf, size_t len, struct creel_httpresp *ret, struct creel_err *err);
/** @return as creel_httphead_field() */
int creel_httpresp_field(const char *buf, const struct creel_httpresp *head, size_t *at,
			 struct creel_span *ret_name, struct creel_span *ret_value);

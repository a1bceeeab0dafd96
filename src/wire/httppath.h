#pragma once
#include "wire/httphead.h"

/*
 * The path of an HTTP request in one spelling, or none: what a rule was matched against is what the
 * server reads. Refused, as servers differ about them: `.` and `..` (encoded too), empty segments, a
 * backslash, `;`, a fragment, and the encodings of `/`, `\`, `%`, `;`, `?`, `#` and of control octets;
 * octets that are no UTF-8. Unreserved characters lose their encoding (RFC 3986, 6.2.2.2).
 */
enum { CREEL_HTTPPATH_MAX = 4096 };

struct creel_httppath {
	char path[CREEL_HTTPPATH_MAX]; /* begins with '/' */
	bool has_query;
	struct creel_span query; /* behind the '?', as it came: visible ASCII without '#' */
};

/**
 * @param target  a path with its query, borrowed by the result
 * @return 0, CREEL_E_SYNTAX (no such path), CREEL_E_INVALID (one of the above), CREEL_E_TOOBIG
 */
int creel_httppath_parse(struct creel_span target, struct creel_httppath *ret, struct creel_err *err);

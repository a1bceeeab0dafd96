#pragma once
#include "base/err.h"
#include <jansson.h>

/**
 * What `go version -m FILE...` prints: which modules, with their sums, a program was linked from.
 *
 *   FILE: go1.26.8
 *   	path	rsc.io/2fa
 *   	mod	rsc.io/2fa	v1.2.0	h1:...
 *   	dep	NAME	VERSION	SUM     (then "=>" lines, for replaced ones)
 *
 * @param text  untrusted
 * @param ret   an array: { program, path, module, version, sum, deps: [[name, version, sum]] } is appended
 * @return 0, CREEL_E_SYNTAX, CREEL_E_NOMEM
 */
int creel_goversion_parse(const char *text, json_t *ret, struct creel_err *err);

#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

/*
 * Domain names as rules compare them: lower case, ASCII (IDNA 2008 with UTS 46 mapping), no final
 * dot. What two programs would resolve alike has one form here.
 */
#define CREEL_NAME_MAX 253

struct creel_name {
	char text[CREEL_NAME_MAX + 1];
};

/**
 * Bring @p text into the form above.
 *
 * Refused: labels empty or over 63 octets, more than 253 in all, octets but letters, digits, '-'
 * and '_', a label that begins or ends with '-', and a last label that a URL parser takes for part
 * of an IPv4 address (all digits, or 0x...): such a text is an address or nothing.
 *
 * @param text  untrusted octets, UTF-8 or ASCII, @p len of them; a NUL inside is refused
 * @return 0, CREEL_E_SYNTAX, CREEL_E_TOOBIG, CREEL_E_NOMEM
 */
int creel_name_parse(const char *text, size_t len, struct creel_name *ret_name, struct creel_err *err);

/** Is @p name a subdomain, of any depth, of @p parent (and not @p parent itself)? */
bool creel_name_below(const char *name, const char *parent);

#pragma once

/** Why this host takes nobody's packets anywhere by IPv6, in words; NULL: it does, or would. */
const char *creel_ipv6_missing(void);

#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The values that creel.yaml and recipes are made of. Each keeps where it stands, so that whatever
 * finds it wrong later can still say file:line:column. All memory belongs to the configuration or
 * recipe it came from and lives as long as that.
 */

/** Where something stands; both count from 1, columns in characters. line 0: not in the file. */
struct creel_pos {
	uint32_t line;
	uint32_t column;
};

/** Text; NULL when neither in the file nor given by a default. Never holds a NUL. */
struct creel_str {
	const char *s;
	struct creel_pos pos;
};

/** An integer, size (octets), duration (ms), port, mode, boolean or enumerator: the key says. */
struct creel_num {
	int64_t v;
	struct creel_pos pos;
};

struct creel_strs {
	struct creel_str *v;
	size_t n;
	struct creel_pos pos;
};

/** NAME: TEXT */
struct creel_pair {
	struct creel_str name;
	struct creel_str value;
};

struct creel_pairs {
	struct creel_pair *v;
	size_t n;
	struct creel_pos pos;
};

/** `[ADDRESS:]HOST:GUEST`; without ADDRESS it is 127.0.0.1. An IPv6 address stands in brackets. */
struct creel_publish {
	struct creel_str text;
	char address[46]; /* canonical, without brackets */
	uint16_t host;
	uint16_t guest;
};

/** An IPv4 or IPv6 network; the host bits are zero. */
struct creel_cidr {
	struct creel_str text; /* NULL when not set */
	uint8_t addr[16];      /* network order; 4 octets for IPv4 */
	uint8_t family;        /* 4 or 6 */
	uint8_t bits;
};

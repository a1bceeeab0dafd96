#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Accesses to secrets on the host, told to the engine over a SOCK_SEQPACKET socket: by creel-audit, which
 * reads the kernel's audit, or by the monitor where that is missing and fanotify takes its place. A packet
 * is a message of one size, little endian.
 */
enum { CREEL_AUDITMSG = 688 };

enum creel_auditmsg_type {
	CREEL_AUDITMSG_ACCESS = 1,
	CREEL_AUDITMSG_LOST, /* count: so many records of the kernel were not read, or accesses not told */
};

struct creel_auditmsg {
	uint8_t type;
	bool write, store, success;
	bool guest;                     /* it is the server of a cell's share: the guest did it */
	bool known;                     /* uid and auid are known */
	uint32_t pid, uid, auid, count; /* count: how often, at least 1 */
	char cell[33], secret[65], exe[256], path[256];
};

void creel_auditmsg_encode(const struct creel_auditmsg *m, uint8_t buf[CREEL_AUDITMSG]);
/** @return 0, CREEL_E_PROTO (length, type, or a string without its end) */
int creel_auditmsg_decode(const uint8_t *buf, size_t len, struct creel_auditmsg *ret, struct creel_err *err);

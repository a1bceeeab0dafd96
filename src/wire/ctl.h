#pragma once
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

/* Control messages on stream 0 of the channel (wire/mux.h). What a guest says is a claim. */
enum creel_ctl_type {
	CREEL_CTL_READY = 1,     /* guest: every service is ready; a: memory used, kB */
	CREEL_CTL_SERVICE,       /* guest: name, state (creel_ctl_service), a: exit status as a shell's */
	CREEL_CTL_MEMORY,        /* guest: a: memory used, kB */
	CREEL_CTL_NOTE,          /* guest: a warning for the operator, in name */
	CREEL_CTL_BYE,           /* guest: volumes are unmounted, power goes off */
	CREEL_CTL_SHUTDOWN = 64, /* host: stop cleanly */
	CREEL_CTL_PING,          /* host: answer with MEMORY */
	CREEL_CTL_SECRETS,       /* host: take over what is new in the secrets' share */
};
enum creel_ctl_service {
	CREEL_SVC_WAITING,
	CREEL_SVC_STARTED,
	CREEL_SVC_READY,
	CREEL_SVC_EXITED,
	CREEL_SVC_GAVE_UP,
};
struct creel_ctl {
	uint8_t type, state;
	uint32_t a;
	char name[200]; /* NUL-terminated; foreign text */
};
enum { CREEL_CTL_MAX = 206 };

/** @return octets written to @p buf (CREEL_CTL_MAX are enough) */
size_t creel_ctl_encode(const struct creel_ctl *c, uint8_t buf[CREEL_CTL_MAX]);
/** @return 0, CREEL_E_PROTO */
int creel_ctl_decode(const uint8_t *buf, size_t len, struct creel_ctl *ret, struct creel_err *err);

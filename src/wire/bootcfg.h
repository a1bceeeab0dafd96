#pragma once
#include "base/buf.h"

/*
 * What creel-init is told at boot: /creel/boot.cfg, appended to the initramfs for each start. It
 * holds no secret. A list of records, each `key NUL length NUL value NUL` (length in decimal, so that
 * content may hold any octet); a record `+KIND` with a name as its value
 * begins a block and the keys that follow belong to it. First record: `creel`, value `1`.
 * Unknown keys are errors: host and guest come from one build.
 */
enum {
	CREEL_BOOT_MAX = 1 << 20, /* octets in all */
	CREEL_BOOT_ITEMS = 64,    /* volumes, services: each */
	CREEL_BOOT_FILES = 256,
	CREEL_BOOT_SECRETS = 72, /* those of a plan, and what creel adds */
	CREEL_BOOT_WORDS = 64,   /* argv and environment of a service: each */
};

enum creel_boot_probe { CREEL_PROBE_NONE, CREEL_PROBE_HTTP, CREEL_PROBE_TCP, CREEL_PROBE_COMMAND };
enum { CREEL_ON_SECRET_RESTART = 255 };
enum creel_boot_restart { CREEL_RESTART_NEVER, CREEL_RESTART_ON_FAILURE, CREEL_RESTART_ALWAYS };

struct creel_boot_volume {
	const char *name; /* the disk's serial is "v-" and this */
	const char *at;
};

/** Whose copy of a file of the share it is: 0400. What is not listed is root's. */
struct creel_boot_secret {
	const char *name;
	uint32_t uid, gid;
};

struct creel_boot_file {
	const char *path;
	const char *content; /* any octets, content_len of them */
	size_t content_len;
	uint32_t uid, gid, mode;
	bool declared; /* put back when it differs; otherwise written only when missing */
};

struct creel_boot_service {
	const char *name;
	const char *argv[CREEL_BOOT_WORDS + 1];
	const char *env[CREEL_BOOT_WORDS + 1];
	const char *env_file; /* "" for none; may be absent */
	const char *after;    /* "" or a service's name */
	const char *home;     /* working directory, made when missing */
	uint32_t uid, gid;
	enum creel_boot_probe probe;
	const char *probe_arg; /* http: PORT/path or unix:SOCKET:/path; tcp: PORT; command: sh -c */
	uint32_t probe_timeout_ms;
	enum creel_boot_restart restart;
	uint32_t stop_grace_ms;
	uint32_t on_secret; /* when one has changed: a signal, CREEL_ON_SECRET_RESTART, or 0 */
};

struct creel_boot {
	const char *cell;              /* also the host name */
	const char *address, *gateway; /* of its link, IPv4; NULL or "": it has none */
	/* the same by IPv6, and the gateway's MAC in hexadecimal with colons; NULL or "": it has none */
	const char *address6, *gateway6, *gateway_mac;
	bool secrets;     /* it has a share (virtiofs, tag "secrets"), copied to /run/secrets */
	uint64_t time_ns; /* wall clock at start, for a guest whose clock is wrong */
	size_t n_volumes, n_files, n_services, n_secrets;
	struct creel_boot_volume volumes[CREEL_BOOT_ITEMS];
	struct creel_boot_file files[CREEL_BOOT_FILES];
	struct creel_boot_service services[CREEL_BOOT_ITEMS];
	struct creel_boot_secret secret[CREEL_BOOT_SECRETS];
};

/** @return 0, CREEL_E_INVALID (a value holds a NUL), CREEL_E_TOOBIG, CREEL_E_NOMEM */
int creel_boot_encode(const struct creel_boot *boot, struct creel_buf *out, struct creel_err *err);

/**
 * Decode strictly. Strings point into @p buf, which must outlive the result.
 *
 * @return 0, CREEL_E_SYNTAX, CREEL_E_TOOBIG (too many of something)
 */
int creel_boot_decode(const uint8_t *buf, size_t len, struct creel_boot *ret, struct creel_err *err);

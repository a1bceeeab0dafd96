#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the kernel's audit tells of an access, put together again.
 *
 * Shape: the kernel sends one record a datagram (netlink(7), NETLINK_AUDIT, group AUDIT_NLGRP_READLOG;
 * types in linux/audit.h). A record is text: `audit(SECONDS.MS:SERIAL): KEY=VALUE ...`. An access is
 * several records of one serial: SYSCALL (who, and the rule's key), CWD, a PATH for each name that took
 * part, and EOE at the end; records of other accesses may stand between. A value that could hold foreign
 * octets is "..." when every octet of it prints and is neither a blank nor a quote, and hexadecimal
 * otherwise (audit_log_untrustedstring() in the kernel).
 *
 * The key of our rules: keys with an octet 1 between, of which the first is the one that people look for
 * (`ausearch -k openclaw-secrets`), and one is ours: PREFIX FOLDER-ACCESS[-CELL], as in
 * `creel-0123456789ab-staged-r-agent`. Accesses under other rules are not ours, and are passed over.
 */
enum {
	CREEL_AUDIT_RECORD = 8970, /* MAX_AUDIT_MESSAGE_LENGTH */
	CREEL_AUDIT_TEXT = 256,
	CREEL_AUDIT_OPEN = 32, /* accesses whose records are not all there */
};

struct creel_audit_access {
	uint64_t serial;
	uint64_t inode;              /* of the file; 0: not said */
	uint32_t pid, uid, auid;     /* auid: who logged in, 4294967295 when nobody did */
	bool success, write, store;  /* store: of the store, else of a staging folder */
	bool folder;                 /* it was a folder: its names, no secret */
	char cell[33];               /* the staging folder's; "": the store, or not said */
	char exe[CREEL_AUDIT_TEXT];  /* cut when longer, as is path */
	char path[CREEL_AUDIT_TEXT]; /* as the program named it: relative to whatever it had open */
};

struct creel_audit_join {
	char prefix[40];
	struct creel_audit_open {
		bool used;
		uint8_t rank; /* of the path that it has: how near it is to what was meant */
		uint64_t age;
		struct creel_audit_access a;
	} open[CREEL_AUDIT_OPEN];
	uint64_t age, dropped; /* dropped: accesses whose end never came */
};

/** @param prefix  at most 39 octets, borrowed for the call */
void creel_audit_join_init(struct creel_audit_join *j, const char *prefix);
/**
 * Take one record.
 *
 * @param type  of its netlink header
 * @param text  untrusted octets; a NUL at the end is allowed
 * @param ret   the access that is whole now; else untouched
 * What was tried on a name that is not there is no access, and is passed over.
 *
 * @return 1 an access, 0 none yet, CREEL_E_SYNTAX (no audit record)
 */
int creel_audit_join(struct creel_audit_join *j, unsigned type, const char *text, size_t len,
		     struct creel_audit_access *ret, struct creel_err *err);
/**
 * The secret that a path means: its last part, where that is a name that a secret can have; and in the
 * store the cell, the part before.
 * @param ret  the secret, "" when it is none (a folder, a temporary, the store's own key)
 */
void creel_audit_secret(const struct creel_audit_access *a, char ret[65], char ret_cell[33]);

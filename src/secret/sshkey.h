#pragma once
#include "base/buf.h"

/*
 * Ed25519 keys in OpenSSH's own form (PROTOCOL.key in its source): made by creel, so that no tool has
 * to be run with a key in its hands, and the public half of one that was made here.
 */
enum { CREEL_SSHKEY_PRIVATE = 512, CREEL_SSHKEY_PUBLIC = 96 };

/** A new private key, appended; @p ret should be locked memory. @return 0, CREEL_E_TOOBIG, CREEL_E_NOMEM */
int creel_sshkey_make(struct creel_buf *ret, struct creel_err *err);
/** "ssh-ed25519 AAAA...": as in authorized_keys and known_hosts. @return 0, CREEL_E_BROKEN (none of ours) */
int creel_sshkey_public(const char *private_text, size_t len, char ret[CREEL_SSHKEY_PUBLIC],
			struct creel_err *err);

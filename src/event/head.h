#pragma once
#include "event/chain.h"

/*
 * The signed head: how far the record goes and with which hash, signed with a key that the writer of
 * the record does not have. Without it a chain that was rewritten whole would look intact.
 * File `head`: "creel-head-1 SEQ HASH SIGNATURE\n", hexadecimal; Ed25519 (RFC 8032) over
 * "creel-head-1", seq as 8 octets little-endian, hash. Key files: `key` (0600), `key.pub`.
 */
struct creel_head_key {
	uint8_t secret[64];
};

/** Load DIR/key, or make it (and key.pub) at the first start. */
int creel_head_key_open(int dirfd, struct creel_head_key *ret, struct creel_err *err);
void creel_head_key_wipe(struct creel_head_key *key);

/** Sign and replace DIR/head. A lower seq than the one there is refused: CREEL_E_DENIED. */
int creel_head_sign(int dirfd, const struct creel_head_key *key, const struct creel_link_state *at,
		    struct creel_err *err);

/** @param pub  32 octets. @return 0, CREEL_E_NOTFOUND (no head), CREEL_E_BROKEN (bad signature) */
int creel_head_read(int dirfd, const uint8_t pub[32], struct creel_link_state *ret, struct creel_err *err);
/** Read a public key file: 64 hexadecimal digits. */
int creel_head_pub_read(int dirfd, const char *name, uint8_t ret[32], struct creel_err *err);

#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

/*
 * The store of secrets: STATE/secrets/CELL/NAME, each value encrypted and bound to its cell and name,
 * so that files cannot be exchanged. One random data key encrypts all; STATE/secrets/.key says how it
 * is kept:
 *
 *   file           in .key itself. Whoever copies the store without that file has nothing; whoever has
 *                  both has all. The way of a machine that is to start its cells alone and has nothing
 *                  better.
 *   systemd-creds  sealed by systemd-creds(1) to this host, and to its TPM where it has one.
 *   passphrase     sealed by a key that Argon2id makes of a passphrase. Once unlocked, the data key is in
 *                  the kernel's keyring until `lock` or the next start of the machine.
 *
 * File of a value: "creelsec1\n", a nonce of 24 octets, XChaCha20-Poly1305 (libsodium) over the value
 * padded to 64 octets; associated data "creel secret 1", cell, name, each ended by a NUL.
 *
 * The data key is in memory that is locked and left out of core dumps. Buffers for values are reserved
 * whole before the value comes, so that none of it stays behind in memory that was given back.
 */
enum { CREEL_SECRET_MAX = 65536, CREEL_STORE_KEY = 32 };

enum creel_store_method { CREEL_STORE_FILE, CREEL_STORE_SYSTEMD, CREEL_STORE_PASSPHRASE };

struct creel_store {
	int state, dir, lock; /* -1: not open */
	enum creel_store_method method;
	uint8_t *key; /* CREEL_STORE_KEY octets; NULL while it is locked */
	char id[33];  /* names the data key in the keyring */
};

/** "file", "systemd-creds", "passphrase". */
const char *creel_store_method_name(enum creel_store_method m);
/** @return 0, CREEL_E_USAGE */
int creel_store_method_parse(const char *text, enum creel_store_method *ret, struct creel_err *err);

/**
 * Open, and unlock when that needs no human.
 *
 * @param state_fd  the state folder, borrowed
 * @param write     make what is missing, and keep other writers out until creel_store_fini()
 * @return 0, CREEL_E_NOTFOUND (nothing was ever stored), CREEL_E_BUSY, CREEL_E_BROKEN (.key), CREEL_E_OS
 */
int creel_store_open(int state_fd, bool write, struct creel_store *ret, struct creel_err *err);
void creel_store_fini(struct creel_store *s);
CREEL_DEFINE_CLEANUP(struct creel_store, creel_store_fini)

static inline bool creel_store_locked(const struct creel_store *s)
{
	return !s->key;
}
/** @return 0, CREEL_E_DENIED (not this passphrase), CREEL_E_BROKEN, CREEL_E_NOMEM */
int creel_store_unlock(struct creel_store *s, const char *passphrase, size_t len, struct creel_err *err);
/** Forget the data key here and in the keyring. */
void creel_store_lock(struct creel_store *s);

/**
 * @param ret  empty; CREEL_SECRET_MAX octets are reserved in it
 * @return 0, CREEL_E_NOTFOUND, CREEL_E_DENIED (locked), CREEL_E_BROKEN (damaged, or of another cell or
 *         name), CREEL_E_NOMEM
 */
int creel_store_get(const struct creel_store *s, const char *cell, const char *name, struct creel_buf *ret,
		    struct creel_err *err);
/** On disk when it returns; the old value is whole until then. @p len 1 to CREEL_SECRET_MAX */
int creel_store_put(const struct creel_store *s, const char *cell, const char *name, const void *data,
		    size_t len, struct creel_err *err);
/** @return 0, CREEL_E_NOTFOUND, CREEL_E_OS */
int creel_store_remove(const struct creel_store *s, const char *cell, const char *name,
		       struct creel_err *err);
/** Call @p each for every stored secret (of @p cell, or of all when NULL) until it returns not 0. */
int creel_store_each(const struct creel_store *s, const char *cell,
		     int (*each)(const char *cell, const char *name, void *ctx), void *ctx);

/**
 * A new data key, kept in another way or in the same; every value is encrypted anew. All of it, or
 * nothing: the new store takes the old one's place in one rename. @p s must be open to write and
 * unlocked; it is the new store afterwards.
 */
int creel_store_rekey(struct creel_store *s, enum creel_store_method method, const char *passphrase,
		      size_t len, struct creel_err *err);

/** A name that is safe as a file's: letter first, then letters, digits, '-', '_'; at most @p max - 1. */
bool creel_secret_name_ok(const char *name, size_t max);

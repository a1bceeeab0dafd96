#pragma once
#include "secret/store.h"

/*
 * How the store's data key is kept: the file .key of its folder. Private to src/secret.
 */

/** Make .key in @p dirfd for @p key. @return 0, CREEL_E_UNSUPP, CREEL_E_CHILD, CREEL_E_OS, CREEL_E_NOMEM */
int storekey_write(int dirfd, enum creel_store_method method, const uint8_t key[CREEL_STORE_KEY],
		   const char *passphrase, size_t len, char ret_id[33], struct creel_err *err);

/**
 * Read .key, and the data key where that needs no human.
 *
 * @param ret_key  CREEL_STORE_KEY octets
 * @return 0, 1 (a passphrase is needed), CREEL_E_NOTFOUND (there is no .key), CREEL_E_BROKEN, CREEL_E_CHILD
 */
int storekey_read(int dirfd, enum creel_store_method *ret_method, char ret_id[33], uint8_t *ret_key,
		  struct creel_err *err);

/** With the passphrase. @return 0, CREEL_E_DENIED, CREEL_E_BROKEN, CREEL_E_NOMEM */
int storekey_open(int dirfd, const char *passphrase, size_t len, uint8_t *ret_key, struct creel_err *err);

/** What a machine gets that was asked for nothing else. */
enum creel_store_method storekey_default(void);

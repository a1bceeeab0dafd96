#pragma once
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

/*
 * The kernel's keyring of this user (keyrings(7), user-keyring(7)): a place for a small secret that is
 * on no disk and lasts until it is removed or the machine is started anew. A key that is put here may
 * be read by processes of this uid alone.
 */

/** Put, or replace. @return 0, CREEL_E_UNSUPP (no keyrings here), CREEL_E_OS */
int creel_keyring_put(const char *name, const void *data, size_t len, struct creel_err *err);
/** @param len  exactly so many octets. @return 0, CREEL_E_NOTFOUND, CREEL_E_INVALID (another length) */
int creel_keyring_get(const char *name, void *ret, size_t len, struct creel_err *err);
/** What is not there is no error. */
void creel_keyring_drop(const char *name);

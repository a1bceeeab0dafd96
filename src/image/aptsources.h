#pragma once
#include "base/buf.h"

/*
 * The builder's own apt sources (sources.list(5), both styles), of which a build takes those of the
 * recipe's suite: SUITE, SUITE-updates, SUITE-security, SUITE/updates. Others of the machine (a
 * vendor's repository) are nothing that an image should depend on.
 */

/**
 * Append one-line entries "deb [signed-by=..] URI SUITE COMPONENT..." for the wanted suite.
 *
 * @param text      a file's content, untrusted
 * @param deb822    its name ends in .sources
 * @param suite     the recipe's
 * @param snapshot  YYYYMMDDTHHMMSSZ: the same suites as of then, from snapshot.debian.org; NULL: as is
 * @return how many were found, or CREEL_E_TOOBIG, CREEL_E_NOMEM, CREEL_E_UNSUPP (a key within the file)
 */
int creel_aptsources_pick(const char *text, bool deb822, const char *suite, const char *snapshot,
			  struct creel_buf *out, struct creel_err *err);

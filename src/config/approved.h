#pragma once
#include "config/check.h"

/*
 * Names that a human approved for good (`creel approve --always`): beside creel.yaml, in
 * creel.approved.yaml, to be reviewed and committed with it. One line each, so that one more is appended:
 *
 *   version: 1
 *   allow:
 *     - { cell: agent, entry: "web.example" } # approval 12, 2026-11-25, uid 1000
 */

/**
 * The name of that file: @p file with `.approved` before `.yaml`, or at its end.
 * @return CREEL_E_USAGE (standard input has none), CREEL_E_TOOBIG
 */
int creel_approved_path(const char *file, char *ret, size_t size, struct creel_err *err);

/**
 * Put its entries into the cells' egress.approved. No file is no entry.
 *
 * @param text  of the file
 * @param w     w->file is its name; what is wrong is appended to w->diags
 */
void creel_approved_read(struct walk *w, const void *text, size_t len, struct creel_config *c);

/**
 * The text with one more entry, as it is written: nothing of what stands there changes.
 *
 * @param old   NULL: there is none yet
 * @param note  its comment: no newline
 */
int creel_approved_add(const char *old, const char *cell, const char *entry, const char *note,
		       struct creel_buf *out, struct creel_err *err);

#pragma once
#include "base/err.h"

/*
 * A folder of secrets in a cell's run folder: a ramfs, never written to a disk or to swap. It outlives
 * the monitor as the cell does, and goes with the cell.
 */

/**
 * Make it. What was made before a failure is left to ramfolder_drop().
 *
 * @param what  its name in the cell's run folder
 * @return its descriptor, for the caller to close; CREEL_E_OS, CREEL_E_TOOBIG
 */
int ramfolder_make(const char *cell, const char *what, unsigned mode, struct creel_err *err);
/** As ramfolder_make(), where it is there. */
int ramfolder_open(const char *cell, const char *what, struct creel_err *err);
/** Nothing where there is none. */
void ramfolder_drop(const char *cell, const char *what);

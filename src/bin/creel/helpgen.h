#pragma once
#include "cli.h"

/*
 * The table of verbs for other readers than a terminal's: creel(1)'s list of verbs, creel-events(5)'s of kinds, and completion for
 * a shell. Options are the words of a verb's help that begin with `-` at the beginning of a line.
 */

/** Print creel(1)'s list. */
void helpgen_man(void);
/** Print creel-events(5)'s list of kinds. */
void helpgen_events(void);
/** @param shell  bash, zsh or fish. @return 0, CREEL_E_USAGE */
int helpgen_completion(const char *shell, struct creel_err *err);

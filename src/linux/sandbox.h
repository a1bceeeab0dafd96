#pragma once
#include "base/err.h"
#include <stddef.h>

/*
 * The last step before a worker's loop: no capability, no_new_privs, no core and no ptrace, and only
 * the system calls that it names (besides those that any program of ours needs: memory, time, the
 * descriptors it has, the end). Others fail with EPERM. An unknown name is an error.
 */

/**
 * @param calls  NULL-terminated
 * @return 0, CREEL_E_OS, CREEL_E_UNSUPP (no such call)
 */
int creel_sandbox(const char *const *calls, struct creel_err *err);

#pragma once
#include <stddef.h>

/*
 * Allocation k fails: link with dep_alloc and every malloc, calloc, realloc, strdup, strndup and
 * vasprintf of the test program, of creel's libraries and of the static third-party ones in it goes
 * through here. What libc itself allocates does not.
 */

/** The @p k-th allocation from now on fails (1 is the next); 0: none does. */
void alloc_fail_at(size_t k);
/** How many were made since then, the failed one included. */
size_t alloc_count(void);
/** Pieces of memory that are allocated now and were since the beginning of the program. */
size_t alloc_live(void);

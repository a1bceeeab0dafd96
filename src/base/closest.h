#pragma once
#include <stddef.h>

/**
 * The word that was meant: the one of @p words (@p n of them) at the least edit distance from
 * @p s, which is at most 2 and at most a third of its length, rounded up. Words over 32 octets
 * are never close.
 *
 * @return one of @p words, the first of equals; NULL when none is close
 */
const char *creel_closest(const char *s, const char *const *words, size_t n);

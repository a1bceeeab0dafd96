#include "base/closest.h"
#include "base/cleanup.h"
#include <string.h>

enum { WORD_MAX = 32, FAR = 99 };

/* Levenshtein's, a row at a time */
static size_t distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1] = {0}, n = strlen(b);

	if (n > WORD_MAX || strlen(a) > 2 * WORD_MAX)
		return FAR;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diag = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t up = row[j], swap = diag + (a[i - 1] != b[j - 1]);
			size_t one = MIN(up, row[j - 1]) + 1;
			row[j] = MIN(swap, one);
			diag = up;
		}
	}
	return row[n];
}

const char *creel_closest(const char *s, const char *const *words, size_t n)
{
	const char *best = NULL;
	size_t least = MIN((strlen(s) + 2) / 3, (size_t)2) + 1;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(s, words[i]);
		if (d < least) {
			least = d;
			best = words[i];
		}
	}
	return best;
}

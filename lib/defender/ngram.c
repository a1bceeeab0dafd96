#include "ngram.h"

bool def_ngram_builtin(struct def_ngram *ret)
{
	return false;
}

double def_ngram_score(const struct def_ngram *m, const uint8_t *words, size_t len, size_t *ret_from,
		       size_t *ret_to)
{
	return 0;
}

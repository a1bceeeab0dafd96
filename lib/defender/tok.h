#pragma once
#include "mem.h"

/*
 * The tokenizer that a classifier was trained with, from its tokenizer.json: a Unigram model
 * (Kudo, 2018) as the `tokenizers` library runs it, so that the ids are the same. What such a file
 * may hold and is not known here is refused, never guessed. Memory is malloc's.
 */
#define DEF_TOK_FILE_MAX (64u << 20)
#define DEF_TOK_PIECE    512 /* octets of a piece, at most */

struct def_tok;
struct def_ids {
	int32_t *id; /* free() it */
	size_t n, cap;
};

/** @p json  a tokenizer.json, untrusted. @return 0, CREEL_E_SYNTAX, CREEL_E_TOOBIG, CREEL_E_NOMEM */
int def_tok_load(const char *json, size_t len, struct def_tok **ret, struct creel_err *err);
void def_tok_free(struct def_tok *t);
/**
 * The text's ids, without those that the model wants around it; what is not UTF-8 is read as U+FFFD.
 * Linear in @p len. @return 0 or CREEL_E_NOMEM
 */
int def_tok_encode(const struct def_tok *t, const void *text, size_t len, struct def_ids *ret,
		   struct creel_err *err);
/** What stands before and after each text ([CLS], [SEP]); @return their number. */
size_t def_tok_before(const struct def_tok *t, const int32_t **ret);
size_t def_tok_after(const struct def_tok *t, const int32_t **ret);

/* tok-text.c: what is done to text before it is cut in pieces. */
/** U+FFFD for what is not UTF-8, one for each longest broken part (as Python's "replace"). */
void def_utf8_clean(const uint8_t *p, size_t len, struct def_buf *ret);
uint32_t def_utf8_at(const uint8_t *p, size_t *ret_len); /* of clean text */
/** The end of the grapheme cluster that begins at @p at (UAX 29) of clean text. */
size_t def_cluster(const uint8_t *p, size_t at, size_t len);
/** SentencePiece's compiled map: a double array and the texts that it points to. */
struct def_charsmap {
	uint32_t *units;
	size_t n_units;
	char *texts; /* @p n_texts octets and a NUL */
	size_t n_texts;
};
int def_charsmap_load(struct def_charsmap *ret, const char *base64, size_t len, struct creel_err *err);
void def_charsmap_apply(const struct def_charsmap *m, const uint8_t *p, size_t len, struct def_buf *ret);

#pragma once
#include <stdbool.h>
#include <stdint.h>

/*
 * The folding table (gen-fold.c writes it): a row for each character below U+20000, shared by the
 * characters that fold alike, reached by two steps: index[cp / 64], then pages[that][cp % 64].
 */
#define FOLD_PAGE 64
enum fold_cls {
	FOLD_SEP = 0, /* punctuation, symbols, what is not assigned */
	FOLD_WORD,    /* letters, digits, marks that belong to their script's words */
	FOLD_CJK,     /* Han, kana: written without blanks */
	FOLD_DROP,    /* seen by nobody: zero width, bidi controls, marks that only adorn */
	FOLD_SPACE,
	FOLD_BREAK,  /* a line's end */
	FOLD_VOICED, /* kana's combining voice marks: they change the character before */
};
enum fold_script { FOLD_OTHER = 0, FOLD_LATIN, FOLD_LOOKALIKE /* Cyrillic, Greek, ... */ };

struct fold_row {
	uint8_t cls, script;
	uint8_t fold_len;    /* 0: folds to itself */
	uint8_t conf_len;    /* 0: looks like no ASCII */
	uint16_t fold, conf; /* in the pool, UTF-8 */
};
extern const struct fold_row creel_fold_rows[];
extern const char creel_fold_pool[];
extern const uint16_t creel_fold_index[];
extern const uint16_t creel_fold_pages[][FOLD_PAGE];

static inline const struct fold_row *fold_row_of(uint32_t cp)
{
	static const struct fold_row han = {FOLD_CJK, FOLD_OTHER, 0, 0, 0, 0},
				     drop = {FOLD_DROP, FOLD_OTHER, 0, 0, 0, 0},
				     sep = {FOLD_SEP, FOLD_OTHER, 0, 0, 0, 0};

	if (cp < 0x20000)
		return &creel_fold_rows[creel_fold_pages[creel_fold_index[cp / FOLD_PAGE]][cp % FOLD_PAGE]];
	if (cp < 0x40000)
		return &han;
	return cp >= 0xe0000 && cp < 0xe1000 ? &drop : &sep;
}

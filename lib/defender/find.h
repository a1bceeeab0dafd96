#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where in a text something may begin, sixty-four octets at once: what most of a text does not have is passed over. What
 * is found may be something else; the caller looks. Its last octets, less than a block, are not looked at: then the
 * place where they begin is returned.
 */

/* What was found out about the octets of one block, for the next question; zeroed before the first. */
struct def_known {
	size_t from, to;
	uint64_t bits;
};

#define DEF_RUN_MIN 16 /* characters of an encoded run: 12 octets of base64, 8 of hexadecimal */

/** DEF_RUN_MIN octets of base64 and its line ends, or of hexadecimal pairs and what parts them; no blank first. */
size_t def_find_run(struct def_known *k, const uint8_t *in, size_t i, size_t len);
/** What begins an escape: % & \ ESC. */
size_t def_find_escape(struct def_known *k, const uint8_t *in, size_t i, size_t len);
/**
 * A mark of markup, < * ` ~, behind something else than a blank or a tag, and, but for <, before no blank. @p i > 0, as
 * below.
 */
size_t def_find_mark(struct def_known *k, const uint8_t *in, size_t i, size_t len);
/** What may stand for a letter, behind a letter, and before one or before the like and that. */
size_t def_find_leet(struct def_known *k, const uint8_t *in, size_t i, size_t len);
/** The same between two letters, and nothing that stands only for itself. */
size_t def_find_changed(struct def_known *k, const uint8_t *in, size_t i, size_t len);

#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * The classifiers that `creel model add` took: STORE/NAME/ holds config.json, model.onnx, tokenizer.json,
 * and creel-model.json, which says what each of them is. NAME is there whole or not at all: it is filled
 * as STORE/.new-XXXXXX, checked, synced and renamed.
 *
 * Whoever can write in STORE can write creel-model.json too: what is checked later finds damage and a
 * file that was exchanged by itself, not a foe with this user's rights.
 */
enum { CREEL_MODEL_FILES = 3, CREEL_MODEL_NAME = 65, CREEL_MODEL_HEX = 65, CREEL_MODEL_SOURCE = 1024 };

/** In the order of their names: "config.json", "model.onnx", "tokenizer.json". */
extern const char *const creel_model_files[CREEL_MODEL_FILES];
enum { CREEL_MODEL_NETWORK = 1 }; /* which of them may have had another name */

struct creel_model_file {
	char sha256[CREEL_MODEL_HEX]; /* 64 lower-case hex digits */
	uint64_t size;
	/* as it was when it was hashed: while these are the same, the octets are */
	uint64_t inode;
	int64_t changed_ns; /* st_ctim, since 1970 */
};

struct creel_model {
	char name[CREEL_MODEL_NAME];
	char sha256[CREEL_MODEL_HEX]; /* what the user vouched for: of the archive, or creel_model_digest() */
	char source[CREEL_MODEL_SOURCE]; /* path or URL; foreign text */
	int64_t added;                   /* seconds since 1970 */
	struct creel_model_file file[CREEL_MODEL_FILES];
};

/** $CREEL_MODELS, else `models` in /var/lib/creel (root) or in $XDG_STATE_HOME/creel. Need not exist. */
int creel_model_store(char *ret, size_t size, struct creel_err *err);
/** Letters, digits, '-', '_' and '.', a letter or digit first, 64 at most. */
bool creel_model_name_ok(const char *name);
/** 64 hexadecimal digits, to lower case. */
bool creel_model_hex(const char *text, char ret[CREEL_MODEL_HEX]);
void creel_model_hex_of(const uint8_t hash[32], char ret[CREEL_MODEL_HEX]);

/** Note what a file is, without its hash. */
void creel_model_state(const struct stat *st, struct creel_model_file *ret);
/** Hash a file from where it stands to its end, and note what it is. */
int creel_model_hash(int fd, struct creel_model_file *ret, struct creel_err *err);
/** One hash for the three: SHA-256 of what `sha256sum config.json model.onnx tokenizer.json` prints. */
void creel_model_digest(const struct creel_model *m, char ret[CREEL_MODEL_HEX]);

/** @return 0, CREEL_E_NOTFOUND, CREEL_E_BROKEN (creel-model.json), CREEL_E_OS */
int creel_model_read(const char *store, const char *name, struct creel_model *ret, struct creel_err *err);
/** Write creel-model.json into the open folder, and sync it. */
int creel_model_write(int dirfd, const struct creel_model *m, struct creel_err *err);
/**
 * Are the files what they were? What looks untouched is believed, unless @p all: then all is hashed.
 * @return 0, CREEL_E_BROKEN, CREEL_E_OS
 */
int creel_model_check(const char *store, const struct creel_model *m, bool all, struct creel_err *err);
/** Each model by name; one that cannot be read comes with `sha256` empty. A missing store has none. */
int creel_model_each(const char *store, int (*each)(const struct creel_model *m, void *ctx), void *ctx,
		     struct creel_err *err);

/**
 * The folder that `--model WORD` means. A word with a '/' is a folder, and is not checked. Else it is a
 * model of the store, checked; and when the store has none of that name, a folder here.
 *
 * @return 0, CREEL_E_NOTFOUND, CREEL_E_BROKEN, CREEL_E_OS
 */
int creel_model_find(const char *word, char *ret, size_t size, struct creel_err *err);

#pragma once
#include "model/store.h"
#include <limits.h>
#include <sodium.h>

/*
 * creel-model: what `creel model` runs; a program of its own, as it fetches and unpacks what others made.
 *
 * An add is one struct work: a folder .new-XXXXXX of the store that only we see. Files come into it by a
 * sink, which hashes and counts what it writes, so that what is checked is what is kept.
 */
struct work {
	const char *name, *from;
	const char *network; /* the file to take for model.onnx, or NULL */
	const char *ca_file; /* certificates to trust instead of the system's, or NULL */
	char want[CREEL_MODEL_HEX];
	char store[PATH_MAX], dir[PATH_MAX]; /* dir "": none yet */
	int store_fd, lock, dir_fd;
	uint64_t max, done, total; /* octets; total 0: not known */
	int64_t said_ms;
	bool terminal, open; /* the line of progress is not ended */
	struct creel_model model;
};

struct sink {
	struct work *work;
	int fd;
	crypto_hash_sha256_state state;
	struct creel_model_file file;
};
/** Make NAME in the work's folder; an earlier one is replaced. */
int sink_open(struct work *w, const char *name, struct sink *ret, struct creel_err *err);
/** @return 0, CREEL_E_TOOBIG (over work.max in all), CREEL_E_CANCEL (a signal came), CREEL_E_OS */
int sink_write(struct sink *s, const void *data, size_t len, struct creel_err *err);
/** Sync and close it; @p ret_file says what it is. A failed sink is closed too. */
int sink_close(struct sink *s, struct creel_model_file *ret_file, struct creel_err *err);
void sink_drop(struct sink *s);

/** Has somebody asked us to end? */
bool work_cancelled(void);
/** Is this what the user vouched for? @p what: "the archive" @return 0, CREEL_E_DENIED */
int work_vouched(struct work *w, const char *is, const char *what, struct creel_err *err);

/** The name of file @p i where it comes from. */
static inline const char *work_name(const char *network, size_t i)
{
	return i == CREEL_MODEL_NETWORK && network ? network : creel_model_files[i];
}

/* take.c */
/** Copy the three files of an open folder. */
int take_folder(struct work *w, int dirfd, struct creel_err *err);
/** Hash an archive (tar, compressed or not, or zip), compare, and only then unpack the three files. */
int take_archive(struct work *w, int fd, struct creel_err *err);

/* fetch.c */
bool fetch_is_url(const char *text);
/** The three files below a URL that ends in '/', or else an archive. */
int fetch(struct work *w, struct creel_err *err);

/* main.c */
/** Does it open and answer? Without ONNX Runtime here that is not known, said, and no failure. */
int model_try(struct work *w, struct creel_err *err);

/* work.c */
int model_add(struct work *w, struct creel_err *err);
int model_remove(const char *name, struct creel_err *err);

#include "work.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART = 1 << 18, ENTRIES_MAX = 10000 };

static int copy(struct work *w, int from, const char *name, struct creel_model_file *ret,
		struct creel_err *err)
{
	autofree char *part = malloc(PART);
	struct sink s;
	ssize_t n;
	int r = part ? sink_open(w, name, &s, err) : creel_err_nomem(err);

	if (r < 0)
		return r;
	while (r == 0 && (n = read(from, part, PART)) != 0)
		r = n < 0 ? creel_err_set(err, CREEL_E_OS, errno, "read %s", name)
			  : sink_write(&s, part, (size_t)n, err);
	if (r == 0)
		return sink_close(&s, ret, err);
	sink_drop(&s);
	return r;
}

/* Links are followed here: a hub's cache keeps a folder of links, and what counts is what is hashed. */
static int source_open(int dirfd, const char *path, struct work *w, struct creel_err *err)
{
	struct stat st;
	autofd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno, "%s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return creel_err_set(err, CREEL_E_INVALID, 0, "%s is no regular file", path);
	w->total += (uint64_t)st.st_size;
	return steal_fd(&fd);
}

int take_folder(struct work *w, int dirfd, struct creel_err *err)
{
	char digest[CREEL_MODEL_HEX];
	int fd[CREEL_MODEL_FILES] = {-1, -1, -1}, r = 0;

	for (size_t i = 0; r >= 0 && i < CREEL_MODEL_FILES; i++) {
		r = fd[i] = source_open(dirfd, work_name(w->network, i), w, err);
		if (r == CREEL_E_NOTFOUND && i == CREEL_MODEL_NETWORK && !w->network) {
			*err = (struct creel_err){0};
			r = fd[i] = source_open(dirfd, "onnx/model.onnx", w, err);
		}
	}
	if (r == CREEL_E_NOTFOUND)
		(void)creel_err_add(err, "the folder wants config.json, tokenizer.json and model.onnx");
	for (size_t i = 0; r >= 0 && i < CREEL_MODEL_FILES; i++)
		r = copy(w, fd[i], creel_model_files[i], &w->model.file[i], err);
	for (size_t i = 0; i < CREEL_MODEL_FILES; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	if (r < 0)
		return r;
	creel_model_digest(&w->model, digest);
	return work_vouched(w, digest, "its three files", err);
}

/*
 * Which of the three an entry is, and how deep it lies: at the top, or in one folder that holds all; the
 * network in `onnx` too. @return -1: none
 */
static int entry_which(const struct work *w, const char *path, unsigned *ret_depth)
{
	if (strncmp(path, "./", 2) == 0)
		path += 2;
	*ret_depth = 0;
	for (const char *p = path; *p; p++)
		*ret_depth += *p == '/';
	const char *rest = strchr(path, '/');
	const char *const tries[] = {path, rest ? rest + 1 : NULL};
	for (size_t t = 0; t < ELEMENTSOF(tries) && tries[t]; t++)
		for (size_t i = 0; i < CREEL_MODEL_FILES; i++)
			if (strcmp(tries[t], work_name(w->network, i)) == 0 ||
			    (i == CREEL_MODEL_NETWORK && !w->network &&
			     strcmp(tries[t], "onnx/model.onnx") == 0))
				return (int)i;
	return -1;
}

static int entry_take(struct work *w, struct archive *a, int which, struct creel_err *err)
{
	autofree char *part = malloc(PART);
	struct sink s;
	la_ssize_t n;
	int r = part ? sink_open(w, creel_model_files[which], &s, err) : creel_err_nomem(err);

	if (r < 0)
		return r;
	while (r == 0 && (n = archive_read_data(a, part, PART)) != 0)
		r = n < 0 ? creel_err_set(err, CREEL_E_BROKEN, 0, "the archive: %.120s",
					  archive_error_string(a))
			  : sink_write(&s, part, (size_t)n, err);
	if (r == 0)
		return sink_close(&s, &w->model.file[which], err);
	sink_drop(&s);
	return r;
}

static int unpack(struct work *w, struct archive *a, struct creel_err *err)
{
	unsigned depth[CREEL_MODEL_FILES] = {-1u, -1u, -1u}, at;
	struct archive_entry *e;
	int r = 0, rc = ARCHIVE_OK;

	for (int n = 0; r == 0 && (rc = archive_read_next_header(a, &e)) == ARCHIVE_OK;) {
		const char *path = archive_entry_pathname(e);
		int which = path ? entry_which(w, path, &at) : -1;
		if (++n > ENTRIES_MAX)
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "the archive has over %d entries",
					     ENTRIES_MAX);
		if (which < 0 || at >= depth[which] || archive_entry_filetype(e) != AE_IFREG ||
		    archive_entry_hardlink(e))
			continue;
		depth[which] = at;
		r = entry_take(w, a, which, err);
	}
	if (r == 0 && rc != ARCHIVE_EOF)
		r = creel_err_set(err, CREEL_E_BROKEN, 0, "the archive: %.120s", archive_error_string(a));
	for (size_t i = 0; r == 0 && i < CREEL_MODEL_FILES; i++)
		if (depth[i] == -1u)
			r = creel_err_set(err, CREEL_E_NOTFOUND, 0, "the archive has no %s",
					  work_name(w->network, i));
	return r;
}

int take_archive(struct work *w, int fd, struct creel_err *err)
{
	struct creel_model_file whole;
	int r = creel_model_hash(fd, &whole, err);

	if (r == 0)
		r = work_vouched(w, whole.sha256, "the archive", err);
	if (r < 0)
		return r;
	struct archive *a = archive_read_new();
	if (!a)
		return creel_err_nomem(err);
	w->total = 0;
	if (lseek(fd, 0, SEEK_SET) < 0 || archive_read_support_filter_all(a) < ARCHIVE_WARN ||
	    archive_read_support_format_tar(a) != ARCHIVE_OK ||
	    archive_read_support_format_zip(a) != ARCHIVE_OK ||
	    archive_read_open_fd(a, fd, PART) != ARCHIVE_OK)
		r = creel_err_set(err, CREEL_E_SYNTAX, 0, "it is no folder, tar or zip archive: %.100s",
				  archive_error_string(a) ? archive_error_string(a) : "unknown");
	if (r == 0)
		r = unpack(w, a, err);
	(void)archive_read_free(a);
	/* it may have been written to meanwhile: what was vouched for is what was unpacked */
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "read the archive again");
	if (r == 0)
		r = creel_model_hash(fd, &whole, err);
	return r < 0 ? r : work_vouched(w, whole.sha256, "the archive", err);
}

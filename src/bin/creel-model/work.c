#include "work.h"
#include "base/clock.h"
#include "image/tree.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t cancelled;

static void on_signal(int sig)
{
	cancelled = 1;
}

bool work_cancelled(void)
{
	return cancelled != 0;
}

/* A line that is written over on a terminal, else one every ten seconds. */
static void progress(struct work *w)
{
	int64_t now = creel_clock_ms();
	char of[32] = "";

	if (now < w->said_ms + (w->terminal ? 200 : 10000))
		return;
	w->said_ms = now;
	if (w->total > 0)
		(void)snprintf(of, sizeof(of), " of %.1f", (double)w->total / 1e6);
	fprintf(stderr, "%screel: model %s: %.1f%s MB%s", w->terminal ? "\r\033[K" : "", w->name,
		(double)w->done / 1e6, of, w->terminal ? "" : "\n");
	w->open = w->terminal;
}

int sink_open(struct work *w, const char *name, struct sink *ret, struct creel_err *err)
{
	*ret = (struct sink){.work = w};
	ret->fd = openat(w->dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (ret->fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s", name);
	(void)crypto_hash_sha256_init(&ret->state);
	return 0;
}

int sink_write(struct sink *s, const void *data, size_t len, struct creel_err *err)
{
	struct work *w = s->work;
	const char *p = data;

	if (cancelled)
		return creel_err_set(err, CREEL_E_CANCEL, 0, "interrupted");
	if (len > w->max || w->done > w->max - len)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "over %.1f MB (--max-size)",
				     (double)w->max / 1e6);
	(void)crypto_hash_sha256_update(&s->state, data, len);
	s->file.size += len;
	w->done += len;
	progress(w);
	for (ssize_t n; len > 0; p += n, len -= (size_t)n)
		if ((n = write(s->fd, p, len)) < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "write into %.160s", w->store);
	return 0;
}

int sink_close(struct sink *s, struct creel_model_file *ret_file, struct creel_err *err)
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	struct stat st;
	int r = 0;

	(void)crypto_hash_sha256_final(&s->state, hash);
	creel_model_hex_of(hash, s->file.sha256);
	if (fsync(s->fd) < 0 || fstat(s->fd, &st) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "sync a file of %.160s", s->work->store);
	else {
		creel_model_state(&st, &s->file);
		*ret_file = s->file;
	}
	sink_drop(s);
	return r;
}

void sink_drop(struct sink *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

int work_vouched(struct work *w, const char *is, const char *what, struct creel_err *err)
{
	if (strcmp(is, w->want) == 0)
		return 0;
	if (strcmp(w->want, w->model.file[CREEL_MODEL_NETWORK].sha256) == 0)
		return creel_err_set(
			err, CREEL_E_DENIED, 0,
			"that is the SHA-256 of model.onnx alone; `creel model hash` says that of all");
	return creel_err_set(err, CREEL_E_DENIED, 0,
			     "SHA-256 of %s is %s, not the one given: nothing was kept", what, is);
}

/* What a kill -9 or a power cut left; nobody else has it, as the lock is ours. */
static void leftovers_remove(const struct work *w)
{
	autodir DIR *d = opendir(w->store);

	for (struct dirent *e; d && (e = readdir(d));)
		if (strncmp(e->d_name, ".new-", 5) == 0 || strncmp(e->d_name, ".gone-", 6) == 0) {
			char path[PATH_MAX + 256];
			struct creel_err ignored = {0};
			(void)snprintf(path, sizeof(path), "%s/%s", w->store, e->d_name);
			(void)creel_tree_remove(path, &ignored);
		}
}

static int store_open(struct work *w, bool make, struct creel_err *err)
{
	int r = creel_model_store(w->store, sizeof(w->store), err);

	if (r == 0 && make)
		r = creel_tree_mkdirs(w->store, err);
	if (r < 0)
		return r;
	w->store_fd = open(w->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->store_fd < 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno,
				     "open %.160s", w->store);
	w->lock = openat(w->store_fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (w->lock < 0 || flock(w->lock, LOCK_EX | LOCK_NB) < 0)
		return creel_err_set(err, w->lock >= 0 && errno == EWOULDBLOCK ? CREEL_E_BUSY : CREEL_E_OS,
				     errno, "another `creel model` is at work in %.120s", w->store);
	leftovers_remove(w);
	return 0;
}

static void work_end(struct work *w)
{
	struct creel_err ignored = {0};

	if (w->open)
		fputc('\n', stderr);
	if (w->dir[0])
		(void)creel_tree_remove(w->dir, &ignored);
	if (w->dir_fd >= 0)
		close(w->dir_fd);
	if (w->lock >= 0)
		close(w->lock);
	if (w->store_fd >= 0)
		close(w->store_fd);
}

static int folder_make(struct work *w, struct creel_err *err)
{
	char dir[PATH_MAX];

	if (snprintf(dir, sizeof(dir), "%s/.new-XXXXXX", w->store) >= (int)sizeof(dir))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "%.160s: too long a path", w->store);
	if (!mkdtemp(dir))
		return creel_err_set(err, CREEL_E_OS, errno, "make a folder in %.160s", w->store);
	memcpy(w->dir, dir, sizeof(dir));
	w->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return w->dir_fd < 0 ? creel_err_set(err, CREEL_E_OS, errno, "open %.160s", dir) : 0;
}

static int fill(struct work *w, struct creel_err *err)
{
	if (fetch_is_url(w->from))
		return fetch(w, err);
	autofd int fd = open(w->from, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %.160s", w->from);
	if (S_ISDIR(st.st_mode))
		return take_folder(w, fd, err);
	w->total = (uint64_t)st.st_size;
	return take_archive(w, fd, err);
}

/* From here on it is there: whole, synced, under its name. */
static int commit(struct work *w, struct creel_err *err)
{
	struct creel_model *m = &w->model;

	(void)snprintf(m->name, sizeof(m->name), "%s", w->name);
	(void)snprintf(m->sha256, sizeof(m->sha256), "%s", w->want);
	(void)snprintf(m->source, sizeof(m->source), "%s", w->from);
	m->added = time(NULL);
	int r = creel_model_write(w->dir_fd, m, err);
	if (r == 0 && (fchmod(w->dir_fd, 0755) < 0 || fsync(w->dir_fd) < 0))
		r = creel_err_set(err, CREEL_E_OS, errno, "sync %.160s", w->dir);
	if (r < 0)
		return r;
	if (renameat2(AT_FDCWD, w->dir, w->store_fd, w->name, RENAME_NOREPLACE) < 0)
		return creel_err_set(err, errno == EEXIST ? CREEL_E_EXISTS : CREEL_E_OS, errno, "name it %s",
				     w->name);
	w->dir[0] = '\0';
	return fsync(w->store_fd) < 0 ? creel_err_set(err, CREEL_E_OS, errno, "sync %.160s", w->store) : 0;
}

static int there_already(const struct work *w, const struct creel_model *old, struct creel_err *err)
{
	if (strcmp(old->sha256, w->want) != 0)
		return creel_err_set(
			err, CREEL_E_EXISTS, 0,
			"there is another one of that name: creel model rm %s, or choose another name",
			w->name);
	return creel_model_check(w->store, old, true, err);
}

int model_add(struct work *w, struct creel_err *err)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	const struct sigaction act = {.sa_handler = on_signal};
	struct creel_model old;

	w->store_fd = w->lock = w->dir_fd = -1;
	w->terminal = isatty(STDERR_FILENO) == 1;
	w->said_ms = creel_clock_ms();
	for (size_t i = 0; i < ELEMENTSOF(signals); i++)
		(void)sigaction(signals[i], &act, NULL);
	int r = store_open(w, true, err);
	if (r == 0 && (r = creel_model_read(w->store, w->name, &old, err)) == 0) {
		r = there_already(w, &old, err);
		w->model = old;
	} else if (r == CREEL_E_NOTFOUND) {
		*err = (struct creel_err){0};
		r = folder_make(w, err);
		if (r == 0)
			r = fill(w, err);
		if (r == 0)
			r = model_try(w, err);
		if (r == 0)
			r = commit(w, err);
	}
	if (r < 0)
		(void)creel_err_add(err, "model '%s'", w->name);
	work_end(w);
	return r;
}

int model_remove(const char *name, struct creel_err *err)
{
	struct work w = {.name = name, .store_fd = -1, .lock = -1, .dir_fd = -1};
	char gone[96];
	int r = store_open(&w, false, err);

	(void)snprintf(gone, sizeof(gone), ".gone-%s", name);
	if (r == 0 && renameat2(w.store_fd, name, w.store_fd, gone, RENAME_NOREPLACE) < 0)
		r = creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno,
				  "remove model '%s'", name);
	else if (r == CREEL_E_NOTFOUND)
		r = creel_err_set(err, r, 0, "no model '%s': none was ever added", name);
	if (r == 0) {
		(void)fsync(w.store_fd);
		leftovers_remove(&w);
	}
	work_end(&w);
	return r;
}

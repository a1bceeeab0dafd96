#include "model/store.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST     "creel-model.json"
#define MANIFEST_MAX 65536

const char *const creel_model_files[CREEL_MODEL_FILES] = {"config.json", "model.onnx", "tokenizer.json"};

int creel_model_store(char *ret, size_t size, struct creel_err *err)
{
	const char *own = getenv("CREEL_MODELS"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;

	if (own && own[0])
		n = snprintf(ret, size, "%s", own);
	else if (geteuid() == 0)
		n = snprintf(ret, size, "/var/lib/creel/models");
	else if (xdg && xdg[0])
		n = snprintf(ret, size, "%s/creel/models", xdg);
	else if (home && home[0])
		n = snprintf(ret, size, "%s/.local/state/creel/models", home);
	else
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no place for models: set CREEL_MODELS");
	if (n < 0 || (size_t)n >= size)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the name of the models' folder is too long");
	return 0;
}

bool creel_model_name_ok(const char *name)
{
	static const char alnum[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t n = strlen(name);

	return n > 0 && n < CREEL_MODEL_NAME && strspn(name, alnum) == n && !strchr("-_.", name[0]);
}

bool creel_model_hex(const char *text, char ret[CREEL_MODEL_HEX])
{
	if (strlen(text) != CREEL_MODEL_HEX - 1 ||
	    strspn(text, "0123456789abcdefABCDEF") != CREEL_MODEL_HEX - 1)
		return false;
	for (size_t i = 0; i < CREEL_MODEL_HEX; i++)
		ret[i] = (char)(text[i] >= 'A' && text[i] <= 'F' ? text[i] - 'A' + 'a' : text[i]);
	return true;
}

void creel_model_hex_of(const uint8_t hash[32], char ret[CREEL_MODEL_HEX])
{
	(void)sodium_bin2hex(ret, CREEL_MODEL_HEX, hash, 32);
}

void creel_model_state(const struct stat *st, struct creel_model_file *ret)
{
	ret->size = (uint64_t)st->st_size;
	ret->inode = st->st_ino;
	ret->changed_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

int creel_model_hash(int fd, struct creel_model_file *ret, struct creel_err *err)
{
	enum { PART = 1 << 18 };
	autofree uint8_t *part = malloc(PART);
	crypto_hash_sha256_state state;
	uint8_t hash[crypto_hash_sha256_BYTES];
	struct creel_model_file f = {0};
	struct stat st;
	ssize_t n;

	if (!part)
		return creel_err_nomem(err);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return creel_err_set(err, CREEL_E_INVALID, 0, "it is no regular file");
	creel_model_state(&st, &f);
	(void)crypto_hash_sha256_init(&state);
	for (f.size = 0; (n = read(fd, part, PART)) > 0; f.size += (uint64_t)n)
		(void)crypto_hash_sha256_update(&state, part, (size_t)n);
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read it");
	(void)crypto_hash_sha256_final(&state, hash);
	creel_model_hex_of(hash, f.sha256);
	*ret = f;
	return 0;
}

void creel_model_digest(const struct creel_model *m, char ret[CREEL_MODEL_HEX])
{
	crypto_hash_sha256_state state;
	uint8_t hash[crypto_hash_sha256_BYTES];
	char line[CREEL_MODEL_HEX + 32];

	(void)crypto_hash_sha256_init(&state);
	for (size_t i = 0; i < CREEL_MODEL_FILES; i++) {
		int n = snprintf(line, sizeof(line), "%s  %s\n", m->file[i].sha256, creel_model_files[i]);
		(void)crypto_hash_sha256_update(&state, (const uint8_t *)line, (size_t)n);
	}
	(void)crypto_hash_sha256_final(&state, hash);
	creel_model_hex_of(hash, ret);
}

static bool text_get(const json_t *o, const char *key, char *ret, size_t size)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s && strlen(s) < size && snprintf(ret, size, "%s", s) >= 0;
}

static bool file_get(const json_t *o, struct creel_model_file *ret)
{
	char hex[CREEL_MODEL_HEX];

	ret->size = (uint64_t)json_integer_value(json_object_get(o, "size"));
	ret->inode = (uint64_t)json_integer_value(json_object_get(o, "inode"));
	ret->changed_ns = json_integer_value(json_object_get(o, "changed_ns"));
	return text_get(o, "sha256", hex, sizeof(hex)) && creel_model_hex(hex, ret->sha256);
}

int creel_model_read(const char *store, const char *name, struct creel_model *ret, struct creel_err *err)
{
	struct creel_model m = {0};
	char path[PATH_MAX], hex[CREEL_MODEL_HEX];
	autofree char *text = malloc(MANIFEST_MAX);

	if (!text)
		return creel_err_nomem(err);
	if (snprintf(path, sizeof(path), "%s/%s/" MANIFEST, store, name) >= (int)sizeof(path))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "%.160s: too long a path", store);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no model '%s' in %.120s", name, store);
	ssize_t n = fd < 0 ? -1 : read(fd, text, MANIFEST_MAX);
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read %.160s", path);
	json_t *root = json_loadb(text, (size_t)n, 0, NULL), *files = json_object_get(root, "files");
	bool ok = json_integer_value(json_object_get(root, "version")) == 1 &&
		  text_get(root, "sha256", hex, sizeof(hex)) && creel_model_hex(hex, m.sha256) &&
		  text_get(root, "source", m.source, sizeof(m.source));
	m.added = json_integer_value(json_object_get(root, "added"));
	for (size_t i = 0; i < CREEL_MODEL_FILES; i++)
		ok = ok && file_get(json_object_get(files, creel_model_files[i]), &m.file[i]);
	json_decref(root);
	(void)snprintf(m.name, sizeof(m.name), "%s", name);
	if (!ok)
		return creel_err_set(err, CREEL_E_BROKEN, 0,
				     "model '%s': its " MANIFEST " is damaged: remove it and add it again",
				     name);
	*ret = m;
	return 0;
}

static json_t *manifest(const struct creel_model *m)
{
	json_t *files = json_object();

	for (size_t i = 0; i < CREEL_MODEL_FILES; i++) {
		const struct creel_model_file *f = &m->file[i];
		json_t *j = json_pack("{s:s,s:I,s:I,s:I}", "sha256", f->sha256, "size", (json_int_t)f->size,
				      "inode", (json_int_t)f->inode, "changed_ns", (json_int_t)f->changed_ns);
		(void)json_object_set_new(files, creel_model_files[i], j);
	}
	return json_pack("{s:i,s:s,s:s,s:I,s:o}", "version", 1, "sha256", m->sha256, "source", m->source,
			 "added", (json_int_t)m->added, "files", files);
}

int creel_model_write(int dirfd, const struct creel_model *m, struct creel_err *err)
{
	json_t *j = manifest(m);
	autofree char *text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
	size_t len = text ? strlen(text) : 0, at = 0;

	json_decref(j);
	if (!text)
		return creel_err_nomem(err);
	autofd int fd = openat(dirfd, MANIFEST, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	for (ssize_t n; fd >= 0 && at < len && (n = write(fd, text + at, len - at)) > 0;)
		at += (size_t)n;
	if (fd < 0 || at < len || fsync(fd) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "write " MANIFEST);
	return 0;
}

static int file_check(int fd, const struct creel_model_file *want, bool all, struct creel_err *err)
{
	struct creel_model_file is = {0};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "stat");
	creel_model_state(&st, &is);
	if (!all && is.size == want->size && is.inode == want->inode && is.changed_ns == want->changed_ns)
		return 0;
	int r = creel_model_hash(fd, &is, err);
	if (r == 0 && strcmp(is.sha256, want->sha256) != 0)
		r = creel_err_set(err, CREEL_E_BROKEN, 0,
				  "its SHA-256 is no longer what it was when it was added");
	return r;
}

int creel_model_check(const char *store, const struct creel_model *m, bool all, struct creel_err *err)
{
	char path[PATH_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < CREEL_MODEL_FILES; i++) {
		if (snprintf(path, sizeof(path), "%s/%s/%s", store, m->name, creel_model_files[i]) >=
		    (int)sizeof(path))
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "%.160s: too long a path", store);
		autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		r = fd < 0 ? creel_err_set(err, errno == ENOENT ? CREEL_E_BROKEN : CREEL_E_OS, errno,
					   "open it")
			   : file_check(fd, &m->file[i], all, err);
		if (r < 0)
			return creel_err_add(err, "model '%s': %s", m->name, creel_model_files[i]);
	}
	return 0;
}

static int visible(const struct dirent *e)
{
	return creel_model_name_ok(e->d_name);
}

int creel_model_each(const char *store, int (*each)(const struct creel_model *m, void *ctx), void *ctx,
		     struct creel_err *err)
{
	struct dirent **list = NULL;
	int n = scandir(store, &list, visible, alphasort), r = 0;

	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read %.160s", store);
	for (int i = 0; i < n; i++) {
		struct creel_model m = {0};
		struct creel_err why = {0};
		int read = r < 0 ? r : creel_model_read(store, list[i]->d_name, &m, &why);
		if (r == 0 && read < 0)
			memcpy(m.name, list[i]->d_name, strnlen(list[i]->d_name, sizeof(m.name) - 1));
		if (r == 0)
			r = each(&m, ctx);
		free(list[i]);
	}
	free(list);
	return r;
}

int creel_model_find(const char *word, char *ret, size_t size, struct creel_err *err)
{
	struct creel_model m;
	char store[PATH_MAX];
	struct stat st;
	int r = CREEL_E_NOTFOUND;

	if (!strchr(word, '/') && creel_model_name_ok(word)) {
		if ((r = creel_model_store(store, sizeof(store), err)) == 0)
			r = creel_model_read(store, word, &m, err);
		if (r == 0)
			r = creel_model_check(store, &m, false, err);
		if (r == 0 && snprintf(ret, size, "%s/%s", store, word) >= (int)size)
			r = creel_err_set(err, CREEL_E_TOOBIG, 0, "%.160s: too long a path", store);
		if (r != CREEL_E_NOTFOUND)
			return r;
	}
	if (stat(word, &st) < 0 || !S_ISDIR(st.st_mode))
		return creel_err_set(err, CREEL_E_NOTFOUND, 0,
				     "--model %.60s: neither a model (creel model list) nor a folder", word);
	*err = (struct creel_err){0};
	return snprintf(ret, size, "%s", word) < (int)size
		       ? 0
		       : creel_err_set(err, CREEL_E_TOOBIG, 0, "--model: too long");
}

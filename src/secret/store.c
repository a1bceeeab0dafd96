#include "secret/store.h"
#include "linux/keyring.h"
#include "secret/storekey.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

static const char magic[] = "creelsec1\n", next_name[] = "secrets.next";
enum {
	MAGIC = sizeof(magic) - 1,
	NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
	TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
	PAD = 64, /* a file's size tells little of a value's */
	FILE_MAX = MAGIC + NONCE + TAG + CREEL_SECRET_MAX + PAD,
	LOCK_WAIT_MS = 1500,
};

bool creel_secret_name_ok(const char *name, size_t max)
{
	size_t n = strlen(name);

	return n > 0 && n < max && name[0] != '-' && name[0] != '_' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == n;
}

static bool names_ok(const char *cell, const char *name)
{
	return creel_secret_name_ok(cell, 33) && creel_secret_name_ok(name, 65);
}

static int folder(int at, const char *name, bool make, struct creel_err *err)
{
	if (make && mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s", name);
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno, "open %s",
				      name)
		      : fd;
}

/* The lock stands beside the store, as a rekey puts another folder in its place. */
static int lock_take(int state_fd, bool write, struct creel_err *err)
{
	const struct timespec nap = {.tv_nsec = 20 * 1000 * 1000};

	autofd int fd = openat(state_fd, "secrets.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open secrets.lock");
	for (int waited = 0; flock(fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0; waited += 20) {
		if (errno != EWOULDBLOCK)
			return creel_err_set(err, CREEL_E_OS, errno, "lock the store of secrets");
		if (waited >= LOCK_WAIT_MS)
			return creel_err_set(err, CREEL_E_BUSY, 0,
					     "another creel is writing to the store of secrets");
		(void)nanosleep(&nap, NULL);
	}
	return steal_fd(&fd);
}

static void keyring_name(const struct creel_store *s, char ret[64])
{
	(void)snprintf(ret, 64, "creel:store:%s", s->id);
}

static int key_find(struct creel_store *s, bool make, struct creel_err *err)
{
	char ring[64];
	struct creel_err none = {0};
	uint8_t *key = sodium_malloc(CREEL_STORE_KEY);

	if (!key)
		return creel_err_nomem(err);
	int r = storekey_read(s->dir, &s->method, s->id, key, err);
	if (r == CREEL_E_NOTFOUND && make) {
		*err = (struct creel_err){0};
		s->method = storekey_default();
		randombytes_buf(key, CREEL_STORE_KEY);
		r = storekey_write(s->dir, s->method, key, NULL, 0, s->id, err);
	} else if (r == 1) {
		keyring_name(s, ring);
		r = creel_keyring_get(ring, key, CREEL_STORE_KEY, &none) == 0 ? 0 : 1;
	}
	if (r != 0)
		sodium_free(key);
	else
		s->key = key;
	return r < 0 ? r : 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Remove a store's folder: two levels, and nothing of it is followed. */
static void folder_drop(int at, const char *name)
{
	autofd int dir = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent **cells = NULL;
	int n = dir < 0 ? 0 : scandirat(dir, ".", &cells, NULL, by_name);

	for (int i = 0; i < n; i++) {
		struct dirent **files = NULL;
		const char *cell = cells[i]->d_name;
		int m = cell[0] == '.' ? 0 : scandirat(dir, cell, &files, NULL, by_name);
		for (int k = 0; k < m; k++) {
			char path[520];
			(void)snprintf(path, sizeof(path), "%s/%s", cell, files[k]->d_name);
			(void)unlinkat(dir, path, 0);
			free(files[k]);
		}
		free(files);
		if (unlinkat(dir, cell, 0) < 0)
			(void)unlinkat(dir, cell, AT_REMOVEDIR);
		free(cells[i]);
	}
	free(cells);
	(void)unlinkat(at, name, AT_REMOVEDIR);
}

int creel_store_open(int state_fd, bool write, struct creel_store *ret, struct creel_err *err)
{
	struct creel_store autoclean(creel_store_fini) s = {.state = -1, .dir = -1, .lock = -1};

	if (sodium_init() < 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "libsodium does not work here");
	s.state = fcntl(state_fd, F_DUPFD_CLOEXEC, 3);
	if (s.state < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open the state folder");
	if (!write && faccessat(state_fd, "secrets", F_OK, 0) < 0)
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no secret was ever stored");
	int r = s.lock = lock_take(state_fd, write, err);
	if (r >= 0)
		r = s.dir = folder(state_fd, "secrets", write, err);
	if (r >= 0 && write)
		folder_drop(state_fd, next_name); /* of a rekey that was killed */
	if (r >= 0)
		r = key_find(&s, write, err);
	if (r < 0)
		return r;
	*ret = s;
	s = (struct creel_store){.state = -1, .dir = -1, .lock = -1};
	return 0;
}

void creel_store_fini(struct creel_store *s)
{
	if (s->key)
		sodium_free(s->key);
	s->key = NULL;
	int *fds[] = {&s->dir, &s->lock, &s->state};
	for (size_t i = 0; i < ELEMENTSOF(fds); i++)
		if (*fds[i] >= 0) {
			close(*fds[i]);
			*fds[i] = -1;
		}
}

int creel_store_unlock(struct creel_store *s, const char *passphrase, size_t len, struct creel_err *err)
{
	char ring[64];

	if (s->key)
		return 0;
	uint8_t *key = sodium_malloc(CREEL_STORE_KEY);
	if (!key)
		return creel_err_nomem(err);
	int r = storekey_open(s->dir, passphrase, len, key, err);
	keyring_name(s, ring);
	if (r == 0)
		r = creel_keyring_put(ring, key, CREEL_STORE_KEY, err);
	if (r < 0) {
		sodium_free(key);
		return r;
	}
	s->key = key;
	return 0;
}

void creel_store_lock(struct creel_store *s)
{
	char ring[64];

	keyring_name(s, ring);
	creel_keyring_drop(ring);
	if (s->method == CREEL_STORE_PASSPHRASE && s->key) {
		sodium_free(s->key);
		s->key = NULL;
	}
}

static int locked(struct creel_err *err)
{
	return creel_err_set(err, CREEL_E_DENIED, 0,
			     "the store of secrets is locked; try: creel secret unlock");
}

static size_t ad_make(uint8_t ad[128], const char *cell, const char *name)
{
	int n = snprintf((char *)ad, 128, "creel secret 1%c%s%c%s", 0, cell, 0, name);
	return (size_t)n + 1;
}

static int file_read(int dirfd, const char *cell, const char *name, uint8_t *buf, size_t *ret_len,
		     struct creel_err *err)
{
	char path[104];
	size_t len = 0;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", cell, name);
	autofd int fd = openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? creel_err_set(err, CREEL_E_NOTFOUND, 0,
						       "secret '%s' is not set; try: creel secret set %s %s",
						       name, cell, name)
				       : creel_err_set(err, CREEL_E_OS, errno, "open secret %s", path);
	while (len < FILE_MAX && (n = read(fd, buf + len, FILE_MAX - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "read secret %s", path);
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

int creel_store_get(const struct creel_store *s, const char *cell, const char *name, struct creel_buf *ret,
		    struct creel_err *err)
{
	autofree uint8_t *buf = malloc(FILE_MAX);
	uint8_t ad[128];
	unsigned long long plain = 0;
	size_t len, bare;

	if (!names_ok(cell, name))
		return creel_err_set(err, CREEL_E_INVALID, 0,
				     "that cannot be the name of a cell or a secret");
	if (!s->key)
		return locked(err);
	if (!buf)
		return creel_err_nomem(err);
	int r = file_read(s->dir, cell, name, buf, &len, err);
	if (r < 0)
		return r;
	if (len < MAGIC + NONCE + TAG + PAD || memcmp(buf, magic, MAGIC) != 0)
		return creel_err_set(err, CREEL_E_BROKEN, 0,
				     "secret %s/%s is damaged, or not encrypted by creel: set it again", cell,
				     name);
	if ((r = creel_buf_reserve(ret, CREEL_SECRET_MAX, err)) < 0)
		return r;
	uint8_t *text = buf + MAGIC + NONCE; /* decrypted where it stands */
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(text, &plain, NULL, text, len - MAGIC - NONCE, ad,
						       ad_make(ad, cell, name), buf + MAGIC, s->key) != 0 ||
	    sodium_unpad(&bare, text, (size_t)plain, PAD) != 0 || bare > CREEL_SECRET_MAX)
		r = creel_err_set(err, CREEL_E_BROKEN, 0,
				  "secret %s/%s is damaged, or was made for another cell or name", cell,
				  name);
	else
		r = creel_buf_add(ret, text, bare, err);
	sodium_memzero(buf, FILE_MAX);
	return r;
}

static int put_in(int dirfd, const uint8_t *key, const char *cell, const char *name, const void *data,
		  size_t len, struct creel_err *err)
{
	autofree uint8_t *buf = malloc(FILE_MAX);
	uint8_t ad[128];
	unsigned long long sealed = 0;
	size_t padded = 0;
	char tmp[80];

	if (!buf)
		return creel_err_nomem(err);
	uint8_t *plain = buf + MAGIC + NONCE; /* encrypted where it stands */
	memcpy(buf, magic, MAGIC);
	randombytes_buf(buf + MAGIC, NONCE);
	memcpy(plain, data, len);
	if (sodium_pad(&padded, plain, len, PAD, CREEL_SECRET_MAX + PAD) != 0) {
		sodium_memzero(plain, len);
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a secret is at most %d octets",
				     CREEL_SECRET_MAX);
	}
	crypto_aead_xchacha20poly1305_ietf_encrypt(plain, &sealed, plain, padded, ad, ad_make(ad, cell, name),
						   NULL, buf + MAGIC, key);
	size_t total = MAGIC + NONCE + (size_t)sealed;
	autofd int dir = folder(dirfd, cell, true, err);
	if (dir < 0)
		return dir;
	(void)snprintf(tmp, sizeof(tmp), ".%s.new", name);
	(void)unlinkat(dir, tmp, 0);
	autofd int fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, buf, total) != (ssize_t)total || fsync(fd) < 0 ||
	    renameat(dir, tmp, dir, name) < 0 || fsync(dir) < 0 || fsync(dirfd) < 0) {
		int e = errno;
		(void)unlinkat(dir, tmp, 0);
		return creel_err_set(err, CREEL_E_OS, e, "store secret %s/%s", cell, name);
	}
	return 0;
}

int creel_store_put(const struct creel_store *s, const char *cell, const char *name, const void *data,
		    size_t len, struct creel_err *err)
{
	if (!names_ok(cell, name))
		return creel_err_set(err, CREEL_E_INVALID, 0,
				     "that cannot be the name of a cell or a secret");
	if (!s->key)
		return locked(err);
	if (len == 0 || len > CREEL_SECRET_MAX)
		return creel_err_set(err, len ? CREEL_E_TOOBIG : CREEL_E_INVALID, 0,
				     "a secret has 1 to %d octets", CREEL_SECRET_MAX);
	return put_in(s->dir, s->key, cell, name, data, len, err);
}

int creel_store_remove(const struct creel_store *s, const char *cell, const char *name, struct creel_err *err)
{
	char path[104];

	if (!names_ok(cell, name))
		return creel_err_set(err, CREEL_E_INVALID, 0,
				     "that cannot be the name of a cell or a secret");
	(void)snprintf(path, sizeof(path), "%s/%s", cell, name);
	int r = unlinkat(s->dir, path, 0);
	if (r < 0 && errno == ENOENT)
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no secret '%s' of cell '%s' is stored", name,
				     cell);
	if (r < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "remove secret %s", path);
	(void)unlinkat(s->dir, cell, AT_REMOVEDIR); /* when that was its last */
	return 0;
}

static int each_in(int dirfd, const char *cell, int (*each)(const char *, const char *, void *), void *ctx)
{
	struct dirent **names = NULL;
	int r = 0, n = scandirat(dirfd, cell, &names, NULL, by_name);

	for (int i = 0; i < n; i++) {
		if (r == 0 && creel_secret_name_ok(names[i]->d_name, 65))
			r = each(cell, names[i]->d_name, ctx);
		free(names[i]);
	}
	free(names);
	return r;
}

int creel_store_each(const struct creel_store *s, const char *cell,
		     int (*each)(const char *cell, const char *name, void *ctx), void *ctx)
{
	struct dirent **cells = NULL;
	int r = 0;

	if (cell)
		return creel_secret_name_ok(cell, 33) ? each_in(s->dir, cell, each, ctx) : 0;
	int n = scandirat(s->dir, ".", &cells, NULL, by_name);
	for (int i = 0; i < n; i++) {
		if (r == 0 && creel_secret_name_ok(cells[i]->d_name, 33))
			r = each_in(s->dir, cells[i]->d_name, each, ctx);
		free(cells[i]);
	}
	free(cells);
	return r;
}

struct copy {
	const struct creel_store *from;
	int to;
	const uint8_t *key;
	struct creel_err *err;
};

static int copy_one(const char *cell, const char *name, void *ctx)
{
	struct copy *c = ctx;
	struct creel_buf value;

	creel_buf_init(&value, CREEL_SECRET_MAX);
	int r = creel_store_get(c->from, cell, name, &value, c->err);
	if (r == 0)
		r = put_in(c->to, c->key, cell, name, value.data, value.len, c->err);
	if (value.data)
		sodium_memzero(value.data, value.cap);
	creel_buf_fini(&value);
	return r;
}

int creel_store_rekey(struct creel_store *s, enum creel_store_method method, const char *passphrase,
		      size_t len, struct creel_err *err)
{
	char id[33], ring[64];

	if (!s->key)
		return locked(err);
	uint8_t *key = sodium_malloc(CREEL_STORE_KEY);
	if (!key)
		return creel_err_nomem(err);
	randombytes_buf(key, CREEL_STORE_KEY);
	folder_drop(s->state, next_name);
	autofd int to = folder(s->state, next_name, true, err);
	int r = to < 0 ? to : storekey_write(to, method, key, passphrase, len, id, err);
	struct copy c = {.from = s, .to = to, .key = key, .err = err};
	if (r == 0)
		r = creel_store_each(s, NULL, copy_one, &c);
	if (r == 0 && renameat2(s->state, next_name, s->state, "secrets", RENAME_EXCHANGE) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "put the new store in the old one's place");
	if (r < 0) {
		folder_drop(s->state, next_name);
		sodium_free(key);
		return r;
	}
	(void)fsync(s->state);
	keyring_name(s, ring);
	creel_keyring_drop(ring);
	folder_drop(s->state, next_name); /* the old one, now under that name */
	close(s->dir);
	sodium_free(s->key);
	s->dir = steal_fd(&to);
	s->key = key;
	s->method = method;
	memcpy(s->id, id, sizeof(id));
	keyring_name(s, ring);
	return method == CREEL_STORE_PASSPHRASE ? creel_keyring_put(ring, key, CREEL_STORE_KEY, err) : 0;
}

#include "secret/storekey.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

static const char key_name[] = ".key", key_tmp[] = ".key.new";
enum { BLOB_MAX = 16384 };

static const char *const names[] = {
	[CREEL_STORE_FILE] = "file",
	[CREEL_STORE_SYSTEMD] = "systemd-creds",
	[CREEL_STORE_PASSPHRASE] = "passphrase",
};

const char *creel_store_method_name(enum creel_store_method m)
{
	return names[m];
}

int creel_store_method_parse(const char *text, enum creel_store_method *ret, struct creel_err *err)
{
	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum creel_store_method)i;
			return 0;
		}
	return creel_err_set(err, CREEL_E_USAGE, 0,
			     "'%s' is no way to keep the key; there are: file, "
			     "systemd-creds, passphrase",
			     text);
}

enum creel_store_method storekey_default(void)
{
	/* sd_booted(3): without it as PID 1 its host key is made on the spot and proves nothing */
	return access("/run/systemd/system", F_OK) == 0 && access("/usr/bin/systemd-creds", X_OK) == 0
		       ? CREEL_STORE_SYSTEMD
		       : CREEL_STORE_FILE;
}

/* Run systemd-creds with @p in on its standard input; what it prints goes to @p out. */
static int creds_run(const char *verb, const void *in, size_t len, struct creel_buf *out,
		     struct creel_err *err)
{
	char *const argv[] = {(char *)(uintptr_t) "systemd-creds",
			      (char *)(uintptr_t)verb,
			      (char *)(uintptr_t) "--name=creel-store",
			      (char *)(uintptr_t) "-",
			      (char *)(uintptr_t) "-",
			      NULL};
	char *const env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin:/usr/sbin:/sbin", NULL};
	posix_spawn_file_actions_t fa;
	uint8_t buf[1024];
	int pipefd[2], status = 0;
	ssize_t n = 0;
	pid_t pid;

	autofd int input = memfd_create("key", MFD_CLOEXEC);
	if (input < 0 || write(input, in, len) != (ssize_t)len || lseek(input, 0, SEEK_SET) < 0 ||
	    pipe2(pipefd, O_CLOEXEC) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "run systemd-creds");
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, input, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&fa, pipefd[1], STDOUT_FILENO);
	int e = posix_spawn(&pid, "/usr/bin/systemd-creds", &fa, NULL, argv, env);
	posix_spawn_file_actions_destroy(&fa);
	close(pipefd[1]);
	autofd int output = pipefd[0];
	if (e != 0)
		return creel_err_set(err, CREEL_E_CHILD, e, "run systemd-creds");
	int r = creel_buf_reserve(out, BLOB_MAX, err);
	while (r == 0 && (n = read(output, buf, sizeof(buf))) > 0)
		r = creel_buf_add(out, buf, (size_t)n, err);
	sodium_memzero(buf, sizeof(buf));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && (n < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0))
		r = creel_err_set(err, CREEL_E_CHILD, 0, "systemd-creds %s failed", verb);
	return r;
}

static void wipe(struct creel_buf *b)
{
	if (b->data)
		sodium_memzero(b->data, b->cap);
	creel_buf_fini(b);
}
CREEL_DEFINE_CLEANUP(struct creel_buf, wipe)

static void json_put(json_t **j)
{
	json_decref(*j);
}
#define autojson __attribute__((cleanup(json_put)))

static int hex_set(json_t *o, const char *name, const void *data, size_t len, struct creel_err *err)
{
	char hex[257];

	sodium_bin2hex(hex, sizeof(hex), data, len);
	int r = json_object_set_new(o, name, json_string(hex));
	sodium_memzero(hex, sizeof(hex));
	return r < 0 ? creel_err_nomem(err) : 0;
}

static int hex_get(const json_t *o, const char *name, void *ret, size_t len, struct creel_err *err)
{
	const char *hex = json_string_value(json_object_get(o, name));
	size_t n = 0;

	if (!hex || sodium_hex2bin(ret, len, hex, strlen(hex), NULL, &n, NULL) != 0 || n != len ||
	    strlen(hex) != 2 * len)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "the store's .key: '%s'", name);
	return 0;
}

static int number_get(const json_t *o, const char *name, uint64_t max, uint64_t *ret, struct creel_err *err)
{
	const json_t *v = json_object_get(o, name);

	if (!json_is_integer(v) || json_integer_value(v) < 1 || (uint64_t)json_integer_value(v) > max)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "the store's .key: '%s'", name);
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

struct sealed {
	uint8_t salt[crypto_pwhash_SALTBYTES], nonce[crypto_secretbox_NONCEBYTES];
	uint8_t box[CREEL_STORE_KEY + crypto_secretbox_MACBYTES];
	uint64_t ops, mem;
};

static int seal(const uint8_t *key, const char *passphrase, size_t len, json_t *o, struct creel_err *err)
{
	struct sealed s = {.ops = crypto_pwhash_OPSLIMIT_MODERATE, .mem = crypto_pwhash_MEMLIMIT_MODERATE};
	uint8_t kek[crypto_secretbox_KEYBYTES];

	randombytes_buf(s.salt, sizeof(s.salt));
	randombytes_buf(s.nonce, sizeof(s.nonce));
	if (crypto_pwhash(kek, sizeof(kek), passphrase, len, s.salt, s.ops, (size_t)s.mem,
			  crypto_pwhash_ALG_ARGON2ID13) != 0)
		return creel_err_nomem(err);
	crypto_secretbox_easy(s.box, key, CREEL_STORE_KEY, s.nonce, kek);
	sodium_memzero(kek, sizeof(kek));
	int r = hex_set(o, "salt", s.salt, sizeof(s.salt), err);
	if (r == 0)
		r = hex_set(o, "nonce", s.nonce, sizeof(s.nonce), err);
	if (r == 0)
		r = hex_set(o, "box", s.box, sizeof(s.box), err);
	if (r == 0 && (json_object_set_new(o, "ops", json_integer((json_int_t)s.ops)) < 0 ||
		       json_object_set_new(o, "mem", json_integer((json_int_t)s.mem)) < 0))
		r = creel_err_nomem(err);
	return r;
}

static int unseal(const json_t *o, const char *passphrase, size_t len, uint8_t *ret, struct creel_err *err)
{
	struct sealed s;
	uint8_t kek[crypto_secretbox_KEYBYTES];
	int r = hex_get(o, "salt", s.salt, sizeof(s.salt), err);

	if (r == 0)
		r = hex_get(o, "nonce", s.nonce, sizeof(s.nonce), err);
	if (r == 0)
		r = hex_get(o, "box", s.box, sizeof(s.box), err);
	/* a file that was changed must not make us work for hours or take all memory */
	if (r == 0)
		r = number_get(o, "ops", 16, &s.ops, err);
	if (r == 0)
		r = number_get(o, "mem", 1 << 30, &s.mem, err);
	if (r < 0)
		return r;
	if (crypto_pwhash(kek, sizeof(kek), passphrase, len, s.salt, s.ops, (size_t)s.mem,
			  crypto_pwhash_ALG_ARGON2ID13) != 0)
		return creel_err_nomem(err);
	if (crypto_secretbox_open_easy(ret, s.box, sizeof(s.box), s.nonce, kek) != 0)
		r = creel_err_set(err, CREEL_E_DENIED, 0, "that is not the store's passphrase");
	sodium_memzero(kek, sizeof(kek));
	return r;
}

static int creds_seal(const uint8_t *key, json_t *o, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) blob;

	creel_buf_init(&blob, BLOB_MAX);
	int r = creds_run("encrypt", key, CREEL_STORE_KEY, &blob, err);
	if (r == 0 && json_object_set_new(o, "blob", json_string(creel_buf_str(&blob))) < 0)
		r = creel_err_nomem(err);
	return r;
}

static int creds_unseal(const json_t *o, uint8_t *ret, struct creel_err *err)
{
	struct creel_buf autoclean(wipe) key;
	const char *blob = json_string_value(json_object_get(o, "blob"));

	creel_buf_init(&key, BLOB_MAX);
	if (!blob)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "the store's .key: 'blob'");
	int r = creds_run("decrypt", blob, strlen(blob), &key, err);
	if (r == 0 && key.len != CREEL_STORE_KEY)
		r = creel_err_set(err, CREEL_E_BROKEN, 0, "systemd-creds gave another key");
	if (r == 0)
		memcpy(ret, key.data, CREEL_STORE_KEY);
	return r;
}

int storekey_write(int dirfd, enum creel_store_method method, const uint8_t key[CREEL_STORE_KEY],
		   const char *passphrase, size_t len, char ret_id[33], struct creel_err *err)
{
	autojson json_t *o = json_object();
	uint8_t id[16];
	char hex[33];
	int r = 0;

	randombytes_buf(id, sizeof(id));
	sodium_bin2hex(hex, sizeof(hex), id, sizeof(id));
	if (json_object_set_new(o, "version", json_integer(1)) < 0 ||
	    json_object_set_new(o, "method", json_string(names[method])) < 0 ||
	    json_object_set_new(o, "id", json_string(hex)) < 0)
		return creel_err_nomem(err);
	switch (method) {
	case CREEL_STORE_PASSPHRASE:
		r = seal(key, passphrase, len, o, err);
		break;
	case CREEL_STORE_SYSTEMD:
		r = creds_seal(key, o, err);
		break;
	case CREEL_STORE_FILE:
	default:
		r = hex_set(o, "key", key, CREEL_STORE_KEY, err);
	}
	if (r < 0)
		return r;
	autofree char *text = json_dumps(o, JSON_COMPACT);
	if (!text)
		return creel_err_nomem(err);
	size_t n = strlen(text);
	(void)unlinkat(dirfd, key_tmp, 0);
	autofd int fd = openat(dirfd, key_tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, n) != (ssize_t)n || fsync(fd) < 0 ||
	    renameat(dirfd, key_tmp, dirfd, key_name) < 0 || fsync(dirfd) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "write the store's .key");
	sodium_memzero(text, n);
	if (r == 0)
		memcpy(ret_id, hex, sizeof(hex));
	return r;
}

static int key_load(int dirfd, json_t **ret, struct creel_err *err)
{
	char text[BLOB_MAX];

	autofd int fd = openat(dirfd, key_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno,
				     "open the store's .key");
	ssize_t n = read(fd, text, sizeof(text));
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read the store's .key");
	autojson json_t *o = json_loadb(text, (size_t)n, 0, NULL);
	sodium_memzero(text, sizeof(text));
	if (!o || json_integer_value(json_object_get(o, "version")) != 1)
		return creel_err_set(err, CREEL_E_BROKEN, 0,
				     "the store's .key is damaged, or of a newer creel");
	*ret = steal_ptr(&o);
	return 0;
}

int storekey_read(int dirfd, enum creel_store_method *ret_method, char ret_id[33], uint8_t *ret_key,
		  struct creel_err *err)
{
	enum creel_store_method method;
	struct creel_err other = {0};
	autojson json_t *o = NULL;
	uint8_t id[16];
	int r = key_load(dirfd, &o, err);

	if (r < 0)
		return r;
	const char *text = json_string_value(json_object_get(o, "method"));
	if (!text || creel_store_method_parse(text, &method, &other) < 0)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "the store's .key: 'method'");
	if ((r = hex_get(o, "id", id, sizeof(id), err)) < 0)
		return r;
	if (method == CREEL_STORE_FILE)
		r = hex_get(o, "key", ret_key, CREEL_STORE_KEY, err);
	else if (method == CREEL_STORE_SYSTEMD)
		r = creds_unseal(o, ret_key, err);
	else
		r = 1;
	if (r < 0)
		return r;
	*ret_method = method;
	sodium_bin2hex(ret_id, 33, id, sizeof(id));
	return r;
}

int storekey_open(int dirfd, const char *passphrase, size_t len, uint8_t *ret_key, struct creel_err *err)
{
	autojson json_t *o = NULL;
	int r = key_load(dirfd, &o, err);

	return r < 0 ? r : unseal(o, passphrase, len, ret_key, err);
}

#include "event/head.h"
#include "wire/le.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char magic[] = "creel-head-1";

static int file_replace(int dirfd, const char *name, mode_t mode, const void *data, size_t len,
			struct creel_err *err)
{
	char tmp[64];

	(void)snprintf(tmp, sizeof(tmp), ".%s-new", name);
	autofd int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len || fsync(fd) < 0 ||
	    renameat(dirfd, tmp, dirfd, name) < 0 || fsync(dirfd) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "write %s", name);
	return 0;
}

static ssize_t file_read(int dirfd, const char *name, void *buf, size_t size, struct creel_err *err)
{
	autofd int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno, "open %s",
				     name);
	ssize_t n = read(fd, buf, size);
	return n < 0 ? creel_err_set(err, CREEL_E_OS, errno, "read %s", name) : n;
}

int creel_head_key_open(int dirfd, struct creel_head_key *ret, struct creel_err *err)
{
	struct creel_head_key key = {0};
	uint8_t pub[32];
	char hex[66];

	if (sodium_init() < 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "libsodium does not start");
	ssize_t n = file_read(dirfd, "key", key.secret, sizeof(key.secret), err);
	if (n == sizeof(key.secret)) {
		*ret = key;
		creel_head_key_wipe(&key);
		return 0;
	}
	if (n >= 0)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "the key of the record is damaged");
	if (n != CREEL_E_NOTFOUND)
		return (int)n;
	*err = (struct creel_err){0};
	crypto_sign_keypair(pub, key.secret);
	sodium_bin2hex(hex, sizeof(hex), pub, sizeof(pub));
	hex[64] = '\n';
	int r = file_replace(dirfd, "key.pub", 0644, hex, 65, err);
	if (r == 0)
		r = file_replace(dirfd, "key", 0600, key.secret, sizeof(key.secret), err);
	if (r == 0)
		*ret = key;
	creel_head_key_wipe(&key);
	return r;
}

void creel_head_key_wipe(struct creel_head_key *key)
{
	sodium_memzero(key, sizeof(*key));
}

static size_t message(const struct creel_link_state *at, uint8_t ret[64])
{
	size_t n = sizeof(magic) - 1;

	memcpy(ret, magic, n);
	creel_put_le64(ret + n, at->seq);
	memcpy(ret + n + 8, at->hash, CREEL_HASH);
	return n + 8 + CREEL_HASH;
}

static int head_parse(int dirfd, struct creel_link_state *ret, uint8_t sig[64], struct creel_err *err)
{
	char text[512], hash[65], sign[129];
	unsigned long long seq = 0;
	size_t a = 0, b = 0;
	ssize_t n = file_read(dirfd, "head", text, sizeof(text) - 1, err);

	if (n < 0)
		return (int)n;
	text[n] = '\0';
	if (sscanf(text, "creel-head-1 %20llu %64[0-9a-f] %128[0-9a-f]\n", &seq, hash, sign) != 3 ||
	    sodium_hex2bin(ret->hash, CREEL_HASH, hash, strlen(hash), NULL, &a, NULL) != 0 ||
	    sodium_hex2bin(sig, 64, sign, strlen(sign), NULL, &b, NULL) != 0 || a != CREEL_HASH || b != 64)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "the signed head is damaged");
	ret->seq = seq;
	return 0;
}

int creel_head_sign(int dirfd, const struct creel_head_key *key, const struct creel_link_state *at,
		    struct creel_err *err)
{
	struct creel_link_state was = {0};
	uint8_t msg[64], sig[64], old[64];
	char text[512], hash[65], sign[129];
	int r = head_parse(dirfd, &was, old, err);

	if (r < 0 && r != CREEL_E_NOTFOUND)
		return r;
	if (r == 0 && at->seq < was.seq)
		return creel_err_set(err, CREEL_E_DENIED, 0, "the head is at %llu; %llu would go back",
				     (unsigned long long)was.seq, (unsigned long long)at->seq);
	*err = (struct creel_err){0};
	crypto_sign_detached(sig, NULL, msg, message(at, msg), key->secret);
	sodium_bin2hex(hash, sizeof(hash), at->hash, CREEL_HASH);
	sodium_bin2hex(sign, sizeof(sign), sig, 64);
	int n = snprintf(text, sizeof(text), "%s %llu %s %s\n", magic, (unsigned long long)at->seq, hash,
			 sign);
	return file_replace(dirfd, "head", 0644, text, (size_t)n, err);
}

int creel_head_read(int dirfd, const uint8_t pub[32], struct creel_link_state *ret, struct creel_err *err)
{
	struct creel_link_state out = {0};
	uint8_t msg[64], sig[64];
	int r = head_parse(dirfd, &out, sig, err);

	if (r < 0)
		return r;
	if (crypto_sign_verify_detached(sig, msg, message(&out, msg), pub) != 0)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "the head's signature is not by this key");
	*ret = out;
	return 0;
}

int creel_head_pub_read(int dirfd, const char *name, uint8_t ret[32], struct creel_err *err)
{
	char text[80];
	size_t n = 0;
	ssize_t len = file_read(dirfd, name, text, sizeof(text) - 1, err);

	if (len < 0)
		return (int)len;
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (sodium_hex2bin(ret, 32, text, strlen(text), NULL, &n, NULL) != 0 || n != 32)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "%s is not a public key", name);
	return 0;
}

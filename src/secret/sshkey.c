#include "secret/sshkey.h"
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/*
 * The octets of such a key without a passphrase and without a comment have one length, and each part its
 * place. All numbers are u32 big endian.
 */
#define TYPE "\0\0\0\13ssh-ed25519\0\0\0\40"
static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n",
		  end[] = "-----END OPENSSH PRIVATE KEY-----\n";
static const uint8_t magic[] = "openssh-key-v1\0\0\0\0\4none\0\0\0\4none\0\0\0\0\0\0\0\1\0\0\0\63" TYPE;
enum {
	MAGIC = sizeof(magic) - 1,
	HEAD = sizeof(TYPE) - 1,
	PRIVATE = 8 + HEAD + 32 + 4 + 64 + 4, /* check twice, public, private, no comment */
	PADDED = (PRIVATE + 7) / 8 * 8,
	ALL = MAGIC + 32 + 4 + PADDED,
	LINE = 70,
};

static int text_write(const uint8_t raw[ALL], struct creel_buf *ret, struct creel_err *err)
{
	char text[sodium_base64_ENCODED_LEN(ALL, sodium_base64_VARIANT_ORIGINAL)];

	sodium_bin2base64(text, sizeof(text), raw, ALL, sodium_base64_VARIANT_ORIGINAL);
	size_t len = strlen(text);
	int r = creel_buf_adds(ret, begin, err);
	for (size_t at = 0; r == 0 && at < len; at += LINE) {
		r = creel_buf_add(ret, text + at, MIN(len - at, (size_t)LINE), err);
		if (r == 0)
			r = creel_buf_adds(ret, "\n", err);
	}
	if (r == 0)
		r = creel_buf_adds(ret, end, err);
	sodium_memzero(text, sizeof(text));
	return r;
}

int creel_sshkey_make(struct creel_buf *ret, struct creel_err *err)
{
	uint8_t pub[32], priv[64], raw[ALL] = {0}, *p = raw;

	crypto_sign_keypair(pub, priv);
	p = (uint8_t *)mempcpy(p, magic, MAGIC);
	p = (uint8_t *)mempcpy(p, pub, 32);
	p = (uint8_t *)mempcpy(p, "\0\0\0", 3);
	*p++ = PADDED;
	randombytes_buf(p, 4);
	memcpy(p + 4, p, 4);
	p = (uint8_t *)mempcpy(p + 8, TYPE, HEAD);
	p = (uint8_t *)mempcpy(p, pub, 32);
	p = (uint8_t *)mempcpy(p, "\0\0\0\100", 4);
	p = (uint8_t *)mempcpy(p, priv, 64) + 4;
	for (uint8_t i = 1; p < raw + ALL; i++)
		*p++ = i;
	int r = text_write(raw, ret, err);
	sodium_memzero(priv, sizeof(priv));
	sodium_memzero(raw, sizeof(raw));
	return r;
}

int creel_sshkey_public(const char *private_text, size_t len, char ret[CREEL_SSHKEY_PUBLIC],
			struct creel_err *err)
{
	const size_t b = sizeof(begin) - 1, e = sizeof(end) - 1;
	uint8_t raw[ALL], blob[HEAD + 32];
	char text[sodium_base64_ENCODED_LEN(HEAD + 32, sodium_base64_VARIANT_ORIGINAL)];
	size_t got = 0;
	bool ok = len > b + e && memcmp(private_text, begin, b) == 0 &&
		  memcmp(private_text + len - e, end, e) == 0 &&
		  sodium_base642bin(raw, sizeof(raw), private_text + b, len - b - e, "\n", &got, NULL,
				    sodium_base64_VARIANT_ORIGINAL) == 0 &&
		  got == ALL && memcmp(raw, magic, MAGIC) == 0;

	if (ok) {
		memcpy(mempcpy(blob, TYPE, HEAD), raw + MAGIC, 32);
		sodium_bin2base64(text, sizeof(text), blob, sizeof(blob), sodium_base64_VARIANT_ORIGINAL);
		(void)snprintf(ret, CREEL_SSHKEY_PUBLIC, "ssh-ed25519 %s", text);
	}
	sodium_memzero(raw, sizeof(raw));
	return ok ? 0 : creel_err_set(err, CREEL_E_BROKEN, 0, "this is no SSH key that creel made");
}

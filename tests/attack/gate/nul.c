/*
 * LD_PRELOAD of an ssh client, for gate-ssh: ssh(1) takes its command as C strings, so it cannot send a NUL. Each
 * "@NUL@" of what is about to be encrypted becomes five octets of value $CREEL_NUL: the peer gets a well-formed
 * request. Wants a cipher of EVP_Cipher's and a MAC over the ciphertext (-c aes128-ctr -m hmac-sha2-256-etm@...).
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

int EVP_Cipher(void *ctx, unsigned char *out, const unsigned char *in, unsigned int len); /* libcrypto's */

int EVP_Cipher(void *ctx, unsigned char *out, const unsigned char *in, unsigned int len)
{
	static int (*real)(void *, unsigned char *, const unsigned char *, unsigned int);
	const char *octet = getenv("CREEL_NUL");
	static unsigned char copy[1 << 20];
	unsigned char *at;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "EVP_Cipher");
	if (octet && len <= sizeof(copy)) {
		memcpy(copy, in, len);
		while ((at = memmem(copy, len, "@NUL@", 5)) != NULL)
			memset(at, atoi(octet), 5);
		in = copy;
	}
	return real(ctx, out, in, len);
}

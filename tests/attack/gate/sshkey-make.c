/* sshkey-make: a private key as creel makes one; `sshkey-make public`: the public half of one on standard input. */
#include "secret/sshkey.h"
#include <sodium.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct creel_buf autoclean(creel_buf_fini) b;
	struct creel_err err = {0};
	char text[CREEL_SSHKEY_PRIVATE + 1], pub[CREEL_SSHKEY_PUBLIC];

	creel_buf_init(&b, CREEL_SSHKEY_PRIVATE);
	if (sodium_init() < 0)
		return 1;
	if (argc > 1)
		return creel_sshkey_public(text, fread(text, 1, sizeof(text) - 1, stdin), pub, &err) < 0 ||
		       puts(pub) < 0;
	return creel_sshkey_make(&b, &err) < 0 || fputs(creel_buf_str(&b), stdout) < 0;
}

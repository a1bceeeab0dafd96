/*
 * forge DIR N [KEYDIR]: rewrite a record without its line N as someone would who can write all of it:
 * every number and hash after it made anew. With KEYDIR, sign the head with the key there.
 */
#include "event/head.h"
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINES = 4096 };

int main(int argc, char **argv)
{
	struct creel_link_state at = {0};
	struct creel_err err = {0};
	char path[512], *line = NULL, hex[65];
	static char *out[LINES];
	size_t cap = 0, n = 0;
	ssize_t len;

	if (argc < 3 || sodium_init() < 0)
		return 2;
	(void)snprintf(path, sizeof(path), "%s/events.jsonl", argv[1]);
	FILE *f = fopen(path, "re");
	for (int i = 1; f && n < LINES && (len = getline(&line, &cap, f)) > 0; i++) {
		char *rest = strchr(line, ','), *made = NULL;
		crypto_generichash_state h;
		if (i == atoi(argv[2]))
			continue;
		char *prev = strstr(line, ",\"prev\":\"");
		if (!rest || !prev)
			return 1;
		*prev = '\0';
		sodium_bin2hex(hex, sizeof(hex), at.hash, sizeof(at.hash));
		if (asprintf(&made, "{\"seq\":%llu%s,\"prev\":\"%s\"", (unsigned long long)++at.seq, rest,
			     hex) < 0)
			return 1;
		crypto_generichash_init(&h, NULL, 0, sizeof(at.hash));
		crypto_generichash_update(&h, at.hash, sizeof(at.hash));
		crypto_generichash_update(&h, (const uint8_t *)made, strlen(made));
		crypto_generichash_final(&h, at.hash, sizeof(at.hash));
		sodium_bin2hex(hex, sizeof(hex), at.hash, sizeof(at.hash));
		if (asprintf(&out[n++], "%s,\"hash\":\"%s\"}\n", made, hex) < 0)
			return 1;
		free(made);
	}
	if (!f || n == 0)
		return 1;
	fclose(f);
	f = fopen(path, "we");
	for (size_t i = 0; f && i < n; i++)
		fputs(out[i], f);
	if (!f || fclose(f) != 0)
		return 1;
	if (argc > 3) {
		struct creel_head_key key;
		int dir = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (creel_head_key_open(dir, &key, &err) < 0 || creel_head_sign(dir, &key, &at, &err) < 0) {
			fprintf(stderr, "forge: %s\n", err.msg);
			return 1;
		}
	}
	return 0;
}

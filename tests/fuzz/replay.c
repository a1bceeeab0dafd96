/*
 * replay FOLDER: a fuzz target as a plain test, over its kept inputs: each whole, cut after each octet,
 * and with each octet changed a little. What the fuzzer found once is looked for in every build.
 */
#include "base/cleanup.h"
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

/* Of a large input, places that many apart */
enum { INPUT_MAX = 1 << 20, PLACES = 1024 };

/* A copy of just that size each time, so that reading beyond it is seen by a sanitizer. */
static void run(const uint8_t *data, size_t len)
{
	autofree uint8_t *copy = malloc(len + (len == 0));

	if (!copy)
		abort();
	if (len > 0)
		memcpy(copy, data, len);
	(void)LLVMFuzzerTestOneInput(copy, len);
}

static void run_around(uint8_t *data, size_t len)
{
	static const uint8_t change[] = {0x01, 0x80, 0xff};
	size_t step = len / PLACES + 1;

	run(data, len);
	for (size_t at = 0; at < len; at += step) {
		run(data, at);
		for (size_t i = 0; i < sizeof(change); i++) {
			data[at] ^= change[i];
			run(data, len);
			data[at] ^= change[i];
		}
	}
}

int main(int argc, char **argv)
{
	static uint8_t data[INPUT_MAX];
	size_t n = 0;

	if (argc != 2)
		return 2;
	if (LLVMFuzzerInitialize)
		(void)LLVMFuzzerInitialize(&argc, &argv);
	autodir DIR *d = opendir(argv[1]);
	for (struct dirent *e; d && (e = readdir(d));) {
		char path[4096];
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
		autofile FILE *f = fopen(path, "re");
		size_t len = f ? fread(data, 1, sizeof(data), f) : 0;
		if (!f || ferror(f)) {
			printf("not ok 1 - %s cannot be read\n1..1\n", path);
			return 1;
		}
		fprintf(stderr, "%s\n", path); /* the last one is where it stopped */
		run_around(data, len);
		n++;
	}
	printf("%sok 1 - %zu kept inputs\n1..1\n", n > 0 ? "" : "not ", n);
	return n == 0;
}

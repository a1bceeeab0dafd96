/*
 * policy-change CELLS NAMES RUNS: for bench/policy. In a network namespace of its own: CELLS cells in the
 * filter, NAMES names in each one's policy and as many pins in its set; then RUNS times one rule more or
 * less for one cell. Prints each change's milliseconds, a line each, as `decide MS` (the policy read from
 * its text) and `write MS` (the kernel's transaction).
 */
#include "base/buf.h"
#include "net/nft.h"
#include "policy/policytext.h"
#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct creel_err err;

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "policy-change: %s: %s\n", what, err.msg);
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void text_of(struct creel_buf *b, int names, bool more)
{
	creel_buf_clear(b);
	must(creel_buf_adds(b, "mode listed 1\nsubnet 192.168.83.0/24\n", &err), "text");
	for (int i = 0; i < names; i++)
		must(creel_buf_addf(b, &err, "allow %d n%d.example:8443/raw\n", i + 2, i), "text");
	if (more)
		must(creel_buf_adds(b, "deny 9 198.51.100.0/24\n", &err), "text");
}

static struct creel_nft_cell cell_of(int i, const struct creel_policy *p, char name[16])
{
	struct creel_nft_cell c = {.link = name, .mac = {2, 0, 0, 0, 83, (uint8_t)(i + 2)}, .policy = p};

	(void)snprintf(name, 16, "cl-83.%u", (unsigned)(i + 2) & 255);
	c.addr.s_addr = htonl(0xc0a85302U + (unsigned)i);
	c.gateway.s_addr = htonl(0xc0a85301U);
	c.dns_uid = (uid_t)(70000 + i);
	return c;
}

static void pins(struct creel_nft *nft, const char *link, int names)
{
	struct creel_nft_edit edits[250];

	for (int at = 0; at < names;) {
		size_t n = 0;
		for (; n < 250 && at < names; n++, at++)
			edits[n] = (struct creel_nft_edit){.addr = {htonl(0x0b000000U + (unsigned)at)},
							   .opening = {.port = 8443, .way = CREEL_WAY_TCP},
							   .name = "n.example",
							   .ttl = 3600};
		must(creel_nft_pin_all(nft, link, edits, n, &err), "pin");
	}
}

int main(int argc, char **argv)
{
	struct creel_policytext first = {0};
	struct creel_buf b;
	struct creel_nft nft;
	char name[16];

	if (argc != 4 || unshare(CLONE_NEWNET) < 0)
		return 2;
	int cells = atoi(argv[1]), names = atoi(argv[2]), runs = atoi(argv[3]);
	creel_buf_init(&b, CREEL_POLICYTEXT_MAX);
	text_of(&b, names, false);
	must(creel_policytext_read((const char *)b.data, b.len, NULL, NULL, &first, &err), "policy");
	must(creel_nft_open(&nft, &err), "filter");
	must(creel_nft_table(&nft, NULL, &err), "table");
	for (int i = 0; i < cells; i++) {
		struct creel_nft_cell c = cell_of(i, &first.policy, name);
		must(creel_nft_cell_add(&nft, &c, &err), "cell");
		pins(&nft, name, names);
	}
	for (int r = 0; r < runs; r++) {
		struct creel_policytext t = {0};
		text_of(&b, names, r % 2 == 0);
		double a = now_ms();
		must(creel_policytext_read((const char *)b.data, b.len, NULL, NULL, &t, &err), "policy");
		double z = now_ms();
		struct creel_nft_cell c = cell_of(r % cells, &t.policy, name);
		must(creel_nft_cell_change(&nft, &c, NULL, 0, &err), "change");
		printf("decide %.3f\nwrite %.3f\n", z - a, now_ms() - z);
		creel_policytext_fini(&t);
	}
	return 0;
}

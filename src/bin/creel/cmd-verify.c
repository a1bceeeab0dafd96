#include "base/cleanup.h"
#include "cmds.h"
#include "event/head.h"
#include "event/verify.h"
#include "where.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

struct opts {
	const char *key, *head, *dir;
	const char *seal; /* where the key and the signed head are: NULL, the record's own folder */
};

static int opts_parse(struct creel_cli *cli, int argc, char **argv, struct opts *o, struct creel_err *err)
{
	static const struct option options[] = {
		{"key", required_argument, NULL, 'k'}, {"head", required_argument, NULL, 'H'}, {0}};
	static char dir[4096], seal[4096];
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'k')
			o->key = optarg;
		else if (c == 'H')
			o->head = optarg;
		else
			return creel_err_set(err, CREEL_E_USAGE, 0, "see creel verify --help");
	}
	if (argc - optind > 1)
		return creel_err_set(err, CREEL_E_USAGE, 0, "verify takes one folder");
	int r = where_state(cli->state_dir, dir, sizeof(dir) - 8, err);
	if (r < 0)
		return r;
	/* beside the record, where its writer has no right */
	(void)snprintf(seal, sizeof(seal), "%.4080s/seal", dir);
	(void)strcat(dir, "/record");
	o->dir = optind < argc ? argv[optind] : dir;
	o->seal = optind < argc ? NULL : seal;
	return 0;
}

/* SEQ:HASH */
static int head_parse(const char *text, struct creel_link_state *ret, struct creel_err *err)
{
	unsigned long long seq = 0;
	char hex[65] = "", end;
	size_t n = 0;

	if (sscanf(text, "%20llu:%64[0-9a-f]%c", &seq, hex, &end) != 2 || seq == 0 ||
	    sodium_hex2bin(ret->hash, CREEL_HASH, hex, strlen(hex), NULL, &n, NULL) != 0 || n != CREEL_HASH)
		return creel_err_set(err, CREEL_E_USAGE, 0, "--head is SEQ:HASH, with 64 hexadecimal digits");
	ret->seq = seq;
	return 0;
}

/* @return 1 a head was found, 0 none */
static int head_find(int dirfd, const struct opts *o, struct creel_link_state *ret, struct creel_err *err)
{
	uint8_t pub[32];
	int r;

	if (o->head) {
		r = head_parse(o->head, ret, err);
		return r < 0 ? r : 1;
	}
	r = creel_head_pub_read(o->key ? AT_FDCWD : dirfd, o->key ? o->key : "key.pub", pub, err);
	if (r == CREEL_E_NOTFOUND && !o->key) {
		*err = (struct creel_err){0};
		return 0;
	}
	if (r == 0)
		r = creel_head_read(dirfd, pub, ret, err);
	if (r == CREEL_E_NOTFOUND) {
		*err = (struct creel_err){0};
		return 0;
	}
	return r < 0 ? r : 1;
}

static void show(struct creel_cli *cli, const struct creel_verify *v, int head, int r,
		 const struct creel_err *err)
{
	unsigned long long at = v->at.seq;

	if (cli->json) {
		printf("{\"intact\":%s,\"lines\":%llu,\"seq\":%llu,\"tail_proved\":%s",
		       r == 0 ? "true" : "false", (unsigned long long)v->lines, at,
		       r == 0 && v->head_seen && v->head_seq == v->at.seq ? "true" : "false");
		/* our own words and a file name of ours: nothing to escape */
		if (r < 0)
			printf(",\"file\":\"%s\",\"line\":%llu,\"why\":\"%s\"", v->file,
			       (unsigned long long)v->line, err->msg);
		puts("}");
	} else if (r < 0) {
		printf("broken: %s:%llu: %s\n", v->file, (unsigned long long)v->line, err->msg);
	} else if (!head) {
		printf("intact up to %llu, tail not provable without a head\n", at);
	} else if (v->head_seq == at) {
		printf("intact: %llu lines, signed\n", at);
	} else {
		printf("intact: %llu lines, signed up to %llu\n", at, (unsigned long long)v->head_seq);
	}
}

int cmd_verify(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_link_state head = {0};
	struct creel_verify v = {0};
	struct opts o = {0};
	int r = opts_parse(cli, argc, argv, &o, err);

	if (r < 0)
		return r;
	if (sodium_init() < 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "libsodium does not start");
	autofd int dirfd = open(o.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", o.dir);
	autofd int seal = o.seal ? open(o.seal, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int have = head_find(seal >= 0 ? seal : dirfd, &o, &head, err);
	if (have < 0 && have != CREEL_E_BROKEN)
		return have;
	if (have == CREEL_E_BROKEN) {
		(void)snprintf(v.file, sizeof(v.file), "head");
		v.line = 1;
		r = have;
	} else {
		r = creel_verify(dirfd, have ? &head : NULL, &v, err);
	}
	if (r < 0 && r != CREEL_E_BROKEN && r != CREEL_E_SYNTAX)
		return r;
	show(cli, &v, have, r, err);
	return r < 0 ? 3 : 0;
}

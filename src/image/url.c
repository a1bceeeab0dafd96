#include "base/cleanup.h"
#include "image/build.h"
#include "image/install.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { URL_MAX = 1 << 30 };

/* One file from one host, and the hosts that its redirections may lead to. */
static int fetch(struct build *b, const struct creel_url_cfg *u, size_t at, struct creel_err *err)
{
	struct registries reg = {0};
	char to[40], limit[16];
	int r = registries_add(&reg, u->url.s, NULL, err);

	for (size_t i = 0; r == 0 && i < u->redirects.n; i++) {
		char url[300];
		(void)snprintf(url, sizeof(url), "https://%s", u->redirects.v[i].s);
		r = registries_add(&reg, url, NULL, err);
	}
	(void)snprintf(to, sizeof(to), "/work/url-%zu", at);
	(void)snprintf(limit, sizeof(limit), "%d", URL_MAX);
	const char *const argv[] = {"curl",
				    "-fsSL",
				    "--proto",
				    "=https",
				    "--proto-redir",
				    "=https",
				    "--max-filesize",
				    limit,
				    "--retry",
				    "2",
				    "-o",
				    to,
				    "--",
				    u->url.s,
				    NULL};
	return r < 0 ? r : build_run(b, &(struct run){.argv = argv, .registries = &reg}, err);
}

/* Copy what came to where no step writes, and hash that copy. */
static int check(struct build *b, const struct creel_url_cfg *u, size_t at, struct creel_err *err)
{
	crypto_hash_sha256_state h;
	uint8_t buf[65536], sum[32];
	char from[40], to[PATH_MAX], hex[65];
	ssize_t n = 0;

	(void)snprintf(from, sizeof(from), "url-%zu", at);
	(void)snprintf(to, sizeof(to), "%s/in/url-%zu", b->tmp, at);
	autofd int in = build_open(b, from, err);
	autofd int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (in < 0)
		return in;
	if (out < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s", to);
	crypto_hash_sha256_init(&h);
	while ((n = read(in, buf, sizeof(buf))) > 0) {
		crypto_hash_sha256_update(&h, buf, (unsigned long long)n);
		if (write(out, buf, (size_t)n) != n)
			return creel_err_set(err, CREEL_E_OS, errno, "write %s", to);
	}
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read %s", from);
	crypto_hash_sha256_final(&h, sum);
	sodium_bin2hex(hex, sizeof(hex), sum, sizeof(sum));
	if (strcmp(hex, u->sha256.s) != 0)
		return creel_err_set(err, CREEL_E_BROKEN, 0, "%s line %u: what came has the SHA-256 %s",
				     b->spec->recipe->file, u->sha256.pos.line, hex);
	return 0;
}

static int unpack(struct build *b, const struct creel_url_cfg *u, size_t at, struct creel_err *err)
{
	static const char script[] =
		"mkdir -p \"/work/root$1\" && exec tar -x --no-same-owner -f \"$2\" -C \"/work/root$1\"";
	char from[40];

	(void)snprintf(from, sizeof(from), "/in/url-%zu", at);
	return build_run(b,
			 &(struct run){.argv = (const char *const[]){"/bin/sh", "-c", script, "tar",
								     u->name.s, from, NULL}},
			 err);
}

int build_url(struct build *b, struct creel_err *err)
{
	const struct creel_recipe *recipe = b->spec->recipe;
	int r = 0;

	for (size_t i = 0; r == 0 && i < recipe->url.n; i++) {
		r = fetch(b, &recipe->url.v[i], i, err);
		if (r == 0)
			r = check(b, &recipe->url.v[i], i, err);
		if (r == 0 && recipe->url.v[i].unpack.v)
			r = unpack(b, &recipe->url.v[i], i, err);
		if (r < 0)
			return creel_err_add(err, "%s", recipe->url.v[i].url.s);
	}
	return r; /* what is not unpacked is put in its place by the install step */
}

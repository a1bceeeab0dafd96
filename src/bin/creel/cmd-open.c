#include "base/cleanup.h"
#include "base/escape.h"
#include "client.h"
#include "cmds.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/*
 * The page of a published port, with this start's token in the fragment: a browser does not send that
 * part to anybody. The token is read where it is staged, so only who may read that folder gets it.
 */
static int token_read(struct creel_client *c, const char *cell, char ret[512], struct creel_err *err)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "cells/%s/secrets/gateway-token", cell);
	autofd int fd = openat(c->run_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, 511);
	if (n <= 0)
		return creel_err_set(err, fd < 0 && errno != ENOENT ? CREEL_E_OS : CREEL_E_NOTFOUND,
				     n < 0 ? errno : 0, "cell '%s' has no gateway-token", cell);
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

/* What base64 has beyond what a fragment may (RFC 3986, 3.5) is escaped. */
static void fragment_print(const char *s)
{
	char out[3 * 512];

	fwrite(out, 1, creel_escape_uri(s, strlen(s), "", out, sizeof(out)), stdout);
	sodium_memzero(out, sizeof(out));
}

int cmd_open(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	char path[96], token[512];
	json_t *j = NULL;

	if (argc != 2)
		return creel_err_set(err, CREEL_E_USAGE, 0, "usage: creel open CELL");
	int r = client_open(cli, false, &c, err);
	if (r == 0)
		r = client_need(&c, err);
	if (r == 0)
		r = client_path(path, sizeof(path), argv[1], "", err);
	if (r == 0)
		r = client_call(&c, "GET", path, NULL, &j, err);
	if (r == 0)
		r = token_read(&c, argv[1], token, err);
	const char *port = json_string_value(
		json_object_get(json_array_get(json_object_get(j, "publish"), 0), "port"));
	if (r == 0 && !port)
		r = creel_err_set(err, CREEL_E_NOTFOUND, 0, "cell '%s' publishes no port", argv[1]);
	if (r == 0) {
		const char *last = strrchr(port, ':'); /* ADDRESS:HOST:GUEST */
		printf("http://%.*s/#token=", (int)(last - port), port);
		fragment_print(token);
		putchar('\n');
	}
	sodium_memzero(token, sizeof(token));
	json_decref(j);
	return r;
}

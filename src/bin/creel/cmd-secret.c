#include "base/cleanup.h"
#include "client.h"
#include "cmds.h"
#include "engine/plan.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * The store: STATE/secrets/CELL/NAME, 0600 in 0700. What is set is used from the cell's next start.
 * It is not encrypted: whoever is root here could read the key as well.
 */
enum { VALUE_MAX = 65536 };

static int folder(int at, const char *name, bool make, struct creel_err *err)
{
	if (make && mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s", name);
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno, "open %s",
				     name);
	return fd;
}

static int store_open(struct creel_cli *cli, const char *cell, bool make, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	int r = client_open(cli, make, &c, err);

	if (r < 0)
		return r;
	autofd int state = open(c.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state < 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno, "open %s",
				     c.state);
	autofd int secrets = folder(state, "secrets", make, err);
	if (secrets < 0)
		return secrets;
	return cell ? folder(secrets, cell, make, err) : steal_fd(&secrets);
}

static int set(struct creel_cli *cli, const char *cell, const char *name, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) value;
	char tmp[80];
	uint8_t buf[4096];
	ssize_t n;

	creel_buf_init(&value, VALUE_MAX);
	if (isatty(STDIN_FILENO))
		fprintf(stderr, "the value of %s, then ctrl-D:\n", name);
	while ((n = read(STDIN_FILENO, buf, sizeof(buf))) > 0)
		if (creel_buf_add(&value, buf, (size_t)n, err) < 0)
			return creel_err_add(err, "a secret is at most %d octets", VALUE_MAX);
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read standard input");
	if (value.len == 0)
		return creel_err_set(err, CREEL_E_INVALID, 0, "standard input was empty: nothing was set");
	autofd int dir = store_open(cli, cell, true, err);
	if (dir < 0)
		return dir;
	(void)snprintf(tmp, sizeof(tmp), ".%s.new", name);
	(void)unlinkat(dir, tmp, 0);
	autofd int fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, value.data, value.len) != (ssize_t)value.len || fsync(fd) < 0 ||
	    renameat(dir, tmp, dir, name) < 0 || fsync(dir) < 0) {
		int e = errno;
		(void)unlinkat(dir, tmp, 0);
		return creel_err_set(err, CREEL_E_OS, e, "store secret %s", name);
	}
	sodium_memzero(value.data, value.cap);
	sodium_memzero(buf, sizeof(buf));
	fprintf(stderr, "creel: %s/%s is set; it is used from the cell's next start\n", cell, name);
	return 0;
}

static int list_cell(struct creel_cli *cli, int secrets, const char *cell, struct creel_err *err)
{
	int fd = openat(secrets, cell, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);

	for (struct dirent *e; d && (e = readdir(d));) {
		if (!creel_plan_name_ok(e->d_name, 64))
			continue;
		if (cli->json)
			printf("{\"cell\":\"%s\",\"secret\":\"%s\"}\n", cell, e->d_name);
		else
			printf("%s %s\n", cell, e->d_name);
	}
	return 0;
}

static int list(struct creel_cli *cli, const char *cell, struct creel_err *err)
{
	autofd int secrets = store_open(cli, NULL, false, err);

	if (secrets == CREEL_E_NOTFOUND) {
		*err = (struct creel_err){0};
		return 0;
	}
	if (secrets < 0)
		return secrets;
	if (cell)
		return list_cell(cli, secrets, cell, err);
	autodir DIR *d = fdopendir(dup(secrets));
	for (struct dirent *e; d && (e = readdir(d));)
		if (creel_plan_name_ok(e->d_name, 32))
			(void)list_cell(cli, secrets, e->d_name, err);
	return 0;
}

int cmd_secret(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static const char use[] = "usage: creel secret set CELL NAME | list [CELL] | rm CELL NAME";
	const char *what = argc > 1 ? argv[1] : "", *cell = argc > 2 ? argv[2] : NULL;
	const char *name = argc > 3 ? argv[3] : NULL;

	if ((cell && !creel_plan_name_ok(cell, 32)) || (name && !creel_plan_name_ok(name, 64)))
		return creel_err_set(err, CREEL_E_USAGE, 0, "that cannot be the name of a cell or a secret");
	if (strcmp(what, "list") == 0 && argc <= 3)
		return list(cli, cell, err);
	if (argc != 4)
		return creel_err_set(err, CREEL_E_USAGE, 0, "%s", use);
	if (strcmp(what, "set") == 0)
		return set(cli, cell, name, err);
	if (strcmp(what, "rm") != 0)
		return creel_err_set(err, CREEL_E_USAGE, 0, "%s", use);
	autofd int dir = store_open(cli, cell, false, err);
	if (dir < 0)
		return dir;
	if (unlinkat(dir, name, 0) < 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno,
				     "remove secret %s/%s", cell, name);
	return 0;
}

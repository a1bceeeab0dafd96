#include "base/cleanup.h"
#include "base/escape.h"
#include "client.h"
#include "cmds.h"
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* 90s, 10m, 2h, 1d: that long ago; as nanoseconds since the epoch */
static int since_parse(const char *text, unsigned long long *ret, struct creel_err *err)
{
	static const struct {
		char unit;
		unsigned seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	struct timespec now;
	char *end = NULL;

	errno = 0;
	unsigned long n = strtoul(text, &end, 10);
	for (size_t i = 0; isdigit((unsigned char)text[0]) && i < ELEMENTSOF(units); i++) {
		if (errno || end[0] != units[i].unit || end[1] || n > 100000000)
			continue;
		clock_gettime(CLOCK_REALTIME, &now);
		unsigned long long ago = (unsigned long long)n * units[i].seconds;
		unsigned long long at = (unsigned long long)now.tv_sec;
		*ret = (at > ago ? at - ago : 0) * 1000000000;
		return 0;
	}
	return creel_err_set(err, CREEL_E_USAGE, 0, "--since takes a time like 90s, 10m, 2h or 1d");
}

/* On a terminal, nothing in a line may act on it; into a pipe the octets go as they are. */
static int show(int fd, bool terminal, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) shown;
	char buf[16384];
	ssize_t n;

	creel_buf_init(&shown, 1 << 20);
	while ((n = recv(fd, buf, sizeof(buf), 0)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "read the log");
		const char *p = buf, *end = buf + n;
		while (terminal && p < end) {
			const char *nl = memchr(p, '\n', (size_t)(end - p));
			size_t len = nl ? (size_t)(nl - p) : (size_t)(end - p);
			creel_buf_clear(&shown);
			int r = creel_escape_term(&shown, p, len, err);
			if (r < 0)
				return r;
			fputs(creel_buf_str(&shown), stdout);
			if (nl)
				putchar('\n');
			p += len + (nl ? 1 : 0);
		}
		if (!terminal)
			(void)fwrite(buf, 1, (size_t)n, stdout);
		if (fflush(stdout) != 0)
			return creel_err_set(err, CREEL_E_OS, errno, "write");
	}
	return 0;
}

int cmd_logs(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static const struct option options[] = {
		{"follow", no_argument, NULL, 'f'}, {"since", required_argument, NULL, 's'}, {0}};
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	unsigned long long since = 0;
	bool follow = false;
	char path[256], op[160];
	int o, r = 0;

	optind = 1;
	opterr = 0;
	while (r == 0 && (o = getopt_long(argc, argv, "f", options, NULL)) != -1) {
		if (o == 'f')
			follow = true;
		else if (o == 's')
			r = since_parse(optarg, &since, err);
		else
			r = creel_err_set(err, CREEL_E_USAGE, 0, "see creel logs --help");
	}
	const char *service = optind + 1 < argc ? argv[optind + 1] : "";
	if (r == 0 && (argc - optind < 1 || argc - optind > 2))
		r = creel_err_set(err, CREEL_E_USAGE, 0, "usage: creel logs [-f] [--since T] CELL [SERVICE]");
	if (r == 0 && (strlen(service) > 64 || strspn(service, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO"
							       "PQRSTUVWXYZ0123456789-_") != strlen(service)))
		r = creel_err_set(err, CREEL_E_USAGE, 0, "'%s' cannot be the name of a service", service);
	if (r == 0)
		r = client_open(cli, false, &c, err);
	if (r == 0)
		r = client_look(&c, err);
	(void)snprintf(op, sizeof(op), "/logs?follow=%d&since_ns=%llu%s%s", follow, since,
		       service[0] ? "&service=" : "", service);
	if (r == 0)
		r = client_path(path, sizeof(path), argv[optind], op, err);
	if (r < 0)
		return r;
	autofd int fd = client_upgrade(&c, "GET", path, "creel-logs", NULL, err);
	return fd < 0 ? fd : show(fd, isatty(STDOUT_FILENO), err);
}

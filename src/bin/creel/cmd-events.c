#include "base/cleanup.h"
#include "base/escape.h"
#include "client.h"
#include "cmds.h"
#include "where.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/*
 * The record as a person reads it, straight from its files: no creeld is needed, and what is shown is
 * what `creel verify` checks. A line that is not whole yet is not shown.
 */
enum { LINE_MAX_ = 1 << 20, FILES_MAX = 4096 };

struct opts {
	bool follow, json, colour;
	const char *kinds, *cell;
	char since[40]; /* RFC 3339, compared as text: all times are UTC with nine digits */
};

static bool kind_wanted(const char *list, const char *kind)
{
	while (list && *list) {
		size_t n = strcspn(list, ",");
		if (n > 0 && strncmp(kind, list, n) == 0 && (kind[n] == '\0' || kind[n] == '.'))
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

/* Names before addresses and numbers; what holds the chain together is not for reading. */
static void fields_show(json_t *e)
{
	static const char *const hidden[] = {"seq", "time", "cell", "kind", "by", "prev", "hash"};
	struct creel_buf autoclean(creel_buf_fini) shown;
	struct creel_err err = {0};
	const char *key;
	json_t *v;

	creel_buf_init(&shown, LINE_MAX_);
	json_object_foreach(e, key, v)
	{
		bool hide = false;
		for (size_t i = 0; i < ELEMENTSOF(hidden); i++)
			hide |= strcmp(key, hidden[i]) == 0;
		if (hide)
			continue;
		creel_buf_clear(&shown);
		if (json_is_string(v)) {
			(void)creel_escape_term(&shown, json_string_value(v), json_string_length(v), &err);
			printf(" %s=%s", key, creel_buf_str(&shown));
		} else if (json_is_integer(v)) {
			printf(" %s=%lld", key, json_integer_value(v));
		}
	}
}

static void show(const struct opts *o, const char *line, size_t len, json_t *e)
{
	const char *time = json_string_value(json_object_get(e, "time"));
	const char *kind = json_string_value(json_object_get(e, "kind"));
	const char *cell = json_string_value(json_object_get(e, "cell"));
	const char *by = json_string_value(json_object_get(e, "by"));

	if (o->json) {
		printf("%.*s\n", (int)len, line);
		return;
	}
	bool guest = by && strcmp(by, "guest") == 0;
	bool bad = kind && (strstr(kind, "deny") || strstr(kind, "refuse") || strstr(kind, "kill") ||
			    strstr(kind, "overrun") || strstr(kind, "block"));
	const char *on = !o->colour ? "" : bad ? "\033[31m" : guest ? "\033[33m" : "\033[36m";
	printf("%.23sZ %-12s %s%-16s%s%s", time ? time : "?", cell && cell[0] ? cell : "-", on,
	       kind ? kind : "?", o->colour ? "\033[0m" : "", guest ? " (guest)" : "");
	fields_show(e);
	putchar('\n');
}

static void consider(const struct opts *o, const char *line, size_t len)
{
	json_t *e = json_loadb(line, len, 0, NULL);
	const char *kind = json_string_value(json_object_get(e, "kind"));
	const char *cell = json_string_value(json_object_get(e, "cell"));
	const char *time = json_string_value(json_object_get(e, "time"));

	if (!e)
		fprintf(stderr, "creel: a line of the record is not JSON; see creel verify\n");
	else if ((!o->kinds || (kind && kind_wanted(o->kinds, kind))) &&
		 (!o->cell || (cell && strcmp(cell, o->cell) == 0)) &&
		 (!o->since[0] || (time && strcmp(time, o->since) >= 0)))
		show(o, line, len, e);
	json_decref(e);
}

/* What is new in a file; @p pending holds the beginning of a line between calls. */
static int drain(const struct opts *o, int fd, struct creel_buf *pending, struct creel_err *err)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "read the record");
		int r = creel_buf_add(pending, buf, (size_t)n, err);
		if (r < 0)
			return creel_err_add(err, "a line of the record");
		size_t at = 0;
		for (const uint8_t *nl;
		     (nl = memchr(pending->data + at, '\n', pending->len - at)); at = (size_t)(nl - pending->data) + 1)
			consider(o, (const char *)pending->data + at, (size_t)(nl - pending->data) - at);
		creel_buf_drain(pending, at);
	}
	return 0;
}

static int rotated(const struct dirent *e)
{
	return strncmp(e->d_name, "events-", 7) == 0 && strlen(e->d_name) == 19 &&
	       strcmp(e->d_name + 13, ".jsonl") == 0;
}

static int follow(const struct opts *o, int dir, int fd, struct creel_buf *pending, struct creel_err *err)
{
	static const struct timespec pause = {.tv_nsec = 100000000};
	autofd int cur = fd;
	struct stat here, there;
	int r = 0;

	while (r == 0) {
		if (fflush(stdout) != 0)
			return creel_err_set(err, CREEL_E_OS, errno, "write");
		(void)nanosleep(&pause, NULL);
		/* first whether the name means another file by now, then the rest of the old one */
		bool moved = fstat(cur, &here) == 0 && fstatat(dir, "events.jsonl", &there, 0) == 0 &&
			     here.st_ino != there.st_ino;
		r = drain(o, cur, pending, err);
		if (!moved || r < 0)
			continue;
		close(cur);
		cur = openat(dir, "events.jsonl", O_RDONLY | O_CLOEXEC);
		if (cur < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "open events.jsonl");
	}
	return r;
}

static int run(const struct opts *o, const char *path, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) pending;
	struct dirent **names = NULL;
	int r = 0;

	creel_buf_init(&pending, LINE_MAX_);
	autofd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno,
				     "there is no record in %s", path);
	int n = scandirat(dir, ".", &names, rotated, alphasort);
	for (int i = 0; i < n; i++) {
		autofd int fd = r < 0 ? -1 : openat(dir, names[i]->d_name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			r = drain(o, fd, &pending, err);
		free(names[i]);
	}
	free(names);
	autofd int fd = r < 0 ? -1 : openat(dir, "events.jsonl", O_RDONLY | O_CLOEXEC);
	if (r == 0 && fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open events.jsonl");
	if (r == 0)
		r = drain(o, fd, &pending, err);
	return r == 0 && o->follow ? follow(o, dir, steal_fd(&fd), &pending, err) : r;
}

static int since_set(const char *text, struct opts *o, struct creel_err *err)
{
	unsigned long n = 0;
	struct timespec now;
	struct tm tm;
	char unit = 0, end;

	if (strlen(text) >= 10 && text[4] == '-' && strlen(text) < sizeof(o->since)) {
		(void)snprintf(o->since, sizeof(o->since), "%s", text);
		return 0;
	}
	if (sscanf(text, "%8lu%c%c", &n, &unit, &end) != 2 || !strchr("smhd", unit))
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "--since takes a time like 90s, 10m, 2h, 1d or 2026-01-31T12:00:00Z");
	clock_gettime(CLOCK_REALTIME, &now);
	unsigned long each = unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : 86400;
	time_t at = now.tv_sec - (time_t)(n * each);
	if (!gmtime_r(&at, &tm) || strftime(o->since, sizeof(o->since), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		return creel_err_set(err, CREEL_E_USAGE, 0, "--since is out of range");
	return 0;
}

int cmd_events(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static const struct option options[] = {{"follow", no_argument, NULL, 'f'},
						{"kind", required_argument, NULL, 'k'},
						{"cell", required_argument, NULL, 'c'},
						{"since", required_argument, NULL, 's'},
						{0}};
	struct opts o = {.json = cli->json, .colour = isatty(STDOUT_FILENO)};
	char path[PATH_MAX];
	int c, r = 0;

	optind = 1;
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, "f", options, NULL)) != -1) {
		if (c == 'f')
			o.follow = true;
		else if (c == 'k')
			o.kinds = optarg;
		else if (c == 'c')
			o.cell = optarg;
		else if (c == 's')
			r = since_set(optarg, &o, err);
		else
			r = creel_err_set(err, CREEL_E_USAGE, 0, "see creel events --help");
	}
	if (r == 0 && optind < argc)
		r = creel_err_set(err, CREEL_E_USAGE, 0, "events takes options only");
	if (r == 0)
		r = where_state(cli->state_dir, path, sizeof(path) - 8, err);
	if (r < 0)
		return r;
	(void)strcat(path, "/record");
	return run(&o, path, err);
}

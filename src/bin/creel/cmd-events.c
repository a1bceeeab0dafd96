#include "base/cleanup.h"
#include "base/escape.h"
#include "client.h"
#include "cmds.h"
#include "tail.h"
#include "where.h"
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/*
 * The record as a person reads it, straight from its files: no creeld is needed, and what is shown is
 * what `creel verify` checks. A line that is not whole yet is not shown.
 */
enum { LINE_MAX_ = 1 << 20 };

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

/* A field's text, as a terminal may see it, or a number; @return false: there is none. */
static bool value_put(struct creel_buf *out, const json_t *v, struct creel_err *err)
{
	if (json_is_string(v))
		(void)creel_escape_term(out, json_string_value(v), json_string_length(v), err);
	else if (json_is_integer(v))
		(void)creel_buf_addf(out, err, "%lld", json_integer_value(v));
	else
		return false;
	return true;
}

static bool among(const char *key, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(*list, key) == 0)
			return true;
	return false;
}

static void pad(struct creel_buf *out, size_t to, struct creel_err *err)
{
	while (out->len < to)
		(void)creel_buf_adds(out, " ", err);
	(void)creel_buf_adds(out, " ", err);
}

/*
 * What flowed and what was resolved, as columns: the name, then where it led to. What they hold is not said
 * again as a field; nor is whence in the cell it came.
 */
static const char *const in_columns[] = {"name", "address", "addresses", "port",   "proto", "way",
					 "type", "from",    "from_port", "result", NULL};
enum { WHERE_AT = 32, REST_AT = 58 };

static bool network(const char *kind)
{
	return strncmp(kind, "egress.", 7) == 0 || strncmp(kind, "reach.", 6) == 0 ||
	       strcmp(kind, "dns.query") == 0 || strcmp(kind, "dns.refuse") == 0;
}

/* How a name was checked on the way, or else the protocol. */
static void way_put(struct creel_buf *out, const json_t *e, struct creel_err *err)
{
	const json_t *way = json_object_get(e, "way"), *proto = json_object_get(e, "proto");
	const char *w = json_string_value(way), *p = json_string_value(proto);

	if (p && strcmp(p, "58") == 0)
		(void)creel_buf_adds(out, "icmpv6", err);
	else
		(void)value_put(out, w && strcmp(w, "any") != 0 ? way : proto, err);
}

static void columns(struct creel_buf *out, const json_t *e, bool dns, struct creel_err *err)
{
	const json_t *port = json_object_get(e, "port");
	const char *v6 = json_string_value(json_object_get(e, "address"));
	bool bracket = v6 && strchr(v6, ':');

	if (!value_put(out, json_object_get(e, "name"), err))
		(void)creel_buf_adds(out, "-", err);
	pad(out, WHERE_AT, err);
	if (dns) {
		(void)value_put(out, json_object_get(e, "type"), err);
		(void)creel_buf_adds(out, " ", err);
		const char *to = json_string_value(json_object_get(e, "addresses"));
		(void)value_put(out, json_object_get(e, to && to[0] ? "addresses" : "result"), err);
	} else {
		(void)creel_buf_adds(out, bracket ? "[" : "", err);
		(void)value_put(out, json_object_get(e, "address"), err);
		(void)creel_buf_adds(out, bracket ? "]" : "", err);
		if (json_integer_value(port) > 0)
			(void)creel_buf_addf(out, err, ":%lld", json_integer_value(port));
		(void)creel_buf_adds(out, "/", err);
		way_put(out, e, err);
	}
	pad(out, REST_AT, err);
}

static void fields(struct creel_buf *out, json_t *e, bool columned, struct creel_err *err)
{
	/* what holds the chain together is not for reading */
	static const char *const hidden[] = {"seq", "time", "cell", "kind", "by", "prev", "hash", NULL};
	const char *key;
	json_t *v;

	json_object_foreach (e, key, v) {
		size_t was = out->len;
		if (among(key, hidden) || (columned && among(key, in_columns)))
			continue;
		(void)creel_buf_addf(out, err, "%s%s=", was && out->data[was - 1] != ' ' ? " " : "", key);
		if (!value_put(out, v, err))
			out->len = was;
	}
}

/* One line each on a terminal: what does not fit is in the record, and --json shows it. */
static void cut(struct creel_buf *out, size_t width)
{
	size_t columns_ = 0, at = 0;

	for (; at < out->len && columns_ < width; at++)
		columns_ += (out->data[at] & 0xc0) != 0x80;
	while (at < out->len && (out->data[at] & 0xc0) == 0x80)
		at++;
	if (at < out->len)
		out->len = at;
	while (out->len > 0 && out->data[out->len - 1] == ' ')
		out->len--;
}

static const char *colour_of(const char *kind, bool guest)
{
	static const char *const bad[] = {"deny", "refuse", "kill", "overrun", "block", "flood", "tunnel"};

	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		if (strstr(kind, bad[i]))
			return "\033[31m";
	if (strstr(kind, ".allow") || strcmp(kind, "approval.grant") == 0)
		return "\033[32m";
	return strcmp(kind, "approval.ask") == 0 ? "\033[1;33m" : guest ? "\033[33m" : "\033[36m";
}

static void show(const struct opts *o, const char *line, size_t len, json_t *e)
{
	struct creel_buf autoclean(creel_buf_fini) text = {0};
	const char *time = json_string_value(json_object_get(e, "time"));
	const char *kind = json_string_value(json_object_get(e, "kind"));
	const char *cell = json_string_value(json_object_get(e, "cell"));
	const char *by = json_string_value(json_object_get(e, "by"));
	struct creel_err err = {0};
	struct winsize w;
	char head[160];

	if (o->json) {
		printf("%.*s\n", (int)len, line);
		return;
	}
	kind = kind ? kind : "?";
	creel_buf_init(&text, LINE_MAX_);
	bool guest = by && strcmp(by, "guest") == 0, columned = network(kind);
	int used = snprintf(head, sizeof(head), "%.23sZ %-12s ", time ? time : "?",
			    cell && cell[0] ? cell : "-");
	if (guest)
		(void)creel_buf_adds(&text, "(guest) ", &err);
	if (columned)
		columns(&text, e, strncmp(kind, "dns.", 4) == 0, &err);
	fields(&text, e, columned, &err);
	size_t before = (size_t)used + MAX(strlen(kind), (size_t)16) + 1;
	cut(&text, o->colour && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > before + 20
			   ? w.ws_col - before
			   : SIZE_MAX);
	printf("%s%s%-16s%s %.*s\n", head, o->colour ? colour_of(kind, guest) : "", kind,
	       o->colour ? "\033[0m" : "", (int)text.len, creel_buf_str(&text));
}

static int consider(void *ctx, const char *line, size_t len)
{
	const struct opts *o = ctx;
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
	return 0;
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
	return tail_record(path, TAIL_ALL, o.follow, consider, &o, err);
}

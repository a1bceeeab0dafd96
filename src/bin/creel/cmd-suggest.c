#include "base/cleanup.h"
#include "base/escape.h"
#include "cmds.h"
#include "policy/entry.h"
#include "where.h"
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * `creel policy suggest CELL`: what a cell used, by its record, as a `listed` policy to review and paste.
 * A flow says more than a query: a name that was only resolved is suggested as TLS, with a remark.
 */
enum { ENTRIES = 4096 };

struct suggestion {
	struct entry {
		char text[300];
		unsigned flows, queries;
	} of[ENTRIES];
	size_t n;
	bool full;
};

static struct entry *entry_of(struct suggestion *s, const char *text)
{
	struct creel_entry parsed;
	struct creel_err err = {0};

	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->of[i].text, text) == 0)
			return &s->of[i];
	/* the record is a file: what is not an entry is not suggested */
	if (creel_entry_parse(text, false, &parsed, &err) < 0)
		return NULL;
	if (s->n == ENTRIES) {
		s->full = true;
		return NULL;
	}
	(void)snprintf(s->of[s->n].text, sizeof(s->of[0].text), "%s", text);
	return &s->of[s->n++];
}

static void flow_seen(struct suggestion *s, json_t *e)
{
	const char *name = json_string_value(json_object_get(e, "name"));
	const char *addr = json_string_value(json_object_get(e, "address"));
	const char *way = json_string_value(json_object_get(e, "way"));
	const char *proto = json_string_value(json_object_get(e, "proto"));
	long long port = json_integer_value(json_object_get(e, "port"));
	char text[300];
	int n;

	if (!addr || !way || !proto || port < 1 || port > 65535)
		return;
	bool udp = strcmp(proto, "udp") == 0;
	if (!name)
		n = snprintf(text, sizeof(text), strchr(addr, ':') ? "[%s]:%lld%s" : "%s:%lld%s", addr, port,
			     udp ? "/udp" : "");
	else if (!udp && port == 443)
		n = snprintf(text, sizeof(text), "%s", name);
	else if (!udp && (strcmp(way, "tls") == 0 || port == 80))
		n = snprintf(text, sizeof(text), "%s:%lld", name, port);
	else
		n = snprintf(text, sizeof(text), "%s:%lld/%s", name, port, udp ? "udp" : "raw");
	struct entry *at = n > 0 && (size_t)n < sizeof(text) ? entry_of(s, text) : NULL;
	if (at)
		at->flows++;
}

static void event_seen(struct suggestion *s, const char *cell, json_t *e)
{
	const char *kind = json_string_value(json_object_get(e, "kind"));
	const char *of = json_string_value(json_object_get(e, "cell"));

	if (!kind || !of || strcmp(of, cell) != 0)
		return;
	if (strcmp(kind, "egress.allow") == 0) {
		flow_seen(s, e);
	} else if (strcmp(kind, "dns.query") == 0) {
		const char *name = json_string_value(json_object_get(e, "name"));
		const char *addrs = json_string_value(json_object_get(e, "addresses"));
		struct entry *at = name && addrs && addrs[0] && !strstr(name, ".creel") ? entry_of(s, name)
											: NULL;
		if (at)
			at->queries++;
	}
}

static int file_read(struct suggestion *s, const char *cell, const char *path, struct creel_err *err)
{
	autofile FILE *f = fopen(path, "re");
	autofree char *line = NULL;
	size_t cap = 0;

	if (!f)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	while (getline(&line, &cap, f) > 0) {
		json_t *e = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		event_seen(s, cell, e);
		json_decref(e);
	}
	return 0;
}

static int ours(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return strncmp(d->d_name, "events", 6) == 0 && n > 6 && strcmp(d->d_name + n - 6, ".jsonl") == 0;
}

static int record_read(struct suggestion *s, const char *cell, const char *state, struct creel_err *err)
{
	struct dirent **files = NULL;
	char dir[PATH_MAX], path[PATH_MAX + 300];
	int r = 0;

	if ((size_t)snprintf(dir, sizeof(dir), "%s/record", state) >= sizeof(dir))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the state folder's name");
	int n = scandir(dir, &files, ours, alphasort);
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read %s", dir);
	for (int i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]->d_name);
		if (r == 0)
			r = file_read(s, cell, path, err);
		free(files[i]);
	}
	free(files);
	return r;
}

/* Names that flows have on some port are not suggested once more for their query alone. */
static bool only_resolved(const struct suggestion *s, const struct entry *e)
{
	size_t n = strlen(e->text);

	if (e->flows > 0)
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (s->of[i].flows > 0 && strncmp(s->of[i].text, e->text, n) == 0 && s->of[i].text[n] == ':')
			return false;
	return true;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->text, ((const struct entry *)b)->text);
}

static int show(struct suggestion *s, bool json)
{
	json_t *allow = json_array();

	qsort(s->of, s->n, sizeof(s->of[0]), by_text);
	if (!json)
		printf("egress:\n  mode: listed\n  allow:%s\n", s->n == 0 ? " []" : "");
	for (size_t i = 0; i < s->n; i++) {
		const struct entry *e = &s->of[i];
		bool resolved = only_resolved(s, e);
		if (e->flows == 0 && !resolved)
			continue;
		if (!json)
			printf("    - \"%s\" # %s, %u time%s\n", e->text,
			       resolved ? "resolved, not connected to" : "used",
			       resolved ? e->queries : e->flows,
			       (resolved ? e->queries : e->flows) == 1 ? "" : "s");
		else
			json_array_append_new(allow, json_pack("{s:s,s:i,s:i}", "entry", e->text, "flows",
							       (int)e->flows, "queries", (int)e->queries));
	}
	if (json) {
		json_t *j = json_pack("{s:s,s:O}", "mode", "listed", "allow", allow);
		json_dumpf(j, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(j);
	}
	json_decref(allow);
	if (s->full)
		fprintf(stderr, "creel: more than %d: the rest is left out\n", ENTRIES);
	return 0;
}

int policy_suggest(struct creel_cli *cli, const char *cell, struct creel_err *err)
{
	autofree struct suggestion *s = calloc(1, sizeof(*s));
	char state[PATH_MAX];

	if (!s)
		return creel_err_nomem(err);
	int r = where_state(cli->state_dir, state, sizeof(state), err);
	if (r == 0)
		r = record_read(s, cell, state, err);
	return r < 0 ? r : show(s, cli->json);
}

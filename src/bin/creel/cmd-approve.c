#include "approvedfile.h"
#include "client.h"
#include "cmds.h"
#include "config/keys.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One request about an approval; @p op "" is a look at it. */
static int ask(struct creel_cli *cli, const char *id, const char *op, json_t *body, json_t **ret,
	       struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	char path[64], *end = NULL;
	unsigned long n = strtoul(id, &end, 10);
	int r = 0;

	if (id[0] < '1' || id[0] > '9' || *end || n > 999999999)
		r = creel_err_set(err, CREEL_E_USAGE, 0, "'%s' is no approval's number; see creel approvals",
				  id);
	if (r == 0)
		r = client_open(cli, false, &c, err);
	if (r == 0)
		r = client_need(&c, err);
	(void)snprintf(path, sizeof(path), "/v1/approvals/%lu%s", n, op);
	if (r < 0) {
		json_decref(body);
		return r;
	}
	return client_call(&c, op[0] ? "POST" : "GET", path, body, ret, err);
}

static int answer(struct creel_cli *cli, const char *id, const char *op, json_t *body, struct creel_err *err)
{
	json_t *j = NULL;
	int r = ask(cli, id, op, body, &j, err);

	if (r == 0 && cli->json) {
		autofree char *text = json_dumps(j, JSON_COMPACT | JSON_ENSURE_ASCII);
		puts(text ? text : "");
	}
	json_decref(j);
	return r;
}

/* The yes first, then the file: one that cannot be written is seen before. */
static int always(struct creel_cli *cli, const char *id, struct creel_err *err)
{
	struct approvedfile file;
	json_t *a = NULL;
	int r = ask(cli, id, "", NULL, &a, err);
	const char *kind = json_string_value(json_object_get(a, "kind"));
	const char *cell = json_string_value(json_object_get(a, "cell"));
	const char *name = json_string_value(json_object_get(a, "subject"));

	if (r == 0 && (!kind || !cell || !name || strcmp(kind, "egress") != 0))
		r = creel_err_set(err, CREEL_E_USAGE, 0,
				  "--always is for names; a call of a tool is declared in `gate: allow`");
	if (r == 0)
		r = approvedfile_look(cli, cell, &file, err);
	if (r == 0)
		r = answer(cli, id, "/grant", json_object(), err);
	if (r == 0)
		r = approvedfile_add(&file, cell, name, json_integer_value(json_object_get(a, "id")), err);
	if (r == 0)
		fprintf(stderr, "creel: %s is in %s now; review it, and commit it with creel.yaml\n", name,
			file.path);
	json_decref(a);
	return r;
}

int cmd_approve(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static const struct option longs[] = {
		{"for", required_argument, NULL, 'f'}, {"same-verb", no_argument, NULL, 's'},
		{"once", no_argument, NULL, 'o'},      {"session", no_argument, NULL, 'e'},
		{"always", no_argument, NULL, 'a'},    {NULL, 0, NULL, 0}};
	int64_t for_ms = 0;
	bool same_verb = false;
	int o, scope = 0;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (o == 's')
			same_verb = true;
		else if ((o == 'o' || o == 'e' || o == 'a') && scope == 0)
			scope = o;
		else if (o != 'f')
			return creel_err_set(err, CREEL_E_USAGE, 0, "see creel approve --help");
		else if (creel_parse_duration(optarg, &for_ms) < 0 || for_ms < 1000)
			return creel_err_set(err, CREEL_E_USAGE, 0, "--for takes a time such as 10m or 2h");
	}
	if (argc - optind != 1)
		return creel_err_set(
			err, CREEL_E_USAGE, 0,
			"usage: creel approve ID [--once | --session | --always | --for TIME [--same-verb]]");
	if (same_verb && for_ms == 0)
		return creel_err_set(err, CREEL_E_USAGE, 0, "--same-verb needs a time: --for 10m");
	if (scope && for_ms)
		return creel_err_set(err, CREEL_E_USAGE, 0, "one of --once, --session, --always and --for");
	if (scope == 'a')
		return always(cli, argv[optind], err);
	json_t *body = json_object();
	if (scope)
		json_object_set_new(body, "scope", json_string(scope == 'o' ? "once" : "session"));
	if (for_ms)
		json_object_set_new(body, "for_s", json_integer(for_ms / 1000));
	if (same_verb)
		json_object_set_new(body, "same_verb", json_true());
	return answer(cli, argv[optind], "/grant", body, err);
}

int cmd_deny(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static const struct option longs[] = {{"reason", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
	const char *reason = "";
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (o != 'r')
			return creel_err_set(err, CREEL_E_USAGE, 0, "see creel deny --help");
		reason = optarg;
	}
	if (argc - optind != 1)
		return creel_err_set(err, CREEL_E_USAGE, 0, "usage: creel deny ID [--reason TEXT]");
	json_t *body = json_pack("{s:s}", "reason", reason);
	if (!body)
		return creel_err_set(err, CREEL_E_USAGE, 0, "the reason is not UTF-8");
	return answer(cli, argv[optind], "/deny", body, err);
}

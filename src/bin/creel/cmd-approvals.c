#include "base/escape.h"
#include "client.h"
#include "cmds.h"
#include "config/keys.h"
#include "web.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What cells wait for. Every word of a cell is foreign: it is escaped, stays on its line, and is shown
 * whole, so that what a human says yes to is what they saw.
 */
static void put(const char *label, const void *data, size_t len)
{
	struct creel_buf autoclean(creel_buf_fini) out;
	struct creel_err err = {0};

	creel_buf_init(&out, 8 * len + 16);
	if (creel_escape_term(&out, data, len, &err) < 0)
		printf("  %-10s (not shown: %s)\n", label, err.msg);
	else
		printf("  %-10s %s\n", label, creel_buf_str(&out));
}

static void put_json(const char *label, const json_t *v)
{
	if (json_is_string(v))
		put(label, json_string_value(v), json_string_length(v));
	else if (json_is_integer(v))
		printf("  %-10s %lld\n", label, json_integer_value(v));
}

static void detail_show(const json_t *detail)
{
	const json_t *lines = json_object_get(detail, "lines"), *argv = json_object_get(detail, "argv"), *v;
	const char *key;
	char label[32];
	size_t i;

	/* what it means, then what it is */
	json_array_foreach(lines, i, v)
		put_json("", v);
	json_array_foreach(argv, i, v)
	{
		(void)snprintf(label, sizeof(label), "argv[%zu]", i);
		put_json(label, v);
	}
	json_object_foreach((json_t *)(uintptr_t)detail, key, v)
		if (json_is_string(v) || json_is_integer(v))
			put_json(key, v);
}

static void left_show(long long ms, char ret[32])
{
	if (ms <= 0)
		(void)snprintf(ret, 32, "now");
	else if (ms < 120000)
		(void)snprintf(ret, 32, "in %lld s", ms / 1000);
	else
		(void)snprintf(ret, 32, "in %lld min", ms / 60000);
}

static void context_show(const json_t *context)
{
	const json_t *e;
	size_t i;

	json_array_foreach(context, i, e)
	{
		autofree char *text = json_dumps(e, JSON_COMPACT | JSON_ENSURE_ASCII);
		put(i ? "" : "before it", text ? text : "", text ? strlen(text) : 0);
	}
}

static void show(const json_t *a, long long now)
{
	const char *state = json_string_value(json_object_get(a, "state"));
	const char *reason = json_string_value(json_object_get(a, "reason"));
	char left[32];

	left_show(json_integer_value(json_object_get(a, "expires_ms")) - now, left);
	printf("%lld  %s  %s  cell %s%s%s\n", json_integer_value(json_object_get(a, "id")), state ? state : "?",
	       json_string_value(json_object_get(a, "kind")), json_string_value(json_object_get(a, "cell")),
	       state && strcmp(state, "pending") == 0 ? "  expires " : "",
	       state && strcmp(state, "pending") == 0 ? left : "");
	put_json("wants", json_object_get(a, "subject"));
	detail_show(json_object_get(a, "detail"));
	if (json_object_get(a, "by"))
		put_json("by uid", json_object_get(a, "by"));
	if (reason && reason[0])
		put("reason", reason, strlen(reason));
	context_show(json_object_get(a, "context"));
	putchar('\n');
}

int cmd_approvals(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static const struct option longs[] = {{"all", no_argument, NULL, 'a'}, {"web", no_argument, NULL, 'w'}, {NULL, 0, NULL, 0}};
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	json_t *j = NULL, *a;
	size_t i, shown = 0;
	bool everything = false, page = false;
	int o;

	while ((o = getopt_long(argc, argv, "a", longs, NULL)) != -1) {
		if (o == 'w')
			page = true;
		else if (o == 'a')
			everything = true;
		else
			return creel_err_set(err, CREEL_E_USAGE, 0, "see creel approvals --help");
	}
	if (optind < argc)
		return creel_err_set(err, CREEL_E_USAGE, 0, "creel approvals takes no name; see creel approvals --help");
	int r = client_open(cli, false, &c, err);
	if (r == 0)
		r = client_need(&c, err);
	if (r == 0 && page)
		return web_run(&c, err);
	if (r == 0)
		r = client_call(&c, "GET", "/v1/approvals", NULL, &j, err);
	if (r < 0)
		return r;
	long long now = json_integer_value(json_object_get(j, "now_ms"));
	json_array_foreach(json_object_get(j, "approvals"), i, a)
	{
		const char *state = json_string_value(json_object_get(a, "state"));
		if (!everything && (!state || strcmp(state, "pending") != 0))
			continue;
		if (cli->json) {
			autofree char *text = json_dumps(a, JSON_COMPACT | JSON_ENSURE_ASCII);
			puts(text ? text : "");
		} else {
			show(a, now);
		}
		shown++;
	}
	json_decref(j);
	if (shown == 0 && !cli->json)
		fprintf(stderr, "creel: nothing waits for an answer\n");
	return 0;
}

static int answer(struct creel_cli *cli, const char *id, const char *op, json_t *body, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	char path[64], *end = NULL;
	unsigned long n = strtoul(id, &end, 10);
	json_t *j = NULL;
	int r = 0;

	if (id[0] < '1' || id[0] > '9' || *end || n > 999999999)
		r = creel_err_set(err, CREEL_E_USAGE, 0, "'%s' is no approval's number; see creel approvals", id);
	if (r == 0)
		r = client_open(cli, false, &c, err);
	if (r == 0)
		r = client_need(&c, err);
	(void)snprintf(path, sizeof(path), "/v1/approvals/%lu/%s", n, op);
	if (r < 0) {
		json_decref(body);
		return r;
	}
	r = client_call(&c, "POST", path, body, &j, err);
	if (r == 0 && cli->json) {
		autofree char *text = json_dumps(j, JSON_COMPACT | JSON_ENSURE_ASCII);
		puts(text ? text : "");
	}
	json_decref(j);
	return r;
}

int cmd_approve(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static const struct option longs[] = {{"for", required_argument, NULL, 'f'},
					      {"same-verb", no_argument, NULL, 's'},
					      {NULL, 0, NULL, 0}};
	int64_t for_ms = 0;
	bool same_verb = false;
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (o == 's')
			same_verb = true;
		else if (o != 'f')
			return creel_err_set(err, CREEL_E_USAGE, 0, "see creel approve --help");
		else if (creel_parse_duration(optarg, &for_ms) < 0 || for_ms < 1000)
			return creel_err_set(err, CREEL_E_USAGE, 0, "--for takes a time such as 10m or 2h");
	}
	if (argc - optind != 1)
		return creel_err_set(err, CREEL_E_USAGE, 0, "usage: creel approve ID [--for TIME [--same-verb]]");
	if (same_verb && for_ms == 0)
		return creel_err_set(err, CREEL_E_USAGE, 0, "--same-verb needs a time: --for 10m");
	json_t *body = json_object();
	if (for_ms)
		json_object_set_new(body, "for_s", json_integer(for_ms / 1000));
	if (same_verb)
		json_object_set_new(body, "same_verb", json_true());
	return answer(cli, argv[optind], "grant", body, err);
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
	return answer(cli, argv[optind], "deny", body, err);
}

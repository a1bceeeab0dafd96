#include "base/escape.h"
#include "client.h"
#include "cmds.h"
#include "web.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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
	json_array_foreach (lines, i, v)
		put_json("", v);
	json_array_foreach (argv, i, v) {
		(void)snprintf(label, sizeof(label), "argv[%zu]", i);
		put_json(label, v);
	}
	json_object_foreach ((json_t *)(uintptr_t)detail, key, v)
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

	json_array_foreach (context, i, e) {
		autofree char *text = json_dumps(e, JSON_COMPACT | JSON_ENSURE_ASCII);
		put(i ? "" : "lately", text ? text : "", text ? strlen(text) : 0);
	}
}

static void show(const json_t *a, long long now)
{
	const char *state = json_string_value(json_object_get(a, "state"));
	const char *reason = json_string_value(json_object_get(a, "reason"));
	char left[32];

	left_show(json_integer_value(json_object_get(a, "expires_ms")) - now, left);
	printf("%lld  %s  %s  cell %s%s%s\n", json_integer_value(json_object_get(a, "id")),
	       state ? state : "?", json_string_value(json_object_get(a, "kind")),
	       json_string_value(json_object_get(a, "cell")),
	       state && strcmp(state, "pending") == 0 ? "  expires " : "",
	       state && strcmp(state, "pending") == 0 ? left : "");
	put_json("wants", json_object_get(a, "subject"));
	if (json_is_false(json_object_get(a, "waiting")))
		printf("  %-10s %s\n", "left",
		       "who asked; a yes runs nothing until the same call is made again");
	detail_show(json_object_get(a, "detail"));
	if (json_object_get(a, "by"))
		put_json("by uid", json_object_get(a, "by"));
	if (reason && reason[0])
		put("reason", reason, strlen(reason));
	context_show(json_object_get(a, "context"));
	putchar('\n');
}

/* What is new, and what became of what was shown; @p states: how each was shown last, by its number. */
static void changes_show(struct creel_cli *cli, json_t *j, json_t *states)
{
	long long now = json_integer_value(json_object_get(j, "now_ms"));
	char key[24];
	json_t *a;
	size_t i;

	json_array_foreach (json_object_get(j, "approvals"), i, a) {
		const char *state = json_string_value(json_object_get(a, "state"));
		(void)snprintf(key, sizeof(key), "%lld", json_integer_value(json_object_get(a, "id")));
		const char *was = json_string_value(json_object_get(states, key));
		bool pending = state && strcmp(state, "pending") == 0;
		if (!state || (was ? strcmp(was, state) == 0 : !pending))
			continue;
		json_object_set_new(states, key, json_string(state));
		if (cli->json) {
			autofree char *text = json_dumps(a, JSON_COMPACT | JSON_ENSURE_ASCII);
			puts(text ? text : "");
		} else if (pending) {
			show(a, now);
		} else {
			printf("%s  %s  cell %s\n", key, state,
			       json_string_value(json_object_get(a, "cell")));
			put_json("wants", json_object_get(a, "subject"));
			putchar('\n');
		}
	}
}

/*
 * Until it is interrupted. A creeld that goes away is waited for: what it was asked is on its disk, and the
 * next one asks it again.
 */
static int follow(struct creel_cli *cli, struct creel_err *err)
{
	static const struct timespec pause = {.tv_nsec = 500000000};
	json_t *states = json_object();
	bool told = false;

	for (;;) {
		struct creel_client autoclean(client_close) c = {.run_fd = -1};
		struct creel_err why = {0};
		json_t *j = NULL;
		int r = client_open(cli, false, &c, &why);
		if (r == 0 && client_alive(&c) &&
		    client_call(&c, "GET", "/v1/approvals", NULL, &j, &why) == 0) {
			changes_show(cli, j, states);
			told = false;
		} else if (!told) {
			fprintf(stderr, "creel: no creeld runs; waiting for one\n");
			told = true;
		}
		json_decref(j);
		if (fflush(stdout) != 0) {
			json_decref(states);
			return creel_err_set(err, CREEL_E_OS, errno, "write");
		}
		(void)nanosleep(&pause, NULL);
	}
}

int cmd_approvals(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static const struct option longs[] = {{"all", no_argument, NULL, 'a'},
					      {"follow", no_argument, NULL, 'f'},
					      {"web", no_argument, NULL, 'w'},
					      {NULL, 0, NULL, 0}};
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	json_t *j = NULL, *a;
	size_t i, shown = 0;
	bool everything = false, page = false, on = false;
	int o;

	while ((o = getopt_long(argc, argv, "af", longs, NULL)) != -1) {
		if (o == 'w')
			page = true;
		else if (o == 'f')
			on = true;
		else if (o == 'a')
			everything = true;
		else
			return creel_err_set(err, CREEL_E_USAGE, 0, "see creel approvals --help");
	}
	if (optind < argc)
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "creel approvals takes no name; see creel approvals --help");
	if (on)
		return follow(cli, err);
	int r = client_open(cli, false, &c, err);
	if (r == 0)
		r = client_look(&c, err);
	if (r == 0 && page)
		return web_run(&c, err);
	if (r == 0)
		r = client_call(&c, "GET", "/v1/approvals", NULL, &j, err);
	if (r < 0)
		return r;
	long long now = json_integer_value(json_object_get(j, "now_ms"));
	json_array_foreach (json_object_get(j, "approvals"), i, a) {
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

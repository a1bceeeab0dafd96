#include "base/cleanup.h"
#include "client.h"
#include "cmds.h"
#include <stdio.h>
#include <string.h>

/* Wait until the cell has stopped, and forget it. */
static int stopped_wait(struct creel_client *c, const char *cell, struct creel_err *err)
{
	long long serial = -1;
	char path[96], op[32];

	for (;;) {
		json_t *j = NULL;
		(void)snprintf(op, sizeof(op), "?after=%lld", serial);
		int r = client_path(path, sizeof(path), cell, op, err);
		if (r == 0)
			r = client_call(c, "GET", path, NULL, &j, err);
		if (r < 0)
			return r;
		const char *state = json_string_value(json_object_get(j, "state"));
		bool stopped = state && strcmp(state, "stopped") == 0;
		serial = json_integer_value(json_object_get(j, "serial"));
		json_decref(j);
		if (stopped)
			break;
	}
	int r = client_path(path, sizeof(path), cell, "", err);
	if (r == 0)
		r = client_call(c, "DELETE", path, NULL, NULL, err);
	if (r == 0)
		fprintf(stderr, "creel: %s: down\n", cell);
	return r;
}

static int stop_all(struct creel_client *c, json_t *cells, const char *op, struct creel_err *err)
{
	char path[96];
	json_t *cell;
	size_t i;
	int r = 0;

	/* all are told first: they stop at the same time */
	json_array_foreach (cells, i, cell) {
		if ((r = client_path(path, sizeof(path), json_string_value(cell), op, err)) < 0 ||
		    (r = client_call(c, "POST", path, NULL, NULL, err)) < 0)
			return r;
	}
	json_array_foreach (cells, i, cell) {
		if ((r = stopped_wait(c, json_string_value(cell), err)) < 0)
			return r;
	}
	return 0;
}

/* Every cell that creeld knows, in its order. */
static int cells_all(struct creel_client *c, json_t *ret, struct creel_err *err)
{
	json_t *status = NULL, *cell;
	size_t i;
	int r = client_call(c, "GET", "/v1/status", NULL, &status, err);

	if (r < 0)
		return r;
	json_array_foreach (json_object_get(status, "cells"), i, cell)
		json_array_append(ret, json_object_get(cell, "cell"));
	json_decref(status);
	return 0;
}

int cmd_down(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	bool now = argc > 1 && strcmp(argv[1], "--now") == 0;
	json_t *cells = json_array(), *left = json_array();

	int r = client_open(cli, false, &c, err);
	if (r == 0)
		r = client_need(&c, err);
	bool nothing = r == CREEL_E_NOTFOUND;
	for (int i = now ? 2 : 1; r == 0 && i < argc; i++)
		json_array_append_new(cells, json_string(argv[i]));
	if (r == 0 && json_array_size(cells) == 0)
		r = cells_all(&c, cells, err);
	if (r == 0)
		r = stop_all(&c, cells, now ? "/kill" : "/stop", err);
	if (r == 0)
		r = cells_all(&c, left, err);
	if (r == 0 && json_array_size(left) == 0)
		r = client_end(&c, err);
	json_decref(cells);
	json_decref(left);
	if (nothing && argc == 1) {
		*err = (struct creel_err){0};
		return 0; /* what was asked for is so */
	}
	return r;
}

int cmd_restart(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	char path[96], op[32];
	long long serial = -1;

	if (argc != 2)
		return creel_err_set(err, CREEL_E_USAGE, 0, "restart takes one cell");
	int r = client_open(cli, false, &c, err);
	if (r == 0)
		r = client_need(&c, err);
	if (r == 0)
		r = client_path(path, sizeof(path), argv[1], "/restart", err);
	if (r == 0)
		r = client_call(&c, "POST", path, NULL, NULL, err);
	for (bool ready = false; r == 0 && !ready;) {
		json_t *j = NULL;
		(void)snprintf(op, sizeof(op), "?after=%lld", serial);
		if ((r = client_path(path, sizeof(path), argv[1], op, err)) < 0 ||
		    (r = client_call(&c, "GET", path, NULL, &j, err)) < 0)
			break;
		const char *state = json_string_value(json_object_get(j, "state"));
		const char *why = json_string_value(json_object_get(j, "why"));
		ready = state && strcmp(state, "ready") == 0;
		if (state && strcmp(state, "stopped") == 0 && why && why[0])
			r = creel_err_set(err, CREEL_E_CHILD, 0, "cell '%s' did not come up: %s", argv[1],
					  why);
		serial = json_integer_value(json_object_get(j, "serial"));
		json_decref(j);
	}
	return r;
}

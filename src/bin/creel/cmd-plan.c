#include "base/cleanup.h"
#include "base/escape.h"
#include "cmds.h"
#include "load.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *const egress_names[] = {"none", "listed", "ask", "open"};

/* What the file asks for and nothing enforces yet: said here, so that nobody relies on it. */
static json_t *not_enforced(const struct creel_cell_cfg *c)
{
	json_t *a = json_array();

	for (size_t i = 0; i < c->secrets.n; i++)
		if (c->secrets.v[i].pair.s)
			json_array_append_new(a, json_sprintf("secret %s: pairs", c->secrets.v[i].name.s));
	if (c->gate.pos.line > 0)
		json_array_append_new(a, json_string("gate"));
	if (c->broker.n > 0)
		json_array_append_new(a, json_string("broker"));
	return a;
}

static json_t *cell_json(const struct creel_cell_cfg *c)
{
	json_t *volumes = json_array(), *secrets = json_array(), *publish = json_array();

	for (size_t i = 0; i < c->volumes.n; i++)
		json_array_append_new(volumes,
				      json_pack("{s:s,s:I,s:s}", "name", c->volumes.v[i].name.s, "octets",
						(json_int_t)c->volumes.v[i].size.v, "at",
						c->volumes.v[i].at.s));
	for (size_t i = 0; i < c->secrets.n; i++)
		json_array_append_new(secrets, json_string(c->secrets.v[i].name.s));
	for (size_t i = 0; i < c->publish.n; i++)
		json_array_append_new(publish, json_string(c->publish.v[i].text.s));
	return json_pack("{s:s,s:s,s:I,s:I,s:s,s:o,s:o,s:o,s:o}", "cell", c->name.s, "recipe", c->recipe.s,
			 "cpus", (json_int_t)c->cpus.v, "memory", (json_int_t)c->memory.v, "egress",
			 egress_names[c->egress.mode.v], "volumes", volumes, "secrets", secrets, "publish",
			 publish, "not_enforced_yet", not_enforced(c));
}

static void show(json_t *cell)
{
	const char *name = NULL, *recipe = NULL, *egress = NULL;
	json_int_t cpus = 0, memory = 0;
	json_t *volumes = NULL, *missing = NULL, *v;
	size_t i;

	if (json_unpack(cell, "{s:s,s:s,s:I,s:I,s:s,s:o,s:o}", "cell", &name, "recipe", &recipe, "cpus",
			&cpus, "memory", &memory, "egress", &egress, "volumes", &volumes,
			"not_enforced_yet", &missing) < 0)
		return;
	/* names were checked by the loader; a recipe's path is foreign text */
	struct creel_buf autoclean(creel_buf_fini) shown;
	struct creel_err err = {0};
	creel_buf_init(&shown, 65536);
	(void)creel_escape_term(&shown, recipe, strlen(recipe), &err);
	printf("cell %s: recipe %s, %lld cpu, %lld MiB, egress %s\n", name, creel_buf_str(&shown),
	       (long long)cpus, (long long)(memory >> 20), egress);
	json_array_foreach(volumes, i, v)
	{
		creel_buf_clear(&shown);
		const char *at = json_string_value(json_object_get(v, "at"));
		(void)creel_escape_term(&shown, at, strlen(at), &err);
		printf("  volume %s, %lld MiB, at %s\n", json_string_value(json_object_get(v, "name")),
		       (long long)(json_integer_value(json_object_get(v, "octets")) >> 20),
		       creel_buf_str(&shown));
	}
	json_array_foreach(missing, i, v)
		printf("  not enforced yet: %s\n", json_string_value(v));
}

int cmd_plan(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_config config = {0};
	int dirfd = -1;

	if (argc > 1)
		return creel_err_set(err, CREEL_E_USAGE, 0, "plan takes no argument; the file is named by -f");
	int r = load_config(cli, &config, &dirfd, err);
	autofd int dir __attribute__((unused)) = dirfd;
	if (r < 0)
		return r;
	struct creel_config autoclean(creel_config_fini) owned = config;
	for (size_t i = 0; i < owned.cells.n; i++) {
		json_t *j = cell_json(&owned.cells.v[i]);
		if (!j)
			return creel_err_nomem(err);
		if (cli->json) {
			json_dumpf(j, stdout, JSON_COMPACT);
			putchar('\n');
		} else {
			show(j);
		}
		json_decref(j);
	}
	return 0;
}

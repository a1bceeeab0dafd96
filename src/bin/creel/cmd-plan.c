#include "base/cleanup.h"
#include "base/escape.h"
#include "cmds.h"
#include "planchange.h"
#include "secrets.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char *const egress_names[] = {"none", "listed", "ask", "open"};

static json_t *cell_json(const struct creel_cell_cfg *c)
{
	json_t *volumes = json_array(), *secrets = json_array(), *publish = json_array();

	for (size_t i = 0; i < c->volumes.n; i++)
		json_array_append_new(volumes, json_pack("{s:s,s:I,s:s}", "name", c->volumes.v[i].name.s,
							 "octets", (json_int_t)c->volumes.v[i].size.v, "at",
							 c->volumes.v[i].at.s));
	for (size_t i = 0; i < c->secrets.n; i++)
		json_array_append_new(secrets, json_string(c->secrets.v[i].name.s));
	for (size_t i = 0; i < c->publish.n; i++)
		json_array_append_new(publish, json_string(c->publish.v[i].text.s));
	return json_pack("{s:s,s:s,s:I,s:I,s:s,s:o,s:o,s:o}", "cell", c->name.s, "recipe", c->recipe.s,
			 "cpus", (json_int_t)c->cpus.v, "memory", (json_int_t)c->memory.v, "egress",
			 egress_names[c->egress.mode.v], "volumes", volumes, "secrets", secrets, "publish",
			 publish);
}

/* Foreign text (paths, values) as a terminal may have it. */
static void put_escaped(const char *before, const char *text, const char *after)
{
	struct creel_buf autoclean(creel_buf_fini) shown;
	struct creel_err err = {0};

	creel_buf_init(&shown, 65536);
	(void)creel_escape_term(&shown, text ? text : "", text ? strlen(text) : 0, &err);
	printf("%s%s%s", before, creel_buf_str(&shown), after);
}

static void show_change(json_t *cell)
{
	static const char *const words[][2] = {
		{"new", "`creel up` starts it"},
		{"stopped", "it is stopped; `creel up` starts it"},
		{"unchanged", "it runs as this file says; `creel up` leaves it alone"},
		{"changed", "it runs and the file says otherwise; `creel up` restarts it"},
	};
	const char *change = json_string_value(json_object_get(cell, "change"));
	json_t *v;
	size_t i;

	for (i = 0; change && i < ELEMENTSOF(words); i++)
		if (strcmp(words[i][0], change) == 0)
			printf("  %s: %s\n", change,
			       i == 3 && !json_is_true(json_object_get(cell, "restart"))
				       ? "it runs and the file says otherwise; `creel up` changes "
					 "it as it "
					 "runs"
				       : words[i][1]);
	json_array_foreach (json_object_get(cell, "changes"), i, v) {
		json_t *from = json_object_get(v, "from"), *to = json_object_get(v, "to");
		put_escaped("    ", json_string_value(json_object_get(v, "what")), "");
		if (json_is_string(from) || json_is_string(to)) {
			put_escaped(": ", json_is_string(from) ? json_string_value(from) : "none", " -> ");
			put_escaped("", json_is_string(to) ? json_string_value(to) : "none", "");
		}
		putchar('\n');
	}
	if (json_is_false(json_object_get(cell, "image_ready")))
		printf("  its image is not in the cache: `creel up` builds it first\n");
	if (json_object_get(cell, "why"))
		put_escaped("  not to be started: ", json_string_value(json_object_get(cell, "why")), "\n");
}

static void show(json_t *cell)
{
	const char *name = NULL, *recipe = NULL, *egress = NULL;
	json_int_t cpus = 0, memory = 0;
	json_t *volumes = NULL, *v;
	size_t i;

	if (json_unpack(cell, "{s:s,s:s,s:I,s:I,s:s,s:o}", "cell", &name, "recipe", &recipe, "cpus", &cpus,
			"memory", &memory, "egress", &egress, "volumes", &volumes) < 0)
		return;
	/* names were checked by the loader; a recipe's path is foreign text */
	printf("cell %s: recipe ", name);
	put_escaped("", recipe, "");
	printf(", %lld cpu, %lld MiB, egress %s\n", (long long)cpus, (long long)(memory >> 20), egress);
	show_change(cell);
	json_array_foreach (volumes, i, v) {
		printf("  volume %s, %lld MiB, at ", json_string_value(json_object_get(v, "name")),
		       (long long)(json_integer_value(json_object_get(v, "octets")) >> 20));
		put_escaped("", json_string_value(json_object_get(v, "at")), "\n");
	}
	json_array_foreach (json_object_get(cell, "notes"), i, v)
		put_escaped("  note: ", json_string_value(v), "\n");
}

/* What is not there yet, and `up` will want: no error of the file's. */
static json_t *notes(const struct creel_config *config, const struct creel_cell_cfg *c, int dirfd,
		     const char *state)
{
	json_t *a = json_array();
	char why[512];
	const char *no_six = netplan_no_six(config, c);

	if (no_six)
		json_array_append_new(a, json_sprintf("ipv6: %s", no_six));

	for (size_t i = 0; i < c->secrets.n; i++) {
		const struct creel_secret_cfg *s = &c->secrets.v[i];
		if (secrets_absent(c->name.s, s, dirfd, state, why, sizeof(why)))
			json_array_append_new(a, json_sprintf("%s; %s", why,
							      s->optional.v ? "the cell starts without it"
									    : "`creel up` fails without it"));
	}
	for (size_t i = 0; i < c->broker.n; i++) {
		struct creel_secret_cfg s;
		if (secrets_of_broker(c, i, &s) &&
		    secrets_absent(c->name.s, &s, dirfd, state, why, sizeof(why)))
			json_array_append_new(a, json_sprintf("%s; `creel up` fails without it", why));
	}
	return a;
}

/* Cells that creeld has and the file has not. */
static int gone(struct creel_cli *cli, struct creel_client *client, const struct creel_config *config,
		struct creel_err *err)
{
	json_t *status = NULL, *v;
	size_t i;
	int r = client_call(client, "GET", "/v1/status", NULL, &status, err);

	json_array_foreach (json_object_get(status, "cells"), i, v) {
		const char *name = json_string_value(json_object_get(v, "cell"));
		if (!name || creel_config_cell(config, name))
			continue;
		if (cli->json)
			printf("{\"cell\":\"%s\",\"change\":\"gone\",\"restart\":false}\n", name);
		else
			printf("cell %s: not in this file; `creel up` leaves it as it is, `creel "
			       "down %s` stops "
			       "it\n",
			       name, name);
	}
	json_decref(status);
	return r;
}

struct planning {
	struct creel_cli *cli;
	struct creel_client client;
	bool alive;
	struct creel_config config;
	struct netplan net;
	int dirfd;
};

static int plan_cell(struct planning *p, const struct creel_cell_cfg *c, struct creel_err *err)
{
	json_t *j = cell_json(c);
	int r = j && json_object_set_new(j, "notes", notes(&p->config, c, p->dirfd, p->client.state)) == 0
			? planchange(p->alive ? &p->client : NULL, &p->net, &p->config, c, p->dirfd, j, err)
			: creel_err_nomem(err);

	if (r == 0 && p->cli->json) {
		json_dumpf(j, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (r == 0) {
		show(j);
	}
	json_decref(j);
	return r;
}

static int plan_all(struct planning *p, struct creel_err *err)
{
	struct creel_err none = {0};

	p->alive = client_open(p->cli, false, &p->client, &none) == 0 && client_alive(&p->client);
	if (!p->alive && client_orphans(&p->client))
		fputs("creel: cells run without a creeld and are not compared; `creel up` takes them up\n",
		      stderr);
	int r = planchange_addresses(&p->net, p->client.state, &p->config, err);
	for (size_t i = 0; r == 0 && i < p->config.cells.n; i++)
		r = plan_cell(p, &p->config.cells.v[i], err);
	return r == 0 && p->alive ? gone(p->cli, &p->client, &p->config, err) : r;
}

int cmd_plan(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct planning p = {.cli = cli, .client = {.run_fd = -1}, .dirfd = -1};

	if (argc > 1)
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "plan takes no argument; the file is named by -f");
	if (sodium_init() < 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "libsodium does not start");
	int r = load_config(cli, &p.config, &p.dirfd, err);
	p.net.dirfd = p.dirfd;
	if (r == 0)
		r = plan_all(&p, err);
	netplan_fini(&p.net);
	creel_config_fini(&p.config);
	client_close(&p.client);
	if (p.dirfd >= 0)
		close(p.dirfd);
	return r;
}

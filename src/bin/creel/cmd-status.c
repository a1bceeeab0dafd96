#include "base/cleanup.h"
#include "base/escape.h"
#include "client.h"
#include "cmds.h"
#include <stdio.h>
#include <string.h>

static const char *str(json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

static void uptime(json_int_t ms, char *ret, size_t size)
{
	json_int_t s = ms / 1000;

	if (s >= 86400)
		(void)snprintf(ret, size, "%lldd%02lldh", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		(void)snprintf(ret, size, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else
		(void)snprintf(ret, size, "%lldm%02llds", s / 60, s % 60);
}

static void row(json_t *c)
{
	char up[32] = "-", memory[32];
	json_t *port;
	size_t i;

	json_int_t used = json_integer_value(json_object_get(c, "used_kb"));
	if (json_integer_value(json_object_get(c, "uptime_ms")) > 0)
		uptime(json_integer_value(json_object_get(c, "uptime_ms")), up, sizeof(up));
	(void)snprintf(memory, sizeof(memory), "%lld/%lld", used / 1024,
		       json_integer_value(json_object_get(c, "memory_mib")));
	printf("%-16s %-9s %8s %11s  %-4s %-12.12s ", str(c, "cell"), str(c, "state"), up, memory,
	       str(c, "accelerator"), str(c, "image"));
	json_array_foreach (json_object_get(c, "publish"), i, port)
		printf("%s%s%s", i ? "," : "", str(port, "port"),
		       json_is_true(json_object_get(port, "open")) ? "" : "(closed)");
	putchar('\n');
	if (str(c, "why")[0]) {
		struct creel_buf autoclean(creel_buf_fini) shown;
		struct creel_err err = {0};
		creel_buf_init(&shown, 4096);
		(void)creel_escape_term(&shown, str(c, "why"), strlen(str(c, "why")), &err);
		printf("  %s\n", creel_buf_str(&shown));
	}
	if (json_is_true(json_object_get(c, "killswitch")))
		printf("  kill switch on: its egress is cut\n");
	if (!json_is_true(json_object_get(c, "current")))
		printf("  runs an older plan; `creel up` restarts it with the new one\n");
}

int cmd_status(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_client autoclean(client_close) c = {.run_fd = -1};
	json_t *j = NULL, *cell;
	size_t i;

	if (argc > 1)
		return creel_err_set(err, CREEL_E_USAGE, 0, "status takes no argument");
	int r = client_open(cli, false, &c, err);
	if (r == 0)
		r = client_look(&c, err);
	if (r == CREEL_E_NOTFOUND) {
		*err = (struct creel_err){0};
		if (cli->json)
			puts("{\"cells\":[]}");
		else
			fprintf(stderr, "creel: nothing runs on %s\n", c.state);
		return 0;
	}
	if (r == 0)
		r = client_call(&c, "GET", "/v1/status", NULL, &j, err);
	if (r < 0)
		return r;
	if (cli->json) {
		json_dumpf(j, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		printf("%-16s %-9s %8s %11s  %-4s %-12s %s\n", "CELL", "STATE", "UPTIME", "MEMORY/MiB", "ACC",
		       "IMAGE", "PORTS");
		json_array_foreach (json_object_get(j, "cells"), i, cell)
			row(cell);
		const char *record = json_string_value(json_object_get(j, "record"));
		if (record && strcmp(record, "ok") != 0)
			printf("the record's disk is full%s: nothing new begins until there is room\n",
			       strcmp(record, "low") == 0 ? "" : " and it cannot be written");
	}
	json_decref(j);
	return 0;
}

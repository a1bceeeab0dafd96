#include "base/cleanup.h"
#include "cmds.h"
#include "doctor.h"
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void show(const struct creel_cli *cli, const struct doctor_finding *f, const char *did)
{
	static const char *const words[] = {"yes", "no", "maybe"};

	if (cli->json) {
		json_t *j = json_pack("{s:s,s:s,s:b,s:s}", "check", f->check, "verdict", words[f->verdict],
				      "required", (int)f->required, "detail", f->detail);
		if (j && f->advice[0])
			json_object_set_new(j, "advice", json_string(f->advice));
		if (j && did[0])
			json_object_set_new(j, "fixed", json_string(did));
		json_dumpf(j, stdout, JSON_COMPACT);
		json_decref(j);
		putchar('\n');
		return;
	}
	printf("%-18s %-6s %s\n", f->check, words[f->verdict], f->detail);
	if (did[0])
		printf("%-25s did: %s\n", "", did);
	if (f->advice[0])
		printf("%-25s %s\n", "", f->advice);
}

int cmd_doctor(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static const struct option options[] = {{"fix", no_argument, NULL, 'x'}, {0}};
	struct doctor_finding found[DOCTOR_ROWS];
	struct doctor_live live;
	char did[DOCTOR_ROWS][160] = {{0}};
	bool fix = false, again = false, bad = false;

	optind = 1;
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c != 'x')
			return creel_err_set(err, CREEL_E_USAGE, 0, "usage: creel doctor [--fix]");
		fix = true;
	}
	if (optind < argc)
		return creel_err_set(err, CREEL_E_USAGE, 0, "doctor takes no argument");
	doctor_try(&live);
	size_t n = doctor_look("", &live, found);
	for (size_t i = 0; fix && i < n; i++)
		if (found[i].verdict != DOCTOR_YES)
			again |= doctor_fix(&found[i], &live, did[i], sizeof(did[i]));
	if (again) {
		doctor_try(&live);
		n = doctor_look("", &live, found);
	}
	for (size_t i = 0; i < n; i++) {
		show(cli, &found[i], did[i]);
		bad |= found[i].required && found[i].verdict == DOCTOR_NO;
	}
	if (fix && !again && !cli->json)
		puts("there was nothing that is safe to do by itself");
	return bad ? 3 : 0;
}
